"""The inputs that the example names: where they lie, how large they are, whether they open."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_vcp.trial.spec import Example
from pytest_vcp.worker.failure import WorkerFailure


@dataclass(frozen=True)
class ExampleInput:
    """One input: its URI as given, its place, and the bytes of all its files."""

    uri: str
    path: Path
    bytes: int


@dataclass(frozen=True)
class Opening:
    """What became of opening an input in the model's environment.

    `problem` says why it is not what its name says, None where it is; `too_old` is the library,
    with its version, that can't read it for that. `lacking` is the library that would have told
    and is not there. `failure` is the end of the process that tried.
    """

    uri: str
    problem: str | None = None
    lacking: str | None = None
    too_old: str | None = None
    failure: WorkerFailure | None = None


def read_inputs(example: Example, column: str, root: Path) -> tuple[ExampleInput, ...] | None:
    """The inputs, each once, relative ones below `root`; None where one is not there."""
    uris = dict.fromkeys(record.get(column) for record in example.records)
    paths = {uri: root / uri for uri in uris if uri and os.path.exists(root / uri)}
    if len(paths) < len(uris):
        return None
    return tuple(ExampleInput(uri, path, sum(_sizes(path))) for uri, path in paths.items())


def read_openings(
    inputs: Iterable[ExampleInput], reply: Mapping[str, Any] | None, failure: WorkerFailure | None
) -> tuple[Opening, ...]:
    """Type the reply of the worker's ``inputs.open_all``."""
    if reply is None:
        return tuple(Opening(entry.uri, failure=failure) for entry in inputs)
    return tuple(
        Opening(entry.uri, **found) for entry, found in zip(inputs, reply["openings"], strict=True)
    )


def _sizes(path: Path) -> Iterator[int]:
    """Bytes of the file, or of each file in the directory."""
    if path.is_file():
        yield path.stat().st_size
    for parent, _, names in os.walk(path):
        for name in names:
            yield os.lstat(os.path.join(parent, name)).st_size
