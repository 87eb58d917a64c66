"""Locks that pip refuses, and networks that do not answer: the first is the package's fault."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from pytest_vcp.rules.outcomes import ToolError

from .conftest import Builder, Shelf


def test_pins_that_contradict_each_other(build: Builder, shelf: Shelf) -> None:
    shelf.wheel("upper", "2.0", requires="lower>=2")
    shelf.wheel("lower", "1.5")
    shelf.wheel("lower", "2.5")
    built = build("upper==2.0\nlower==1.5\n")
    assert built.failure is not None
    assert (built.failure.kind, built.failure.rule) == ("resolver", "VCP208")
    assert "upper 2.0 depends on lower>=2" in built.failure.detail
    assert "The user requested lower==1.5" in built.failure.detail
    assert "ResolutionImpossible" in built.failure.log.read_text()
    assert build.folders() == []


def test_a_version_that_is_not_there(build: Builder, shelf: Shelf) -> None:
    shelf.wheel("lower", "1.5")
    built = build("lower==9.9\n")
    assert built.failure is not None
    assert (built.failure.kind, built.failure.rule) == ("unavailable", "VCP208")
    assert "lower==9.9" in built.failure.headline


def test_a_version_for_another_python(build: Builder, shelf: Shelf) -> None:
    shelf.wheel("lower", "1.5", python="<3.5")
    built = build("lower==1.5\n")
    assert built.failure is not None
    assert (built.failure.kind, built.failure.rule) == ("python", "VCP207")


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        ("import a_compiler", "No module named 'a_compiler'"),
        ("os._exit(3)", "exit code: 3"),
    ],
)
def test_an_sdist_that_does_not_build(
    build: Builder, shelf: Shelf, failure: str, words: str
) -> None:
    shelf.sdist("stubborn", "1.0", failure=failure)
    built = build("stubborn==1.0\n")
    assert built.failure is not None
    assert (built.failure.kind, built.failure.rule) == ("build", "VCP302")
    assert "stubborn" in built.failure.headline
    assert not built.failure.resolved
    assert words in built.failure.log.read_text()


def test_a_failure_is_not_remembered(build: Builder, shelf: Shelf) -> None:
    assert build("lower==1.5\n").failure is not None
    shelf.wheel("lower", "1.5")
    assert build("lower==1.5\n").failure is None


def test_a_wrong_hash_is_the_locks_fault(build: Builder, shelf: Shelf) -> None:
    shelf.wheel("lower", "1.5")
    built = build(f"lower==1.5 --hash=sha256:{'0' * 64}\n")
    assert built.failure is not None
    assert built.failure.kind == "build"


# ------------------------------------------------------------------------------------- the network


@contextmanager
def index(status: int) -> Iterator[str]:
    """A package index that answers every question with one HTTP status."""

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b"<html></html>"
            self.send_response(status)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/simple"
        server.shutdown()


@pytest.mark.parametrize(("retries", "shelves"), [("0", True), ("1", False)])
def test_an_index_out_of_reach_is_an_error(
    build: Builder, shelf: Shelf, monkeypatch: pytest.MonkeyPatch, retries: str, shelves: bool
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", retries)
    monkeypatch.delenv("PIP_NO_INDEX")
    if not shelves:
        monkeypatch.delenv("PIP_FIND_LINKS")
    with pytest.raises(ToolError, match=r"did not answer: 127\.0\.0\.1.*check the connection"):
        build("lower==1.5\n")
    assert build.folders() == []


@pytest.mark.parametrize("status", [403, 503])
def test_an_index_that_refuses_is_an_error(
    build: Builder, shelf: Shelf, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.delenv("PIP_NO_INDEX")
    with index(status) as url:
        monkeypatch.setenv("PIP_INDEX_URL", url)
        with pytest.raises(ToolError, match="did not answer"):
            build("lower==1.5\n")


def test_an_index_that_answers_gives_a_verdict(
    build: Builder, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    with index(404) as url:
        monkeypatch.setenv("PIP_INDEX_URL", url)
        built = build("lower==1.5\n")
    assert built.failure is not None
    assert built.failure.kind == "unavailable"


def test_a_build_requirement_out_of_reach_is_an_error(
    build: Builder, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    (build.package / "tool").mkdir()
    (build.package / "tool" / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["a_backend>=1"]\nbuild-backend = "a_backend"\n'
    )
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.delenv("PIP_NO_INDEX")
    with pytest.raises(ToolError, match="did not answer"):
        build("./tool\n")
