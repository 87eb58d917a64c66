"""Pickles are read from the outside: whatever they would do when loaded, it is not done."""

from __future__ import annotations

import os
import pickle
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pytest_vcp.artifact.pickles import SMALL_BYTES, PickleFacts, read_pickle

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)
WEIGHTS = bytes(range(256)) * 16


class Calls:
    """Pickles as the call of a function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self._call = function, arguments

    def __reduce__(self) -> Any:
        return self._call


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes functions by the names of a library's, which is not installed here or not wanted."""

    def function(module: str, name: str) -> Any:
        def stand_in(*_: object) -> None:
            raise AssertionError("something was unpickled")

        stand_in.__module__, stand_in.__qualname__, stand_in.__name__ = module, name, name
        parts = module.split(".")
        for end in range(1, len(parts) + 1):
            dotted = ".".join(parts[:end])
            monkeypatch.setitem(sys.modules, dotted, ModuleType(dotted))
        setattr(sys.modules[module], name, stand_in)
        return stand_in

    return function


def facts(tmp_path: Path, value: object, protocol: int = pickle.DEFAULT_PROTOCOL) -> PickleFacts:
    path = tmp_path / "python_model.pkl"
    path.write_bytes(pickle.dumps(value, protocol))
    return read_pickle(path)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_plain_values(tmp_path: Path, protocol: int) -> None:
    value = {"organism": "human", "layers": [1, 2.5, None], "nested": {"path": "/home/author"}}
    found = facts(tmp_path, value, protocol)
    assert found.problem is None
    assert {"organism", "human", "/home/author"} <= set(found.texts)
    assert (found.arrays, found.by_value) == ((), ())
    assert found.bytes == (tmp_path / "python_model.pkl").stat().st_size


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("numpy.core.multiarray", "_reconstruct"),
        ("numpy._core.numeric", "_frombuffer"),
        ("torch._utils", "_rebuild_tensor_v2"),
    ],
)
def test_arrays(tmp_path: Path, library: Any, protocol: int, module: str, name: str) -> None:
    found = facts(tmp_path, Calls(library(module, name), WEIGHTS), protocol)
    assert found.arrays == (f"{module}.{name}",)
    assert found.binary_bytes >= len(WEIGHTS)


def test_small_arrays_are_no_weights(tmp_path: Path, library: Any) -> None:
    build = library("numpy.core.multiarray", "_reconstruct")
    assert facts(tmp_path, Calls(build, b"b" * SMALL_BYTES)).arrays == ()
    assert facts(tmp_path, Calls(build, b"b" * (SMALL_BYTES + 1))).arrays != ()


def test_bytes_without_a_library_are_no_arrays(tmp_path: Path) -> None:
    found = facts(tmp_path, {"icon": WEIGHTS})
    assert found.arrays == ()
    assert found.binary_bytes == len(WEIGHTS)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("name", ["_make_function", "_make_skeleton_class"])
def test_code_by_value(tmp_path: Path, library: Any, protocol: int, name: str) -> None:
    made = library("cloudpickle.cloudpickle", name)
    found = facts(tmp_path, [Calls(made, "Wrapper"), Calls(made, "Other")], protocol)
    # The second comes from the memo, and is one more piece of code all the same.
    assert set(found.by_value) == {f"cloudpickle.cloudpickle.{name}"}


def test_names_from_the_memo(tmp_path: Path, library: Any) -> None:
    """Module and name that stood in the pickle before, as texts, are not written again."""
    module, name = "cloudpickle.cloudpickle", "_make_function"
    found = facts(tmp_path, [module, name, Calls(library(module, name), "code")])
    assert found.by_value == (f"{module}.{name}",)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_harmful_pickle_is_only_read(tmp_path: Path, protocol: int) -> None:
    mark = tmp_path / "was here"
    found = facts(tmp_path, Calls(os.mkdir, str(mark)), protocol)
    assert found.problem is None
    assert str(mark) in found.texts
    assert not mark.exists()


class Listed(list[int]):
    """An instance of a class, which protocol 0 writes with an opcode of its own."""


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_instances(tmp_path: Path, protocol: int) -> None:
    assert facts(tmp_path, Listed([1, 2]), protocol).problem is None


def test_opcode_of_old_instances(tmp_path: Path) -> None:
    path = tmp_path / "old.pkl"
    path.write_bytes(b"(icloudpickle.cloudpickle\n_make_function\n.")
    assert read_pickle(path).by_value == ("cloudpickle.cloudpickle._make_function",)


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04 a zip file", b"\x80\x05", pickle.dumps("text")[:-4], b"\x00" * 99]
)
def test_no_pickle(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "python_model.pkl"
    path.write_bytes(content)
    found = read_pickle(path)
    assert found.problem is not None
    assert found.problem.startswith("a file that is no pickle: ")
    assert found.bytes == len(content)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_pickle(tmp_path / "python_model.pkl")
