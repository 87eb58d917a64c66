"""Figures as rows with bars: each as long as its part of the greatest beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_SECONDS = {
    "import_seconds": "import",
    "load_seconds": "load",
    "forward_seconds": "first forward pass",
    "second_forward_seconds": "second forward pass",
}
_BYTES = {
    "peak_rss_bytes": "peak memory",
    "peak_device_bytes": "peak memory on the GPU",
    "artifact_bytes": "artifact",
}
_UNITS = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


@dataclass(frozen=True)
class Bar:
    """One row: what it is, the figure with its unit, the length of the bar in per cent."""

    label: str
    told: str
    share: float


@dataclass(frozen=True)
class Group:
    """Rows that share a scale."""

    title: str
    bars: tuple[Bar, ...]


def figure_groups(figures: Mapping[str, Any], commands: Sequence[Mapping[str, Any]]) -> list[Group]:
    """Time, memory, scaling and commands; what was not measured is left out."""
    steps = figures["scaling"]
    found = (
        Group("Time", _bars_of(_named(_SECONDS, figures), format_seconds)),
        Group("Memory and size", _bars_of(_named(_BYTES, figures), format_bytes)),
        Group("Scaling: time of a pass", _bars_of(_of_steps(steps, "seconds"), format_seconds)),
        Group(
            "Scaling: most memory until then",
            _bars_of(_of_steps(steps, "peak_rss_bytes"), format_bytes),
        ),
        Group(
            "Scaling: memory on the GPU",
            _bars_of(_of_steps(steps, "peak_device_bytes"), format_bytes),
        ),
        Group(
            "Commands of MLflow",
            _bars_of([(entry["command"], entry["seconds"]) for entry in commands], format_seconds),
        ),
    )
    return [group for group in found if group.bars]


def other_figures(figures: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Figures that are not held against each other."""
    rate = figures["rows_per_second"]
    if rate is not None:
        yield "rows per second", f"{rate:.3g}" if rate < 1000 else f"{rate:.0f}"
    yield "model loads", str(figures["model_loads"])
    yield "forward passes", str(figures["forward_passes"])


def format_seconds(figure: float) -> str:
    """A time for people."""
    return f"{figure:.2f} s" if figure < 100 else f"{figure:.0f} s"


def format_bytes(figure: float) -> str:
    """A number of bytes for people."""
    for unit, name in _UNITS:
        if figure >= unit:
            return f"{figure / unit:.{0 if figure >= 100 * unit else 1}f} {name}"
    return f"{figure:.0f} B"


def _named(names: Mapping[str, str], figures: Mapping[str, Any]) -> list[tuple[str, float]]:
    return [(label, figures[key]) for key, label in names.items() if figures[key] is not None]


def _of_steps(steps: Sequence[Mapping[str, Any]], key: str) -> list[tuple[str, float]]:
    return [
        (f"{step['observations']} observations", step[key])
        for step in steps
        if step[key] is not None
    ]


def _bars_of(entries: Sequence[tuple[str, float]], told: Any) -> tuple[Bar, ...]:
    greatest = max((figure for _, figure in entries), default=0.0)
    return tuple(
        Bar(label, told(figure), round(100 * figure / greatest, 1) if greatest else 0.0)
        for label, figure in entries
    )
