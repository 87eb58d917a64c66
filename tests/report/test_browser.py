"""report.html in a real browser: it loads without a complaint, fits narrow screens, leads on."""

from __future__ import annotations

import json
import re
import shutil
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from tests.report.browser import NAMES, find, look, picture, png_size
from tests.report.conftest import Judged

# Looks at the report from a page beside it: the report itself lets no script run.
LOOK = """\
<!doctype html>
<iframe src="report.html" style="width: 360px; height: 700px; border: 0"></iframe>
<pre></pre>
<script>
  onload = () => {
    const page = document.querySelector("iframe").contentDocument;
    const link = page.querySelector('main a[href^="#VCP"]');
    const rule = page.querySelector(link.getAttribute("href"));
    const found = {
      title: page.title,
      width: page.documentElement.scrollWidth,
      hidden: !rule.checkVisibility(),
      unreachable: [...page.querySelectorAll("a, summary, .wide")]
        .filter((element) => element.checkVisibility() && element.tabIndex < 0).length,
    };
    link.click();
    setTimeout(() => {
      found.shown = rule.checkVisibility();
      document.querySelector("pre").textContent = JSON.stringify(found);
    }, 500);
  };
</script>
"""


@pytest.fixture(scope="module")
def browser() -> str:
    found = find()
    if found is None:
        pytest.skip(f"no browser is here: {', '.join(NAMES)}")
    return found


def copied(report: Judged, place: Path) -> Path:
    shutil.copy(report.package / ".vcp" / "report.html", place)
    (place / "look.html").write_text(LOOK, encoding="utf-8")
    return place


def seen(browser: str, place: Path) -> dict[str, Any]:
    done = look(browser, place, "look.html", "--virtual-time-budget=5000", "--dump-dom")
    told = re.search(r"<pre>(.+?)</pre>", done.stdout)
    assert told is not None, done.stderr
    found: dict[str, Any] = json.loads(unescape(told[1]))
    return found


@pytest.mark.parametrize("kind", ["sound", "hostile", "broken", "variants"])
def test_it_loads_fits_and_leads_on(
    request: pytest.FixtureRequest, browser: str, tmp_path: Path, kind: str
) -> None:
    report: Judged = request.getfixturevalue(kind)
    assert report.run.report is not None
    found = seen(browser, copied(report, tmp_path))
    assert found["title"] == f"Model package: {report.run.report['verdict']}"
    assert found["width"] == 360
    assert found["unreachable"] == 0
    # The rule that a link leads to is folded away until then.
    assert (found["hidden"], found["shown"]) == (True, True)


def test_the_console_stays_empty(browser: str, hostile: Judged, tmp_path: Path) -> None:
    done = look(browser, copied(hostile, tmp_path), "report.html", "--dump-dom")
    assert "CONSOLE" not in done.stderr
    assert "<title>Model package: nonconformant</title>" in done.stdout


def test_a_console_that_speaks_is_heard(browser: str, tmp_path: Path) -> None:
    page = "<!doctype html><title>x</title><script>console.error('here')</script>"
    (tmp_path / "loud.html").write_text(page, encoding="utf-8")
    assert "CONSOLE" in look(browser, tmp_path, "loud.html", "--dump-dom").stderr


def test_it_can_be_printed_and_pictured(browser: str, sound: Judged, tmp_path: Path) -> None:
    place = copied(sound, tmp_path)
    look(browser, place, "report.html", f"--print-to-pdf={place / 'report.pdf'}")
    assert (place / "report.pdf").read_bytes().startswith(b"%PDF-")
    light, dark, phone = (place / f"{name}.png" for name in ("light", "dark", "phone"))
    page = place / "report.html"
    picture(browser, page, light, width=800, height=600)
    picture(browser, page, dark, width=800, height=600, dark=True)
    assert png_size(light.read_bytes()) == png_size(dark.read_bytes()) == (800, 600)
    assert light.read_bytes() != dark.read_bytes()
    picture(browser, page, phone, width=400)
    width, height = png_size(phone.read_bytes())
    assert width == 400
    assert height > 2000, "the whole page"
