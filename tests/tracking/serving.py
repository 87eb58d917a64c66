"""MLflow's own server on loopback, started as its users do."""

from __future__ import annotations

import os
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pytest_vcp.mlflow_cli.serve import free_port
from tests.runs import HANG_SECONDS


@contextmanager
def served(python: Path, command: str, *options: str, folder: Path) -> Iterator[str]:
    """The URI of `mlflow COMMAND`, which runs in `folder` until the end."""
    port = free_port()
    place = ("--host", "127.0.0.1", "--port", str(port), "--workers", "1")
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [str(python), "-m", "mlflow", command, *place, *options],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        _wait(process, f"http://127.0.0.1:{port}/health")
        yield f"http://127.0.0.1:{port}"
    finally:
        # It serves with further processes of its own.
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=60)


def _wait(process: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + HANG_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, "the server has ended"
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    raise AssertionError("the server does not answer")
