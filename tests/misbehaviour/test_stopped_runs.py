"""Runs that are stopped from outside, with Ctrl-C or by the system, in the middle of a step."""

from __future__ import annotations

import io
import signal
import tarfile
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from tests.misbehaviour.test_misbehaviour import CONSTRUCTOR, IMPORT, LOAD, PREDICT, Part
from tests.place import Place, Started

SLEEP = "__import__('time').sleep(600)"
# A child of the model goes down with it.
SLEEP_WITH_A_CHILD = f"__import__('subprocess').Popen(['sleep', '600'])\n{SLEEP}"
# What the run says while it waits for each part.
STEPS = (
    (IMPORT, "vcp: importing model_code"),
    (CONSTRUCTOR, "vcp: packaging the model"),
    (LOAD, "vcp: loading the artifact"),
    # One process predicts, another validates: the run waits for the second one first.
    (PREDICT, "vcp: validating the serving example"),
)

NAME = "vcp-slow-to-build"
BACKEND = """
import time

def get_requires_for_build_wheel(config_settings=None):
    time.sleep(600)
"""


def pin_what_never_builds(package: Path) -> dict[str, str]:
    """Put an sdist whose build never ends first in the lock; returns what pip needs to find it."""
    files = {
        "PKG-INFO": f"Metadata-Version: 2.1\nName: {NAME}\nVersion: 1.0\n",
        "pyproject.toml": (
            '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        ),
        "backend.py": BACKEND,
    }
    folder = package / ".sdists"
    folder.mkdir()
    stem = f"{NAME.replace('-', '_')}-1.0"
    with tarfile.open(folder / f"{stem}.tar.gz", "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"{stem}/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content.encode()))
    lock = package / "requirements.txt"
    lock.write_text(f"{NAME}==1.0\n{lock.read_text(encoding='utf-8')}", encoding="utf-8")
    return {"PIP_FIND_LINKS": str(folder)}


INTERRUPT, TERMINATE, KILL = signal.SIGINT, signal.SIGTERM, signal.SIGKILL


def in_steps(number: signal.Signals, *parts: Part) -> list[ParameterSet]:
    """The signal in each of these parts of the model, with what the run says there."""
    return [
        pytest.param(part, announced, number, id=f"{number.name} in {part.name}")
        for part, announced in STEPS
        if part in parts
    ]


def assert_ended_in_order(place: Place, started: Started, code: int) -> None:
    """The run has told so and has left nothing: the artifact of the earlier run stands alone."""
    assert code == pytest.ExitCode.INTERRUPTED, started.output
    assert "Traceback" not in started.output
    assert "the previous one is as it was" in started.output
    place.assert_nothing_left()
    place.assert_nothing_staged()
    place.assert_old_artifact()


def assert_killed(place: Place, code: int) -> None:
    """There was nobody to clean up; even so no process goes on, and the old artifact stands."""
    assert code == -KILL
    place.wait_for_processes_to_end()
    assert place.processes() == []
    place.assert_old_artifact()


@pytest.mark.parametrize(
    ("part", "announced", "number"),
    [
        *in_steps(INTERRUPT, IMPORT, CONSTRUCTOR, LOAD, PREDICT),
        *in_steps(TERMINATE, CONSTRUCTOR, PREDICT),
        *in_steps(KILL, CONSTRUCTOR, PREDICT),
    ],
)
def test_stopped_in_the_model(
    place: Place, part: Part, announced: str, number: signal.Signals
) -> None:
    part.spoilt(SLEEP_WITH_A_CHILD)(place.package)
    with place.running() as started:
        started.wait_for(announced)
        assert len(place.processes()) > 2, "what is to be gone afterwards"
        code = started.stop(number)
    if number == KILL:
        assert_killed(place, code)
    else:
        assert_ended_in_order(place, started, code)


@pytest.mark.parametrize("number", [INTERRUPT, TERMINATE, KILL], ids=lambda number: number.name)
def test_stopped_while_the_environment_is_built(place: Place, number: signal.Signals) -> None:
    environ = pin_what_never_builds(place.package)
    cache = place.root / "cache"
    with place.running(f"--vcp-cache-dir={cache}", env=environ) as started:
        started.wait_for("vcp: reading vcp_slow_to_build")
        assert len(place.processes()) > 2, "what is to be gone afterwards"
        code = started.stop(number)
    if number == KILL:
        assert_killed(place, code)
    else:
        assert_ended_in_order(place, started, code)
        assert list(cache.glob("environments/*/*")) == []
