"""Names for the rows of an output: what the input says of its observations."""

from __future__ import annotations

from typing import Any

# More colours than that nobody tells apart.
_MOST = 12


def labels_of(inputs: list[str], rows: int) -> tuple[str, Any]:
    """The first column of `obs` that sorts the observations, by name, and its values as text.

    Empty and None where there is none: the input is one AnnData file with as many observations as
    the output has rows, and the environment can read it.
    """
    if len(inputs) == 1 and inputs[0].endswith(".h5ad"):
        try:
            return _sorting(_obs(inputs[0]), rows)
        except Exception:  # noqa: BLE001 - readers raise what they like, and colours are no need
            pass
    return "", None


def _obs(path: str) -> Any:
    import anndata

    data = anndata.read_h5ad(path, backed="r")
    try:
        return data.obs
    finally:
        data.file.close()


def _sorting(obs: Any, rows: int) -> tuple[str, Any]:
    import numpy

    for name in obs.columns if len(obs) == rows else ():
        values = obs[name]
        if values.dtype.kind in "OUb" and 2 <= values.nunique() <= _MOST:
            return str(name), numpy.array(values.astype(str), dtype=object)
    return "", None
