"""Measure and print all figures: python -m benchmarks [--cold] [--pairs N] [--json FILE].

Each pair is the manual way and one run of the plugin, one after the other in the same warm
environment, on a fresh copy of the same package; order alternates. A second run of the plugin
is kept with MLflow, which the manual way is not. Ratios are of medians.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path

from benchmarks import cold, ways
from fixtures.references import BY_PACKAGE


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--pairs", type=int, default=5, help="pairs to measure (5)")
    parser.add_argument("--package", choices=sorted(BY_PACKAGE), default="pbmc_pca")
    parser.add_argument(
        "--cold", action="store_true", help="from nothing: build the environments, too (minutes)"
    )
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="vcp-benchmark-") as scratch:
        place = Path(scratch)
        if options.cold:
            figures = measure_cold(place, options.package, options.pairs)
        else:
            figures = measure(place, options.package, options.pairs)
    for name, value in figures.items():
        print(f"{name:32} {value}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def measure(scratch: Path, package: str, pairs: int) -> dict[str, object]:
    """All figures; seconds unless the name says otherwise."""
    reference = BY_PACKAGE[package]
    python = ways.environment(reference)
    manual: list[ways.Run] = []
    plugin: list[ways.Run] = []
    tracked: list[ways.Run] = []
    for pair in range(pairs + 1):
        copies = [reference.copy(scratch / f"{pair}-{way}") for way in ("manual", "plugin")]
        steps = [(manual, ways.by_hand), (plugin, ways.by_plugin)]
        for runs, way in reversed(steps) if pair % 2 else steps:
            run = way(copies[runs is plugin], reference, python)
            # The first pair warms the caches of the file system.
            if pair:
                runs.append(run)
        kept = reference.copy(scratch / f"{pair}-tracked")
        tracked.append(ways.by_plugin_tracked(kept, reference, python))
    loads = {run.model_loads for run in plugin}
    static = [ways.static_failure(scratch / f"static-{turn}", reference) for turn in range(pairs)]
    imports = ways.import_milliseconds(scratch / "import", 4 * pairs)
    return {
        "package": package,
        "pairs": pairs,
        **_compare("manual", manual, manual),
        **_compare("plugin", plugin, manual),
        **_compare("plugin_tracked", tracked[1:], manual),
        "ratios_of_pairs": [
            round(run.seconds / by_hand.seconds, 3)
            for by_hand, run in zip(manual, plugin, strict=True)
        ],
        "model_loads": sorted(load for load in loads if load is not None),
        "static_failure_seconds": _median(static),
        "inactive_import_milliseconds": _median(imports),
        "python": sys.version.split()[0],
    }


def measure_cold(scratch: Path, package: str, pairs: int) -> dict[str, object]:
    """The same from nothing, and the plugin once more with what its cold run has left."""
    reference = BY_PACKAGE[package]
    manual: list[float] = []
    cold_runs: list[float] = []
    warm_runs: list[float] = []
    for pair in range(pairs):
        places = [
            reference.copy(scratch / f"cold-{pair}-{way}") for way in ("hand", "cold", "warm")
        ]
        cache = scratch / f"cache-{pair}"
        manual.append(cold.by_hand(places[0], reference).seconds)
        cold_runs.append(cold.by_plugin(places[1], reference, cache).seconds)
        warm_runs.append(cold.by_plugin(places[2], reference, cache).seconds)
    return {
        "package": package,
        "pairs": pairs,
        "manual_seconds": _median(manual),
        "cold_seconds": _median(cold_runs),
        "warm_seconds": _median(warm_runs),
        "cold_ratio": round(statistics.median(cold_runs) / statistics.median(manual), 3),
        "warm_ratio": round(statistics.median(warm_runs) / statistics.median(manual), 3),
        "python": sys.version.split()[0],
    }


def _compare(name: str, runs: list[ways.Run], manual: list[ways.Run]) -> dict[str, object]:
    """The medians of a way, and their ratios to those of the manual way."""
    figures: dict[str, object] = {}
    for kind in ("seconds", "cpu"):
        median = statistics.median(getattr(run, kind) for run in runs)
        by_hand = statistics.median(getattr(run, kind) for run in manual)
        figures[f"{name}_{kind}"] = round(median, 3)
        figures[f"{name}_{kind}_ratio"] = round(median / by_hand, 3)
    return figures


def _median(values: list[float]) -> float:
    return round(statistics.median(values), 3)


if __name__ == "__main__":
    main()
