"""The platform's choices are data: another hub pins, names and accepts by a policy of its own."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from fixtures.mutants import replace_text
from fixtures.mutants.forward.outputs import both, declared, returning
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


def serving(package: Path, pythons: list[str], env: dict[str, str] | None = None) -> Run:
    """The rules on the lock, where the hub runs these Pythons."""
    (package.parent / "hub.yaml").write_text(f"pythons: {json.dumps(pythons)}\n", encoding="utf-8")
    selected = ("--vcp-policy=../hub.yaml", "-k", "vcp207 or vcp209")
    return run_vcp(package, PCA_50.options, *selected, env=env)


def test_its_pythons_are_asked_about_once(tmp_path: Path) -> None:
    package = PCA_50.copy(tmp_path)
    served = ["3.10", "3.11", "3.12", "3.13"]
    first = serving(package, served)
    assert (first.outcomes["VCP207"], first.outcomes["VCP209"]) == ("passed", "passed"), (
        first.output
    )

    # Now that no index answers, the answers are still there; for another Python there is none.
    away = {
        "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
        "PIP_RETRIES": "0",
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_FIND_LINKS": "",
        "PIP_EXTRA_INDEX_URL": "",
    }
    again = serving(package, served, away)
    assert (again.outcomes["VCP207"], again.outcomes["VCP209"]) == ("passed", "passed"), (
        again.output
    )
    unknown = serving(package, [*served, "3.20"], away)
    assert unknown.code == 10, unknown.output
    assert unknown.outcomes["VCP207"] == "error", unknown.output
    assert "127.0.0.1" in unknown.variant["rules"]["VCP207"]["message"]
    assert unknown.variant["verdict"] == "error"


def test_its_placeholder_is_recognised(tmp_path: Path) -> None:
    package = rewritten(tmp_path)
    replace_text(
        package / "model_spec.py", "example_data/pbmc_48_cells.h5ad", "put/your/sample.here"
    )
    run = judged(package)
    assert run.outcomes["VCP504"] == "failed", run.output
    assert "placeholder" in run.variant["rules"]["VCP504"]["found"]


def test_its_limits_count(tmp_path: Path) -> None:
    run = judged(rewritten(tmp_path), pickle_bytes=10)
    assert run.outcomes["VCP608"] == "failed", run.output


def tolerant(package: Path, policy: str, *extra: str) -> Run:
    """A run under a policy with other tolerances."""
    (package.parent / "hub.yaml").write_text(policy, encoding="utf-8")
    return run_vcp(package, PCA_50.options, "--vcp-policy=../hub.yaml", *extra)


# Each prediction of a process has another value of its own that is off.
ONE_VALUE_OFF = returning(
    """
    self.calls = getattr(self, "calls", 0) + 1
    scores[-self.calls, 7] += np.float32(1)
    return scores
    """
)


def test_the_share_of_values_that_it_lets_differ_counts(tmp_path: Path) -> None:
    package = PCA_50.copy(tmp_path)
    ONE_VALUE_OFF(package)
    few = tolerant(package, "tolerance: {repeat: {mismatch_ppm: 100}}")
    assert few.outcomes["VCP710"] == "failed", few.output
    told = "2 of 2400 values differ (833 ppm; 100 allowed), the most at ["
    assert told in few.variant["rules"]["VCP710"]["found"]

    # Half of the cells, by which some rules are judged, have half of the values.
    more = "tolerance: {repeat: {mismatch_ppm: 1800}, batch: {mismatch_ppm: 1800}}"
    run = tolerant(package, more, "--vcp-strict")
    assert run.code == 0, run.output
    assert run.variant["verdict"] == "conformant", run.output


BATCH_SIZE = 'ParamSpec("batch_size", DataType.long, 16),'
PRECISION = 'ParamSpec("precision", DataType.string, "{}"),'
TWO_PERCENT_BY_BATCH = returning(
    'return scores * np.float32(1.02 if (params or {}).get("batch_size") != 16 else 1)'
)


@pytest.mark.parametrize(
    ("precision", "policy", "outcome"),
    [
        ("32", "tolerance: {}", "advice"),
        ("bf16-mixed", "tolerance: {}", "passed"),
        ("bf16-mixed", "tolerance: {device: {bf16-mixed: {relative: 1.0e-3}}}", "advice"),
    ],
)
def test_what_it_grants_a_precision_counts_where_the_model_uses_it(
    tmp_path: Path, precision: str, policy: str, outcome: str
) -> None:
    package = PCA_50.copy(tmp_path)
    sound = 'ParamSpec("target_sum", DataType.double, 10000.0),'
    more = f"{sound}\n            {BATCH_SIZE}\n            {PRECISION.format(precision)}"
    both(declared(sound, more), TWO_PERCENT_BY_BATCH)(package)
    run = tolerant(package, policy, "-k", "vcp713")
    assert run.outcomes["VCP713"] == outcome, run.output
