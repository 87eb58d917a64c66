"""Models that use a GPU without torch: known by their libraries, judged by what the driver says."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from fixtures.mutants import append_text
from fixtures.mutants.forward.outputs import PCA
from fixtures.references import PCA_50
from pytest_vcp.evaluation import nvml
from pytest_vcp.worker.server import device
from tests.mutations.judging import assert_accepted, assert_rejected
from tests.runs import run_vcp

# What the model imports stands in for the library of that name.
_STAND_IN = """

import sys
import types

sys.modules["onnxruntime"] = types.SimpleNamespace(
    get_available_providers=lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"]
)
"""


def module(name: str, **members: object) -> ModuleType:
    made = ModuleType(name)
    vars(made).update(members)
    return made


def providers(*names: str) -> ModuleType:
    return module("onnxruntime", get_available_providers=lambda: list(names))


def tensorflow(*, cuda: bool) -> ModuleType:
    return module("tensorflow", test=SimpleNamespace(is_built_with_cuda=lambda: cuda))


@pytest.mark.parametrize(
    ("loaded", "found"),
    [
        (providers("CUDAExecutionProvider", "CPUExecutionProvider"), ["onnxruntime"]),
        (providers("CPUExecutionProvider"), []),
        (module("onnxruntime"), []),
        (module("cupy"), ["cupy"]),
        (tensorflow(cuda=True), ["tensorflow"]),
        (tensorflow(cuda=False), []),
        (module("json_of_another_kind"), []),
    ],
)
def test_libraries_are_known_by_their_build(
    loaded: ModuleType, found: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, loaded.__name__, loaded)
    assert device.list_loaded() == found


@pytest.mark.parametrize(
    ("distribution", "found"),
    [("jax_cuda12_plugin", ["jax"]), ("jax-cuda13-pjrt", ["jax"]), ("jaxlib", [])],
)
def test_jax_is_known_by_its_plugin(
    distribution: str, found: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / f"{distribution}-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n", encoding="utf-8"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(sys.modules, "jax", module("jax"))
    assert device.list_loaded() == found


def test_a_model_with_such_a_library_is_judged_by_the_driver(tmp_path: Path) -> None:
    package = PCA_50.copy(tmp_path, recorded=True)
    append_text(package / PCA.file, _STAND_IN)
    run = run_vcp(package, PCA_50.options)
    if nvml.gpus():
        assert_rejected(run, "VCP902")
        assert "by the driver's count" in run.variant["rules"]["VCP902"]["found"]
    else:
        assert_accepted(run)
        message = run.variant["rules"]["VCP902"]["message"]
        assert message == "no GPU is visible to a GPU library of the model"
