"""What is made of the driver's answers: whose memory it is, which GPUs are visible, who counts."""

from __future__ import annotations

import os

import pytest

from pytest_vcp.evaluation import nvml
from pytest_vcp.evaluation.gpu_memory import (
    BY_MACHINE,
    BY_PROCESS,
    BY_TORCH,
    GpuUse,
    HeldMemory,
    measure_by_driver,
    measure_by_torch,
)
from pytest_vcp.evaluation.nvml import Gpu, share_of, visible
from pytest_vcp.evaluation.prediction import DeviceUse, Reply
from pytest_vcp.rules.outcomes import Violation
from pytest_vcp.rules.suite import judging_tests

GPUS = tuple(
    Gpu(index, f"GPU number {index}", (9, 0), uuid)
    for index, uuid in enumerate(("GPU-0a1b", "GPU-2c3d", "GPU-0a9f"))
)
DONE = Reply({})


def test_the_driver_answers_or_there_is_none() -> None:
    if not nvml.gpus():
        assert not nvml.used_bytes()
        assert nvml.used_by({os.getpid()}) is None


@pytest.mark.parametrize(
    ("variable", "left"),
    [
        (None, [0, 1, 2]),
        ("", []),
        ("2,0", [2, 0]),
        (" 1 ", [1]),
        ("1,7,0", [1]),
        ("-1,0", []),
        ("GPU-2c", [1]),
        ("GPU-0a", []),
        ("none", []),
    ],
)
def test_gpus_are_visible_as_cuda_has_it(variable: str | None, left: list[int]) -> None:
    environ = {} if variable is None else {"CUDA_VISIBLE_DEVICES": variable}
    assert [gpu.index for gpu in visible(GPUS, environ)] == left


@pytest.mark.parametrize(
    ("listed", "share"),
    [
        ({10: 300, 11: 40, 12: 5}, 340),
        ({12: 5}, 0),
        ({}, 0),
        ({10: None, 12: 5}, None),
    ],
)
def test_memory_belongs_to_processes(listed: dict[int, int | None], share: int | None) -> None:
    assert share_of({10, 11}, listed, knows_our_numbers=True) == share


def test_in_a_container_what_is_not_listed_is_not_known() -> None:
    assert share_of({10, 11}, {12: 5}, knows_our_numbers=False) is None
    assert share_of({10, 11}, {}, knows_our_numbers=False) is None
    assert share_of({10, 11}, {10: 7}, knows_our_numbers=False) == 7


def test_torch_counts_what_it_allocated() -> None:
    use = measure_by_torch(DeviceUse(("A GPU",), 900, 600))
    assert use is not None
    assert (use.gpu, use.bytes, use.held_bytes, use.counted) == ("A GPU", 600, 300, BY_TORCH)
    unused = measure_by_torch(DeviceUse(("A GPU",), 300, 0))
    assert unused is not None
    assert (unused.bytes, unused.held_bytes) == (0, 300)


def test_torch_does_not_count_what_another_library_uses() -> None:
    assert measure_by_torch(DeviceUse(("A GPU",), 0, 0, ("onnxruntime",))) is None
    assert measure_by_torch(DeviceUse((), 0, 0, ("onnxruntime",))) is None
    assert measure_by_torch(DeviceUse(("A GPU",), 600, 600, ("onnxruntime",))) is not None


@pytest.mark.parametrize(
    ("own", "growth", "told"),
    [
        (500, 900, (500, BY_PROCESS)),
        (0, 900, (0, BY_PROCESS)),
        (None, 900, (900, BY_MACHINE)),
        (None, 0, (0, BY_MACHINE)),
        (None, -1, None),
        (None, None, None),
    ],
)
def test_the_driver_counts_processes_or_all(
    own: int | None, growth: int | None, told: tuple[int, str] | None
) -> None:
    use = measure_by_driver("A GPU", own, growth)
    assert (use and (use.bytes, use.counted)) == told


@pytest.mark.parametrize(
    ("held", "growth"),
    [
        ((10, 20, 30), 20),
        ((10, 20, 20, 30), 0),
        ((30, 20), 0),
        ((10,), 0),
        ((), 0),
    ],
)
def test_memory_grows_where_it_grows_with_each_pass(held: tuple[int, ...], growth: int) -> None:
    assert HeldMemory(held, BY_TORCH, DONE).growth == growth


def test_who_counted_is_told_where_it_was_not_torch() -> None:
    judge = judging_tests()["VCP902"]
    judge(vcp_gpu_use=GpuUse("A GPU", 1, BY_MACHINE))
    with pytest.raises(Violation) as told:
        judge(vcp_gpu_use=GpuUse("A GPU", 0, BY_MACHINE))
    assert told.value.found == f"no memory was taken there, {BY_MACHINE}"
    assert "provider" in told.value.remedy
