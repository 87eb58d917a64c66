"""Measure everything and write docs/performance.md: python -m benchmarks.performance [--pairs N].

Takes about half an hour, and wants a machine that does nothing else. `--only PART` measures one
part, and writes its section.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import cold, outputs, slow, variants, ways, weights
from fixtures.references import BY_PACKAGE

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
_HEAD = """\
# Performance

What a run costs, and how that compares with what its user would do instead: *by hand* means the
platform's packager and then `mlflow models predict` on the artifact, in an environment that is
there. `quick` is a run without MLflow's commands (`--vcp-level quick`), `full` is one with all
rules. The package is pbmc_pca unless something else is said. Figures are medians of {pairs} pairs,
or of one where a pair takes minutes; wall-clock seconds vary more than CPU seconds where other work
is going on.

This page is written by `python -m benchmarks.performance`, and a part of it by `--only PART`.
"""
_TABLE = "| what | measured | aim |\n|---|---|---|\n"
_TITLES = {
    "quick": "A small model",
    "virtualenv": "The platform's command, which builds an environment",
    "two": "Two processes",
    "outputs": "Large outputs",
    "slow": "Slow forward passes",
    "variants": "Variants",
    "weights": "Large weights",
    "cold": "The first run on a lock",
    "inactive": "Other runs of pytest",
}


@dataclass(frozen=True)
class Row:
    """One figure as text, with the aim; None without one."""

    what: str
    measured: str
    aim: str | None = None

    def format(self) -> str:
        """The row of the table."""
        return f"| {self.what} | {self.measured} | {self.aim or ''} |"


def measure_quick(scratch: Path, pairs: int) -> Iterator[Row]:
    """Quick runs and full ones, in pairs with the ways by hand; order alternates."""
    reference = BY_PACKAGE["pbmc_pca"]
    python = ways.environment(reference)
    todo: dict[str, Callable[[Path], ways.Run]] = {
        "by hand": lambda package: ways.by_hand(package, reference, python),
        "quick": lambda package: ways.by_plugin(package, reference, python),
        "tracked": lambda package: ways.by_plugin_tracked(package, reference, python),
        "full": lambda package: ways.in_full(package, reference),
    }
    runs: dict[str, list[ways.Run]] = {way: [] for way in todo}
    for pair in range(pairs + 1):
        for way in reversed(todo) if pair % 2 else todo:
            run = todo[way](reference.copy(scratch / f"{pair}-{way.replace(' ', '-')}"))
            # The first pair fills the caches of the file system.
            if pair:
                runs[way].append(run)
    cpu = {way: statistics.median(run.cpu for run in runs[way]) for way in runs}
    wall = {way: statistics.median(run.seconds for run in runs[way]) for way in runs}
    yield Row("by hand", f"{cpu['by hand']:.2f} CPU s, {wall['by hand']:.2f} s")
    aims = {"quick": ("≤ 0.80", "≤ 0.70"), "tracked": ("≤ 1.1", None), "full": (None, None)}
    for way, (most_cpu, most_wall) in aims.items():
        for kind, found, most in (("CPU", cpu, most_cpu), ("wall", wall, most_wall)):
            ratio = found[way] / found["by hand"]
            yield Row(f"{way} / by hand: {kind}", f"{ratio:.2f} ({found[way]:.2f} s)", most)


def measure_virtualenv(scratch: Path, pairs: int) -> Iterator[Row]:
    """A full run, and the way by hand whose command builds an environment."""
    reference = BY_PACKAGE["pbmc_pca"]
    python = ways.environment(reference)
    found = []
    for turn in range(min(pairs, 2)):
        packages = [reference.copy(scratch / f"{turn}-{way}") for way in ("manual", "full")]
        manual = ways.by_hand(packages[0], reference, python, "virtualenv")
        found.append((ways.in_full(packages[1], reference), manual))
    ratio = statistics.median(full.cpu / manual.cpu for full, manual in found)
    seconds = statistics.median(full.seconds / manual.seconds for full, manual in found)
    yield Row("full / by hand with `--env-manager virtualenv`: CPU", f"{ratio:.2f}", "≤ 0.22")
    yield Row("full / by hand with `--env-manager virtualenv`: wall", f"{seconds:.2f}")


def measure_two(scratch: Path, pairs: int) -> Iterator[Row]:
    """A full run of two processes of pytest-xdist, and one of one."""
    reference = BY_PACKAGE["pbmc_pca"]
    found = []
    for turn in range(min(pairs, 2)):
        one = ways.in_full(reference.copy(scratch / f"{turn}-one"), reference)
        two = ways.in_full(reference.copy(scratch / f"{turn}-two"), reference, "-n", "2")
        found.append(two.seconds / one.seconds)
    yield Row("full with `-n 2` / without, one variant: wall", f"{statistics.median(found):.2f}")


def measure_outputs(scratch: Path, pairs: int) -> Iterator[Row]:
    """Outputs of several sizes."""
    reference = BY_PACKAGE["pbmc_pca"]
    python = ways.environment(reference)
    aims = {20: ("≤ 3", "≤ 2.5"), 200: ("≤ 4", None)}
    for size in (5, 20, 200):
        costs = {}
        for way, command in outputs.commands_of(reference, python).items():
            if way == "quick":
                continue
            folder = scratch / f"{size}-{way.replace(' ', '-')}" / "a"
            folder.mkdir(parents=True)
            package = outputs.prepare(folder, reference, python, size)
            costs[way], _ = outputs.measure(command, package)
        full, manual = costs["full"], costs["by hand"]
        most_wall, most_memory = aims.get(size, (None, None))
        name = f"output of {size} MB, full / by hand"
        ratio = full.seconds / manual.seconds
        yield Row(f"{name}: wall", f"{ratio:.2f} ({full.seconds:.1f} s)", most_wall)
        ratio, held = full.bytes / manual.bytes, full.bytes / 1e6
        yield Row(f"{name}: memory of all processes", f"{ratio:.2f} ({held:.0f} MB)", most_memory)
        yield Row(
            f"output of {size} MB: memory of pytest", f"{full.own_bytes / 1e6:.0f} MB", "< 120 MB"
        )


def measure_slow(scratch: Path, pairs: int) -> Iterator[Row]:
    """A pass of 20 seconds."""
    reference = BY_PACKAGE["pbmc_pca"]
    for kind, expression in slow.KINDS.items():
        package = reference.copy(scratch / kind.replace(" ", "-"))
        slow.slow_down(package, expression.format(seconds=20))
        run, passes = slow.by_plugin(package, reference)
        text = f"{run.seconds:.0f} s, {passes} passes"
        yield Row(f"a pass of 20 s ({kind}), full", text, "≤ 110 s")


def measure_variants(scratch: Path, pairs: int) -> Iterator[Row]:
    """Several variants in one run."""
    reference = BY_PACKAGE["pbmc_pca"]
    for number in variants.NUMBERS:
        package = reference.copy(scratch / str(number))
        variants.repeat_variants(package, number)
        run = variants.by_plugin(package)
        text = f"{run.seconds:.1f} s, {run.cpu:.1f} CPU s"
        yield Row(f"{number} variants, quick", text, "≤ 15 s" if number == 16 else None)


def measure_weights(scratch: Path, pairs: int) -> Iterator[Row]:
    """Weights of 2 GB."""
    reference = BY_PACKAGE["pbmc_pca"]
    python = ways.environment(reference)
    for way in ("by hand", "full, tracked"):
        package = reference.copy(scratch / way.replace(" ", "-"))
        weights.add_weights(package, 2000)
        is_manual = way == "by hand"
        cost = (
            weights.by_hand(package, reference, python)
            if is_manual
            else weights.by_plugin(package, reference)
        )
        name = f"weights of 2 GB, {way}"
        yield Row(name, f"{cost.seconds:.0f} s, {cost.cpu:.0f} CPU s")
        written, memory = cost.written / 1e9, cost.memory / 1e6
        yield Row(f"{name}: written", f"{written:.2f} GB", None if is_manual else "≤ 2.2 GB")
        yield Row(f"{name}: largest process", f"{memory:.0f} MB", None if is_manual else "≤ 350 MB")


def measure_cold(scratch: Path, pairs: int) -> Iterator[Row]:
    """The first run on a lock, with and without torch; caches of downloads are warm."""
    for name in ("pbmc_pca", "pbmc_vae"):
        reference = BY_PACKAGE[name]
        places = [reference.copy(scratch / f"{name}-{way}") for way in ("hand", "plugin", "pip")]
        torch = "with torch" if name == "pbmc_vae" else "without torch"
        built = cold.by_pip(places[2], scratch / f"{name}-venv")
        cold.by_lock(places[2], reference, scratch / f"{name}-first")  # Fills uv's cache.
        environment = cold.by_lock(places[2], reference, scratch / f"{name}-only")
        ratio = environment.seconds / built.seconds
        aim = "≤ 0.5" if name == "pbmc_vae" else None
        text = f"{ratio:.2f} ({environment.seconds:.1f} s)"
        yield Row(f"environment of a lock {torch} / `pip install -r`: wall", text, aim)
        manual = cold.by_hand(places[0], reference)
        run = cold.by_plugin(places[1], reference, scratch / f"{name}-cache")
        text = f"{run.seconds / manual.seconds:.2f} ({run.seconds:.1f} s)"
        yield Row(f"first full run on a lock {torch} / by hand from nothing: wall", text)


def measure_inactive(scratch: Path, pairs: int) -> Iterator[Row]:
    """What the plugin adds to other runs of pytest, and how soon it tells a defect in a file."""
    found = ways.import_milliseconds(scratch / "import", 20)
    yield Row("inactive import", f"{statistics.median(found):.2f} ms", "≤ 1 ms")
    reference = BY_PACKAGE["pbmc_pca"]
    static = [ways.static_failure(scratch / f"static-{turn}", reference) for turn in range(3)]
    yield Row("a run that fails by its files alone", f"{statistics.median(static):.2f} s")


PARTS: dict[str, Callable[[Path, int], Iterator[Row]]] = {
    "quick": measure_quick,
    "virtualenv": measure_virtualenv,
    "two": measure_two,
    "outputs": measure_outputs,
    "slow": measure_slow,
    "variants": measure_variants,
    "weights": measure_weights,
    "cold": measure_cold,
    "inactive": measure_inactive,
}


def write_part(name: str, rows: Sequence[Row], pairs: int) -> None:
    """Write the section of a part, in place of an earlier one."""
    sections = _read_sections()
    machine = f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"
    table = _TABLE + "\n".join(row.format() for row in rows)
    sections[_TITLES[name]] = f"{table}\n\nMeasured with {machine}."
    text = [_HEAD.format(pairs=pairs)]
    text += [
        f"## {title}\n\n{sections[title]}\n" for title in _TITLES.values() if title in sections
    ]
    PAGE.write_text("\n".join(text), encoding="utf-8")


def _read_sections() -> dict[str, str]:
    """The sections of the page, by title."""
    text = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    parts = (section.partition("\n") for section in text.split("\n## ")[1:])
    return {title: body.strip() for title, _, body in parts}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.performance", description=__doc__)
    parser.add_argument("--pairs", type=int, default=4, help="pairs of short runs (4)")
    parser.add_argument("--only", choices=sorted(PARTS), help="measure this part alone")
    options = parser.parse_args()
    for name in [options.only] if options.only else PARTS:
        rows = []
        with tempfile.TemporaryDirectory(prefix="vcp-benchmark-") as scratch:
            for row in PARTS[name](Path(scratch), options.pairs):
                print(row.format(), flush=True)
                rows.append(row)
        write_part(name, rows, options.pairs)


if __name__ == "__main__":
    main()
