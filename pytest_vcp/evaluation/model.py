"""The loaded model, for tests that a user writes in addition to the suite."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_vcp.evaluation.artifact_session import ArtifactSession
from pytest_vcp.evaluation.prediction import Prediction, read_prediction
from pytest_vcp.settings.resolved import Settings
from pytest_vcp.source.payload import resolve_uri
from pytest_vcp.source.preimports import source_tree
from pytest_vcp.worker.failure import WorkerFailure

__all__ = ["LoadedModel", "WorkerFailure"]

_SLOT = "asked"


@dataclass(frozen=True)
class LoadedModel:
    """The packaged model, loaded from its artifact in a separate process.

    It runs as it does for the suite: in the environment of the lock, offline, in another
    directory, and with the source tree out of reach. One load serves all tests of a run.
    """

    _session: ArtifactSession = field(repr=False)
    _settings: Settings = field(repr=False)

    def predict(
        self, rows: Sequence[Mapping[str, Any]], params: Mapping[str, Any] | None = None
    ) -> Prediction:
        """Predict on one request, as MLflow's server would receive it.

        Args:
            rows: the input columns by name, row by row, such as
                ``[{"input_uri": "example_data/cells.h5ad"}]``. A relative ``input_uri`` is
                resolved in the package directory. The model can't see that directory: it gets a
                copy of an input that lies there.
            params: params by name. Omitted params have their declared defaults, and MLflow drops
                those that the signature does not declare.

        Returns:
            Shape, dtype, range and digest of each output, and the seconds that the call took.
            The numbers themselves stay with the model until `values` asks for them.

        Raises:
            WorkerFailure: MLflow or the model refused the request, or the process crashed or took
                longer than ``--vcp-timeout``. Its text is one line: type and message.
            OSError: an input inside the package can't be copied.
        """
        __tracebackhide__ = True  # A test that fails here shows its own line.
        payload: dict[str, Any] = {"dataframe_records": [self._record(row) for row in rows]}
        if params:
            payload["params"] = dict(params)
        return read_prediction(self._ask("predict", {"payload": payload, "slot": _SLOT}))

    def values(self, output: str | None = None, limit: int = 100_000) -> list[Any]:
        """Return the numbers of the last prediction, as lists nested like the array's dimensions.

        Args:
            output: which output, if there are several.
            limit: maximum number of values to fetch, of all outputs together.

        Raises:
            KeyError: there is no such output, or there are several and none is named.
            ValueError: the prediction has more than `limit` values.
            WorkerFailure: nothing was predicted yet, or JSON can't represent the values.
        """
        __tracebackhide__ = True
        reply = self._ask("values", {"limit": limit, "slot": _SLOT})
        found: Mapping[str, list[Any]] | None = reply["values"]
        if found is None:
            raise ValueError(f"the prediction has {reply['size']} values; the limit is {limit}")
        if output is None and len(found) == 1:
            return next(iter(found.values()))
        if output is None or output not in found:
            there = ", ".join(map(repr, found)) or "no array"
            raise KeyError(f"there is no output {output!r} in the prediction, which has {there}")
        return found[output]

    def _record(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return one row, with its input at a path that the model's process can open."""
        record = dict(row)
        uri = record.get(self._settings.policy.input_column)
        if isinstance(uri, str):
            record[self._settings.policy.input_column] = self._make_readable(uri)
        return record

    def _make_readable(self, uri: str) -> str:
        """Return the path of the input, or of a copy if the input is hidden in the source tree."""
        given = resolve_uri(uri, self._settings.pkg_dir)
        real = os.path.realpath(given)
        if not os.path.exists(real) or not self._is_hidden(os.path.normpath(given), real):
            return given
        directory = tempfile.mkdtemp(prefix="input-", dir=self._session.scratch)
        copy = os.path.join(directory, os.path.basename(given))
        if not self._is_hidden(real):
            os.symlink(real, copy)
        elif os.path.isdir(real):
            shutil.copytree(real, copy)
        else:
            shutil.copy2(real, copy)
        return copy

    def _is_hidden(self, *paths: str) -> bool:
        roots = source_tree(self._settings)
        spellings = {spelling for root in roots for spelling in (root, root.resolve())}
        return any(Path(path).is_relative_to(root) for path in paths for root in spellings)

    def _ask(self, method: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        __tracebackhide__ = True
        try:
            return self._session.ask_model(method, params)
        except WorkerFailure as failure:
            raise failure.with_traceback(None) from None
