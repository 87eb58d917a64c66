"""The byte-code of what a run imports: written once, by a worker that may write nowhere else."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from pytest_vcp.environment.build import create_virtualenv
from pytest_vcp.environment.interpreters import find_running
from pytest_vcp.worker.byte_code import write_byte_code

_MODULES = {
    "wanted.py": "import below.inner\n",
    "below/__init__.py": "",
    "below/inner.py": "",
    "below/other.py": "",
    "broken.py": "raise RuntimeError\n",
    "crashing.py": "import os; os.abort()\n",
    "writing.py": "open({place!r}, 'w')\n",
    "calling.py": "import socket; socket.create_connection(('127.0.0.1', 9), 1)\n",
}


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """The site-packages of an environment that has these modules."""
    create_virtualenv(tmp_path / "env", find_running(), lambda text: None)
    (site,) = (tmp_path / "env").glob("lib/python*/site-packages")
    for name, text in _MODULES.items():
        (site / name).parent.mkdir(exist_ok=True)
        (site / name).write_text(text.format(place=str(tmp_path / "written")))
    return site


def _write(site: Path, *modules: str) -> set[str]:
    """The modules that have byte-code after these were asked for."""
    directory = site.parents[2]
    write_byte_code(directory, directory / "bin" / "python", modules, lambda text: None)
    found = (path.relative_to(site) for path in site.rglob("*.pyc"))
    return {path.name.partition(".")[0] for path in found if path.parts[0] != "pip"}


def test_what_is_imported_is_compiled_and_nothing_else(site: Path) -> None:
    assert _write(site, "wanted") == {"wanted", "__init__", "inner"}


@pytest.mark.parametrize("bad", ["broken", "absent", "crashing"])
def test_what_can_not_be_imported_is_no_matter(site: Path, bad: str) -> None:
    assert _write(site, "below.inner", bad) >= {"__init__", "inner"}


def test_it_is_done_once(site: Path) -> None:
    _write(site, "wanted")
    for path in list(site.rglob("*.pyc")):
        path.unlink()
    assert _write(site, "wanted") == set()
    assert _write(site, "below.other", "wanted") == {"__init__", "other"}
    (record,) = site.parents[2].glob("byte-code.json*")
    assert json.loads(record.read_text()) == ["below.other", "wanted"]


def test_nothing_else_is_written_and_nothing_called(site: Path, tmp_path: Path) -> None:
    before = set(os.listdir(tmp_path))
    _write(site, "writing", "calling")
    assert set(os.listdir(tmp_path)) == before
