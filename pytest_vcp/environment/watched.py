"""One build process: watched, logged, and ended in any case."""

from __future__ import annotations

import queue
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO

from pytest_vcp.util import processes

Progress = Callable[[str], None]
News = Callable[[str], "str | None"]

_HEARTBEAT_SECONDS = 2.0
_NEWS_SECONDS = 1.0


def run(
    command: Sequence[str | Path],
    environ: Mapping[str, str],
    directory: Path,
    log: Path,
    progress: Progress,
    news: News,
    step: str,
) -> int:
    """Run a command to its end and return its exit status, reporting its progress meanwhile.

    All its output goes to `log`. `news` turns a meaningful line into a few words, and `step` is
    reported until the first of these. If anything is raised meanwhile (KeyboardInterrupt, a
    time-out), the process and its children are ended.
    """
    marker = processes.new_marker()
    with log.open("wb") as sink, ExitStack() as ends:
        # A killed pip leaves whatever it was unpacking and building. The directory is part of the
        # build, so that a killed pytest does not leave it for ever either.
        scratch = ends.enter_context(
            tempfile.TemporaryDirectory(prefix="tmp-", dir=log.parent, ignore_cleanup_errors=True)
        )
        guard = processes.Guard(marker)
        ends.callback(guard.dismiss)
        process = subprocess.Popen(
            command,
            cwd=directory,
            env={**environ, "TMPDIR": scratch, processes.MARKER_VARIABLE: marker},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # so that its children can be identified
        )
        ends.callback(_end, process, marker)
        guard.watch(process.pid)
        for announced in _steps(process, sink, news, step):
            progress(announced)
        return process.wait()


def _steps(
    process: subprocess.Popen[bytes], sink: IO[bytes], news: News, step: str
) -> Iterator[str]:
    """Yield the current step: when it changes, but not for each of hundreds, and as a heartbeat."""
    assert process.stdout is not None
    lines: queue.Queue[bytes | None] = queue.Queue()
    threading.Thread(target=_pump, args=(process.stdout, sink, lines), daemon=True).start()
    announced = announced_news = time.monotonic() - _NEWS_SECONDS
    while True:
        try:
            line = lines.get(timeout=_HEARTBEAT_SECONDS)
        except queue.Empty:
            line = b""
        if line is None or (not line and process.poll() is not None):
            return  # the second case: it has ended, but a process it left running holds the pipe
        new = news(line.decode("utf-8", "replace"))
        step = new or step
        now = time.monotonic()
        # A heartbeat must not delay the news that follows it.
        if now - announced_news >= _NEWS_SECONDS if new else now - announced >= _HEARTBEAT_SECONDS:
            announced, announced_news = now, now if new else announced_news
            yield step


def _pump(source: IO[bytes], sink: IO[bytes], lines: queue.Queue[bytes | None]) -> None:
    """Copy the output to the log, line by line, and pass each line on; None marks the end."""
    try:
        for line in source:
            # On a full disk, or if an interrupted run closed the log: read on nevertheless, because
            # a process whose output is not read never ends.
            with suppress(OSError, ValueError):
                sink.write(line)
                sink.flush()
            lines.put(line)
    except ValueError:  # the pipe was closed
        pass
    finally:
        lines.put(None)


def _end(process: subprocess.Popen[bytes], marker: str) -> None:
    """End the process and everything it started, whether or not it has ended already."""
    processes.end(lambda: processes.leftovers(marker, process.pid), grace=0)
    process.wait()
    if process.stdout is not None:
        process.stdout.close()
