"""The loaded model, for tests that a user writes beside the suite."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_vcp.payload import resolve_uri
from pytest_vcp.prediction import Prediction, read_prediction
from pytest_vcp.settings import Settings
from pytest_vcp.sources import source_tree
from pytest_vcp.worker_failure import WorkerFailure
from pytest_vcp.workshop import Workshop

__all__ = ["LoadedModel", "WorkerFailure"]

_SLOT = "asked"


@dataclass(frozen=True)
class LoadedModel:
    """The packaged model, loaded from its artifact in a process of its own.

    It runs as it does for the suite: in the environment of the lock, offline, in another
    directory, and with the source tree out of reach. One load serves all tests of a run.
    """

    _workshop: Workshop = field(repr=False)
    _settings: Settings = field(repr=False)

    def predict(
        self, rows: Sequence[Mapping[str, Any]], params: Mapping[str, Any] | None = None
    ) -> Prediction:
        """Predict on one request, as MLflow's server would receive it.

        Args:
            rows: the input columns by name, row by row, such as
                ``[{"input_uri": "example_data/cells.h5ad"}]``. A relative ``input_uri`` is taken
                from the package directory; the model gets a copy of what lies in there.
            params: params by name. Those left out have their declared defaults, and MLflow drops
                those that the signature does not declare.

        Returns:
            Shape, dtype, range and digest of each output, and the seconds that the call took.
            The numbers themselves stay with the model until `values` asks for them.

        Raises:
            WorkerFailure: MLflow or the model refused the request, or the process crashed or took
                longer than ``--vcp-timeout``. Its text is one line: type and message.
            OSError: an input inside the package can't be copied.
        """
        column = self._settings.policy.input_column
        records = [
            {
                name: self._within_reach(value)
                if name == column and isinstance(value, str)
                else value
                for name, value in row.items()
            }
            for row in rows
        ]
        payload: dict[str, Any] = {"dataframe_records": records}
        if params:
            payload["params"] = dict(params)
        return read_prediction(self._ask("predict", {"payload": payload, "slot": _SLOT}))

    def values(self, output: str | None = None, limit: int = 100_000) -> list[Any]:
        """The numbers of the last prediction, as lists nested like the array's dimensions.

        Args:
            output: which output, where there are several.
            limit: most values to fetch, of all outputs together.

        Raises:
            KeyError: there is no such output, or there are several and none is named.
            ValueError: the prediction has more than `limit` values.
            WorkerFailure: nothing was predicted yet, or the values have no form in JSON.
        """
        reply = self._ask("values", {"limit": limit, "slot": _SLOT})
        found: Mapping[str, list[Any]] | None = reply["values"]
        if found is None:
            raise ValueError(f"the prediction has {reply['size']} values; the limit is {limit}")
        if output is None and len(found) == 1:
            return next(iter(found.values()))
        if output not in found:
            raise KeyError(f"there is no output {output!r}; there is {', '.join(map(repr, found))}")
        return found[output]

    def _within_reach(self, uri: str) -> str:
        """The input as the model's process can open it: nothing of the package can be."""
        given = resolve_uri(uri, self._settings.pkg_dir)
        real = Path(os.path.realpath(given))
        hidden = [Path(os.path.realpath(root)) for root in source_tree(self._settings)]
        if not real.exists() or not any(real.is_relative_to(root) for root in hidden):
            # Behind a link inside the package, only the file itself is within reach.
            return str(real) if real.exists() else given
        copy = Path(tempfile.mkdtemp(prefix="input-", dir=self._workshop.scratch), real.name)
        if real.is_dir():
            shutil.copytree(real, copy)
        else:
            shutil.copy2(real, copy)
        return str(copy)

    def _ask(self, method: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """Ask the model; a failure is told without this plugin's frames."""
        __tracebackhide__ = True
        try:
            return self._workshop.ask_model(method, params)
        except WorkerFailure as failure:
            raise failure.with_traceback(None) from None
