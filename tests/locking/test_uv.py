"""Where uv is on PATH it resolves, and pip has the last word."""

from __future__ import annotations

import hashlib
import re

import pytest

from pytest_vcp.environment.uv import environ_of
from tests.environment.conftest import Shelf

from .conftest import Package, path_without_uv


def test_both_write_the_same(uv_package: Package, shelf: Shelf) -> None:
    shelf.wheel("upper", "2.0", requires="lower>=2")
    shelf.wheel("lower", "2.5")
    shelf.wheel("lower", "2.6")
    shelf.wheel("here", "1.0")
    uv_package.declare("upper", 'here ; python_version >= "3.0"', "--prefer-binary")
    uv_package.pinned.write_text("lower==2.5\n")
    assert "by uv in" in uv_package.locked()
    by_uv = uv_package.pinned.read_bytes()
    assert uv_package.pins[1:] == [
        'here==1.0 ; python_version >= "3.0"',
        "lower==2.5",
        "upper==2.0",
    ]
    uv_package.environ["PATH"] = path_without_uv()
    assert "by pip-tools in" in uv_package.locked()
    assert uv_package.pinned.read_bytes() == by_uv


def test_an_upper_bound_that_uv_overlooks(uv_package: Package, shelf: Shelf) -> None:
    shelf.wheel("bounded", "2.0", python="<3.5")
    shelf.wheel("bounded", "1.0")
    uv_package.declare("bounded")
    told = uv_package.locked()
    assert uv_package.pins == ["bounded==1.0"]
    assert re.search(r"note +pip refused what uv chose: bounded requires Python <3\.5;", told)
    assert "by pip-tools in" in told


def test_a_conflict_is_told_by_pip(uv_package: Package, shelf: Shelf) -> None:
    shelf.wheel("upper", "2.0", requires="lower>=2")
    shelf.wheel("lower", "1.5")
    shelf.wheel("lower", "2.5")
    uv_package.declare("upper", "lower==1.5")
    run = uv_package.lock()
    assert run.code == 1, run.output
    assert "upper 2.0 depends on lower>=2" in run.output


def test_hashes(uv_package: Package, shelf: Shelf) -> None:
    wheel = shelf.wheel("lower", "2.6")
    uv_package.declare("lower", pinned=f"lower==2.6 --hash=sha256:{'0' * 64}\n")
    assert "by uv in" in uv_package.locked(how="--vcp-lock=upgrade")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    assert f"lower==2.6 \\\n    --hash=sha256:{digest}\n" in uv_package.pinned.read_text()


@pytest.mark.parametrize(
    ("pip", "uv"),
    [
        ({"PIP_INDEX_URL": "https://a/simple"}, {"UV_DEFAULT_INDEX": "https://a/simple"}),
        ({"PIP_EXTRA_INDEX_URL": "https://a  https://b"}, {"UV_INDEX": "https://a https://b"}),
        ({"PIP_FIND_LINKS": "/a /b"}, {"UV_FIND_LINKS": "/a,/b"}),
        ({"PIP_CERT": "/ca.pem"}, {"SSL_CERT_FILE": "/ca.pem"}),
        ({"UV_PRERELEASE": "allow", "UV_CACHE_DIR": "/c"}, {"UV_CACHE_DIR": "/c"}),
    ],
)
def test_the_places_of_pip_are_those_of_uv(pip: dict[str, str], uv: dict[str, str]) -> None:
    assert environ_of({"HOME": "/home/me", **pip}) == {"HOME": "/home/me", **uv}
