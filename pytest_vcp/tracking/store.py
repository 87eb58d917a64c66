"""The store of a run: how MLflow is told of it, and how people are, who see no password."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pytest_vcp.settings.tracking import SQLITE
from pytest_vcp.util.urls import redacted_uri, secrets_of
from pytest_vcp.worker.failure import WorkerFailure

# A server that does not answer is not asked for minutes, unless the user wants that; and MLflow
# would print its address with the password that is in it.
_DEFAULTS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
# A server that is there answers soon; MLflow by itself tries for minutes.
_FIRST_WORD = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "15", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}
# These say where to, and when; the run says that itself.
_OWN = (
    "MLFLOW_TRACKING_URI",
    "MLFLOW_REGISTRY_URI",
    "MLFLOW_RUN_ID",
    "MLFLOW_EXPERIMENT_ID",
    "MLFLOW_EXPERIMENT_NAME",
    "MLFLOW_ENABLE_ASYNC_LOGGING",
)
# What the system says, as Python writes it.
_SYSTEM = re.compile(r"\[Errno -?\d+\] ([A-Z][\w ,]+)")
_WIDEST = 300


class TrackingStore:
    """A store by the URI that was `given`; None for that of our own."""

    def __init__(self, given: str | None) -> None:
        self._given = given
        self._login: dict[str, str] = {}
        self._uri = self._without_login(given) if given is not None else ""

    @property
    def is_own(self) -> bool:
        return self._given is None

    @property
    def told(self) -> str:
        """The URI for people; empty for the store of our own."""
        return redacted_uri(self._given or "")

    def uri(self, database: str) -> str:
        """The URI for MLflow; `database` is the file of the store of our own."""
        # Seen from its folder, whose name may have in it what means something in a URI.
        return self._uri or f"sqlite:///{database}"

    def directory(self, own: Path) -> Path | None:
        """Where MLflow is started: beside a database, whose artifacts come to lie there."""
        if self.is_own:
            return own
        found = SQLITE.fullmatch(self._uri)
        folder = Path(found["path"]).parent if found else None
        return folder if folder and folder.is_dir() else None

    def variables(self, user: Mapping[str, str]) -> dict[str, str]:
        """What the user has set for MLflow, such as credentials, certificates and limits."""
        kept = {
            name: value
            for name, value in user.items()
            if name.startswith("MLFLOW_") and name not in _OWN
        }
        return {**_DEFAULTS, **kept, **self._login}

    def patience(self, user: Mapping[str, str]) -> dict[str, str]:
        """The limits for a first answer, where the user has not set them."""
        return {name: limit for name, limit in _FIRST_WORD.items() if name not in user}

    def hide(self, text: str) -> str:
        """The text without what must not be told of the URI."""
        text = text.replace(self._given or "\0", self.told)
        for secret in secrets_of(self._given or ""):
            # What is shorter stands in half of all words.
            if len(secret) > 2:
                text = text.replace(secret, "****")
        return text

    def problem(self, failure: WorkerFailure) -> str:
        """Why MLflow could not: it wraps what the system said into the words of three libraries."""
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
        """User and password go by MLflow's own variables, which nobody prints."""
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
