"""Large weights, packaged by the plugin and by hand: ``python -m benchmarks.weights [MB ...]``.

The model is pbmc_pca with a further artifact of that size, which it does not read. Prints seconds,
CPU seconds, bytes that were written to disk, and the most memory that a process held: by hand
(package, predict), and by a run of the plugin with MLflow's commands that is logged to MLflow.
"""

from __future__ import annotations

import os
import resource
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks import ways
from fixtures.references import BY_PACKAGE, Reference

SIZES = (2000,)
_CHUNK = 1 << 24
_BLOCK = 512


@dataclass(frozen=True)
class Cost:
    """What a way took; `written` are bytes, `memory` those of its largest process."""

    seconds: float
    cpu: float
    written: int
    memory: int


def add_weights(package: Path, megabytes: int) -> None:
    """Add a file of random bytes to the weights, flushed to disk."""
    folder = package / "model_data" / "large"
    folder.mkdir()
    with (folder / "weights.bin").open("wb") as file:
        for _ in range(megabytes * 10**6 // _CHUNK):
            file.write(os.urandom(_CHUNK))
        file.flush()
        os.fsync(file.fileno())


def measure(commands: list[list[str]], package: Path, environ: dict[str, str]) -> Cost:
    """Run commands one after the other, each the child of a process that has had no other."""
    pid = os.fork()
    if pid == 0:
        for command in commands:
            ways.run(command, package, environ)
        os._exit(0)
    started = time.perf_counter()
    _, status, used = os.wait4(pid, 0)
    if status:
        raise SystemExit(f"one of these failed: {commands}")
    return Cost(
        time.perf_counter() - started,
        used.ru_utime + used.ru_stime,
        used.ru_oublock * _BLOCK,
        used.ru_maxrss * 1024,
    )


def by_hand(package: Path, reference: Reference, python: Path) -> Cost:
    """Package and predict, as the platform's instructions say."""
    variables = ways.environ(package)
    path = os.pathsep.join([str(python.parent), variables["PATH"]])
    steps = ways.manual_steps(reference, python)
    steps[0].append("--artifact=large=large")
    return measure(steps, package, {**variables, "PATH": path})


def by_plugin(package: Path, reference: Reference) -> Cost:
    """One run with all rules, logged to MLflow."""
    command = [sys.executable, "-m", "pytest", *reference.options, "--vcp-artifact=large=large"]
    return measure([command], package, ways.environ(package))


def main(arguments: list[str]) -> None:
    reference = BY_PACKAGE["pbmc_pca"]
    python = ways.environment(reference)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    print(f"{'weights':>9} {'way':8} {'s':>7} {'CPU s':>7} {'written':>10} {'memory':>9}")
    for megabytes in map(int, arguments or SIZES):
        for way in ("manual", "plugin"):
            with tempfile.TemporaryDirectory(prefix="vcp-benchmark-") as scratch:
                package = reference.copy(Path(scratch) / way)
                add_weights(package, megabytes)
                if way == "manual":
                    cost = by_hand(package, reference, python)
                else:
                    cost = by_plugin(package, reference)
            print(
                f"{megabytes:6} MB {way:8} {cost.seconds:7.1f} {cost.cpu:7.1f} "
                f"{cost.written / 1e6:7.0f} MB {cost.memory / 1e6:6.0f} MB",
                flush=True,
            )


if __name__ == "__main__":
    main(sys.argv[1:])
