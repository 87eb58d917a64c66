"""The loaded model, for tests that a user writes beside the suite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_vcp.payload import resolved
from pytest_vcp.prediction import Prediction, read_prediction
from pytest_vcp.settings import Settings
from pytest_vcp.workshop import Workshop

_SLOT = "asked"


@dataclass(frozen=True)
class LoadedModel:
    """The artifact, loaded in a process of its own."""

    _workshop: Workshop
    _settings: Settings

    def predict(
        self, rows: Sequence[Mapping[str, Any]], params: Mapping[str, Any] | None = None
    ) -> Prediction:
        """Predict on rows of input columns.

        A relative ``input_uri`` is taken from the package directory. Returns shapes, dtypes,
        ranges and digests; `values` fetches the numbers. Raises WorkerFailure with the model's
        own message if the model refuses the input.
        """
        payload: dict[str, Any] = {"dataframe_records": [dict(row) for row in rows]}
        if params:
            payload["params"] = dict(params)
        column = self._settings.policy.input_column
        request = {"payload": resolved(payload, column, self._settings.pkg_dir), "slot": _SLOT}
        return read_prediction(self._workshop.ask_model("predict", request))

    def values(self, limit: int = 100_000) -> dict[str, Any]:
        """The last prediction as nested lists by output name ("" for a single output).

        Raises ValueError for a prediction of more than `limit` values.
        """
        reply = self._workshop.ask_model("values", {"limit": limit, "slot": _SLOT})
        if reply["values"] is None:
            raise ValueError(f"the prediction has {reply['size']} values; the limit is {limit}")
        found: dict[str, Any] = reply["values"]
        return found
