"""What a command copies of the artifact is linked, by the command alone, and nothing else is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_vcp.mlflow_cli import at_start

COPIES = """
import os, shutil, sys
for path in sys.argv[1:]:
    shutil.copy2(path, os.path.basename(path))
print(os.environ.get("PYTHONPATH"), "extra" in " ".join(sys.path))
"""


@pytest.mark.parametrize("program", ["mlflow", "other.py"])
@pytest.mark.parametrize("folders", [(), ("/extra",)], ids=["alone", "with packages"])
def test_files_of_the_artifact_are_linked(
    program: str, folders: tuple[str, ...], tmp_path: Path
) -> None:
    artifact, place = tmp_path / "artifact", tmp_path / "place"
    artifact.mkdir()
    place.mkdir()
    for path in (artifact / "weights.bin", tmp_path / "notes.txt", tmp_path / program):
        path.write_text(COPIES, encoding="utf-8")
    variables = at_start.write(tmp_path / "at-start", artifact, folders)
    done = subprocess.run(
        [sys.executable, tmp_path / program, artifact / "weights.bin", tmp_path / "notes.txt"],
        cwd=place,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    assert (place / "weights.bin").is_symlink() == (program == "mlflow")
    assert (place / "weights.bin").read_text(encoding="utf-8") == COPIES
    assert not (place / "notes.txt").is_symlink()
    is_kept = program != "mlflow" or bool(folders)
    assert done.stdout.split() == [
        variables["PYTHONPATH"] if is_kept else "None",
        str(bool(folders)),
    ]
