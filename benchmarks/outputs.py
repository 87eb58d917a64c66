"""Large outputs, judged by the plugin and by hand: ``python -m benchmarks.outputs [MB ...]``.

The model is pbmc_pca with its scores spread over 512 columns; the example has as many cells as the
size of the output takes. Prints seconds, CPU seconds and the most memory that all processes of a
way held at the same time, and the most that the pytest process held by itself.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.ways import WITHOUT_COMMANDS, WITHOUT_TRACKING, environ, environment, manual_steps
from fixtures.references import REFERENCES, Reference

WIDTH = 512
SIZES = (5, 20)
_WRAPPER = "model_code/pbmc_pca_mlflow_model.py"
_EXAMPLE = "example_data/pbmc_48_cells.h5ad"
_POLL_SECONDS = 0.1
# Run by the model's Python: the example's cells, over and over.
_REPEAT = """
import sys
import anndata, numpy, scipy.sparse
path, cells = sys.argv[1], int(sys.argv[2])
data = anndata.read_h5ad(path)
rows = numpy.arange(cells) % data.n_obs
repeated = anndata.AnnData(scipy.sparse.csr_matrix(data.X)[rows], var=data.var[[]])
repeated.obs_names = [f"cell-{number}" for number in range(cells)]
repeated.write_h5ad(path, compression="gzip")
"""


@dataclass(frozen=True)
class Cost:
    """What a way took: seconds, CPU seconds, bytes of all processes and of the first one."""

    seconds: float
    cpu: float
    bytes: int
    own_bytes: int


def prepare(folder: Path, reference: Reference, python: Path, megabytes: int) -> Path:
    """Copy the package, and make its output as large as is asked for."""
    package = reference.copy(folder)
    shutil.rmtree(package / "expected_outputs", ignore_errors=True)
    wrapper = package / _WRAPPER
    text = wrapper.read_text(encoding="utf-8")
    narrow = "return np.concatenate(scores, axis=0)"
    assert narrow in text
    spread = f"np.arange({WIDTH}) % WIDTH] * np.linspace(1, 2, {WIDTH}, dtype=np.float32)"
    wrapper.write_text(text.replace(narrow, f"{narrow}[:, {spread}"), encoding="utf-8")
    spec = package / "model_spec.py"
    declared = spec.read_text(encoding="utf-8")
    assert "(-1, 50)" in declared
    spec.write_text(declared.replace("(-1, 50)", f"(-1, {WIDTH})"), encoding="utf-8")
    cells = round(megabytes * 1e6 / (4 * WIDTH))
    command = [str(python), "-c", _REPEAT, str(package / _EXAMPLE), str(cells)]
    subprocess.run(command, check=True, capture_output=True)
    return package


def measure(command: list[str], package: Path) -> tuple[Cost, str]:
    """Run a command; what it took, and its output."""
    before, start = os.times(), time.perf_counter()
    with tempfile.TemporaryFile() as printed:
        process = subprocess.Popen(
            command, cwd=package, env=environ(package), stdout=printed, stderr=subprocess.STDOUT
        )
        peaks = [0, 0]
        over = threading.Event()
        watcher = threading.Thread(target=_watch, args=(process.pid, peaks, over))
        watcher.start()
        status = process.wait()
        seconds = time.perf_counter() - start
        over.set()
        watcher.join()
        after = os.times()
        printed.seek(0)
        output = printed.read().decode(errors="replace")
    if status:
        raise SystemExit(f"{' '.join(command)} failed:\n{output}")
    cpu = sum(after[2:4]) - sum(before[2:4])
    return Cost(seconds, cpu, peaks[0], peaks[1]), output


def _watch(pid: int, peaks: list[int], over: threading.Event) -> None:
    """Note the most that the processes below `pid` held together, and that it held itself."""
    while not over.wait(_POLL_SECONDS):
        held = {found: _held(found) for found in _tree(pid)}
        peaks[0] = max(peaks[0], sum(held.values()))
        peaks[1] = max(peaks[1], held.get(pid, 0))


def _tree(pid: int) -> Iterator[int]:
    pending = [pid]
    while pending:
        current = pending.pop()
        yield current
        try:
            tasks = list(Path(f"/proc/{current}/task").iterdir())
            for task in tasks:
                pending += map(int, (task / "children").read_text().split())
        except OSError:
            continue


def _held(pid: int) -> int:
    """The bytes that a process holds; of pages that it shares with others, its share."""
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    except OSError:
        return 0
    found = re.search(r"^Pss: +(\d+) kB", rollup, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def commands_of(reference: Reference, python: Path) -> dict[str, list[str]]:
    """The commands of each way: by hand in two steps, by the plugin with and without commands."""
    manual = " && ".join(map(shlex.join, manual_steps(reference, python)))
    own = [sys.executable, "-m", "pytest", "-q", *reference.options, WITHOUT_TRACKING]
    path = f"PATH={python.parent}:$PATH"
    return {
        "by hand": ["bash", "-c", f"export {path}; {manual}"],
        "quick": [*own, WITHOUT_COMMANDS],
        "full": own,
    }


def main(sizes: tuple[int, ...]) -> None:
    """Print a line for each size and way, with the ratio to the way by hand."""
    reference = next(entry for entry in REFERENCES if entry.name == "pbmc_pca-pcs50")
    python = environment(reference)
    for size in sizes:
        first: Cost | None = None
        with tempfile.TemporaryDirectory() as folder:
            for name, command in commands_of(reference, python).items():
                scratch = Path(folder) / name.replace(" ", "-") / "a"
                scratch.mkdir(parents=True)
                package = prepare(scratch, reference, python, size)
                cost, _ = measure(command, package)
                first = first or cost
                print(f"{size:4} MB  {name:8} {_line(cost, first)}", flush=True)


def _line(cost: Cost, first: Cost) -> str:
    """A cost, each figure with its ratio to that of the way by hand."""
    return (
        f"{cost.seconds:6.1f} s ({cost.seconds / first.seconds:.2f})"
        f"  {cost.cpu:6.1f} CPU s ({cost.cpu / first.cpu:.2f})"
        f"  {cost.bytes / 1e6:6.0f} MB ({cost.bytes / first.bytes:.2f})"
        f"  own {cost.own_bytes / 1e6:.0f} MB"
    )


if __name__ == "__main__":
    main(tuple(map(int, sys.argv[1:])) or SIZES)
