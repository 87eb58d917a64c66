"""Pictures of the first result, for people: the distribution of its values, and its appearance.

They are drawn with the environment's own matplotlib; without it, nothing is drawn.
"""

from __future__ import annotations

import base64
import io
import os
import tempfile
from collections.abc import Callable
from typing import Any

from . import outputs
from .plain import first_line

Reply = dict[str, Any]

# The report contains all pictures, and must stay small enough to be sent.
_OUTPUTS = 4
_PNG_BYTES = 300_000
# Limits on the plotted values: more take longer and show the same.
_VALUES = 1_000_000
_ROWS, _COLUMNS = 2_000, 500
_BINS = 60
# An array that is shorter along one axis is no volume: the axis has channels, or a single slice.
_THICKNESS = 8


def draw(state: Reply, params: Reply) -> Reply:
    """Draw the arrays of the first result; return output, description and PNG of each picture.

    `params["inputs"]` are the inputs of the prediction. `remarks` say what is not drawn, and why.
    """
    # The home of this process is read-only, which matplotlib would report in the log.
    os.environ.setdefault("MPLCONFIGDIR", tempfile.mkdtemp(prefix="matplotlib-"))
    try:
        import matplotlib
    except ImportError:
        return {"pictures": [], "remarks": ["the model's environment has no matplotlib"]}
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
    with matplotlib.rc_context():
        # The model's own settings could require LaTeX, or another resolution.
        matplotlib.rcdefaults()
        for name, array in found[:_OUTPUTS]:
            for sketch in (_distribution, _components, _slices):
                try:
                    picture = _picture(sketch, array, params["inputs"])
                except Exception as problem:  # noqa: BLE001 - pictures are optional
                    remarks.append(f"{type(problem).__name__}: {first_line(problem)}")
                    continue
                if picture is not None:
                    pictures.append({"output": name, **picture})
    return {"pictures": pictures, "remarks": remarks}


def _picture(
    sketch: Callable[[Any, Any, list[str]], str | None], array: Any, inputs: list[str]
) -> Reply | None:
    """Draw one picture; return its description and PNG in base64, None where it does not apply."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.5), dpi=100)
    FigureCanvasAgg(figure)
    shows = sketch(figure, array, inputs)
    if shows is None:
        return None
    written = io.BytesIO()
    figure.savefig(written, format="png", bbox_inches="tight")
    content = written.getvalue()
    if len(content) > _PNG_BYTES:
        raise ValueError(f"{shows}: {len(content)} bytes are too many for a report")
    return {"shows": shows, "png": base64.b64encode(content).decode("ascii")}


def _distribution(figure: Any, array: Any, inputs: list[str]) -> str | None:
    import numpy

    values = array.reshape(-1)[:: -(-array.size // _VALUES)].astype("float64")
    values = values[numpy.isfinite(values)]
    if not values.size:
        return None
    axes = figure.add_subplot()
    axes.hist(values, bins=_BINS)
    axes.set_xlabel("value")
    axes.set_ylabel("count")
    return "distribution of the values"


def _components(figure: Any, array: Any, inputs: list[str]) -> str | None:
    """Draw the rows in the plane in which they differ most."""
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
    axes = figure.add_subplot()
    axes.set_xlabel(f"first component ({shares[0]:.0%})")
    axes.set_ylabel(f"second component ({shares[1]:.0%})")
    column, labels = labels_of(inputs, len(array))
    if labels is None:
        axes.scatter(points[:, 0], points[:, 1], s=14)
        return "first two principal components"
    labels = labels[::step][finite]
    for label in sorted(set(labels)):
        chosen = points[labels == label]
        # matplotlib would parse a dollar sign as the start of a formula.
        axes.scatter(chosen[:, 0], chosen[:, 1], s=14, label=label.replace("$", r"\$"))
    # Below, so that the picture stays narrow enough to be read on a phone.
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncol=2, fontsize="small")
    return f"first two principal components, coloured by {column}"


def _slices(figure: Any, array: Any, inputs: list[str]) -> str | None:
    """Draw one slice through the middle across each of the last three axes."""
    if array.ndim < 3 or min(array.shape[-3:]) < _THICKNESS:
        return None
    volume = array.reshape(-1, *array.shape[-3:])[0]
    slices = [volume.take(volume.shape[axis] // 2, axis=axis) for axis in range(3)]
    widths = [middle.shape[1] for middle in slices]
    # To the same scale, unless the narrowest would become too small to see.
    ratios = [max(width, max(widths) / 4) for width in widths]
    grid = figure.add_gridspec(1, 3, width_ratios=ratios)
    for axis, middle in enumerate(slices):
        axes = figure.add_subplot(grid[axis])
        axes.imshow(middle.astype("float64"), cmap="gray")
        axes.set_title(f"across axis {axis - 3}", fontsize="small")
        axes.set_axis_off()
    return "middle slices of the first volume"


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
