"""Texts as other editors and other tools write them, in a real run."""

from __future__ import annotations

from pathlib import Path

from fixtures.environments import environment_of
from tests.mutations.judging import OPEN_HERE
from tests.runs import run_vcp
from tests.strangers.building import LOCK_FROM
from tests.strangers.habits import SMOOTHER, elaborate
from tests.strangers.texts import end_lines_as_windows_does, mark_byte_order


def test_texts_of_another_editor_and_another_tool(tmp_path: Path) -> None:
    """Hashes, extras, markers, continuations, comments, a byte-order mark, CRLF everywhere."""
    environment = environment_of(LOCK_FROM / "requirements.txt")
    assert environment.pip_report is not None
    package = SMOOTHER.build(tmp_path, environment.python)
    elaborate(package, environment.pip_report)
    end_lines_as_windows_does(package)
    mark_byte_order(package / "metadata.yaml")
    mark_byte_order(package / "model_spec.py")
    for name in ("metadata.yaml", "model_spec.py", "requirements.in", "requirements.txt"):
        content = (package / name).read_bytes()
        assert content.count(b"\r\n") == content.count(b"\n") > 0

    # From beside the package: in the package, the system has followed the link already.
    options = (*SMOOTHER.options, "--vcp-pkg-dir=mlflow_pkg", "--vcp-report-dir=evidence")
    run = run_vcp(tmp_path, options)

    assert run.code == 0, run.output
    assert package.is_symlink()
    assert run.variant["verdict"] == "conformant"
    assert set(run.not_passed) <= OPEN_HERE, run.output
