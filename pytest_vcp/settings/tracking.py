"""The settings of tracking: where MLflow logs the run, if anywhere."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from pytest_vcp.settings.reading import Reader
from pytest_vcp.settings.values import Given, refusal
from pytest_vcp.util.urls import redacted_uri

SQLITE = re.compile(r"(?P<scheme>sqlite(?:\+\w+)?):///(?P<path>[^?]*)(?P<query>.*)")
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://.|file:.")
_RELATIVE = re.compile(r"file:(?P<path>[^/].*)")
# Names that MLflow knows by themselves.
_BARE = ("databricks", "databricks-uc", "uc")
# Options that request tracking explicitly, so that its failure fails the run.
_ASKING = ("tracking-uri", "register-model")
# Longer than any readable name, and short enough for the stores.
_WIDEST = 200


@dataclass(frozen=True)
class Tracking:
    """Settings of tracking; `uri` is None for our own store, `experiment` for the model's name.

    Our own store is below the report directory. `registered` is the name of the registered model
    that gets a new version. `is_asked_for` is whether the user named a store or a registered model,
    rather than just using the default.
    """

    uri: str | None = None
    experiment: str | None = None
    registered: str | None = None
    is_asked_for: bool = False


def read_tracking(read: Reader) -> Tracking | None:
    """Read the settings of tracking; None where it is off."""
    off = read.switch("no-tracking")
    uri = read.one("tracking-uri", lambda given: _uri(given, read.start("tracking-uri")), None)
    if uri is not None:
        # This text is shown to people.
        read.texts["tracking-uri"] = redacted_uri(read.texts["tracking-uri"])
    registered = read.one("register-model", _read_model_name, None)
    experiment = read.one("tracking-experiment", _name, None)
    if off and not _is_outdone(read):
        return None
    return Tracking(uri, experiment, registered, uri is not None or registered is not None)


def _is_outdone(read: Reader) -> bool:
    """Return whether an option overrides no-tracking of the ini file; refuse a contradiction."""
    for name in _ASKING:
        if read.sources[name] == read.sources["no-tracking"]:
            given = read.given(name, read.texts[name])
            no = read.origin("no-tracking")
            raise refusal(given, f"{no} says that no run is kept; leave one of the two out")
    return any(read.sources[name] == "option" for name in _ASKING)


def _uri(given: Given, start: Path) -> str:
    """Read a URI for MLflow; a relative path is made absolute, since MLflow runs elsewhere."""
    text = given.text.strip()
    if text in _BARE:
        return text
    if found := SQLITE.fullmatch(text):
        return f"{found['scheme']}:///{os.path.join(start, found['path'])}{found['query']}"
    if found := _RELATIVE.fullmatch(text):
        return (start / found["path"]).resolve().as_uri()
    if _URI.match(text):
        return text
    if ":" in text or "@" in text or not text:
        shown = given._replace(text=redacted_uri(text))
        raise refusal(shown, "write a URI, such as https://mlflow.example.org")
    path = start / Path(text).expanduser()
    if path.is_file():
        raise refusal(given, f"it is a file; of a database, write sqlite:///{text}")
    return path.as_uri()


def _name(given: Given) -> str:
    name = given.text.strip()
    if not name or not name.isprintable() or len(name) > _WIDEST:
        raise refusal(given, f"write a name of 1 to {_WIDEST} printable characters")
    return name


def _read_model_name(given: Given) -> str:
    if set(given.text) & set("/:"):
        raise refusal(given, "MLflow takes no / and no : in the name of a registered model")
    return _name(given)
