"""A forked worker is like a started one, and one is started wherever it might not be."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_vcp.util import processes
from pytest_vcp.util.progress import Progress
from pytest_vcp.worker.client import Conditions, Worker
from pytest_vcp.worker.launching import Launch, Launched, start
from pytest_vcp.worker.server import template
from pytest_vcp.worker.template import ForkingLauncher

from .conftest import WriteModel

if sys.platform != "linux":
    pytest.skip("processes are forked on Linux only", allow_module_level=True)

LIBRARY = "fractions"
TELLS = """
import json, os, random, sys, tempfile

told = {
    "imported": "LIBRARY" in sys.modules,
    "hash": hash("gene"),
    "random": random.random(),
    "home": os.environ["HOME"],
    "cwd": os.getcwd(),
    "tmp": tempfile.gettempdir(),
    "argv": sys.argv[1:],
    "leads": os.getsid(0) == os.getpid(),
    "descriptors": len(os.listdir("/proc/self/fd")),
}
with open("told.json", "w") as file:
    json.dump(told, file)
""".replace("LIBRARY", LIBRARY)

Launcher = Callable[..., ForkingLauncher]
Tell = Callable[..., dict[str, Any]]


@pytest.fixture
def launcher() -> Iterator[Launcher]:
    """Create launchers, which are closed at the end."""
    made: list[ForkingLauncher] = []

    def create(**changed: Any) -> ForkingLauncher:
        given: dict[str, Any] = {"refusal": None, "separately": None, **changed}
        progress = Progress(sys.stderr, quiet=True)
        names = given.pop("names", (LIBRARY,))
        made.append(ForkingLauncher(given.pop("starter", start), names, progress, **given))
        return made[-1]

    yield create
    for each in made:
        each.close()


@pytest.fixture
def tell(tmp_path: Path, source: Path, write_model: WriteModel) -> Tell:
    """Start a worker by a launcher, and return what it tells of itself, and its log."""
    write_model(TELLS)

    def ask(launcher: ForkingLauncher, name: str = "loader", **changed: Any) -> dict[str, Any]:
        own = tmp_path / f"{name}-{len(list(tmp_path.iterdir()))}"
        conditions = Conditions(
            cwd=own / "cwd", home=own / "home", tmp=own / "tmp", path=(source,), **changed
        )
        log = tmp_path / f"{name}.log"
        with Worker(Path(sys.executable), name, conditions, 20, log, launcher=launcher) as worker:
            worker.call("probe.import_module", {"name": "model"})
            found = processes.leftovers(worker.marker, -1)
            assert [process.pid for process in found] == [worker.pid]
        told = json.loads((own / "cwd" / "told.json").read_text())
        return {**told, "own": own, "log": log.read_text(encoding="utf-8")}

    return ask


def test_a_forked_worker_has_the_imports_and_nothing_else_of_the_template(
    launcher: Launcher, tell: Tell
) -> None:
    forked, started = tell(launcher()), tell(launcher(refusal="of this test"))
    assert (forked["imported"], started["imported"]) == (True, False)
    own = forked["own"]
    assert forked["home"] == str(own / "home")
    assert forked["cwd"] == str(own / "cwd")
    assert forked["tmp"] == str(own / "tmp")
    for same in ("argv", "leads", "descriptors"):
        assert forked[same] == started[same], same


def test_forked_workers_differ_by_chance_but_for_their_hashes(
    launcher: Launcher, tell: Tell
) -> None:
    forking = launcher()
    first, second = tell(forking, "packager"), tell(forking)
    assert first["random"] != second["random"]
    assert first["hash"] == second["hash"]


def test_roles_that_are_separate_share_no_hashes(launcher: Launcher, tell: Tell) -> None:
    forking = launcher(separately="of this test")
    told = [tell(forking, name) for name in ("packager", "loader", "packager", "loader")]
    assert [each["imported"] for each in told] == [False, False, True, True]
    assert len({each["hash"] for each in told}) == 4
    assert "a new interpreter, since of this test" in told[0]["log"]
    assert "a new interpreter" not in told[2]["log"]


@pytest.mark.parametrize(
    ("changed", "environ", "why"),
    [
        ({"refusal": "the package says so"}, {}, "the package says so"),
        ({}, {"OMP_NUM_THREADS": "3"}, "its variables differ: OMP_NUM_THREADS"),
    ],
    ids=["refusal", "variables"],
)
def test_a_worker_is_started_where_forking_could_matter(
    launcher: Launcher, tell: Tell, changed: dict[str, Any], environ: dict[str, str], why: str
) -> None:
    told = tell(launcher(**changed), environ=environ)
    assert not told["imported"]
    assert f"a new interpreter, since {why}" in told["log"]


THREADED = (
    "import threading, time\n"
    "threading.Thread(target=time.sleep, args=(60,), name='busy', daemon=True).start()\n"
)
# What a library does when it is imported, and why the process is not forked then.
LIBRARIES = {
    THREADED: "a library has started a thread: busy",
    "raise ImportError('another ABI')\n": "library can't be imported here: ImportError",
    "import no_such_module\n": "None",
}


@pytest.mark.parametrize(("text", "why"), LIBRARIES.items(), ids=["thread", "ABI", "missing"])
def test_libraries_after_which_a_process_is_not_forked(text: str, why: str, tmp_path: Path) -> None:
    (tmp_path / "library.py").write_text(text, encoding="utf-8")
    script = "import sys, template; print(template.preload(['library']))"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONPATH": os.pathsep.join([str(tmp_path), str(Path(template.__file__).parent)])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == why


def test_a_template_that_was_killed_is_done_without(launcher: Launcher, tell: Tell) -> None:
    made = []

    def starter(launch: Launch) -> Launched:
        made.append(start(launch))
        return made[-1]

    forking = launcher(starter=starter)
    assert tell(forking)["imported"]
    os.kill(made[0].pid, signal.SIGKILL)
    told = tell(forking)
    assert not told["imported"]
    assert "a new interpreter" in told["log"]


def test_nothing_of_a_template_is_left(launcher: Launcher, tell: Tell) -> None:
    made = []

    def starter(launch: Launch) -> Launched:
        made.append((start(launch), launch.cwd))
        return made[-1][0]

    forking = launcher(starter=starter)
    tell(forking)
    forking.close()
    for process, directory in made:
        assert process.returncode == 0
        assert not directory.exists()
