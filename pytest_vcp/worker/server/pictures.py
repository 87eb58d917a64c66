"""Pictures of the first result, for people: the distribution of its values, and its appearance.

Only what they show is computed here: counts, coordinates, slices. The page draws it.
"""

from __future__ import annotations

import base64
import struct
import zlib
from typing import Any

from . import outputs
from .plain import first_line

Reply = dict[str, Any]

# The report contains all pictures, and must stay small enough to be sent.
_OUTPUTS = 4
# Limits on the plotted values: more take longer and show the same.
_VALUES = 1_000_000
_ROWS, _COLUMNS = 2_000, 500
_BINS = 60
# Pixels of a slice along its longer side, at most.
_PIXELS = 256
# An array that is shorter along one axis is no volume: the axis has channels, or a single slice.
_THICKNESS = 8


def draw(state: Reply, params: Reply) -> Reply:
    """Compute pictures of the arrays of the first result.

    `params["inputs"]` are the inputs of the prediction. Each of the `pictures` has its output, what
    it `shows`, and one of these: `histogram` (low, high, counts), `scatter` (labels of the axes,
    points by group), `slices` (title, size, PNG in base64). `remarks` say what is not drawn, and
    why.
    """
    import numpy

    found = [
        # Subclasses of arrays, such as matrices, can't be reshaped freely.
        (name, numpy.asarray(array))
        for name, array in outputs.arrays(state["prediction"]).items()
        if array.dtype.kind in "fiub" and array.size
    ]
    pictures: list[Reply] = []
    remarks = [] if found else ["no output is an array of numbers"]
    if len(found) > _OUTPUTS:
        remarks.append(f"of {len(found)} outputs, {_OUTPUTS} are drawn")
    for name, array in found[:_OUTPUTS]:
        for sketch in (_distribution, _components, _slices):
            try:
                picture = sketch(array, params["inputs"])
            except Exception as problem:  # noqa: BLE001 - pictures are optional
                remarks.append(f"{type(problem).__name__}: {first_line(problem)}")
                continue
            if picture is not None:
                pictures.append({"output": name, **picture})
    return {"pictures": pictures, "remarks": remarks}


def _distribution(array: Any, inputs: list[str]) -> Reply | None:
    import numpy

    values = array.reshape(-1)[:: -(-array.size // _VALUES)].astype("float64")
    values = values[numpy.isfinite(values)]
    if not values.size:
        return None
    counts, edges = numpy.histogram(values, bins=_BINS)
    histogram = {"low": float(edges[0]), "high": float(edges[-1]), "counts": counts.tolist()}
    return {"shows": "distribution of the values", "histogram": histogram}


def _components(array: Any, inputs: list[str]) -> Reply | None:
    """Project the rows to the plane in which they differ most."""
    import numpy

    if array.ndim != 2:
        return None
    step = -(-len(array) // _ROWS)
    data = array[::step, :: -(-array.shape[1] // _COLUMNS)].astype("float64")
    finite = numpy.isfinite(data).all(axis=1)
    data = data[finite]
    if len(data) < 3 or data.shape[1] < 2 or (data == data[0]).all():
        return None
    left, strengths, _ = numpy.linalg.svd(data - data.mean(axis=0), full_matrices=False)
    points, shares = left[:, :2] * strengths[:2], strengths**2 / (strengths**2).sum()
    shows = "first two principal components"
    column, labels = labels_of(inputs, len(array))
    if labels is None:
        groups = [_group("", points)]
    else:
        labels = labels[::step][finite]
        shows += f", coloured by {column}"
        groups = [_group(label, points[labels == label]) for label in sorted(set(labels))]
    axes = {
        "x": f"first component ({shares[0]:.0%})",
        "y": f"second component ({shares[1]:.0%})",
    }
    return {"shows": shows, "scatter": {**axes, "groups": groups}}


def _group(label: str, points: Any) -> Reply:
    """Name a group of points, each with as many digits as a plot can show."""
    return {"label": label, "points": [[float(f"{x:.4g}") for x in point] for point in points]}


def _slices(array: Any, inputs: list[str]) -> Reply | None:
    """Take one slice through the middle across each of the last three axes."""
    if array.ndim < 3 or min(array.shape[-3:]) < _THICKNESS:
        return None
    volume = array.reshape(-1, *array.shape[-3:])[0]
    slices = []
    for axis in range(3):
        grey = _greyscale(volume.take(volume.shape[axis] // 2, axis=axis))
        size = {"height": grey.shape[0], "width": grey.shape[1]}
        slices.append({"title": f"across axis {axis - 3}", **size, "png": _png(grey)})
    return {"shows": "middle slices of the first volume", "slices": slices}


def _greyscale(values: Any) -> Any:
    """Scale an image to bytes, black for its minimum or what is not finite, white for its maximum.

    A large one is thinned to at most _PIXELS along each side.
    """
    import numpy

    step = -(-max(values.shape) // _PIXELS)
    data = values[::step, ::step].astype("float64")
    finite = data[numpy.isfinite(data)]
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 0.0)
    scaled = (data - low) * (255 / (high - low) if high > low else 0.0)
    return numpy.nan_to_num(scaled, nan=0.0, posinf=0.0, neginf=0.0).astype("uint8")


def _png(grey: Any) -> str:
    """Encode an image of bytes as PNG, in base64 (https://www.w3.org/TR/png/)."""
    height, width = grey.shape
    rows = b"".join(b"\0" + row.tobytes() for row in grey)  # each without a filter
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = (_chunk(b"IHDR", header), _chunk(b"IDAT", zlib.compress(rows)), _chunk(b"IEND", b""))
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"".join(parts)).decode("ascii")


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


# ---------------------------------------------------------------------------------------- labels
#
# Labels for the rows of an output, from the input's data on its observations.

# More colours could not be told apart.
_MOST = 12


def labels_of(inputs: list[str], rows: int) -> tuple[str, Any]:
    """Return name and values, as text, of the first column of `obs` that groups the observations.

    Empty and None without one. The input must be a single AnnData file with as many observations as
    the output has rows, and the environment must be able to read it.
    """
    if len(inputs) == 1 and inputs[0].endswith(".h5ad"):
        try:
            return _sorting(_obs(inputs[0]), rows)
        except Exception:  # noqa: BLE001 - readers raise what they like, and colours are optional
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
