"""The colours of report.html, light and dark: whatever is text can be read."""

from __future__ import annotations

import re

import pytest

from pytest_vcp.report import html
from tests.report.conftest import Judged

STYLE = (html.HERE / "report.css").read_text(encoding="utf-8")
TEXTS = ("text", "faint", "link", "good", "bad", "mind", "open")
# WCAG 2.2, level AA: text, and what is no text.
READABLE, VISIBLE = 4.5, 3.0


def schemes() -> dict[str, dict[str, str]]:
    """The variables of each scheme, by name."""
    light, dark = re.findall(r":root \{(.+?)\}", STYLE, re.DOTALL)[:2]
    return {
        name: dict(re.findall(r"--(\w+): (#[0-9a-f]{6});", block))
        for name, block in (("light", light), ("dark", dark))
    }


def luminance(colour: str) -> float:
    parts = (int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    brighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (brighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_and_bars_stand_out(scheme: str) -> None:
    colours = schemes()[scheme]
    for ground in ("ground", "raised"):
        for text in TEXTS:
            assert contrast(colours[text], colours[ground]) >= READABLE, (text, ground)
    assert contrast(colours["bar"], colours["ground"]) >= VISIBLE


def test_every_outcome_and_verdict_has_a_colour() -> None:
    for word in (*html.WORST, "conformant", "nonconformant"):
        assert re.search(rf"\.{word}\b[^{{]*\{{ color: var\(--\w+\); \}}", STYLE), word


def test_it_is_in_the_page_as_it_is(sound: Judged) -> None:
    assert sound.page.one("style").text == " ".join(STYLE.split())
