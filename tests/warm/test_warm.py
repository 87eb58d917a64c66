"""A forked process is like one that was started: nothing of its server, nothing of another."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_vcp.worker.template import Forked, Program
from tests.warm.pool import Pool

if sys.platform != "linux":
    pytest.skip("processes are forked on Linux alone", allow_module_level=True)

MARKER = "f" * 32

Fork = Callable[..., Forked]


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    """A pool of its own, whose servers end with this process."""
    pool = Pool.create({"PATH": os.environ["PATH"], "HOME": "/nowhere"})
    yield pool
    for file in pool.directory.glob("*.pid"):
        os.kill(int(file.read_text()), signal.SIGKILL)
    shutil.rmtree(pool.directory)


@pytest.fixture
def fork(pool: Pool, tmp_path: Path) -> Fork:
    """Run a script in a forked process, with a file for its output."""

    def forked(script: str, role: str = "test", **changed: Any) -> Forked:
        path = tmp_path / "script.py"
        path.write_text(textwrap.dedent(script), encoding="utf-8")
        with Path(os.devnull).open() as empty, (tmp_path / "output").open("a") as output:
            given: dict[str, Any] = {
                "script": path,
                "arguments": (),
                "environ": {},
                "cwd": tmp_path,
                "new_session": True,
                "descriptors": (empty.fileno(), output.fileno(), output.fileno()),
                **changed,
            }
            command = [sys.executable, "-I"]
            modules = ("json", "random", "socket")
            return pool.fork(role, command, modules, pool.environ, Program(**given))

    return forked


@pytest.fixture
def printed(tmp_path: Path) -> Callable[[], Any]:
    """What the process has printed, as JSON."""
    return lambda: json.loads((tmp_path / "output").read_text(encoding="utf-8"))


def test_the_imports_are_there_already(fork: Fork, printed: Callable[[], Any]) -> None:
    process = fork("import sys; print(str('random' in sys.modules).lower())")
    assert process.wait(10) == 0
    assert printed() is True


def test_it_has_the_variables_the_directory_and_the_mask_of_the_client(
    fork: Fork, printed: Callable[[], Any], tmp_path: Path
) -> None:
    script = """
        import json, os, sys
        mask = os.umask(0)
        shown = os.popen("env").read()
        print(json.dumps([dict(os.environ), os.getcwd(), mask, sys.argv, "ONLY=here" in shown]))
    """
    before = os.umask(0o027)
    try:
        process = fork(script, environ={"PATH": os.environ["PATH"], "ONLY": "here"})
    finally:
        os.umask(before)
    assert process.wait(10) == 0
    environ, cwd, mask, arguments, is_inherited = printed()
    assert environ.items() >= {"ONLY": "here"}.items()
    assert "HOME" not in environ
    assert (cwd, mask, is_inherited) == (str(tmp_path), 0o027, True)
    assert arguments == [str(tmp_path / "script.py")]


def test_it_leads_a_session_and_shows_its_marker(fork: Fork, printed: Callable[[], Any]) -> None:
    script = f"""
        import json, os
        marked = b"VCP_WORKER={MARKER}" in open("/proc/self/environ", "rb").read()
        print(json.dumps([os.getsid(0) == os.getpid(), marked]))
    """
    process = fork(script, environ={"VCP_WORKER": MARKER})
    assert process.wait(10) == 0
    assert printed() == [True, True]


def test_it_has_no_descriptors_but_its_own(fork: Fork, printed: Callable[[], Any]) -> None:
    read_end, write_end = os.pipe()
    with Path(os.devnull).open() as empty:
        descriptors = (empty.fileno(), write_end, write_end, write_end)
        script = """
            import json, os, sys
            names = os.listdir("/proc/self/fd")
            # The listing had one of its own.
            found = sorted(int(name) for name in names if os.path.exists("/proc/self/fd/" + name))
            handed = int(sys.argv[1])
            os.write(handed, json.dumps([found, handed]).encode())
        """
        process = fork(script, descriptors=descriptors)
    os.close(write_end)
    assert process.wait(10) == 0
    with os.fdopen(read_end) as stream:
        found, handed = json.load(stream)
    assert found == [0, 1, 2, handed]


def test_two_processes_draw_other_numbers(fork: Fork, tmp_path: Path) -> None:
    script = "import random; print(random.random())"
    for process in (fork(script), fork(script)):
        assert process.wait(10) == 0
    first, second = (tmp_path / "output").read_text().split()
    assert first != second


def test_two_roles_hash_differently(fork: Fork, tmp_path: Path) -> None:
    script = "print(hash('gene'))"
    for process in (fork(script, "one"), fork(script, "other")):
        assert process.wait(10) == 0
    first, second = (tmp_path / "output").read_text().split()
    assert first != second


@pytest.mark.parametrize(
    ("script", "status"),
    [
        ("import sys; sys.exit(3)", 3),
        ("raise ValueError('told')", 1),
        ("import os; os._exit(7)", 7),
        ("import os; os.kill(os.getpid(), 9)", -9),
        ("import atexit, os; atexit.register(print, 'at the end')", 0),
    ],
)
def test_it_ends_as_a_started_one_does(
    fork: Fork, script: str, status: int, tmp_path: Path
) -> None:
    assert fork(script).wait(10) == status
    output = (tmp_path / "output").read_text()
    assert ("at the end" in output) == ("atexit" in script)
    assert ("ValueError: told" in output) == ("told" in script)


def test_its_number_stays_taken_until_it_is_reaped(fork: Fork) -> None:
    process = fork("pass")
    deadline = time.monotonic() + 10
    while not process.has_ended() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert process.returncode is None
    os.kill(process.pid, 0)
    assert process.wait(1) == 0
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)


def test_waiting_has_a_limit(fork: Fork) -> None:
    process = fork("import time; time.sleep(60)")
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.1)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait(10) == -9


def test_the_servers_end_with_the_process_that_made_the_pool(tmp_path: Path) -> None:
    script = """
        import os, shutil, sys
        from pathlib import Path
        from pytest_vcp.worker.template import Program
        from tests.warm.pool import Pool
        pool = Pool.create({})
        empty = os.open(os.devnull, os.O_RDWR)
        place = Path(sys.argv[1], "script.py")
        place.write_text("import time; time.sleep(60)")
        program = Program(place, (), {}, place.parent, True, (empty, empty, empty))
        process = pool.fork("test", [sys.executable, "-I"], (), {}, program)
        (file,) = pool.directory.glob("*.pid")
        print(file.read_text(), process.pid)
        shutil.rmtree(pool.directory)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), str(tmp_path)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    deadline = time.monotonic() + 10
    numbers = [int(word) for word in done.stdout.split()]
    while any(map(_runs, numbers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(_runs, numbers))


def _runs(pid: int) -> bool:
    try:
        stat = Path("/proc", str(pid), "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def test_a_server_that_can_not_be_started_is_told(pool: Pool, tmp_path: Path) -> None:
    command = [sys.executable, "-I", "-c", "raise SystemExit('why it could not')"]
    program = Program(tmp_path / "script.py", (), {}, tmp_path, True, (0, 1, 2))
    with pytest.raises(OSError, match="why it could not"):
        pool.fork("broken", command, (), {}, program)
