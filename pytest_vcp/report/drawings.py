"""The geometry of pictures of the output, as the page's SVG takes it.

The worker counts, projects and slices (`worker/server/pictures.py`); here it becomes paths.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# The area of the plot, around which the template's macro `plot` draws axes and labels.
LEFT, RIGHT, TOP, BOTTOM = 70.0, 590.0, 10.0, 285.0
_MOST_TICKS = 5

Tick = tuple[float, str]


@dataclass(frozen=True)
class Drawing:
    """A plot: paths by the class of their colour, ticks by position, labels, and a legend.

    Positions are in the units of the SVG, from its upper left corner.
    """

    kind: str
    paths: tuple[tuple[str, str], ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    x_label: str
    y_label: str
    legend: tuple[tuple[str, str], ...] = ()


def draw(picture: Mapping[str, Any]) -> Drawing | None:
    """Lay out a histogram or a scatter plot; None for a picture that consists of images."""
    if "histogram" in picture:
        return _draw_histogram(picture["histogram"])
    if "scatter" in picture:
        return _draw_scatter(picture["scatter"])
    return None


def _draw_histogram(histogram: Mapping[str, Any]) -> Drawing:
    low, high, counts = histogram["low"], histogram["high"], histogram["counts"]
    x, y = _Scale(low, high, LEFT, RIGHT), _Scale(0, max(counts), BOTTOM, TOP)
    step = (high - low) / len(counts)
    bars = [
        f"M{x(low + number * step):.1f} {BOTTOM:g}V{y(count):.1f}"
        f"H{x(low + (number + 1) * step):.1f}V{BOTTOM:g}z"
        for number, count in enumerate(counts)
        if count
    ]
    return Drawing("columns", (("c0", "".join(bars)),), x.ticks(), y.ticks(), "value", "count")


def _draw_scatter(scatter: Mapping[str, Any]) -> Drawing:
    groups: Sequence[Mapping[str, Any]] = scatter["groups"]
    points = [point for group in groups for point in group["points"]]
    x = _Scale(*_range([point[0] for point in points]), LEFT, RIGHT)
    y = _Scale(*_range([point[1] for point in points]), BOTTOM, TOP)
    # A line without length, with round ends, is a dot.
    paths = tuple(
        (f"c{number}", "".join(f"M{x(a):.1f} {y(b):.1f}h0" for a, b in group["points"]))
        for number, group in enumerate(groups)
    )
    legend = tuple((f"c{number}", group["label"]) for number, group in enumerate(groups))
    return Drawing(
        "dots",
        paths,
        x.ticks(),
        y.ticks(),
        scatter["x"],
        scatter["y"],
        legend if len(groups) > 1 else (),
    )


def _range(values: Sequence[float]) -> tuple[float, float]:
    """Return the range of values, with a margin so that no dot lies on an axis."""
    low, high = min(values), max(values)
    margin = (high - low) / 25 or 0.5
    return low - margin, high + margin


class _Scale:
    """Maps values from `low` to `high` to positions from `start` to `end`."""

    def __init__(self, low: float, high: float, start: float, end: float) -> None:
        self._low = low
        self._high = high if high > low else low + 1
        self._start = start
        self._end = end

    def __call__(self, value: float) -> float:
        share = (value - self._low) / (self._high - self._low)
        return self._start + share * (self._end - self._start)

    def ticks(self) -> tuple[Tick, ...]:
        """Return positions and labels of a few round values."""
        return tuple((round(self(value), 1), f"{value:.6g}") for value in self._round_values())

    def _round_values(self) -> Iterator[float]:
        span = self._high - self._low
        step = 10.0 ** math.floor(math.log10(span / _MOST_TICKS))
        step *= next(factor for factor in (1, 2, 5, 10) if span / (step * factor) <= _MOST_TICKS)
        for number in range(math.ceil(self._low / step), math.floor(self._high / step) + 1):
            yield number * step
