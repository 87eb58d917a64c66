"""A package that can't even be imported without a GPU: whose fault that is."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.mutants.artifact.metadata import at_import
from fixtures.mutants.forward.outputs import both
from pytest_vcp.evaluation.device_runs import wants_a_gpu
from pytest_vcp.worker.failure import WorkerFailure
from tests.device.test_devices import judged, says_that_it_needs_one
from tests.mutations.judging import assert_rejected

_LOADS_THE_DRIVER = at_import('import ctypes; ctypes.CDLL("libcuda.so.1")')


@pytest.mark.parametrize(
    ("exception", "message", "wants"),
    [
        ("OSError", "libcuda.so.1: cannot open shared object file: No such file", True),
        ("ImportError", "libnvidia-ml.so.1: cannot open shared object file", True),
        ("RuntimeError", "0 active drivers ([]). There should only be one.", True),
        ("RuntimeError", "CUDA_ERROR_NO_DEVICE: no device is detected", True),
        ("RuntimeError", "cudaGetDeviceCount() failed", True),
        ("AssertionError", "Torch not compiled with CUDA enabled", True),
        ("ImportError", "libcudart.so.12: cannot open shared object file", False),
        ("ImportError", "libcublas.so.12: cannot open shared object file", False),
        ("ModuleNotFoundError", "No module named 'cuda'", False),
        ("ValueError", "cannot read /data/gpu/cells.h5ad", False),
    ],
)
def test_what_only_a_gpu_would_mend(exception: str, message: str, wants: bool) -> None:
    failure = WorkerFailure(
        kind="raised", method="", summary="", message=message, exception=exception
    )
    assert wants_a_gpu(failure) is wants


def test_a_package_that_says_so_stays_unverified(tmp_path: Path) -> None:
    run = judged(tmp_path, both(_LOADS_THE_DRIVER, says_that_it_needs_one))
    assert run.code == 0, run.output
    assert run.variant["verdict"] == "unverified"
    assert {"failed", "error", "skipped"}.isdisjoint(set(run.outcomes.values())), run.output
    for rule in ("VCP306", "VCP401", "VCP504", "VCP601", "VCP701", "VCP801", "VCP902"):
        assert run.outcomes[rule] == "unverified", run.output
    message = run.variant["rules"]["VCP306"]["message"]
    assert message == "model_code can't be imported without a GPU, and none is visible here"


def test_it_is_an_error_where_a_gpu_is_required(tmp_path: Path) -> None:
    run = judged(tmp_path, both(_LOADS_THE_DRIVER, says_that_it_needs_one), "--vcp-require-gpu")
    assert run.code == 10, run.output
    assert "no GPU is visible" in run.variant["rules"]["VCP306"]["message"]


def test_a_package_that_does_not_say_so_is_refused(tmp_path: Path) -> None:
    assert_rejected(judged(tmp_path, _LOADS_THE_DRIVER), "VCP306")


def test_a_library_of_cuda_s_own_has_to_come_with_the_package(tmp_path: Path) -> None:
    lacks_the_runtime = at_import('import ctypes; ctypes.CDLL("libcudart.so.12")')
    assert_rejected(judged(tmp_path, both(lacks_the_runtime, says_that_it_needs_one)), "VCP306")
