"""Waivers: a rule may fail, for a reason; what is wrong with a waiver is told."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from fixtures.mutants import replace_text
from fixtures.references import PCA_50
from pytest_vcp.settings.waivers import Waiver, Waivers
from tests.plugin.conftest import Configure
from tests.runs import Run, run_vcp

pytest_plugins = ["pytester"]

SPEC = "model_spec.py"


def break_dtype(package: Path) -> None:
    """Declare another dtype than predict returns, which VCP706 refuses."""
    replace_text(package / SPEC, "np.float32", "np.float64")


def waived(package: Path, *options: str) -> Run:
    return run_vcp(package, PCA_50.options, *options)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("VCP709: pooled", Waiver("VCP709", "pooled")),
        ("vcp709 : pooled: one row", Waiver("VCP709", "pooled: one row")),
        ("VCP709 variant small: pooled", Waiver("VCP709", "pooled", "small")),
        (
            "VCP709 variant small until 2031-02-28: pooled",
            Waiver("VCP709", "pooled", "small", datetime.date(2031, 2, 28)),
        ),
        (
            "VCP709 until 2031-02-28: pooled",
            Waiver("VCP709", "pooled", None, datetime.date(2031, 2, 28)),
        ),
    ],
)
def test_forms_of_a_line(configure: Configure, text: str, wanted: Waiver) -> None:
    assert configure(f"--vcp-waive={text}").waivers == Waivers((wanted,))
    assert configure(ini=[f"vcp_waive = {text}"]).waivers == Waivers((wanted,))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("VCP709", "write RULE [variant NAME] [until YYYY-MM-DD]: REASON"),
        ("VCP709:", "a waiver needs a reason"),
        ("VCP709 until tomorrow: later", "tomorrow is no date"),
    ],
)
def test_wrong_lines_are_refused(configure: Configure, text: str, told: str) -> None:
    with pytest.raises(pytest.UsageError) as refusal:
        configure(f"--vcp-waive={text}")
    assert told in str(refusal.value)
    assert "--vcp-waive" in str(refusal.value)


def test_the_file_form(configure: Configure, package: Path) -> None:
    (package / "waivers.yaml").write_text(
        "- {rule: VCP709, reason: pooled, expires: 2031-02-28}\n"
        "- rule: VCP503\n  variant: small\n  reason: legacy params\n",
        encoding="utf-8",
    )
    assert configure("--vcp-waivers=waivers.yaml").waivers.entries == (
        Waiver("VCP709", "pooled", None, datetime.date(2031, 2, 28)),
        Waiver("VCP503", "legacy params", "small"),
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("VCP709: pooled\n", "is not a list"),
        ("- VCP709\n", "has no mapping as entry 1"),
        ("- {rule: VCP709}\n", "gives no reason for VCP709"),
        ("- {reason: pooled}\n", "names no rule in entry 1"),
        ("- {rule: VCP709, raeson: x}\n", "has the unknown key 'raeson' in entry 1; did you mean"),
        ("- {rule: VCP709, reason: x, expires: soon}\n", "'soon' as expiry of VCP709"),
        ("- {rule: [\n", "is not YAML"),
    ],
)
def test_wrong_files_are_refused(configure: Configure, package: Path, text: str, told: str) -> None:
    (package / "waivers.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(pytest.UsageError) as refusal:
        configure("--vcp-waivers=waivers.yaml")
    assert told in str(refusal.value)
    assert "waivers.yaml" in str(refusal.value)


def test_a_waived_rule_runs_and_is_shown(package: Path) -> None:
    break_dtype(package)
    run = waived(package, "--vcp-waive=VCP706: the client reads either")
    assert run.code == 0, run.output
    assert run.outcomes["VCP706"] == "waived"
    assert run.outcomes["VCP801"] == "passed", "what comes behind a waived rule is judged"
    assert "the client reads either" in run.variant["rules"]["VCP706"]["message"]
    assert "waived      VCP706: expected dtype float64; found dtype float32" in run.output
    assert (package / "mlflow_model_artifact" / "MLmodel").exists()


def test_an_expired_waiver_waives_nothing(package: Path) -> None:
    break_dtype(package)
    run = waived(package, "--vcp-waive=VCP706 until 2020-01-31: for the release")
    assert run.code == 1, run.output
    assert run.outcomes["VCP706"] == "failed"
    assert "VCP706: it expired on 2020-01-31" in run.output


def test_stale_and_unknown_waivers_are_reported(package: Path) -> None:
    run = waived(
        package,
        "--vcp-waive=VCP706: no longer needed",
        "--vcp-waive=VCP7O6: mistyped",
        "--vcp-waive=VCP705 variant other: of another package",
    )
    assert run.code == 0, run.output
    assert run.report is not None
    assert run.report["waivers"] == [
        "VCP706: the rule holds; delete the waiver",
        "VCP7O6: there is no such rule; did you mean VCP706?",
        "VCP705 for other: no variant of this name was judged",
    ]
    for remark in run.report["waivers"]:
        assert remark in run.output


def test_a_waiver_for_one_variant_leaves_the_others(package: Path) -> None:
    break_dtype(package)
    run = run_vcp(package, ["--vcp-variant=all", "--vcp-waive=VCP706 variant pcs10: agreed"])
    assert run.code == 1, run.output
    assert run.report is not None
    found = {
        name: variant["rules"]["VCP706"]["outcome"]
        for name, variant in run.report["variants"].items()
    }
    assert found == {"pcs10": "waived", "pcs50": "failed"}, run.output


def test_what_nothing_can_do_without_still_blocks(package: Path) -> None:
    replace_text(package / "model_code" / "pbmc_pca_mlflow_model.py", "np.load(", "np.laod(")
    run = waived(package, "--vcp-waive=VCP701: it loads at home")
    assert run.outcomes["VCP701"] == "waived", run.output
    assert run.outcomes["VCP705"] == "skipped", run.output
    assert run.code == 1, run.output
