"""The tracking store of a run: its URI for MLflow, and for people, without a password."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pytest_vcp.settings.tracking import SQLITE
from pytest_vcp.util.urls import redacted_uri, secrets_of
from pytest_vcp.worker.failure import WorkerFailure

# A server that does not answer is not retried for minutes, unless the user wants that; and MLflow
# would print the server's URL with the password in it.
_DEFAULTS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
# A server that is up answers soon; by default, MLflow retries for minutes.
_FIRST_WORD = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "15", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}
# These say where and when to log; the run sets that itself.
_OWN = (
    "MLFLOW_TRACKING_URI",
    "MLFLOW_REGISTRY_URI",
    "MLFLOW_RUN_ID",
    "MLFLOW_EXPERIMENT_ID",
    "MLFLOW_EXPERIMENT_NAME",
    "MLFLOW_ENABLE_ASYNC_LOGGING",
)
# An error of the operating system, as Python writes it.
_SYSTEM = re.compile(r"\[Errno -?\d+\] ([A-Z][\w ,]+)")
_WIDEST = 300


class TrackingStore:
    """A store by the URI that was `given`; None for our own store."""

    def __init__(self, given: str | None) -> None:
        self._given = given
        self._login: dict[str, str] = {}
        self._uri = self._without_login(given) if given is not None else ""

    @property
    def is_own(self) -> bool:
        return self._given is None

    @property
    def told(self) -> str:
        """The URI for people; empty for our own store."""
        return redacted_uri(self._given or "")

    def uri(self, database: str) -> str:
        """Return the URI for MLflow; `database` is the file of our own store."""
        # Relative to its folder, whose name may contain characters with a meaning in a URI.
        return self._uri or f"sqlite:///{database}"

    def directory(self, own: Path) -> Path | None:
        """Return MLflow's working directory: that of a database, where its artifacts end up."""
        if self.is_own:
            return own
        found = SQLITE.fullmatch(self._uri)
        folder = Path(found["path"]).parent if found else None
        return folder if folder and folder.is_dir() else None

    def variables(self, user: Mapping[str, str]) -> dict[str, str]:
        """Return the user's settings for MLflow, such as credentials, certificates and limits."""
        kept = {
            name: value
            for name, value in user.items()
            if name.startswith("MLFLOW_") and name not in _OWN
        }
        return {**_DEFAULTS, **kept, **self._login}

    def patience(self, user: Mapping[str, str]) -> dict[str, str]:
        """Return the limits for a first answer, where the user has not set them."""
        return {name: limit for name, limit in _FIRST_WORD.items() if name not in user}

    def hide(self, text: str) -> str:
        """Remove the secrets of the URI from a text."""
        text = text.replace(self._given or "\0", self.told)
        for secret in secrets_of(self._given or ""):
            # Anything shorter occurs in half of all words.
            if len(secret) > 2:
                text = text.replace(secret, "****")
        return text

    def problem(self, failure: WorkerFailure) -> str:
        """Explain why MLflow failed: it wraps the system's error in messages of three libraries."""
        story = "\n".join((failure.message, *failure.causes))
        if "Can't locate revision" in story:
            return "a newer MLflow has migrated the store; move it away, or pin that release"
        if (refused := _SYSTEM.findall(story)) and "onnection" in story:
            return f"no connection: {refused[-1]}"
        if "timed out" in story:
            return "the server did not answer in time"
        message = failure.message if failure.exception == "ValueError" else failure.summary
        return self.hide(message.removeprefix("mlflow.exceptions."))[:_WIDEST]

    def _without_login(self, uri: str) -> str:
        """Move user and password from the URI to MLflow's variables, which are never printed."""
        try:
            parts = urlsplit(uri)
            user, password = parts.username, parts.password
        except ValueError:
            return uri
        if not (parts.scheme in ("http", "https") and user and password):
            return uri
        self._login = {
            "MLFLOW_TRACKING_USERNAME": unquote(user),
            "MLFLOW_TRACKING_PASSWORD": unquote(password),
        }
        return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
