"""The pictures of the documentation: there, small, described, and made by the gallery."""

from __future__ import annotations

import re

from tests.docs.pages import DOCS
from tests.report.gallery import IMAGES, SHOWN

IMAGE = re.compile(r"!\[(.*?)\]\((.+?)\)", re.DOTALL)
MOST_BYTES = 300_000


def test_every_picture_is_there_and_described() -> None:
    shown = set()
    for page in DOCS.rglob("*.md"):
        for described, target in IMAGE.findall(page.read_text(encoding="utf-8")):
            assert len(described) > 20, f"{page.name}: {target} needs a description"
            shown.add((page.parent / target).resolve())
    assert shown == set(IMAGES.iterdir())
    assert {path.name for path in shown} == {f"{name}.png" for name in SHOWN}


def test_none_is_large() -> None:
    assert [path.name for path in IMAGES.iterdir() if path.stat().st_size > MOST_BYTES] == []
