"""Effects of params on a prediction: at their defaults, left out, mistyped, in other batches."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from . import outputs
from .comparing import compare
from .forward import SmallRequest, small_request, whole_request
from .plain import format_problem

Reply = dict[str, Any]

_BATCH_SIZE = "batch_size"
# Sizes that leave a last batch of another length for most numbers of observations.
_BATCHES = (5, 7)
# An invalid value for params of each type; numbers get a string.
_WRONG = {"string": 3.5, "boolean": "perhaps"}


def examine(state: Reply, params: Reply) -> Reply:
    """Try the declared params on the cut-down example, if there is one, or the example itself.

    `refused` is the param that the model does not accept at its default, with the reason,
    `difference` is between all defaults given and none, and `mistaken` are the params for which a
    value of another type was accepted. `reaches` is whether predict gets any params at all.
    """
    model = state["model"]
    declared = {entry.name: entry for entry in model.metadata.get_params_schema() or ()}
    check = _ParamsCheck(model, small_request(state, params["payload"]))
    reply: Reply = {
        "declared": list(declared),
        "reaches": _takes_params(model),
        "refused": None,
        "difference": None,
        "mistaken": [],
        "passes": 0,
    }
    if declared:
        defaults = {name: entry.default for name, entry in declared.items()}
        reply["refused"] = check.find_refused(defaults)
        if reply["refused"] is None:
            reply["difference"] = check.compare_without(defaults, params["tolerance"])
        reply["mistaken"] = [
            name for name, entry in declared.items() if check.takes_wrong_type(entry)
        ]
    return {**reply, "passes": check.passes}


def other_batches(state: Reply, params: Reply) -> Reply:
    """Predict in batches of another size, and compare with what is known.

    `size` is None where the model declares no such param, or not as an integer. The cut-down
    example is used where it has more observations than fit into one batch.
    """
    model = state["model"]
    declared = {entry.name: entry for entry in model.metadata.get_params_schema() or ()}
    entry = declared.get(_BATCH_SIZE)
    if entry is None or entry.dtype.name not in ("integer", "long"):
        return {"size": None, "problem": None, "difference": None, "passes": 0}
    request = small_request(state, params["payload"])
    if request.observations <= max(_BATCHES):
        request = whole_request(state, params["payload"])
    frame, given = request.parse()
    used = (given or {}).get(_BATCH_SIZE, entry.default)
    size = next(size for size in _BATCHES if size != used)
    reply = {"size": size, "problem": None, "difference": None, "passes": 1}
    try:
        again = model.predict(frame, params={**(given or {}), _BATCH_SIZE: size})
    except Exception as problem:  # noqa: BLE001 - a model fails in any way
        return {**reply, "problem": format_problem(problem)}
    first = outputs.arrays(request.prediction)
    return {
        **reply,
        "difference": compare(first, outputs.arrays(again), params["tolerance"]),
    }


class _ParamsCheck:
    """Predictions on one request with various params; counts the forward passes."""

    def __init__(self, model: Any, request: SmallRequest) -> None:
        self._model = model
        self._request = request
        self.passes = 0

    def find_refused(self, defaults: Mapping[str, Any]) -> Reply | None:
        """Find the param that is refused at its default; all of them where no single one is."""
        try:
            self._predict_with(defaults)
            return None
        except Exception as problem:  # noqa: BLE001 - a model refuses values in any way
            together = problem
        for name, value in defaults.items():
            try:
                self._predict_with({name: value})
            except Exception as problem:  # noqa: BLE001 - as above
                return {"name": name, "problem": format_problem(problem)}
        return {"name": ", ".join(defaults), "problem": format_problem(together)}

    def compare_without(self, defaults: Mapping[str, Any], tolerance: Reply) -> Reply | None:
        """Compare the model without params to itself with all defaults; None where they agree.

        MLflow fills in the defaults before the model sees a request, so a model that fails without
        params is not at fault.
        """
        frame, _ = self._request.parse()
        alone = getattr(self._model, "_model_impl", self._model)
        self.passes += 1
        try:
            bare = alone.predict(frame, params=None)
        except Exception:  # noqa: BLE001 - see above
            return None
        found = outputs.arrays(bare)
        return compare(outputs.arrays(self._predict_with(defaults)), found, tolerance)

    def takes_wrong_type(self, entry: Any) -> bool:
        """Return whether a value of another type is accepted for the param."""
        wrong = _WRONG.get(entry.dtype.name, "many")
        frame, given = self._request.parse()
        try:
            self._model.predict(frame, params={**(given or {}), entry.name: wrong})
        except Exception:  # noqa: BLE001 - it is refused, by MLflow or by the model
            return False
        self.passes += 1
        return True

    def _predict_with(self, params: Mapping[str, Any]) -> Any:
        """Predict with these params, or return the known prediction if it used the same."""
        frame, given = self._request.parse()
        if given == params:
            return self._request.prediction
        self.passes += 1
        return self._model.predict(frame, params=dict(params))


def _takes_params(model: Any) -> bool:
    """Return whether MLflow passes params to the wrapper, by MLflow's own check."""
    predict = model.unwrap_python_model().predict
    return "params" in inspect.signature(predict).parameters
