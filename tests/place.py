"""A package in a place of its own, and a look at what a run has left around it."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from fixtures.references import PCA_50
from tests.plugin.staged import tree, write_artifact
from tests.runs import HANG_SECONDS, Run, command, environment, run_vcp

ARTIFACT = "mlflow_model_artifact"
# Every process of a run inherits it, unless the model starts one without an environment. In one
# that was forked warm, /proc shows it only after an exec; its working directory tells then.
MARKER = "VCP_TEST_PLACE"


class Place:
    """A copy of a sound package with the artifact of an earlier run, and a temporary directory.

    Both are private to one test, so that whatever a run leaves can be told from everything else.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.package = PCA_50.copy(root)
        self.artifact = write_artifact(self.package / ARTIFACT, "old")
        self.temporary = root / "temporary"
        self.temporary.mkdir()
        self._marker = secrets.token_hex(16)
        self._before = tree(self.artifact)

    @property
    def environ(self) -> dict[str, str]:
        """What is added to the environment of a run."""
        return {"TMPDIR": str(self.temporary), MARKER: self._marker}

    def run(self, *extra: str, cold: bool = False, pictures: bool = False) -> Run:
        """Run the plugin to its end."""
        return run_vcp(
            self.package, PCA_50.options, *extra, env=self.environ, cold=cold, pictures=pictures
        )

    @contextmanager
    def running(self, *extra: str, env: dict[str, str] | None = None) -> Iterator[Started]:
        """Start the plugin; it is ended for sure afterwards."""
        with subprocess.Popen(
            command([*PCA_50.options, *extra]),
            cwd=self.package,
            env=environment({**self.environ, **(env or {})}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ) as process:
            alarm = threading.Timer(HANG_SECONDS, process.kill)
            alarm.start()
            try:
                yield Started(process)
            finally:
                alarm.cancel()
                process.kill()

    def assert_old_artifact(self) -> None:
        """The artifact of the earlier run is as it was."""
        assert tree(self.artifact) == self._before

    def assert_nothing_staged(self) -> None:
        """Nothing lies beside the artifact."""
        assert list(self.package.glob(f".{ARTIFACT}*")) == []

    def assert_nothing_left(self) -> None:
        """No process and no temporary file of the run is there any more."""
        assert self.processes() == []
        assert sorted(path.name for path in self.temporary.iterdir()) == []

    def processes(self) -> list[str]:
        """The command lines of all processes that belong to a run here."""
        return [_told(pid) for pid in _pids() if self._is_ours(pid)]

    def wait_for_processes_to_end(self) -> None:
        """For runs that had no time to wait for it themselves."""
        deadline = time.monotonic() + 10
        while self.processes() and time.monotonic() < deadline:
            time.sleep(0.05)

    def _is_ours(self, pid: int) -> bool:
        entry = Path("/proc", str(pid))
        with suppress(OSError):
            if f"{MARKER}={self._marker}".encode() in (entry / "environ").read_bytes():
                return True
            root = os.fsencode(self.root)
            if root in (entry / "cmdline").read_bytes():
                return True
            # The directory may be gone; its name is still known then.
            return os.fsencode(os.readlink(entry / "cwd")).startswith(root)
        return False


class Started:
    """A run that goes on; `output` is what has been read of it so far."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._read = b""

    @property
    def output(self) -> str:
        return self._read.decode(errors="replace")

    def wait_for(self, text: str) -> None:
        """Read until `text` was printed; what is announced has no end of line yet."""
        assert self._process.stdout is not None
        while text not in self.output:
            data = os.read(self._process.stdout.fileno(), 1 << 16)
            assert data, f"{text!r} was never printed:\n{self.output}"
            self._read += data

    def stop(self, number: signal.Signals) -> int:
        """Send a signal to the pytest process alone; its exit status."""
        self._process.send_signal(number)
        self._read += self._process.communicate(timeout=HANG_SECONDS)[0]
        return self._process.returncode


def _pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _told(pid: int) -> str:
    try:
        raw = Path("/proc", str(pid), "cmdline").read_bytes()
    except OSError:
        return f"process {pid}"
    return raw.replace(b"\0", b" ").decode(errors="replace")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    if not Path("/proc/self/environ").exists():
        pytest.skip(f"processes are looked for in /proc, which {sys.platform} does not have")
    made = Place(tmp_path)
    yield made
    # A test that fails must not leave what it found.
    for pid in _pids():
        if made._is_ours(pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
