"""Runs that publish to the same place finish one after the other."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from pytest_vcp.util import files, locks

# Publishing, ending the processes and writing the report take seconds. Who waits longer than this
# waits for a run that hangs, and goes ahead: each step by itself is safe.
_PATIENCE_SECONDS = 60.0


@contextmanager
def exclusive_publishing(cache_dir: Path, destination: Path) -> Iterator[None]:
    """Keep other runs from publishing to `destination` until the report on this one is written.

    Without it the report of one run could come to lie beside the artifact of another. Where the
    cache can't be written, or knows no locks, there are no turns.
    """
    name = hashlib.sha256(str(destination).encode(errors="surrogateescape")).hexdigest()[:20]
    folder = cache_dir / "publishing"
    with ExitStack() as turn:
        with suppress(OSError):
            files.make_ignored(cache_dir)
            folder.mkdir(exist_ok=True)
            turn.enter_context(locks.held(folder / f"{name}.lock", patience=_PATIENCE_SECONDS))
        yield
