"""Which GPUs a build of torch has kernels for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pytest_vcp.rules.outcomes import Location, Unverified

Capability = tuple[int, int]

# sm_86 is machine code, compute_86 is what the driver compiles for the GPU that it finds.
_ARCHITECTURE = re.compile(r"(sm|compute)_(\d+)(\d)([a-z]?)")


@dataclass(frozen=True)
class Target:
    """A GPU that torch has to serve: its compute capability, and how it is named in messages."""

    capability: Capability
    name: str


@dataclass(frozen=True)
class Kernels:
    """What the environment's torch was built for, and the GPUs that it has to serve.

    `torch` is its version, `build` the toolkit or "the CPU alone", `architectures` as in "sm_90"
    and "compute_90". Of the GPUs that are `here` it has to serve one, and of those that were
    `named` each. `where` is the line of the lock that pins it.
    """

    torch: str
    build: str
    architectures: tuple[str, ...]
    here: tuple[Target, ...]
    named: tuple[Target, ...]
    where: Location | None = None

    def find_unserved(self) -> Target | None:
        """A GPU for which there is no kernel, and ought to be."""
        here, named = (
            [each for each in targets if not serves(self.architectures, each.capability)]
            for targets in (self.here, self.named)
        )
        # Another GPU beside the one that the model uses, such as that of the display, may be old.
        return next(iter([*(here if len(here) == len(self.here) else ()), *named]), None)


def serves(architectures: Iterable[str], capability: Capability) -> bool:
    """Whether code for these architectures runs on a GPU of this compute capability.

    Machine code runs on the same major version from its minor version on, code that is compiled
    when it is loaded on every GPU from its version on. Code of a letter, such as sm_90a, uses what
    that one architecture has, and runs there alone.
    """
    return any(_serves(architecture, capability) for architecture in architectures)


def format_capability(capability: Capability) -> str:
    """A capability as NVIDIA writes it."""
    return ".".join(map(str, capability))


def read_kernels(
    reply: Mapping[str, Any],
    here: tuple[Target, ...],
    asked_for: tuple[Target, ...],
    where: Location | None,
) -> Kernels:
    """Type the reply of the worker's ``kernels.describe``, and see what torch has to serve.

    `here` are the GPUs of which the driver knows; those that torch has in use come before them.
    Raises Unverified where there is no torch, or nothing that it could be held against.
    """
    in_use = tuple(
        Target((gpu["capability"][0], gpu["capability"][1]), gpu["name"]) for gpu in reply["gpus"]
    )
    # The first that torch has in use is the one that "cuda" means.
    here = in_use[:1] or here
    if not here and not asked_for:
        raise Unverified("no GPU is visible here, and the policy names none (gpu_capabilities)")
    if reply["torch"] is None:
        raise Unverified("the environment has no torch")
    architectures = tuple(reply["architectures"])
    if reply["build"].startswith("ROCm"):
        raise Unverified(f"torch {reply['torch']} is built for {reply['build']}, not for CUDA")
    if not here and not architectures:
        raise Unverified(
            f"torch {reply['torch']} is built for {reply['build']} on this platform, "
            "and no GPU is here"
        )
    return Kernels(
        reply["torch"],
        reply["build"],
        architectures,
        here,
        # Of another platform's build nothing is known, but for the GPU that is here.
        asked_for if architectures else (),
        where,
    )


def _serves(architecture: str, capability: Capability) -> bool:
    found = _ARCHITECTURE.fullmatch(architecture)
    if found is None:
        return False
    kind, letter = found[1], found[4]
    built_for = int(found[2]), int(found[3])
    if letter:
        return built_for == capability
    if kind == "compute":
        return built_for <= capability
    return built_for[0] == capability[0] and built_for[1] <= capability[1]
