"""Which GPUs a list of architectures serves, and what is made of torch's answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fixtures.mutants import Change
from fixtures.mutants.simulated_gpu import hub_with, kernels
from fixtures.references import PCA_50, VAE, Reference
from pytest_vcp.evaluation.gpu_kernels import Capability, Target, read_kernels, serves
from pytest_vcp.rules.outcomes import Unverified
from tests.gpus import skip_on_another_python
from tests.runs import run_vcp

H100 = Target((9, 0), "an H100")
NAMED = Target((12, 0), "named by the policy")
CUDA = {"torch": "2.13.0", "build": "CUDA 12.6", "architectures": ["sm_80", "sm_90"], "gpus": []}
CPU = {"torch": "2.13.0", "build": "the CPU alone", "architectures": [], "gpus": []}
ROCM = {"torch": "2.13.0", "build": "ROCm 7.0", "architectures": ["gfx90a"], "gpus": []}
NONE: dict[str, Any] = {"torch": None, "gpus": []}


@pytest.mark.parametrize(
    ("architectures", "capability", "served"),
    [
        ("sm_80 sm_90", (9, 0), True),
        ("sm_80", (8, 6), True),
        ("sm_86", (8, 0), False),
        ("sm_80", (9, 0), False),
        ("compute_80", (9, 0), True),
        ("compute_90", (8, 0), False),
        ("sm_120", (12, 0), True),
        ("sm_100", (12, 0), False),
        ("sm_90a", (9, 0), True),
        ("sm_100a", (10, 3), False),
        ("compute_90a", (10, 0), False),
        ("gfx90a", (9, 0), False),
        ("", (9, 0), False),
    ],
)
def test_architectures_serve_gpus(architectures: str, capability: Capability, served: bool) -> None:
    assert serves(architectures.split(), capability) is served


def test_the_gpu_here_and_those_named_are_to_be_served() -> None:
    assert read_kernels(CUDA, (H100,), (), None).find_unserved() is None
    assert read_kernels(CUDA, (H100,), (NAMED,), None).find_unserved() == NAMED
    assert read_kernels(CUDA, (), (NAMED,), None).find_unserved() == NAMED


def test_one_of_the_gpus_here_is_to_be_served() -> None:
    old = Target((5, 0), "an old card for the display")
    assert read_kernels(CUDA, (old, H100), (), None).find_unserved() is None
    assert read_kernels(CUDA, (old,), (), None).find_unserved() == old


def test_torch_knows_the_gpu_in_use_better_than_the_driver() -> None:
    in_use = {**CUDA, "gpus": [{"name": "a T4", "capability": [7, 5]}]}
    found = read_kernels(in_use, (H100,), (), None).find_unserved()
    assert found == Target((7, 5), "a T4")


def test_a_build_for_the_cpu_serves_no_gpu_that_is_here() -> None:
    found = read_kernels(CPU, (H100,), (NAMED,), None)
    assert (found.here, found.named) == ((H100,), ())
    assert read_kernels(CPU, (H100,), (), None).find_unserved() == H100


@pytest.mark.parametrize(
    ("reply", "here", "named", "reason"),
    [
        (ROCM, (H100,), (), "torch 2.13.0 is built for ROCm 7.0, not for CUDA"),
        (CUDA, (), (), "no GPU is visible here, and the policy names none (gpu_capabilities)"),
        (NONE, (H100,), (), "the environment has no torch"),
        (
            CPU,
            (),
            (NAMED,),
            "torch 2.13.0 is built for the CPU alone on this platform, and no GPU is here",
        ),
    ],
)
def test_what_can_t_be_told_stays_open(
    reply: dict[str, Any], here: tuple[Target, ...], named: tuple[Target, ...], reason: str
) -> None:
    with pytest.raises(Unverified) as told:
        read_kernels(reply, here, named, None)
    assert told.value.reason == reason


def judged(tmp_path: Path, sound: Reference, change: Change, *extra: str) -> dict[str, Any]:
    """What the run reports of the rule, without a forward pass."""
    package = sound.copy(tmp_path)
    change(package)
    run = run_vcp(package, sound.options, "--vcp-skip-inference", *extra)
    entry: dict[str, Any] = run.variant["rules"]["VCP907"]
    return entry


def test_no_forward_pass_is_needed(tmp_path: Path) -> None:
    entry = judged(tmp_path, PCA_50, kernels('"sm_70 sm_80"'))
    assert entry["outcome"] == "failed"
    assert entry["expected"] == "kernels for capability 9.0 (a simulated GPU)"
    assert entry["found"] == "torch 2.13.0 built for CUDA 12.6: sm_70, sm_80"


def test_a_package_without_torch_has_no_kernels(tmp_path: Path) -> None:
    entry = judged(tmp_path, PCA_50, hub_with("8.0"), "--vcp-policy=../hub.yaml")
    assert entry["outcome"] == "unverified"
    assert entry["message"] == "the environment has no torch"


def test_the_torch_of_an_environment_is_asked(tmp_path: Path) -> None:
    skip_on_another_python(VAE)
    entry = judged(tmp_path, VAE, hub_with("9.0"), "--vcp-policy=../hub.yaml")
    # The index decides which build a Linux machine without a GPU gets.
    assert entry["outcome"] in ("passed", "unverified"), entry
    assert entry["outcome"] == "passed" or "built for the CPU alone" in entry["message"]
