"""What is said of an input whose headers are sound, by the libraries of real environments."""

from __future__ import annotations

import subprocess
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from fixtures.environments import environment_of
from fixtures.references import PACKAGES, PCA_50, VAE, Reference
from tests.gpus import skip_on_another_python
from tests.worker.conftest import MakeWorker

# Each writes one input, at `path`, with the libraries of the environment.
_SOUND = {
    "cells.h5": """
        with h5py.File(path, "w") as file:
            file["counts"] = numpy.zeros((3, 2))
            file["names"] = ["a", "b"]
            file["one"] = 3.5
            file["nothing"] = h5py.Empty("f")
            file["large"] = h5py.SoftLink("/counts")
    """,
    "cells.npz": "numpy.savez_compressed(path, counts=numpy.arange(6), names=numpy.array(['a']))",
    "cells.parquet": """
        pandas.DataFrame({"count": range(9), "name": list("abcdefghi")}).to_parquet(path)
    """,
}
_BROKEN = {
    "chunk.h5": (
        """
        with h5py.File(path, "w") as file:
            file.create_dataset("sound", data=numpy.arange(99), compression="gzip")
            counts = file.create_dataset("deep/counts", data=numpy.arange(99), compression="gzip")
            place = counts.id.get_chunk_info(0)
        overwrite(path, place.byte_offset, place.size)
        """,
        "deep/counts can't be read: OSError: ",
    ),
    "member.npz": (
        """
        numpy.savez_compressed(path, sound=numpy.arange(9), counts=numpy.arange(9999))
        overwrite(path, 400, 3000)
        """,
        "counts.npy can't be read: ",
    ),
    "column.parquet": (
        """
        frame = pandas.DataFrame({"count": numpy.random.random(9999)})
        frame.to_parquet(path, compression="gzip")
        overwrite(path, 4, 3000)
        """,
        "the first rows can't be read: ",
    ),
}
_BROKEN_STORES = {
    "format_2.zarr": (
        """
        root = zarr.open_group(path, mode="w", zarr_format=2)
        root.create_array("deep/counts", data=numpy.arange(99))
        overwrite(os.path.join(path, "deep", "counts", "0"), 0, 8, cut=True)
        """,
        "deep/counts can't be read: ",
    ),
    "format_3.zarr": (
        """
        zarr.create_array(path, data=numpy.arange(99))
        overwrite(os.path.join(path, "c", "0"), 0, 8, cut=True)
        """,
        "the array can't be read: ",
    ),
}
_HEAD = r"""
import os, sys
import h5py, numpy, pandas
path = sys.argv[1]
def overwrite(path, offset, size, cut=False):
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(b"\xff" * size)
        if cut:
            file.truncate()
"""


def opened(
    path: Path, script: str, sound: Reference, make_worker: MakeWorker, *, head: str = _HEAD
) -> dict[str, Any]:
    """Write the input in the environment of a reference package, and have it opened there."""
    python = environment_of(PACKAGES / sound.package / "mlflow_pkg" / "requirements.txt").python
    subprocess.run([python, "-c", head + dedent(script), path], check=True)
    worker = make_worker(python=python)
    reply = worker.call("inputs.open_all", {"paths": [str(path)]}, doing="opening")
    (found,) = reply["openings"]
    return dict(found)


@pytest.mark.parametrize("name", _SOUND)
def test_a_sound_one_opens(name: str, tmp_path: Path, make_worker: MakeWorker) -> None:
    found = opened(tmp_path / name, _SOUND[name], PCA_50, make_worker)
    assert found == {"problem": None, "lacking": None, "too_old": None}


@pytest.mark.parametrize("name", _BROKEN)
def test_what_lies_behind_sound_headers(name: str, tmp_path: Path, make_worker: MakeWorker) -> None:
    script, problem = _BROKEN[name]
    found = opened(tmp_path / name, script, PCA_50, make_worker)
    assert found["problem"].startswith(problem), found


@pytest.mark.parametrize("name", _BROKEN_STORES)
def test_a_chunk_of_a_store(name: str, tmp_path: Path, make_worker: MakeWorker) -> None:
    skip_on_another_python(VAE)
    script, problem = _BROKEN_STORES[name]
    head = f"{_HEAD}import zarr\n"
    found = opened(tmp_path / name, script, VAE, make_worker, head=head)
    assert found["problem"].startswith(problem), found


def test_a_compression_that_the_model_may_bring_along(
    tmp_path: Path, make_worker: MakeWorker
) -> None:
    skip_on_another_python(VAE)
    script = """
        root = zarr.open_group(path, mode="w", zarr_format=2)
        root.create_array("counts", data=numpy.arange(99))
        metadata = os.path.join(path, "counts", ".zarray")
        found = json.load(open(metadata))
        json.dump({**found, "compressor": {"id": "of_a_library"}}, open(metadata, "w"))
    """
    head = f"{_HEAD}import json, zarr\n"
    found = opened(tmp_path / "counts.zarr", script, VAE, make_worker, head=head)
    assert found == {"problem": None, "lacking": None, "too_old": None}
