"""A package full of files conforms, advice included; and each kind of weights is what it is."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from fixtures.environments import environment_of
from fixtures.references import PACKAGES, PCA_50, VAE
from pytest_vcp.artifact.pickle_globals import builds_data
from pytest_vcp.artifact.pickle_reader import Global
from pytest_vcp.artifact.pickles import read_weight_pickles
from tests.mutations.judging import OPEN_HERE
from tests.runs import run_vcp
from tests.strangers.contents import ARCHIVE


def test_a_package_full_of_files_conforms(tmp_path: Path, environment_python: Path) -> None:
    package = ARCHIVE.build(tmp_path, environment_python)
    run = run_vcp(package, ARCHIVE.options, "--vcp-strict")
    assert run.code == 0, run.output
    assert set(run.not_passed) <= OPEN_HERE, run.output
    code = package / "mlflow_model_artifact" / "code" / "model_code"
    assert not (code / ".DS_Store").exists()
    assert not [path for path in code.rglob("*") if path.is_symlink()]


_ARRAYS = """
import pickle
import numpy as np
arrays = {
    "structured": np.zeros(2, dtype=[("a", "f4"), ("b", "U3")]),
    "dates": np.array(["2024-02-29"], dtype="datetime64[D]"),
    "masked": np.ma.masked_array([1, 2], [0, 1]),
    "records": np.rec.array([(1, 2.0)]),
    "matrix": np.asmatrix([[1]]),
    "scalars": [np.float32(3), np.str_("x"), np.bool_(True), np.datetime64("2024-02-29")],
    "objects": np.array(["a", None, {"b": [1]}], dtype=object),
    "fortran": np.asfortranarray(np.ones((3, 4))),
    "large": np.zeros((1000, 1000)),
}
for name, value in arrays.items():
    for protocol in (2, 4, 5):
        with open(f"{name}-{protocol}.pkl", "wb") as file:
            pickle.dump({name: value}, file, protocol=protocol)
np.save("objects.npy", arrays["objects"])
np.savez("several.npz", **{"objects.pkl": arrays["objects"], "plain.pkl": arrays["large"]})
np.savez_compressed("packed.npz", objects=arrays["objects"], plain=arrays["large"])
"""


def test_arrays_of_every_kind_are_data(tmp_path: Path, environment_python: Path) -> None:
    command = [str(environment_python), "-I", "-c", _ARRAYS]
    subprocess.run(command, cwd=tmp_path, check=True, stdin=subprocess.DEVNULL)
    names = sorted(path.name for path in tmp_path.iterdir())
    found = read_weight_pickles(tmp_path, names)
    assert {entry.path for entry in found} == {*names}
    assert [entry for entry in found if entry.foreign or entry.unread] == []


needs_torch = pytest.mark.skipif(
    VAE.python != sys.version_info[:2], reason="the lock with torch is for another Python"
)

_CHECKPOINTS = """
import collections, json
import torch
from torch._weights_only_unpickler import _get_allowed_globals
network = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
values = {
    "weights": network.state_dict(),
    "optimiser": torch.optim.Adam(network.parameters()).state_dict(),
    "parameter": torch.nn.Parameter(torch.ones(2)),
    "sparse": [torch.eye(3).to_sparse(), torch.eye(3).to_sparse_csr()],
    "narrow": [torch.ones(3).to(kind) for kind in (torch.bfloat16, torch.float8_e4m3fn)],
    "others": [torch.Size([1]), torch.device("cpu"), torch.float16, 1 + 2j, b"abc", {"a", "b"}],
}
for name, value in values.items():
    for protocol in (2, 4):
        for new in (True, False):
            path = f"{name}-{protocol}-{'new' if new else 'old'}.pt"
            options = {"pickle_protocol": protocol, "_use_new_zipfile_serialization": new}
            torch.save({name: value}, path, **options)
torch.jit.save(torch.jit.script(network), "script.pt")
with open("allowed.json", "w") as file:
    json.dump(sorted(_get_allowed_globals()), file)
"""


@needs_torch
def test_what_torch_reads_as_weights_only_is_data(tmp_path: Path) -> None:
    python = environment_of(PACKAGES / VAE.package / "mlflow_pkg" / "requirements.txt").python
    command = [str(python), "-I", "-W", "ignore", "-c", _CHECKPOINTS]
    subprocess.run(command, cwd=tmp_path, check=True, stdin=subprocess.DEVNULL)
    names = sorted(path.name for path in tmp_path.glob("*.pt"))
    found = read_weight_pickles(tmp_path, names)
    assert {entry.path for entry in found} == {*names}
    assert [entry for entry in found if entry.foreign or entry.unread] == []
    allowed = json.loads((tmp_path / "allowed.json").read_text("utf-8"))
    split = (name.rpartition(".") for name in allowed)
    refused = [name for module, _, name in split if not builds_data(Global(module, name))]
    assert refused == []


# What other programs put into an h5ad: text that may be missing, and a column of a reserved name.
_ODD_COLUMNS = """
import sys
import anndata, h5py, pandas
from anndata.experimental import write_elem
with h5py.File(sys.argv[1], "r+") as file:
    obs = file["obs"]
    barcodes = obs[obs.attrs["_index"]].asstr()[:]
    number = len(barcodes)
    names = [None if at % 5 == 0 else f"donor {at}" for at in range(number)]
    with anndata.settings.override(allow_write_nullable_strings=True):
        write_elem(obs, "donor", pandas.array(names, dtype="string"))
    write_elem(obs, "_index", barcodes)
    obs.attrs["column-order"] = ["cell_type", "donor", "_index"]
"""


def test_an_input_that_anndata_reads_is_varied(tmp_path: Path, environment_python: Path) -> None:
    package = PCA_50.copy(tmp_path)
    (cells,) = (package / "example_data").glob("*.h5ad")
    command = [str(environment_python), "-I", "-c", _ODD_COLUMNS, str(cells)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    run = run_vcp(package, PCA_50.options)
    assert run.code == 0, run.output
    assert (run.outcomes["VCP717"], run.outcomes["VCP719"]) == ("passed", "passed"), run.output
