"""Locks judged for a Python on which nothing is installed: by wheels, index and metadata."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_vcp.environment.build import Environment
from pytest_vcp.environment.other_pythons import OtherPython, judge_other_python
from pytest_vcp.environment.pip_messages import Refused
from pytest_vcp.environment.resolution import find_unmet, pins_by_name
from pytest_vcp.requirements.lock import Lock, read_lock
from pytest_vcp.rules.outcomes import ToolError

from .conftest import Builder, Shelf

# No Python of this machine, and none of the markers below depends on the running one.
OTHER = "3.20"
HERE = f"cp3{sys.version_info[1]}"
THERE = f'python_version == "{OTHER}"'


@dataclasses.dataclass
class DeviceRunner:
    """Builds a lock here, and judges it for the other Python."""

    build: Builder
    progress: Callable[[str], None] = lambda _: None

    def environment(self, text: str) -> tuple[Environment, Lock]:
        built = self.build(text)
        assert built.failure is None
        return built, read_lock(self.build.package)

    def judge(self, built: Environment, lock: Lock, python: str = OTHER) -> OtherPython:
        place, cache = self.build.package, self.build.cache
        return judge_other_python(python, built, lock, place, cache, self.progress)

    def __call__(self, text: str) -> OtherPython:
        return self.judge(*self.environment(text))


@pytest.fixture
def elsewhere(build: Builder) -> DeviceRunner:
    return DeviceRunner(build)


def lacking(other: OtherPython, lock: Lock) -> list[tuple[str, str]]:
    """Who needs what on the other Python, and no pin is there for it."""
    found = find_unmet(pins_by_name(lock, other.environment), other.environment)
    return [(name, str(requirement)) for name, requirement in found]


def test_pins_that_serve_both(elsewhere: DeviceRunner, shelf: Shelf) -> None:
    shelf.wheel("plain", "1.0", python=">=3.10")
    other = elsewhere("plain==1.0\n")
    assert (other.refused, other.missing, other.unjudged) == (None, None, ())
    (plain,) = other.environment.installed
    assert (plain.name, plain.version, plain.requires_python) == ("plain", "1.0", ">=3.10")


def test_a_pin_with_an_upper_bound(elsewhere: DeviceRunner, shelf: Shelf) -> None:
    shelf.wheel("plain", "1.0")
    shelf.wheel("bounded", "1.0", python="<3.20,>=3.8")
    other = elsewhere("plain==1.0\nbounded==1.0\n")
    assert other.refused == Refused("bounded", "<3.20,>=3.8")


def test_the_latest_release_of_that_python_counts(elsewhere: DeviceRunner, shelf: Shelf) -> None:
    shelf.wheel("careful", "1.0", python=">=3.10,!=3.20.0")
    assert elsewhere("careful==1.0\n").refused is None


def test_a_line_counts_where_its_marker_holds(elsewhere: DeviceRunner, shelf: Shelf) -> None:
    shelf.wheel("bounded", "1.0", python="<3.20")
    shelf.wheel("bounded", "2.0", python=">=3.20")
    shelf.wheel("plain", "1.0")
    text = f'plain==1.0\nbounded==1.0 ; python_version < "{OTHER}"\nbounded==2.0 ; {THERE}\n'
    other = elsewhere(text)
    assert other.refused is None
    assert [entry.version for entry in other.environment.installed] == ["1.0", "2.0"]


def test_needs_count_where_their_markers_hold(elsewhere: DeviceRunner, shelf: Shelf) -> None:
    """pip itself evaluates them for the Python that it runs on."""
    shelf.wheel("backport", "1.0", python="<3.20")
    shelf.wheel("upper", "1.0", requires='backport; python_version < "3.20"')
    built, lock = elsewhere.environment(f'upper==1.0\nbackport==1.0 ; python_version < "{OTHER}"\n')
    other = elsewhere.judge(built, lock)
    assert other.refused is None
    assert lacking(other, lock) == []


def test_what_is_needed_there_alone(elsewhere: DeviceRunner, shelf: Shelf) -> None:
    shelf.wheel("upper", "1.0", requires=f"novelty>=1; {THERE}")
    built, lock = elsewhere.environment("upper==1.0\n")
    other = elsewhere.judge(built, lock)
    assert lacking(other, lock) == [("upper", f"novelty>=1; {THERE}")]


def test_a_pin_that_does_not_do_there(elsewhere: DeviceRunner, shelf: Shelf) -> None:
    shelf.wheel("upper", "1.0", requires=f"lower>=2; {THERE}")
    shelf.wheel("lower", "1.5")
    built, lock = elsewhere.environment("upper==1.0\nlower==1.5\n")
    other = elsewhere.judge(built, lock)
    assert lacking(other, lock) == [("upper", f"lower>=2; {THERE}")]


def test_a_release_without_a_file_for_it(elsewhere: DeviceRunner, shelf: Shelf) -> None:
    shelf.wheel("compiled", "1.0", tag=HERE)
    shelf.wheel("compiled", "2.0")
    assert elsewhere("compiled==1.0\n").missing == "compiled"


def test_a_source_archive_is_judged_by_its_copy(elsewhere: DeviceRunner, shelf: Shelf) -> None:
    shelf.wheel("plain", "1.0")
    shelf.sdist("sources", "1.0")
    built, lock = elsewhere.environment("sources==1.0\nplain==1.0\n")
    builds = len(shelf.builders())
    other = elsewhere.judge(built, lock)
    assert (other.refused, other.missing, other.unjudged) == (None, None, ())
    assert {entry.name for entry in other.environment.installed} == {"sources", "plain"}
    # The same with a copy that says otherwise.
    (copy,) = (entry for entry in built.installed if entry.name == "sources")
    bounded = dataclasses.replace(copy, requires_python="<3.20")
    altered = dataclasses.replace(built, installed=(bounded,), directory=elsewhere.build.package)
    assert elsewhere.judge(altered, lock).refused == Refused("sources", "<3.20")
    assert len(shelf.builders()) == builds, "a source archive was built to be judged"


def test_a_source_archive_for_it_alone_is_not_judged(elsewhere: DeviceRunner, shelf: Shelf) -> None:
    shelf.wheel("plain", "1.0")
    shelf.sdist("sources", "1.0")
    other = elsewhere(f"plain==1.0\nsources==1.0 ; {THERE}\n")
    assert other.unjudged == (f"sources==1.0 ; {THERE}",)
    assert shelf.builders() == []


@pytest.mark.parametrize("python", ["<3.20", ">=3.10"])
def test_what_an_index_says_of_a_source_archive(
    elsewhere: DeviceRunner, shelf: Shelf, monkeypatch: pytest.MonkeyPatch, python: str
) -> None:
    shelf.wheel("plain", "1.0")
    shelf.sdist("sources", "1.0")
    page = shelf.folder / "sources" / "index.html"
    page.parent.mkdir()
    page.write_text(
        '<html><body><a href="../sources-1.0.tar.gz" '
        f'data-requires-python="{python.replace("<", "&lt;").replace(">", "&gt;")}">'
        "sources-1.0.tar.gz</a></body></html>"
    )
    built, lock = elsewhere.environment(f"plain==1.0\nsources==1.0 ; {THERE}\n")
    (shelf.folder / "plain").mkdir()
    wheel = (shelf.folder / "plain-1.0-py3-none-any.whl").name
    (shelf.folder / "plain" / "index.html").write_text(f'<a href="../{wheel}">{wheel}</a>')
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", shelf.folder.as_uri())
    other = elsewhere.judge(built, lock)
    assert other.refused == (Refused("sources", "<3.20") if python == "<3.20" else None)
    assert (other.missing, other.unjudged) == (None, ())


def test_the_places_that_the_lock_names(
    elsewhere: DeviceRunner, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.wheel("plain", "1.0")
    shelf.folder.rename(elsewhere.build.package / "wheels")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("SHELF", "wheels")
    other = elsewhere("--find-links=${SHELF}\nplain==1.0\n")
    assert [entry.name for entry in other.environment.installed] == ["plain"]


def test_an_answer_is_kept_and_a_refusal_is_not(elsewhere: DeviceRunner, shelf: Shelf) -> None:
    shelf.wheel("plain", "1.0")
    bounded = shelf.wheel("bounded", "1.0", python="<3.21")
    built, lock = elsewhere.environment("plain==1.0\nbounded==1.0\n")
    first = elsewhere.judge(built, lock)
    assert elsewhere.judge(built, lock, "3.21").refused == Refused("bounded", "<3.21")
    bounded.unlink()
    assert elsewhere.judge(built, lock) == first
    assert elsewhere.judge(built, lock, "3.21").missing == "bounded"
    kept = sorted(path.name for path in built.directory.glob("python-*"))
    assert kept == [f"python-{OTHER}.json"]


def test_a_record_of_another_lock_is_not_used(elsewhere: DeviceRunner, shelf: Shelf) -> None:
    shelf.wheel("plain", "1.0")
    built, lock = elsewhere.environment("plain==1.0\n")
    elsewhere.judge(built, lock)
    record = built.directory / f"python-{OTHER}.json"
    for spoilt in ("", "[]", record.read_text().replace("plain==1.0", "plain==2.0")):
        record.write_text(spoilt)
        other = elsewhere.judge(built, lock)
        assert [entry.version for entry in other.environment.installed] == ["1.0"]


@pytest.mark.parametrize("found", ["wheel", "nothing"])
def test_an_index_out_of_reach_says_nothing(
    elsewhere: DeviceRunner, shelf: Shelf, monkeypatch: pytest.MonkeyPatch, found: str
) -> None:
    shelf.wheel("plain", "1.0", tag="py3" if found == "wheel" else HERE)
    built, lock = elsewhere.environment("plain==1.0\n")
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    if found == "wheel":
        monkeypatch.delenv("PIP_FIND_LINKS")
    with pytest.raises(ToolError, match=r"did not answer: 127\.0\.0\.1 .*Python 3\.20"):
        elsewhere.judge(built, lock)
    assert list(built.directory.glob("python-*")) == []


def test_nothing_is_left_behind(
    elsewhere: DeviceRunner, shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.wheel("plain", "1.0")
    built, lock = elsewhere.environment("plain==1.0\n")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))

    def interrupted(text: str) -> None:
        raise KeyboardInterrupt

    elsewhere.progress = interrupted
    with pytest.raises(KeyboardInterrupt):
        elsewhere.judge(built, lock)
    assert list(scratch.iterdir()) == []
    assert list(built.directory.glob("python-*")) == []
    assert [path.name for path in elsewhere.build.package.iterdir()] == ["requirements.txt"]
