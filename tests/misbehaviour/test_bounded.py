"""What runs out of memory, breaks on a device or never comes back: one failure, and what to do."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from fixtures.mutants import Change
from fixtures.mutants.forward.outputs import VAE, loading, returning
from fixtures.mutants.simulated_gpu import simulated
from fixtures.references import VAE as VAE_PACKAGE
from tests.mutations.judging import assert_rejected
from tests.place import Place
from tests.runs import Run, run_vcp

LESS = "let it hold less at a time, with a smaller batch_size or example"
MORE_MEMORY = f"{LESS}; or run it where there is more memory"
LARGER_GPU = f"{LESS}; or take a GPU with more memory"
BLOCKING = "find the call that fails with CUDA_LAUNCH_BLOCKING=1"
LONGER = "if it needs longer, give it --vcp-timeout"

KILLED = "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"
LIMITED = (
    "import resource\nresource.setrlimit(resource.RLIMIT_AS, (1 << 34, resource.RLIM_INFINITY))"
)
# Reserved and never touched: it costs nothing where the limit should fail to work.
GREEDY = f"{LIMITED}\nhoard = np.empty(1 << 36, np.uint8)"
WRAPPED = f"""
try:
    {GREEDY.replace(chr(10), chr(10) + "    ")}
except MemoryError as problem:
    raise ValueError("the cells could not be scored") from problem
""".strip()

CUDA_MEMORY = "CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 8 GiB"
CUDA_ASSERT = "CUDA error: device-side assert triggered"
CUDA_ACCESS = "CUDA error: an illegal memory access was encountered"
CUDA_KERNELS = "CUDA error: no kernel image is available for execution on the device"
# The driver keeps Python's lock while it waits for the device.
NEVER_BACK = "import ctypes\n    ctypes.PyDLL(None).sleep(600)"


def on_the_gpu(statement: str) -> Change:
    """A model that works on the CPU, and does this where there is a GPU."""
    return simulated(f"if on_gpu:\n    {statement}\nreturn scores")


def raised_by_torch(message: str, name: str = "RuntimeError") -> Change:
    error = f"type({name!r}, (RuntimeError,), {{'__module__': 'torch'}})"
    kind = "RuntimeError" if name == "RuntimeError" else error
    return on_the_gpu(f"raise {kind}({message!r})")


@dataclass(frozen=True)
class Case:
    """One misbehaviour, the rule that is about it, and what the author is told."""

    name: str
    change: Change
    rule: str
    told: str
    remedy: str
    options: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.name


CASES = (
    Case("killed in loading", loading(KILLED), "VCP701", "SIGKILL (out of memory", MORE_MEMORY),
    Case("killed in predict", returning(KILLED), "VCP704", "SIGKILL (out of memory", MORE_MEMORY),
    Case(
        "limit of memory", returning(GREEDY), "VCP704", "Unable to allocate 64.0 GiB", MORE_MEMORY
    ),
    Case("limit, wrapped", returning(WRAPPED), "VCP704", "could not be scored", MORE_MEMORY),
    Case(
        "memory of the GPU",
        raised_by_torch(CUDA_MEMORY, "OutOfMemoryError"),
        "VCP903",
        f"torch.OutOfMemoryError: {CUDA_MEMORY}",
        LARGER_GPU,
    ),
    Case("assertion on the GPU", raised_by_torch(CUDA_ASSERT), "VCP903", CUDA_ASSERT, BLOCKING),
    Case("address on the GPU", raised_by_torch(CUDA_ACCESS), "VCP903", CUDA_ACCESS, BLOCKING),
    Case("no kernels", raised_by_torch(CUDA_KERNELS), "VCP903", CUDA_KERNELS, "(VCP907)"),
    Case(
        "hang on the GPU",
        on_the_gpu(NEVER_BACK),
        "VCP903",
        "no answer within 10 s while predicting",
        LONGER,
        ("--vcp-timeout=10",),
    ),
)


def assert_told(run: Run, rule: str, told: str, remedy: str) -> None:
    assert_rejected(run, rule)
    entry = run.variant["rules"][rule]
    assert told in entry["found"], entry
    assert remedy in entry["remedy"], entry
    # What fails on a GPU was run once more where there is none.
    logs = "./.vcp/logs, ./.vcp/without-gpu/logs" if rule == "VCP903" else "./.vcp/logs"
    assert f"  logs        {logs}" in run.output.splitlines(), run.output


@pytest.mark.parametrize("case", CASES, ids=str)
def test_it_is_one_failure_with_its_remedy(case: Case, place: Place) -> None:
    case.change(place.package)

    run = place.run(*case.options, cold=case.name.startswith("limit"))

    assert_told(run, case.rule, case.told, case.remedy)
    place.assert_nothing_left()
    place.assert_nothing_staged()
    place.assert_old_artifact()


def test_an_end_over_the_params_is_one_failure(place: Place) -> None:
    """Three rules ask for what this pass would have told; one of them says that it ended."""
    # The first four are the example, a part of it, other params, and the example again.
    kill_at(5, place.package)

    run = place.run()

    assert_told(run, "VCP712", "SIGKILL (out of memory", MORE_MEMORY)
    for rule in ("VCP711", "VCP718"):
        assert run.variant["rules"][rule]["message"] == "fix VCP712 first"
    place.assert_nothing_left()


def test_an_end_over_few_observations_is_one_failure(place: Place) -> None:
    kill_at(2, place.package)

    run = place.run()

    assert_told(run, "VCP710", "SIGKILL (out of memory", MORE_MEMORY)
    assert "while predicting on a few observations" in run.variant["rules"]["VCP710"]["found"]
    place.assert_nothing_left()


def kill_at(number: int, package: Path) -> None:
    """Have the process that loads the artifact be killed in this pass."""
    count = "self.passes = getattr(self, 'passes', 0) + 1\nimport os, signal"
    kill = f"if self.passes == {number}:\n    os.kill(os.getpid(), signal.SIGKILL)"
    returning(f"{count}\n{kill}\nreturn scores")(package)


@pytest.mark.skipif(
    VAE_PACKAGE.python != sys.version_info[:2], reason="the lock with torch is for Python 3.11"
)
def test_torch_that_gets_no_memory(place: Place) -> None:
    package = VAE_PACKAGE.copy(place.root)
    returning("torch.empty(1 << 46)\nreturn scores", VAE)(package)

    run = run_vcp(package, VAE_PACKAGE.options, env=place.environ)

    assert_told(run, "VCP704", "DefaultCPUAllocator: can't allocate memory", MORE_MEMORY)
    place.assert_nothing_left()
