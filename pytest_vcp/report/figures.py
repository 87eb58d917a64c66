"""The figures of a variant on a few lines: what was not measured is left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_FURTHER = " " * 12


def figure_lines(figures: Mapping[str, Any]) -> Iterator[str]:
    """Time on one line, memory on the next, and the scaling where it was asked for."""
    times = list(_times(figures))
    if times:
        yield f"figures     {', '.join(times)}"
    yield f"{_FURTHER if times else 'figures     '}{', '.join(_sizes(figures))}"
    steps, problem = figures["scaling"], figures["scaling_problem"]
    if steps:
        yield f"scaling     observations {'; '.join(map(_step, steps))}"
    if problem is not None:
        yield f"{_FURTHER if steps else 'scaling     '}not measured: {problem}"


def _times(figures: Mapping[str, Any]) -> Iterator[str]:
    for name, key in (("import", "import_seconds"), ("load", "load_seconds")):
        if (seconds := figures[key]) is not None:
            yield f"{name} {seconds:.2f} s"
    if (seconds := figures["forward_seconds"]) is not None:
        again = figures["second_forward_seconds"]
        yield f"forward {seconds:.2f} s" + (f", again {again:.2f} s" if again is not None else "")
    if (rate := figures["rows_per_second"]) is not None:
        yield f"{rate:.3g} rows/s" if rate < 1000 else f"{rate:.0f} rows/s"


def _sizes(figures: Mapping[str, Any]) -> Iterator[str]:
    for name, key in (
        ("peak memory", "peak_rss_bytes"),
        ("on the GPU", "peak_device_bytes"),
        ("artifact", "artifact_bytes"),
    ):
        if (size := figures[key]) is not None:
            yield f"{name} {size / 1e6:.{0 if size >= 1e7 else 1}f} MB"
    yield f"{figures['model_loads']} model loads"
    yield f"{figures['forward_passes']} forward passes"


def _step(step: Mapping[str, Any]) -> str:
    """One pass: how many observations, seconds, memory."""
    told = f"{step['observations']}: {step['seconds']:.2f} s, {step['peak_rss_bytes'] / 1e6:.0f} MB"
    if (peak := step["peak_device_bytes"]) is not None:
        told += f", on the GPU {peak / 1e6:.0f} MB"
    return told
