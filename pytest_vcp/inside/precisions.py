"""The forward pass in another precision than the example's, as far as the model documents it."""

from __future__ import annotations

from typing import Any

from . import outputs
from .forward import parsed
from .plain import dtype_name

Reply = dict[str, Any]

_PRECISION = "precision"


def try_one(state: Reply, params: Reply) -> Reply:
    """Predict in `params["precision"]`, where a param of that name is declared as a text.

    `dtypes` has the dtypes of the arrays by name; None where the model refuses the value, which it
    then does not document, and for that of the example, which was judged before.
    """
    model, precision = state["model"], params["precision"]
    declared = {entry.name: entry for entry in model.metadata.get_params_schema() or ()}
    entry = declared.get(_PRECISION)
    frame, given = parsed(model, params["payload"])
    if entry is None or entry.dtype.name != "string":
        return {"dtypes": None, "passes": 0}
    if precision == (given or {}).get(_PRECISION, entry.default):
        return {"dtypes": None, "passes": 0}
    try:
        prediction = model.predict(frame, params={**(given or {}), _PRECISION: precision})
    except Exception:  # noqa: BLE001 - a model refuses values in any way
        return {"dtypes": None, "passes": 0}
    found = outputs.arrays(prediction)
    dtypes = {name: dtype_name(array.dtype) for name, array in found.items()}
    return {"dtypes": dtypes, "passes": 1}
