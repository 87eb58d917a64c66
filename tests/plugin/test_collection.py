"""The suite is found from anywhere, under whatever the user's own pytest settings are."""

from __future__ import annotations

import json
import textwrap
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fixtures.references import PCA_50
from pytest_vcp.rules.registry import BY_ID, RULES
from tests.levels import level_of
from tests.runs import COMMAND_RULES, Run, run_vcp

OPTIONS = PCA_50.options
CHECKOUT = Path(__file__).parents[2]
ALL = [rule.id for rule in RULES]
STATIC = [rule.id for rule in RULES if rule.stage == "static"]
# Selects the static rules, which take no environment and hardly any time.
ONLY_STATIC = ("-k", " or ".join(rule.lower() for rule in STATIC))


def passed(run: Run) -> list[str]:
    return sorted(rule for rule, word in run.outcomes.items() if word == "passed")


def write_ini(directory: Path, text: str) -> None:
    (directory / "pytest.ini").write_text("[pytest]\n" + textwrap.dedent(text), encoding="utf-8")


def test_every_rule_has_its_test(package: Path) -> None:
    run = run_vcp(package, OPTIONS, "--collect-only", "-q")
    assert run.code == 0
    collected = [line for line in run.output.splitlines() if "::" in line]
    assert len(collected) == len(ALL)
    assert [rule for rule in ALL if f"::test_{rule.lower()}_" not in run.output] == []
    assert "vcp verdict" not in run.output
    assert run.report is None
    assert not (package / ".vcp").exists()


def test_from_another_directory(package: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    run_vcp(elsewhere, OPTIONS, f"--vcp-pkg-dir={package}", "-p", "no:cacheprovider", *ONLY_STATIC)
    report = json.loads((package / ".vcp" / "report.json").read_text(encoding="utf-8"))
    rules: dict[str, Any] = report["variants"]["default"]["rules"]
    assert all(rules[rule]["outcome"] == "passed" for rule in STATIC)
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize("mode", ["prepend", "append", "importlib"])
def test_import_modes(package: Path, mode: str) -> None:
    run = run_vcp(package, OPTIONS, f"--import-mode={mode}", *ONLY_STATIC)
    assert passed(run) == sorted(STATIC)


def test_a_job_that_is_just_pytest(package: Path) -> None:
    """Everything in the ini file, with settings of the user's own that could get in the way."""
    write_ini(
        package,
        """
        testpaths = tests
        addopts = --strict-markers --strict-config --import-mode=importlib -p no:cacheprovider -ra
        filterwarnings = error
        xfail_strict = true
        python_files = check_*.py
        python_functions = check_*
        vcp_model_class = model_code.pbmc_pca_mlflow_model:PbmcPcaMLflowModel
        vcp_artifact = checkpoint=pcs50
        vcp_model_config_json = {"n_components": 50}
        """,
    )
    tests = package / "tests"
    tests.mkdir()
    (tests / "check_nothing.py").write_text("def check_nothing(): assert False\n")
    run = run_vcp(package, [])
    assert run.code == 0, run.output
    assert run.report is not None
    assert run.report["verdict"] == "conformant"
    assert "check_nothing" not in run.output


def test_names_in_the_users_settings_do_not_hide_the_rules(package: Path) -> None:
    write_ini(package, "python_files = check_*.py\npython_functions = check_*\n")
    run = run_vcp(package, OPTIONS, "--collect-only", "-q")
    assert run.output.count("::test_vcp") == len(ALL), run.output


@pytest.mark.parametrize("expression", ["VCP1", "vcp1", "vcp101 or vcp102"])
def test_rules_are_selected_by_id(package: Path, expression: str) -> None:
    run = run_vcp(package, OPTIONS, "-k", expression)
    chosen = [rule for rule in ALL if rule.startswith("VCP1")]
    assert passed(run) == (chosen[:2] if "or" in expression else chosen)


def test_rules_are_selected_by_marker(package: Path) -> None:
    every = run_vcp(package, OPTIONS, "-m", "vcp_rule", "--collect-only", "-q")
    assert every.output.count("::") == len(ALL)
    none = run_vcp(package, OPTIONS, "-m", "not vcp_rule")
    assert none.code == pytest.ExitCode.NO_TESTS_COLLECTED
    assert "vcp verdict" not in none.output


def test_what_was_not_selected_counts_as_not_verified(package: Path) -> None:
    run = run_vcp(package, OPTIONS, "-k", "vcp101")
    assert run.code == 0
    assert run.report is not None
    assert run.report["verdict"] == "unverified"
    rest = {rule: word for rule, word in run.outcomes.items() if rule != "VCP101"}
    assert list(run.outcomes) == ALL
    assert set(rest.values()) == {"unverified"}
    assert run.variant["rules"]["VCP705"]["message"] == "not selected in this run"
    assert f"UNVERIFIED  default: {len(ALL)} rules: 1 passed, {len(rest)} unverified" in run.output
    assert "VCP701, VCP704, VCP705" in run.output
    gate = run_vcp(package, OPTIONS, "-k", "vcp101", "--vcp-must-verify=VCP601")
    assert gate.code == 11
    assert "VCP601: they have to be verified" in gate.output.replace("VCP710, ", "")
    met = run_vcp(package, OPTIONS, "-k", "vcp101", "--vcp-must-verify=VCP101")
    assert met.code == 0


def test_a_gate_is_not_passed_by_judging_nothing(package: Path) -> None:
    (package / "test_mine.py").write_text("def test_mine(): ...\n")
    run = run_vcp(package, OPTIONS, "test_mine.py", "--vcp-must-verify=VCP705")
    assert run.code == 11
    assert run.report is not None
    assert run.report["verdict"] == "unverified"


def test_stop_at_the_first_failure(package: Path) -> None:
    broken = [*OPTIONS, "--vcp-model-config-json=[]"]
    (package / "requirements.txt").write_text("mlflow>=3.1\n")
    run = run_vcp(package, broken, "-x")
    assert run.code == 1
    assert [rule for rule, word in run.outcomes.items() if word == "failed"] == ["VCP108"]
    assert run.variant["rules"]["VCP202"]["message"] == "the run ended before it"


@pytest.mark.parametrize("options", [("-q",), ("-qq",), ("-v",), ("-rA",), ("--no-header",)])
def test_the_verdict_is_told_at_every_loudness(package: Path, options: tuple[str, ...]) -> None:
    run = run_vcp(package, [*OPTIONS, "--vcp-model-config-json=[]"], *options)
    assert run.code == 1
    assert "NONCONFORMANT  default: " in run.output
    assert "fix first   VCP108: the model config is one JSON object" in run.output


@pytest.mark.parametrize("options", [("-p", "no:terminal"), ("--no-summary",)])
def test_the_report_is_written_without_a_terminal(package: Path, options: tuple[str, ...]) -> None:
    run = run_vcp(package, [*OPTIONS, "--vcp-model-config-json=[]"], *options)
    assert run.code == 1, run.output
    assert run.report is not None
    assert run.report["verdict"] == "nonconformant"


def properties_of(file: Path) -> Iterator[dict[str | None, str | None]]:
    """The properties of each test in a JUnit file."""
    for case in ET.parse(file).iter("testcase"):
        yield {entry.get("name"): entry.get("value") for entry in case.iter("property")}


def test_junit_tells_of_each_rule(package: Path, tmp_path: Path) -> None:
    file = tmp_path / "junit.xml"
    options = [*OPTIONS, "--vcp-model-config-json=[]", f"--junitxml={file}"]
    run = run_vcp(package, options, commands=COMMAND_RULES)
    told = {entry["vcp_rule"]: entry for entry in properties_of(file)}
    assert {rule: entry["vcp_outcome"] for rule, entry in told.items()} == run.outcomes
    assert run.outcomes["VCP108"] == "failed"
    for rule, entry in told.items():
        assert rule is not None
        assert entry["vcp_level"] == level_of(rule)
        assert (CHECKOUT / str(entry["vcp_page"])).read_text("utf-8").startswith(f"# {rule}")
        is_of_one = BY_ID[rule].scope == "variant"
        assert entry.get("vcp_variant") == ("default" if is_of_one else None)


def test_junit_tells_variants_apart(package: Path, tmp_path: Path) -> None:
    file = tmp_path / "junit.xml"
    (package / "LICENSE").unlink()
    run_vcp(package, ["--vcp-variant=all", f"--junitxml={file}"])
    told = [(entry["vcp_rule"], entry.get("vcp_variant")) for entry in properties_of(file)]
    assert len(told) == len(set(told))
    assert {variant for _, variant in told} == {None, "pcs10", "pcs50"}


OWN_TESTS = """
    def test_facts_without_a_model(vcp_package):
        assert vcp_package.modules

    def test_the_model(vcp_model):
        assert vcp_model

    def test_of_something_else():
        assert 1 + 1 == {sum}
"""


def test_own_tests_beside_the_suite(package: Path) -> None:
    (package / "test_mine.py").write_text(textwrap.dedent(OWN_TESTS).format(sum=3))
    both = ["--pyargs", "pytest_vcp.conformance", "test_mine.py"]
    run = run_vcp(package, OPTIONS, *both)
    assert run.code == 1, "a failing test of the user's own"
    assert run.report is not None
    assert run.report["verdict"] == "conformant"
    assert "1 failed" in run.output


def test_own_tests_instead_of_the_suite(package: Path) -> None:
    (package / "test_mine.py").write_text(textwrap.dedent(OWN_TESTS).format(sum=2))
    run = run_vcp(package, OPTIONS, "test_mine.py")
    assert run.code == 0, run.output
    assert "3 passed" in run.output
    assert run.report is None
    assert not (package / "mlflow_model_artifact").exists()


def test_own_tests_name_the_rule_to_fix_first(package: Path) -> None:
    (package / "test_mine.py").write_text(textwrap.dedent(OWN_TESTS).format(sum=2))
    run = run_vcp(package, [*OPTIONS, "--vcp-model-config-json=[]"], "test_mine.py")
    assert run.code == 1
    assert "fix VCP108 first: the model config is one JSON object" in run.output
    assert "2 passed, 1 error" in run.output
    assert "Traceback" not in run.output
