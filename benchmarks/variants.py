"""Packages of many variants: ``python -m benchmarks.variants [NUMBER ...]``.

The variants of pbmc_pca, repeated under further names, are judged in one run without MLflow's
commands, and packaged and predicted with by hand, one after the other. Prints seconds and CPU
seconds of both.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from benchmarks import ways
from fixtures.references import BY_PACKAGE, Reference

NUMBERS = (1, 4, 16)
_OPTIONS = (
    "--model-class model_code.pbmc_pca_mlflow_model:PbmcPcaMLflowModel "
    "--artifact checkpoint=pcs{n} "
    '--model-config-json {{"n_components": {n}}}'
)


def repeat_variants(package: Path, number: int) -> None:
    """Write a metadata file with `number` variants."""
    lines = [
        f"  variant{index}: >-\n    {_OPTIONS.format(n=(10, 50)[index % 2])}"
        for index in range(number)
    ]
    (package / "metadata.yaml").write_text(
        "model_name: pbmc_pca\nvariants:\n" + "\n".join(lines) + "\n", encoding="utf-8"
    )


def by_plugin(package: Path) -> ways.Run:
    """One run for all variants."""
    command = [sys.executable, "-m", "pytest", "--vcp-variant=all", ways.WITHOUT_TRACKING]
    clock = ways.Clock()
    ways.run([*command, ways.WITHOUT_COMMANDS], package, ways.environ(package))
    return clock.stop()


def by_hand(package: Path, reference: Reference, python: Path, number: int) -> ways.Run:
    """Package and predict once for each variant; their sizes differ too little to matter."""
    runs = []
    for _ in range(number):
        runs.append(ways.by_hand(package, reference, python))
        shutil.rmtree(package / "mlflow_model_artifact")
    return ways.Run(sum(run.seconds for run in runs), sum(run.cpu for run in runs))


def main(arguments: list[str]) -> None:
    reference = BY_PACKAGE["pbmc_pca"]
    python = ways.environment(reference)
    print(f"{'variants':>8} {'way':8} {'s':>8} {'CPU s':>8}")
    for number in map(int, arguments or NUMBERS):
        with tempfile.TemporaryDirectory(prefix="vcp-benchmark-") as scratch:
            manual, plugin = (reference.copy(Path(scratch) / way) for way in ("manual", "plugin"))
            repeat_variants(plugin, number)
            by_plugin(plugin)  # Fills the caches of the file system.
            plugin = reference.copy(Path(scratch) / "again")
            repeat_variants(plugin, number)
            costs = {
                "plugin": by_plugin(plugin),
                "manual": by_hand(manual, reference, python, number),
            }
        for way, cost in costs.items():
            print(f"{number:8} {way:8} {cost.seconds:8.2f} {cost.cpu:8.2f}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
