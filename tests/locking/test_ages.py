"""A new pin that goes back years for one that is kept: told, with the way out."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone

import pytest
from packaging.version import Version

from pytest_vcp.locking.ages import find_outdated
from tests.environment.conftest import Shelf

from .conftest import Package


@dataclass
class Index:
    """An index on this machine with what lies on a shelf; `days` are when it came there."""

    url: str
    days: dict[str, str] = field(default_factory=dict)


@pytest.fixture
def index(shelf: Shelf, package: Package) -> Iterator[Index]:
    found = Index("")

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            folder, _, name = self.path.strip("/").rpartition("/")
            if folder == "files":
                return self._send("application/octet-stream", (shelf.folder / name).read_bytes())
            files = [
                {
                    "filename": path.name,
                    "url": f"{found.url.removesuffix('simple')}files/{path.name}",
                    "hashes": {},
                    **({"upload-time": found.days[path.stem]} if path.stem in found.days else {}),
                }
                for path in sorted(shelf.folder.glob(f"{name}-*"))
            ]
            page = {"meta": {"api-version": "1.1"}, "name": name, "files": files}
            return self._send("application/vnd.pypi.simple.v1+json", json.dumps(page).encode())

        def _send(self, kind: str, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        found.url = f"http://127.0.0.1:{server.server_port}/simple"
        package.environ |= {"PIP_INDEX_URL": found.url, "PIP_NO_INDEX": "0", "PIP_FIND_LINKS": ""}
        yield found
        server.shutdown()
        thread.join()


@pytest.fixture
def held_back(index: Index, shelf: Shelf) -> Index:
    """A shelf where an old `upper` needs an old `lower`."""
    shelf.wheel("upper", "1.0", requires="lower<2")
    shelf.wheel("lower", "1.0")
    shelf.wheel("upper", "2.0", requires="lower")
    shelf.wheel("lower", "2.0")
    index.days |= {
        "lower-1.0-py3-none-any": "2019-12-01T00:00:00.000000Z",
        "lower-2.0-py3-none-any": "2026-03-01T00:00:00.000000Z",
    }
    return index


def test_it_is_told(held_back: Index, package: Package) -> None:
    package.declare("upper", "lower", pinned="upper==1.0\n")
    told = package.locked()
    assert package.pins == ["lower==1.0", "upper==1.0"]
    assert (
        "  behind   lower 1.0 is of December 2019, and 2.0 of March 2026: "
        "existing pins were kept; --vcp-lock=upgrade keeps none\n"
    ) in told


def test_upgrade_is_the_way_out(held_back: Index, package: Package) -> None:
    package.declare("upper", "lower", pinned="upper==1.0\n")
    assert "behind" not in package.locked(how="--vcp-lock=upgrade")
    assert package.pins == ["lower==2.0", "upper==2.0"]


def test_what_the_author_asks_for_is_no_matter_of_kept_pins(
    held_back: Index, package: Package
) -> None:
    package.declare("lower==1.0")
    assert "behind" not in package.locked()


@pytest.mark.parametrize("days", [{}, {"lower-1.0-py3-none-any": "2025-06-01T00:00:00Z"}])
def test_an_index_that_does_not_tell_or_has_nothing_newer(
    held_back: Index, package: Package, days: Mapping[str, str]
) -> None:
    held_back.days = {**held_back.days, **days} if days else {}
    package.declare("upper", "lower", pinned="upper==1.0\n")
    assert "behind" not in package.locked()


def test_an_index_out_of_reach_tells_nothing() -> None:
    environ = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple"}
    assert find_outdated([("lower", "1.0")], [], environ) == ()
    assert find_outdated([("lower", "1.0")], ["--index-url file:///shelf"], {}) == ()


def test_the_index_of_the_file_is_asked(held_back: Index) -> None:
    (found,) = find_outdated([("lower", "1.0")], [f"--index-url {held_back.url}"], {})
    assert Version(found.newest) == Version("2.0")
    assert found.released == datetime(2019, 12, 1, tzinfo=timezone.utc)
