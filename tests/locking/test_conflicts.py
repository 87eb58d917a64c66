"""What is left of pip's account of a conflict."""

from __future__ import annotations

import pytest

from pytest_vcp.environment.pip_messages import chain

TAKEN_UP = """\
Collecting a (from -r requirements.in (line 1))
Collecting mid-way>2.3 (from a->-r requirements.in (line 1))
  Downloading mid_way-2.9-py3-none-any.whl (1 kB)
Processing /shelf/Multi_Name-1.9-py3-none-any.whl (from mid-way>2.3->a[x]->-r all.in (line 1))
"""
CAUSES = "\nThe conflict is caused by:\n{}\n\nTo fix this you could try to:\n"


@pytest.mark.parametrize(
    ("causes", "told"),
    [
        (
            ["The user requested lower==1.5", "upper 2.0 depends on lower>=2"],
            ["The user requested lower==1.5", "upper 2.0 depends on lower>=2"],
        ),
        (
            [
                "The user requested (constraint) lower==1.5",
                "multi-name 1.9 depends on Lower>=2",
                "multi-name 1.8 depends on Lower>=2",
            ],
            [
                "The user requested (constraint) lower==1.5",
                "multi-name 1.9 (and 1 other version) depends on Lower>=2 (by way of a, mid-way)",
            ],
        ),
        (
            ["b 1.0 depends on lower<2", "c 1.0 depends on other", "d 1.0 depends on lower>2"],
            ["b 1.0 depends on lower<2", "d 1.0 depends on lower>2"],
        ),
        (
            ["b 1.0 depends on lower<2", "c 1.0 depends on other"],
            ["b 1.0 depends on lower<2", "c 1.0 depends on other"],
        ),
        (["something that no pip has said yet"], ["something that no pip has said yet"]),
    ],
)
def test_the_chain(causes: list[str], told: list[str]) -> None:
    output = TAKEN_UP + CAUSES.format("\n".join(f"    {cause}" for cause in causes))
    assert chain(output) == told


def test_no_causes() -> None:
    assert chain(TAKEN_UP) == []
