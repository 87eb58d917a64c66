"""The page on locking: its commands work, and its codes and its example are the plugin's."""

from __future__ import annotations

import re

import pytest

from pytest_vcp.report.outcomes import ERROR_EXIT, NONCONFORMANT_EXIT
from tests.docs.pages import DOCS, commands
from tests.environment.conftest import Shelf

from .conftest import Package, prepare_resolver

PAGE = DOCS / "how-to" / "lock.md"


@pytest.fixture(scope="module")
def resolvers() -> None:
    for words in commands(PAGE):
        if "--vcp-python" in words:
            prepare_resolver(words[words.index("--vcp-python") + 1])


@pytest.mark.parametrize("words", commands(PAGE), ids=" ".join)
def test_a_command(resolvers: None, package: Package, shelf: Shelf, words: list[str]) -> None:
    shelf.wheel("lower", "1.5")
    package.declare("lower")
    assert words[0] == "pytest"
    package.locked(*words[2:], how=words[1])
    assert package.pins == ["lower==1.5"]


def test_the_exit_codes() -> None:
    rows = re.findall(r"^\| (\d+) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert [int(row) for row in rows] == [
        0,
        NONCONFORMANT_EXIT,
        pytest.ExitCode.USAGE_ERROR,
        ERROR_EXIT,
    ]


def test_the_example(package: Package, shelf: Shelf) -> None:
    text = PAGE.read_text(encoding="utf-8")
    example = re.search(r"```\n(requirements\.in can't be .*?)```", text, re.DOTALL)
    assert example is not None
    shelf.wheel("anndata", "0.11.4", requires="numpy>=1.23")
    shelf.wheel("numpy", "1.21.0")
    shelf.wheel("numpy", "2.2.6")
    package.declare("anndata==0.11.4", "numpy==1.21.0")
    told = re.sub(r"Python 3\.\d+", "Python 3.11", package.lock().output)
    assert example[1] in told
