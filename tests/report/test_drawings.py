"""The geometry of plots: bars and dots inside of the axes, at round ticks."""

from __future__ import annotations

import re

from pytest_vcp.report.drawings import BOTTOM, LEFT, RIGHT, TOP, draw

_NUMBERS = re.compile(r"-?\d+(?:\.\d+)?")


def labels(ticks: tuple[tuple[float, str], ...]) -> list[str]:
    return [label for _, label in ticks]


def test_bars_stand_on_the_axis() -> None:
    drawn = draw({"histogram": {"low": -1.0, "high": 3.0, "counts": [2, 0, 8, 4]}})
    assert drawn is not None
    ((_, path),) = drawn.paths
    # The empty one is not drawn; the highest reaches the top.
    assert path == "M70.0 285V216.2H200.0V285zM330.0 285V10.0H460.0V285zM460.0 285V147.5H590.0V285z"
    assert labels(drawn.x_ticks) == ["-1", "0", "1", "2", "3"]
    assert labels(drawn.y_ticks) == ["0", "2", "4", "6", "8"]
    assert drawn.legend == ()


def test_dots_lie_inside_of_the_axes() -> None:
    groups = [{"label": "a", "points": [[-5.0, 1e-3]]}, {"label": "b", "points": [[5.0, -1e-3]]}]
    drawn = draw({"scatter": {"x": "across", "y": "up", "groups": groups}})
    assert drawn is not None
    for colour, path in drawn.paths:
        x, y, _ = map(float, _NUMBERS.findall(path))
        assert LEFT < x < RIGHT, colour
        assert TOP < y < BOTTOM, colour
    assert drawn.legend == (("c0", "a"), ("c1", "b"))
    assert labels(drawn.x_ticks) == ["-5", "0", "5"]
    assert labels(drawn.y_ticks) == ["-0.001", "-0.0005", "0", "0.0005", "0.001"]


def test_one_group_needs_no_legend_and_one_place_no_range() -> None:
    groups = [{"label": "", "points": [[2.0, 2.0], [2.0, 2.0]]}]
    drawn = draw({"scatter": {"x": "across", "y": "up", "groups": groups}})
    assert drawn is not None
    assert drawn.legend == ()
    assert len(drawn.x_ticks) > 1


def test_images_are_no_plots() -> None:
    assert draw({"slices": []}) is None
