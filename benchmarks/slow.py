"""A slow forward pass, judged by the plugin: ``python -m benchmarks.slow [SECONDS ...]``.

The model is pbmc_pca, whose pass is made to take that many seconds of one core: the same whatever
the input, and in proportion to its observations. Prints the seconds of a run with MLflow's
commands, of the manual way, and how many passes the plugin made. The passes wait rather than
compute, as those on a GPU do for the cores.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from benchmarks import ways
from fixtures.references import BY_PACKAGE, Reference

SECONDS = (20,)
_WRAPPER = "model_code/pbmc_pca_mlflow_model.py"
_RETURN = "return np.concatenate(scores, axis=0)"
KINDS = {"constant": "{seconds}", "per observation": "{seconds} * sum(map(len, scores)) / 48"}


def slow_down(package: Path, seconds: str) -> None:
    """Make each pass of the model wait for so long, an expression in its code."""
    wrapper = package / _WRAPPER
    text = wrapper.read_text(encoding="utf-8")
    assert _RETURN in text
    waiting = f"__import__('time').sleep({seconds})\n        {_RETURN}"
    wrapper.write_text(text.replace(_RETURN, waiting), encoding="utf-8")


def by_plugin(package: Path, reference: Reference) -> tuple[ways.Run, int]:
    """One run with all rules; what it took, and its forward passes."""
    command = [sys.executable, "-m", "pytest", *reference.options, ways.WITHOUT_TRACKING]
    clock = ways.Clock()
    ways.run(command, package, ways.environ(package))
    measured = clock.stop()
    report = json.loads((package / ".vcp" / "report.json").read_text(encoding="utf-8"))
    (variant,) = report["variants"].values()
    return measured, variant["figures"]["forward_passes"]


def main(arguments: list[str]) -> None:
    reference = BY_PACKAGE["pbmc_pca"]
    python = ways.environment(reference)
    print(f"{'a pass':>8} {'kind':16} {'by hand':>8} {'plugin':>8} {'passes':>7}")
    for seconds in map(int, arguments or SECONDS):
        for kind, expression in KINDS.items():
            with tempfile.TemporaryDirectory(prefix="vcp-benchmark-") as scratch:
                manual, plugin = (
                    reference.copy(Path(scratch) / way) for way in ("manual", "plugin")
                )
                for package in (manual, plugin):
                    slow_down(package, expression.format(seconds=seconds))
                by_hand = ways.by_hand(manual, reference, python)
                measured, passes = by_plugin(plugin, reference)
            print(
                f"{seconds:6} s {kind:16} {by_hand.seconds:6.1f} s {measured.seconds:6.1f} s "
                f"{passes:7}",
                flush=True,
            )


if __name__ == "__main__":
    main(sys.argv[1:])
