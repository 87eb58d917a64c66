"""Pickles among weights are found by what they are and by their names, and none is loaded."""

from __future__ import annotations

import argparse
import bz2
import gzip
import lzma
import os
import pickle
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_vcp.artifact import pickles
from pytest_vcp.artifact.pickles import WeightPickle, read_weight_pickles

PLAIN = {"genes": ["CD3D", "NKG7"], "depth": 3}
OBJECT = argparse.Namespace(depth=3)


class Calls:
    """Pickles as the call of a function."""

    def __init__(self, function: Callable[..., Any], *arguments: object) -> None:
        self._call = function, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[object, ...]]:
        return self._call


def found(tmp_path: Path, name: str, content: bytes) -> tuple[WeightPickle, ...]:
    (tmp_path / name).write_bytes(content)
    return read_weight_pickles(tmp_path, [name])


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("name", ["weights.bin", "weights", "weights.pkl", "last.ckpt"])
def test_by_its_first_bytes(tmp_path: Path, name: str, protocol: int) -> None:
    assert found(tmp_path, name, pickle.dumps(PLAIN, protocol)) == (WeightPickle(name),)
    (entry,) = found(tmp_path, name, pickle.dumps(OBJECT, protocol))
    assert entry.foreign == "argparse.Namespace"


@pytest.mark.parametrize("protocol", [0, 1])
@pytest.mark.parametrize("name", ["a.pkl", "a.p", "a.PK", "a.sav", "a.pt", "a.pth", "a.ckpt"])
def test_by_its_name(tmp_path: Path, name: str, protocol: int) -> None:
    (entry,) = found(tmp_path, name, pickle.dumps(Calls(os.system, "true"), protocol))
    assert entry.foreign == "os.system"


@pytest.mark.parametrize("name", ["a.pkl", "a.joblib", "a.pkl.gz", "a.joblib.z", "a.sav"])
@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, zlib.compress])
def test_within_what_was_packed(tmp_path: Path, name: str, pack: Callable[[bytes], bytes]) -> None:
    assert found(tmp_path, name, pack(pickle.dumps(PLAIN))) == (WeightPickle(name),)
    (entry,) = found(tmp_path, name, pack(pickle.dumps(OBJECT)))
    assert entry.foreign == "argparse.Namespace"


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_one_after_another(tmp_path: Path, protocol: int) -> None:
    """Each remembers what it names by numbers of its own."""
    plain = [{"a": [1]}, {"b": {1, 2, 3}, "c": bytearray(3), "d": complex(1, 2)}, "the last"]
    content = b"".join(pickle.dumps(value, protocol) for value in plain)
    assert found(tmp_path, "weights.bin", content) == (WeightPickle("weights.bin"),)
    (entry,) = found(tmp_path, "weights.bin", content + pickle.dumps(OBJECT, protocol))
    assert entry.foreign == "argparse.Namespace"


NO_PICKLES = {
    "genes.pkl.sha256": b"5891b5b522d5df086d0ff0b110fbd9d21bb4fc71  genes.pkl\n",
    "genes.pkl.json": b"{}",
    "genes.p.txt": b"cells\ngenes\n",
    "plot.p": b"cells = 3\nplot sin(x)\n",
    "survey.sav": b"$FL2@(#) SPSS DATA FILE" + bytes(100),
    "model.ckpt": b"\x0a\x0dcheckpoint",
    "weights.bin": b"\x80\x02\x8d" + bytes(range(255)),
    "large.safetensors": b"\x80\x02" + bytes(6) + b"{}".ljust(0x280),
    "counts.csv.gz": gzip.compress(b"c,d\n1,2\n"),
}


@pytest.mark.parametrize("name", NO_PICKLES)
def test_what_is_none(tmp_path: Path, name: str) -> None:
    assert found(tmp_path, name, NO_PICKLES[name]) == ()


UNREAD = {
    "cut.pkl": pickle.dumps(PLAIN)[:-3],
    "text.pkl": b"to be written\n",
    "too far.pkl": b"\x80\x04\x8d" + b"\xff" * 8 + b"abc",
    "cut.pkl.gz": gzip.compress(pickle.dumps(PLAIN))[:-12],
    "zstd.joblib": b"\x28\xb5\x2f\xfd" + bytes(20),
}


@pytest.mark.parametrize("name", UNREAD)
def test_what_should_be_one_and_can_not_be_followed(tmp_path: Path, name: str) -> None:
    (entry,) = found(tmp_path, name, UNREAD[name])
    assert entry.foreign is None
    assert entry.unread is not None
    assert entry.unread.startswith("it is no pickle")


def test_one_that_goes_on_and_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pickles, "MOST_OPERATIONS", 1000)
    (entry,) = found(tmp_path, "a.pkl", pickle.dumps(list(map(float, range(2000)))))
    assert entry.unread == "it goes on after 1000 operations"
