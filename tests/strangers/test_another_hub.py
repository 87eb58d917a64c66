"""The platform's choices are data: another hub pins, names and accepts by a policy of its own."""

from __future__ import annotations

import sys
from pathlib import Path

from fixtures.mutants import replace_text
from fixtures.references import PCA_50
from tests.runs import Run, run_vcp

POLICY = """\
pinned_requirements: [mlflow==3.1.0, numpy==2.2.6]
least_python: "{least}"
input_column: sample
placeholders: {{input: put/your/sample.here}}
pickle_bytes: {pickle_bytes}
"""


def judged(package: Path, least: str = "3.10", pickle_bytes: int = 20_000) -> Run:
    """A run under the other hub's policy."""
    text = POLICY.format(least=least, pickle_bytes=pickle_bytes)
    (package.parent / "hub.yaml").write_text(text, encoding="utf-8")
    return run_vcp(package, PCA_50.options, "--vcp-policy=../hub.yaml")


def rewritten(root: Path) -> Path:
    """The package as its author would change it for that hub."""
    package = PCA_50.copy(root)
    for file in (package / "model_spec.py", *(package / "model_code").glob("*.py")):
        text = file.read_text(encoding="utf-8")
        file.write_text(text.replace("input_uri", "sample"), encoding="utf-8")
    return package


def test_a_package_for_it_conforms(tmp_path: Path) -> None:
    run = judged(rewritten(tmp_path))
    assert run.code == 0, run.output
    assert run.variant["verdict"] == "conformant", run.output
    assert "policy ../hub.yaml (option)" in run.output


def test_a_package_for_the_platform_does_not(tmp_path: Path) -> None:
    run = judged(PCA_50.copy(tmp_path))
    assert run.outcomes["VCP402"] == "failed", run.output
    assert "'sample'" in run.variant["rules"]["VCP402"]["expected"]


def test_its_pinned_line_has_to_be_there(tmp_path: Path) -> None:
    package = rewritten(tmp_path)
    replace_text(package / "requirements.in", "numpy==2.2.6", "numpy")
    run = judged(package)
    assert run.outcomes["VCP201"] == "failed", run.output
    assert "numpy==2.2.6" in run.variant["rules"]["VCP201"]["expected"]


def test_its_least_python_counts(tmp_path: Path) -> None:
    run = judged(rewritten(tmp_path), least=f"3.{sys.version_info[1] + 1}")
    assert run.outcomes["VCP301"] == "failed", run.output


def test_its_placeholder_is_recognised(tmp_path: Path) -> None:
    package = rewritten(tmp_path)
    replace_text(
        package / "model_spec.py", "example_data/pbmc_48_cells.h5ad", "put/your/sample.here"
    )
    run = judged(package)
    assert run.outcomes["VCP504"] == "failed", run.output
    assert "placeholder" in run.variant["rules"]["VCP504"]["received"]


def test_its_limits_count(tmp_path: Path) -> None:
    run = judged(rewritten(tmp_path), pickle_bytes=10)
    assert run.outcomes["VCP608"] == "failed", run.output
