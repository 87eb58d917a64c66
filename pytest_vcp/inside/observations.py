"""How many observations an input holds, where it is AnnData."""

from __future__ import annotations

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
    import anndata

    data = anndata.read_h5ad(path, backed="r")
    try:
        return int(data.n_obs)
    finally:
        data.file.close()


def _is_anndata_store(path: str) -> bool:
    """Zarr 2 keeps the attribute that marks AnnData in .zattrs, zarr 3 in zarr.json."""
    for name in (".zattrs", "zarr.json"):
        attributes = os.path.join(path, name)
        if os.path.isfile(attributes):
            with open(attributes, encoding="utf-8") as file:
                return '"anndata"' in file.read()
    return False


def _zarr(path: str) -> int:
    import anndata

    return int(anndata.read_zarr(path).n_obs)
