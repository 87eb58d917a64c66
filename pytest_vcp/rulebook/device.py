"""Section 9: the forward pass on a GPU."""

from __future__ import annotations

from pytest_vcp.rulebook.rule import Rule

RULES: tuple[Rule, ...] = (
    Rule(
        "VCP901",
        # Judged with the forward pass: it is the one that fails where there is no GPU.
        "forward",
        "the artifact loads and predicts where no GPU is visible, unless it says that it needs one",
        "most users, and most of the hub's machines, have none",
        scope="variant",
    ),
    Rule(
        "VCP902",
        "device",
        "with a GPU visible the forward pass runs on it",
        "a model that silently stays on the CPU wastes the hub's GPU and the user's time",
        scope="variant",
    ),
    Rule(
        "VCP903",
        "device",
        "the output computed on a GPU is on the host, of the declared rank, shape and dtype",
        "an array left on the device can't be turned into JSON",
        scope="variant",
    ),
    Rule(
        "VCP904",
        "device",
        "a GPU and a CPU compute the same output, within the tolerance of the precision in use",
        "results must not depend on the machine that a request happens to reach",
        scope="variant",
    ),
    Rule(
        "VCP905",
        "device",
        "repeated predictions hold no more GPU memory",
        "a model that keeps a little of each request ends a server after some thousands of them",
        level="advice",
        scope="variant",
    ),
    Rule(
        "VCP906",
        "device",
        "the forward pass runs on the GPU that is visible, whichever it is",
        "the hub gives each model one of several GPUs, by showing it that one alone",
        scope="variant",
    ),
    Rule(
        "VCP907",
        "device",
        "the pinned torch ships kernels for the GPU present, and for those that the policy names",
        "a build without them fails on the hub's GPU, or leaves it idle",
    ),
    Rule(
        "VCP908",
        "device",
        "each documented precision keeps the declared output dtype",
        "who reads the output relies on the signature, whatever the arithmetic runs in",
        level="advice",
        scope="variant",
    ),
)
