"""The forward pass in each precision that the model documents."""

from __future__ import annotations

from typing import Any

from . import outputs
from .forward import parsed
from .plain import dtype_name

Reply = dict[str, Any]

_PRECISION = "precision"


def try_each(state: Reply, params: Reply) -> Reply:
    """Predict in each of `params["precisions"]`, where a param of that name is declared as a text.

    `dtypes` has the dtypes of the arrays by name, for each value that the model takes: one that it
    refuses is none that it documents. That of the example was judged before.
    """
    model, dtypes = state["model"], {}
    declared = {entry.name: entry for entry in model.metadata.get_params_schema() or ()}
    entry = declared.get(_PRECISION)
    if entry is None or entry.dtype.name != "string":
        return {"dtypes": {}, "passes": 0}
    for precision in params["precisions"]:
        frame, given = parsed(model, params["payload"])
        if precision == (given or {}).get(_PRECISION, entry.default):
            continue
        try:
            prediction = model.predict(frame, params={**(given or {}), _PRECISION: precision})
        except Exception:  # noqa: BLE001 - a model refuses values in any way
            continue
        found = outputs.arrays(prediction)
        dtypes[precision] = {name: dtype_name(array.dtype) for name, array in found.items()}
    return {"dtypes": dtypes, "passes": len(dtypes)}
