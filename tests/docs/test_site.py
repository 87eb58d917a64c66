"""The site builds without a warning; all that is public has its place there, and links lead on."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

import pytest
import yaml

from pytest_vcp.options import OPTIONS
from pytest_vcp.report.outcomes import ERROR_EXIT, NONCONFORMANT_EXIT, UNVERIFIED_EXIT
from pytest_vcp.rules.registry import RULES, Rule
from pytest_vcp.settings.policy import SHIPPED
from tests.docs.pages import DOCS
from tests.levels import level_of
from tests.report.pages import Page
from tests.schema import SCHEMA

# A site that was just built in this way is looked at as it is.
BUILT_VARIABLE = "VCP_TEST_SITE"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the built site."""
    pytest.importorskip("sphinx", reason="Sphinx is not installed: tox -e docs has it")
    if built := os.environ.get(BUILT_VARIABLE):
        return Path(built)
    place = tmp_path_factory.mktemp("site")
    options = ["-n", "-W", "--keep-going", "-q", "-b", "html", "-d", place / "doctrees"]
    command = [sys.executable, "-m", "sphinx", *options, DOCS, place / "html"]
    done = subprocess.run(
        [str(part) for part in command],
        cwd=DOCS.parent,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return place / "html"


@cache
def source(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def text(site: Path, name: str) -> str:
    """What stands on a page, without its tags."""
    bare = re.sub(r"<[^>]+>", "", source(site / name))
    return bare.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", '"')


def article(site: Path, name: str) -> Page:
    """The elements of a page, without what surrounds it."""
    found = re.search(r"<article.*</article>", source(site / name), re.DOTALL)
    assert found is not None
    return Page(found[0])


def ids(path: Path) -> set[str]:
    return set(re.findall(r' id="([^"]+)"', source(path)))


def links(path: Path) -> list[str]:
    """Where the links of a page lead, those to other hosts left out."""
    found = re.findall(r'<a [^>]*?href="([^"]+)"', source(path))
    return [link for link in found if not urlsplit(link).scheme]


def test_every_option_is_told(site: Path) -> None:
    from docs._ext.options import declared

    there = ids(site / "reference" / "options.html")
    found = declared()
    assert {f"cmdoption-{flag.removeprefix('--')}" for flag in found.options} <= there
    told = text(site, "reference/options.html")
    for option in OPTIONS:
        assert option.key in told
        meaning = re.sub(r" ?\(default:? [^()]+\)", "", option.help)
        assert meaning[1:] in told, option.flag


def test_every_public_fixture_is_told(site: Path) -> None:
    from docs._ext.fixtures import classes, public
    from tests.docs.test_names import FIXTURES

    there = ids(site / "reference" / "fixtures.html")
    found = public()
    assert {fixture.name for fixture in found} == FIXTURES <= there
    for entry in classes([fixture.gives for fixture in found]):
        name = f"{entry.__module__}.{entry.__qualname__}"
        assert name in there
        shown = [field.name for field in fields(entry)] if is_dataclass(entry) else []
        assert {f"{name}.{field}" for field in shown if not field.startswith("_")} <= there


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_every_rule_is_told(site: Path, rule: Rule) -> None:
    table = source(site / "reference" / "rules.html")
    assert f'href="../rules/{rule.id}.html"' in table
    told = text(site, f"rules/{rule.id}.html")
    assert rule.title in told
    line = re.search(r"^(Required|Advice).*Judged .*, in the stage (\w+)\.$", told, re.MULTILINE)
    assert line is not None
    assert (line[1].lower(), line[2]) == (level_of(rule.id), rule.stage)


def test_every_key_of_the_policy_is_told(site: Path) -> None:
    shipped = SHIPPED.read_text(encoding="utf-8")
    titles = [title.text for title in article(site, "reference/policy.html").all("h2")]
    assert re.findall(r"\w+", " ".join(titles)) == list(yaml.safe_load(shipped))
    told = text(site, "reference/policy.html")
    for line in shipped.splitlines():
        assert line in told or line.startswith("#"), line


def test_every_field_of_the_report_is_told(site: Path) -> None:
    told = text(site, "reference/schema.html")
    for entry in (SCHEMA, *SCHEMA["$defs"].values()):
        assert entry["description"] in told
        for name, field in entry.get("properties", {}).items():
            assert name in told
            assert field["description"] in told


def test_every_exit_code_is_told(site: Path) -> None:
    page = article(site, "reference/exit-codes.html")
    rows = page.within(page.all("tbody")[0], "tr")
    firsts = [page.within(row, "td")[0].text for row in rows]
    codes = re.findall(r"\d+", " ".join(firsts))
    of_pytest = (
        pytest.ExitCode.OK,
        pytest.ExitCode.INTERRUPTED,
        pytest.ExitCode.INTERNAL_ERROR,
        pytest.ExitCode.USAGE_ERROR,
        pytest.ExitCode.NO_TESTS_COLLECTED,
    )
    own = {NONCONFORMANT_EXIT, ERROR_EXIT, UNVERIFIED_EXIT}
    assert {int(code) for code in codes} == {*map(int, of_pytest), *own}


def test_no_link_is_dead_and_no_page_an_orphan(site: Path) -> None:
    pages = {path for path in site.rglob("*.html") if "_static" not in path.parts}
    # The search is behind a field on every page, which is no link.
    reached, dead, pending = {site / "search.html"}, set(), [site / "index.html"]
    while pending:
        page = pending.pop()
        if page in reached:
            continue
        reached.add(page)
        for link in links(page):
            target, anchor = urldefrag(link)
            to = Path(os.path.normpath(page.parent / unquote(target))) if target else page
            if not to.is_file() or (anchor and to.suffix == ".html" and anchor not in ids(to)):
                dead.add((page.relative_to(site).as_posix(), link))
            elif to.suffix == ".html":
                pending.append(to)
    assert dead == set()
    assert {path.relative_to(site).as_posix() for path in pages - reached} == set()


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        loaded = re.findall(r'<(?:script|img|iframe)[^>]* src="([^"]+)"', source(page))
        loaded += re.findall(r'<link [^>]*href="([^"]+)"', source(page))
        assert [link for link in loaded if urlsplit(link).netloc] == [], page
    for sheet in site.rglob("*.css"):
        text = sheet.read_text(encoding="utf-8")
        assert re.findall(r"url\(['\"]?(?:https?:)?//|@import", text) == [], sheet
