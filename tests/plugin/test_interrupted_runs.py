"""A run that is interrupted or killed on its way: the old artifact stays, and nothing else."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from fixtures.mutants import append_text
from fixtures.references import PCA_50
from tests.plugin.staged import tree, write_artifact
from tests.runs import HANG_SECONDS, command, environment, run_vcp

ARTIFACT = "mlflow_model_artifact"
WRAPPER = Path("model_code", "pbmc_pca_mlflow_model.py")
CLASS = "PbmcPcaMLflowModel"
SLEEP = "lambda *_, **__: __import__('time').sleep(600)"
# The step during which the run is stopped, and what makes the model take its time there.
STEPS = {
    "importing model_code": f"({SLEEP})()",
    "packaging the model": f"{CLASS}.__init__ = {SLEEP}",
    "loading the artifact": f"{CLASS}.load_context = {SLEEP}",
    "validating the serving example": f"{CLASS}.predict = {SLEEP}",
}
LAST = list(STEPS)[-1]
# Only in the environment that the command activates, and only behind the server.
STEPS |= {
    "running mlflow models predict": "import os\n"
    f"if 'VIRTUAL_ENV' in os.environ:\n    {CLASS}.predict = {SLEEP}",
    "asking mlflow models serve": "import sys\n"
    f"if 'uvicorn' in sys.argv[0]:\n    {CLASS}.predict = {SLEEP}",
}


def stop_at(package: Path, step: str, number: signal.Signals) -> tuple[int, str]:
    """Run in `package` until the step is announced, send the signal; exit status and output."""
    with subprocess.Popen(
        command(PCA_50.options),
        cwd=package,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        assert process.stdout is not None
        output = b""
        # Not line by line: what is announced last ends only with what follows.
        while chunk := os.read(process.stdout.fileno(), 1 << 16):
            output += chunk
            if f"vcp: {step}".encode() in output:
                process.send_signal(number)
                break
        rest, _ = process.communicate(timeout=HANG_SECONDS)
    return process.returncode, (output + rest).decode()


def at_work_in(directory: Path) -> list[str]:
    """Processes whose working directory lies there, or that were started for what lies there."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            started = (entry / "cmdline").read_bytes(), (entry / "environ").read_bytes()
            inside = Path(os.readlink(entry / "cwd")).is_relative_to(directory)
            if inside or any(os.fsencode(directory) in text for text in started):
                found.append((entry / "cmdline").read_text())
        except OSError:
            continue  # Gone meanwhile, or not ours to look at.
    return found


@pytest.mark.parametrize("step", STEPS)
def test_interrupted(package: Path, step: str) -> None:
    write_artifact(package / ARTIFACT, "old")
    before = tree(package / ARTIFACT)
    append_text(package / WRAPPER, f"\n{STEPS[step]}\n")
    code, output = stop_at(package, step, signal.SIGINT)
    assert code == pytest.ExitCode.INTERRUPTED, output
    assert tree(package / ARTIFACT) == before
    assert list(package.glob(f".{ARTIFACT}*")) == []
    assert at_work_in(package) == []
    assert "Traceback" not in output
    report = json.loads((package / ".vcp" / "report.json").read_text())
    assert report["verdict"] == "unverified"
    rules = report["variants"]["default"]["rules"]
    assert rules["VCP101"]["outcome"] == "passed"
    assert rules["VCP902"] == {
        **rules["VCP902"],
        "outcome": "unverified",
        "message": "the run ended before it",
    }
    assert "the previous one is as it was" in output


def test_killed_and_run_again(package: Path) -> None:
    write_artifact(package / ARTIFACT, "old")
    before = tree(package / ARTIFACT)
    source = (package / WRAPPER).read_text()
    append_text(package / WRAPPER, f"\n{STEPS[LAST]}\n")
    code, output = stop_at(package, LAST, signal.SIGKILL)
    assert code == -signal.SIGKILL, output
    assert tree(package / ARTIFACT) == before
    assert len(list(package.glob(f".{ARTIFACT}*"))) == 1, "what this test is about"
    (package / WRAPPER).write_text(source)
    run = run_vcp(package, PCA_50.options)
    assert run.code == 0, run.output
    assert tree(package / ARTIFACT) != before
    assert list(package.glob(f".{ARTIFACT}*")) == []
