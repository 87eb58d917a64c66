"""Two runs at once in the same package directory."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path

from tests.runs import HANG_SECONDS, command, environment, without_commands
from tests.strangers.faulty import SOUND


def test_two_runs_leave_one_artifact_and_its_report(
    tmp_path: Path, environment_python: Path
) -> None:
    package = SOUND.build(tmp_path, environment_python)
    runs = [
        subprocess.Popen(
            command([*SOUND.options, "-p", "no:cacheprovider", *without_commands()]),
            cwd=package,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
        )
        for _ in range(2)
    ]
    outputs = [run.communicate(timeout=HANG_SECONDS)[0] for run in runs]

    assert [run.returncode for run in runs] == [0, 0], "\n".join(outputs)
    report = json.loads((package / ".vcp" / "report.json").read_text(encoding="utf-8"))
    (variant,) = report["variants"].values()
    artifact = package / "mlflow_model_artifact"
    assert variant["artifact"]["sha256"] == _digest(artifact)
    assert not list(package.glob(".mlflow_model_artifact*"))
    for log in (package / ".vcp" / "logs").iterdir():
        assert log.suffix == ".log", "a log was left unfinished"


def _digest(artifact: Path) -> str:
    """The digest of an artifact as its documentation defines it."""
    files = sorted(
        path.relative_to(artifact).as_posix() for path in artifact.rglob("*") if path.is_file()
    )
    listing = "".join(
        f"{hashlib.sha256((artifact / name).read_bytes()).hexdigest()}  {name}\n" for name in files
    )
    return hashlib.sha256(listing.encode()).hexdigest()
