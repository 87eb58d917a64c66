"""Paths of the author's machine, and texts that only look like one."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.mutants import append_text
from pytest_vcp.source.author_paths import author_paths
from tests.static.judging import StaticSettings, WriteModules
from tests.static.written import modules, violation

PATHS_OF_ANYBODY = [
    '"""See /home/mara/models."""',
    "y = 1  # /home/mara/models",
    'def f():\n    "Reads /home/mara/models."',
    'x = "/home"',
    'x = path.startswith(("/home/", "/Users/"))',
    'x = f"/home/{user}/models"',
    'x = "/Users/{name}/models".format(name=user)',
    'x = "/home/$USER/models"',
    'x = re.sub(r"/home/[^/]+/", "~/", path)',
    'x = re.match(r"/Users/(\\w+)/", path)',
    'x = "/home/..."',
    'x = "no weights below /home/mara/models"',
    'x = "https://hub.org/home/mara/models"',
    'x = "~/models"',
    'x = "/tmp/models"',
    'x = "/mnt/data/models"',
    'x = "C:\\\\"',
    'x = r"^[A-Z]:\\\\"',
    'x = r"[a-z]:\\w+"',
    'x = r"n:\\d{2}"',
    'x = r"c:\\d+"',
    'x = "Q:\\nWhat is the cell type?"',
    'x = "s3://models/home/mara/w"',
    'x = "chr1:1000-2000"',
    'x = "T:G"',
    'x = "A:/G"',
    'x = r"C:\\Windows\\Fonts"',
    'x = "C:/Program Files/Java"',
]
PATHS_OF_THE_AUTHOR = {
    'x = "/home/mara/models/w.npz"': "/home/mara/models/w.npz",
    'x = "/Users/mara.lee/w"': "/Users/mara.lee/w",
    'x = "/home/größe/w"': "/home/größe/w",
    'x = os.path.join("/home/mara", "w")': "/home/mara",
    'x = f"/home/mara/{name}.pt"': "/home/mara/",
    'x = "file:///home/mara/w"': "/home/mara/w",
    'x = ["--data=/home/mara/w"]': "/home/mara/w",
    'x = "/mnt/c/Users/mara/w"': "/mnt/c/Users/mara/w",
    'sys.path.append("/home/mara/code")': "/home/mara/code",
    'def f(path="/home/mara/w"): ...': "/home/mara/w",
    'x = r"C:\\Users\\mara\\w.pt"': "C:\\Users\\mara\\w.pt",
    'x = "C:\\\\Users\\\\mara"': "C:\\Users\\mara",
    'x = "D:/models/w.pt"': "D:/models/w.pt",
    'x = r"E:\\data"': "E:\\data",
    'x = "file:///C:/Users/mara/w"': "C:/Users/mara/w",
}


@pytest.mark.parametrize("source", PATHS_OF_ANYBODY)
def test_no_path_of_the_author(source: str, write_modules: WriteModules) -> None:
    assert author_paths(modules(write_modules(m=source))) == ()


@pytest.mark.parametrize(("source", "path"), PATHS_OF_THE_AUTHOR.items())
def test_paths_of_the_author(source: str, path: str, write_modules: WriteModules) -> None:
    assert [found.text for found in author_paths(modules(write_modules(m=source)))] == [path]


def test_the_first_path_is_told(reference: Path) -> None:
    append_text(reference / "model_spec.py", f'\nX = ["/home/mara/{"w" * 200}", "/home/mara"]\n')
    told = violation(StaticSettings(reference), "VCP110")
    assert told.found.endswith("(and 1 more)")
    assert told.where is not None
    assert told.where.path == "model_spec.py"
