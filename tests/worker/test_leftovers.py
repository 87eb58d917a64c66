"""Processes that a model starts don't outlive its worker, however the end comes about."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from pytest_vcp.util import processes
from pytest_vcp.worker.client import Worker, WorkerFailure

from .conftest import WriteModel

STARTS = {
    "plain": "import subprocess\nsubprocess.Popen(['sleep', '600'])\n",
    "own session": (
        "import subprocess\nsubprocess.Popen(['sleep', '600'], start_new_session=True)\n"
    ),
    "no environment": "import subprocess\n"
    "subprocess.Popen(['sleep', '600'], start_new_session=True, env={})\n",
    "daemon": "import os\n"
    "if os.fork() == 0:\n"
    "    os.setsid()\n"
    "    if os.fork() == 0:\n"
    "        os.execvp('sleep', ['sleep', '600'])\n"
    "    os._exit(0)\n"
    "os.wait()\n",
    "deaf": "import subprocess\nsubprocess.Popen(['sh', '-c', 'trap \"\" TERM; sleep 600'])\n",
}

needs_proc = pytest.mark.skipif(
    not Path("/proc/self/environ").exists(), reason="finds processes through /proc"
)


@needs_proc
@pytest.mark.parametrize("start", STARTS.values(), ids=STARTS)
def test_a_process_left_running_is_described_and_ended(
    worker: Worker, write_model: WriteModel, start: str
) -> None:
    write_model(start)
    worker.call("probe.import_module", {"name": "model"})
    left = worker.close()
    assert any("sleep 600 (pid " in line for line in left), left


@needs_proc
@pytest.mark.parametrize("start", [STARTS[kind] for kind in ("plain", "own session", "daemon")])
def test_a_crash_takes_the_started_processes_along(
    worker: Worker, write_model: WriteModel, start: str
) -> None:
    write_model(start + "import os\nos.kill(os.getpid(), 9)\n")
    with pytest.raises(WorkerFailure, match="SIGKILL"):
        worker.call("probe.import_module", {"name": "model"})
    assert processes.leftovers(worker.marker, worker.pid or 0) == []


def test_a_child_that_ends_with_the_worker_is_no_leftover(
    worker: Worker, write_model: WriteModel
) -> None:
    write_model(
        """
        import atexit, subprocess
        child = subprocess.Popen(["sleep", "600"])
        atexit.register(child.wait)
        atexit.register(child.terminate)
        """
    )
    worker.call("probe.import_module", {"name": "model"})
    assert worker.close() == []


def test_helpers_of_multiprocessing_are_no_leftovers(
    worker: Worker, write_model: WriteModel
) -> None:
    write_model(
        """
        import multiprocessing
        def double(x): return 2 * x
        def use(method):
            with multiprocessing.get_context(method).Pool(2) as pool:
                assert pool.map(double, [1, 2]) == [2, 4]
        """
    )
    write_model("import model\nmodel.use('fork')\nmodel.use('spawn')\n", "use.py")
    worker.call("probe.import_module", {"name": "use"})
    assert worker.close() == []


def test_a_thread_that_does_not_end_is_described(worker: Worker, write_model: WriteModel) -> None:
    write_model(
        "import threading, time\nthreading.Thread(target=time.sleep, args=(600,)).start()\n"
    )
    worker.call("probe.import_module", {"name": "model"})
    left = worker.close(grace=0.5)
    assert len(left) == 1
    assert "did not end when asked to" in left[0]


def test_a_busy_worker_is_closed_at_once(worker: Worker, write_model: WriteModel) -> None:
    write_model("while True: pass\n")
    call = worker.submit("probe.import_module", {"name": "model"})
    time.sleep(0.3)
    started = time.monotonic()
    assert worker.close() == []
    assert time.monotonic() - started < 2
    with pytest.raises(WorkerFailure, match="on request"):
        call.result()


def test_no_zombies_and_no_descriptors_are_left(write_model: WriteModel, worker: Worker) -> None:
    worker.hello()
    worker.close()
    assert worker.pid is not None
    with pytest.raises(ProcessLookupError):
        os.kill(worker.pid, 0)


PARENT = """
import sys, time
from pathlib import Path
from pytest_vcp.worker.client import Conditions, Worker
root = Path(sys.argv[1])
conditions = Conditions(root / "cwd", root / "home", root / "tmp", (root / "source",))
worker = Worker(Path(sys.executable), "w", conditions, 60, root / "log")
worker.start()
worker.hello()
call = worker.submit("probe.import_module", {"name": "model"})
while not (root / "ready").exists():
    time.sleep(0.01)
print(worker.marker, worker.pid, flush=True)
ENDING
"""


def run_parent(tmp_path: Path, ending: str) -> tuple[subprocess.Popen[str], str, int]:
    """A process with a busy worker that has a child; returns it with marker and worker."""
    script = PARENT.replace("ENDING", textwrap.dedent(ending))
    root = Path(__file__).parents[2]
    parent = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    assert parent.stdout is not None
    marker, pid = parent.stdout.readline().split()
    return parent, marker, int(pid)


@pytest.fixture
def busy_model(write_model: WriteModel, tmp_path: Path) -> None:
    """A model with a daemon, busy for ever while it holds Python's lock."""
    write_model(
        STARTS["own session"]
        + f"open({str(tmp_path / 'ready')!r}, 'w').close()\n"
        + "import ctypes\nctypes.PyDLL(None).sleep(600)\n"
    )


@needs_proc
@pytest.mark.usefixtures("busy_model")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_the_worker_does_not_outlive_a_killed_parent(
    tmp_path: Path, number: signal.Signals
) -> None:
    parent, marker, pid = run_parent(tmp_path, "call.result()")
    assert processes.leftovers(marker, pid)
    parent.send_signal(number)
    parent.communicate(timeout=10)
    left = processes.wait_until_gone(lambda: processes.leftovers(marker, pid), 5)
    assert not left


@needs_proc
@pytest.mark.usefixtures("busy_model")
def test_a_parent_that_forgets_to_close_ends_the_worker(tmp_path: Path) -> None:
    parent, marker, pid = run_parent(tmp_path, "pass")
    _, errors = parent.communicate(timeout=10)
    assert (parent.returncode, errors) == (0, "")
    assert processes.leftovers(marker, pid) == []


@needs_proc
@pytest.mark.usefixtures("busy_model")
def test_a_forked_child_of_the_parent_ends_no_worker(tmp_path: Path) -> None:
    ending = """
        import os
        if os.fork() == 0:
            sys.exit(0)
        os.wait()
        assert not call.is_done()
        assert worker._process.has_ended() is False
        worker.close()
    """
    parent, marker, pid = run_parent(tmp_path, ending)
    _, errors = parent.communicate(timeout=10)
    assert parent.returncode == 0, errors
    assert processes.leftovers(marker, pid) == []
