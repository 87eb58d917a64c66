"""How many observations an input holds, where it is AnnData."""

from __future__ import annotations

import json
import os
from typing import Any


def count(path: str) -> dict[str, Any]:
    """Kind of the input and, for AnnData (.h5ad file or zarr store), its observations.

    An input of another kind has `is_anndata` False; one that can't be read has a `problem`.
    """
    try:
        if path.endswith(".h5ad"):
            return {"is_anndata": True, "observations": _h5ad(path), "problem": None}
        if os.path.isdir(path) and _is_anndata_store(path):
            return {"is_anndata": True, "observations": _zarr(path), "problem": None}
    except Exception as problem:  # noqa: BLE001 - readers raise what they like
        text = f"{type(problem).__name__}: {' '.join(str(problem).split())[:200]}"
        return {"is_anndata": True, "observations": None, "problem": text}
    return {"is_anndata": False, "observations": None, "problem": None}


def _h5ad(path: str) -> int:
    try:
        import anndata
    except ImportError:
        return _h5ad_by_hand(path)
    data = anndata.read_h5ad(path, backed="r")
    try:
        return int(data.n_obs)
    finally:
        data.file.close()


def _h5ad_by_hand(path: str) -> int:
    """For a model that reads the file with h5py: the length of the index of `obs`."""
    import h5py

    with h5py.File(path, "r") as file:
        table = file["obs"]
        index = table[table.attrs["_index"]] if isinstance(table, h5py.Group) else table
        return int(index.shape[0])


def _is_anndata_store(path: str) -> bool:
    """Whether the root says so: in .zattrs for zarr 2, among the attributes in zarr.json for 3.

    AnnData may also be a part of another kind of store, whose metadata then tell of it, too.
    """
    for name in (".zattrs", "zarr.json"):
        metadata = os.path.join(path, name)
        if os.path.isfile(metadata):
            with open(metadata, encoding="utf-8") as file:
                found = json.load(file)
            attributes = found if name == ".zattrs" else found.get("attributes", {})
            return bool(attributes.get("encoding-type") == "anndata")
    return False


def _zarr(path: str) -> int:
    import anndata

    return int(anndata.read_zarr(path).n_obs)
