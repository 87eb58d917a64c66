"""What pip chose, installed by uv: the same files; and pip where uv can't do it."""

from __future__ import annotations

import csv
import hashlib
import os
import subprocess
import threading
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pytest_vcp.environment.uv import DOWNLOADS

from .conftest import Builder, Shelf, digest

# What tells who installed a distribution, and lists these notes.
_NOTES = {"INSTALLER", "RECORD", "REQUESTED", "uv_cache.json"}


@pytest.fixture
def without_uv(monkeypatch: pytest.MonkeyPatch) -> None:
    """A PATH that has no uv."""
    folders = os.environ["PATH"].split(os.pathsep)
    kept = [folder for folder in folders if not Path(folder, "uv").exists()]
    monkeypatch.setenv("PATH", os.pathsep.join(kept))


@pytest.fixture
def broken_uv(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The file in which a uv that always fails keeps what it was asked."""
    asked = tmp_path / "asked"
    program = tmp_path / "bin" / "uv"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$@" >> {asked}\nexit 2\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    return asked


def _everything(shelf: Shelf) -> None:
    """Put a wheel on the shelf with a bit of all that a wheel can hold."""
    path = shelf.wheel("whole", "1.0")
    files = {
        "whole-1.0.dist-info/entry_points.txt": "[console_scripts]\nwhole-run = whole:main\n",
        "whole-1.0.data/scripts/whole-script": "#!python\nprint('a script')\n",
        "whole-1.0.data/data/share/whole.txt": "data\n",
        "whole-1.0.data/purelib/whole_more/__init__.py": "",
    }
    with zipfile.ZipFile(path) as archive:
        old = {name: archive.read(name) for name in archive.namelist()}
    old["whole.py"] = b"def main():\n    print('an entry')\n"
    content = {**old, **{name: text.encode() for name, text in files.items()}}
    del content["whole-1.0.dist-info/RECORD"]
    lines = [f"{name},{digest(data)},{len(data)}" for name, data in content.items()]
    content["whole-1.0.dist-info/RECORD"] = "\n".join(
        [*lines, "whole-1.0.dist-info/RECORD,,", ""]
    ).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in content.items():
            member = zipfile.ZipInfo(name)
            member.external_attr = (0o100755 if "scripts" in name else 0o100644) << 16
            archive.writestr(member, data)


def _recorded(directory: Path) -> dict[str, str]:
    """The files of all distributions with their hashes, as their records have them."""
    found = {}
    for record in directory.glob("lib/python*/site-packages/*.dist-info/RECORD"):
        with record.open(newline="") as stream:
            for name, recorded, _ in csv.reader(stream):
                # Generated for the environment: each installer has its own text for it.
                generated = "/bin/" in name or name.endswith(".pyc")
                if Path(name).name not in _NOTES and not generated:
                    found[name] = recorded
    return found


def test_uv_installs_what_pip_would(
    build: Builder, shelf: Shelf, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    shelf.wheel("upper", "2.0", requires="lower>=1")
    shelf.wheel("lower", "1.5")
    _everything(shelf)
    lock = "upper==2.0\nwhole==1.0\n"
    by_uv = build(lock)
    request.getfixturevalue("without_uv")
    by_pip = Builder(build.package, tmp_path / "another")(lock)
    assert (by_uv.failure, by_pip.failure) == (None, None)
    told = [(found.directory / "pip.log").read_text() for found in (by_uv, by_pip)]
    assert "Would install" in told[0]
    assert "Successfully installed" in told[1]
    assert _recorded(by_uv.directory) == _recorded(by_pip.directory)
    assert [(entry.name, entry.version, entry.requires) for entry in by_uv.installed] == [
        (entry.name, entry.version, entry.requires) for entry in by_pip.installed
    ]
    for found in (by_uv, by_pip):
        assert (found.directory / "share" / "whole.txt").read_text() == "data\n"
        for script, said in (("whole-run", "an entry\n"), ("whole-script", "a script\n")):
            assert subprocess.check_output([found.directory / "bin" / script], text=True) == said


def test_what_pip_refuses_uv_does_not_install(
    build: Builder, shelf: Shelf, broken_uv: Path
) -> None:
    shelf.wheel("upper", "2.0", requires="lower>=2")
    shelf.wheel("lower", "1.5")
    assert build("upper==2.0\nlower==1.5\n").failure is not None
    assert not broken_uv.exists()


def test_what_uv_can_not_install_pip_does(build: Builder, shelf: Shelf, broken_uv: Path) -> None:
    shelf.wheel("lower", "1.5")
    built = build("lower==1.5\n")
    assert "lower" in {entry.name for entry in built.installed}
    assert "pip install" in broken_uv.read_text()


@pytest.mark.parametrize("kind", ["source", "path", "hash"])
def test_what_pip_has_to_read_or_to_build_is_left_to_it(
    build: Builder, shelf: Shelf, broken_uv: Path, kind: str
) -> None:
    wheel = shelf.wheel("lower", "1.5")
    shelf.sdist("built", "1.0")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    lock = {
        "source": "lower==1.5\nbuilt==1.0\n",
        "path": f"{wheel}\n",
        "hash": f"lower==1.5 --hash=sha256:{digest}\n",
    }[kind]
    built = build(lock)
    assert "lower" in {entry.name for entry in built.installed}
    assert not broken_uv.exists()
    assert len(shelf.builders()) == (kind == "source")


def test_the_places_that_the_lock_names_are_searched(
    build: Builder, shelf: Shelf, tmp_path: Path
) -> None:
    wheel = shelf.wheel("lower", "1.5")
    there = build.package / "wheels"
    there.mkdir()
    wheel.rename(there / wheel.name)
    built = build("--find-links ./wheels\nlower==1.5\n")
    assert "lower" in {entry.name for entry in built.installed}
    assert "Would install" in (built.directory / "pip.log").read_text()


@pytest.mark.parametrize("may", [False, True])
def test_what_uv_would_have_to_download_is_left_to_pip(
    build: Builder, shelf: Shelf, monkeypatch: pytest.MonkeyPatch, may: bool
) -> None:
    """Unless it may: then an environment that needs the same is installed out of its cache."""
    shelf.wheel("lower", "1.5")
    monkeypatch.delenv(DOWNLOADS, raising=False)
    handler = partial(SimpleHTTPRequestHandler, directory=str(shelf.folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("PIP_FIND_LINKS", f"http://127.0.0.1:{server.server_port}/")
        if may:
            monkeypatch.setenv(DOWNLOADS, "1")
        built = build("lower==1.5\n")
        server.shutdown()
    assert "lower" in {entry.name for entry in built.installed}
    log = (built.directory / "pip.log").read_text()
    assert ("Would install" in log) is may
    assert ("Successfully installed" in log) is not may
