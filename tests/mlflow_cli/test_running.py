"""Commands are ended with all that they started, however they behave."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_vcp.mlflow_cli.process import Running
from pytest_vcp.rules.outcomes import ToolError

Start = Callable[[str], Running]
CHILD = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', {code!r}]{more})\n"
SLEEP = "import time; time.sleep(600)"


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Start Python on a few lines, with a log."""

    def started(code: str) -> Running:
        log = tmp_path / "logs" / "command.log"
        command = [sys.executable, "-c", code]
        return Running(command, tmp_path / "there", dict(os.environ), log, "python -c")

    return started


def test_its_output_and_its_status_are_kept(start: Start) -> None:
    running = start("import sys; print('said', flush=True); sys.exit(3)")
    assert running.wait(30) == 3
    assert running.output == "said\n"
    assert running.interrupt(1) == ()


def test_one_that_does_not_end_is_ended(start: Start) -> None:
    running = start(SLEEP)
    assert running.wait(0.2) is None
    running.close()
    assert running.exit_status() is not None


def test_what_it_leaves_running_is_told_and_ended(start: Start) -> None:
    running = start(CHILD.format(code=SLEEP, more=", start_new_session=True"))
    assert running.wait(30) == 0
    (left,) = running.interrupt(5)
    assert SLEEP in left
    assert running.interrupt(0) == ()


def test_one_that_will_not_hear_is_told_and_ended(start: Start) -> None:
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True);"
    running = start(f"{deaf} {SLEEP}")
    deadline = time.monotonic() + 30
    while not running.output and time.monotonic() < deadline:
        time.sleep(0.05)
    (left,) = running.interrupt(0.5)
    assert "signal" in left
    assert running.exit_status() is not None


def test_a_command_that_is_not_there_is_no_fault_of_the_package(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="can't be started"):
        Running([str(tmp_path / "mlflow")], tmp_path, {}, tmp_path / "log", "mlflow models predict")
