"""What a run tells: report.json for machines, the verdict block for people."""

from __future__ import annotations

import json
import os
import re
import stat
import sys
from dataclasses import fields
from pathlib import Path
from typing import NamedTuple

import pytest

from fixtures.mutants import append_text
from fixtures.references import PCA_50
from pytest_vcp.artifact.artifact import read_artifact
from pytest_vcp.artifact.digests import FileDigests
from pytest_vcp.evaluation.figures import Figures
from pytest_vcp.report.json import STEPS, write_report
from pytest_vcp.rules.registry import BY_ID, RULES
from tests.plugin.rights import run_without_root_rights
from tests.runs import COMMAND_RULES, Run, run_vcp

WRAPPER = Path("model_code", "pbmc_pca_mlflow_model.py")
OUTCOMES = {"passed", "failed", "advice", "waived", "unverified", "skipped", "error"}
RULE_KEYS = {
    "outcome",
    "level",
    "title",
    "message",
    "expected",
    "found",
    "where",
    "remedy",
    "traceback",
}
VARIANT = {
    "verdict",
    "fix_first",
    "python",
    "artifact",
    "figures",
    "outputs",
    "commands",
    "recorded",
    "rules",
}
# What a machine without a GPU, and a run that was not asked for it, do not measure.
NOT_HERE: dict[str, object] = {"peak_device_bytes": None, "scaling": [], "scaling_problem": None}


class Judged(NamedTuple):
    """A package and a run on it, shared by tests that change neither."""

    package: Path
    run: Run


@pytest.fixture(scope="module")
def conformant(tmp_path_factory: pytest.TempPathFactory) -> Judged:
    package = PCA_50.copy(tmp_path_factory.mktemp("conformant"))
    return Judged(package, run_vcp(package, PCA_50.options))


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Judged:
    """Broken twice in files that are read, once where only a run would find it."""
    package = PCA_50.copy(tmp_path_factory.mktemp("broken"))
    append_text(package / "requirements.txt", "scanpy\n")
    append_text(package / WRAPPER, "\nraise RuntimeError('at import')\n")
    options = [*PCA_50.options, "--vcp-model-config-json=[50]", "--vcp-cache-dir=../cache"]
    return Judged(package, run_vcp(package, options, commands=COMMAND_RULES))


def test_schema(conformant: Judged) -> None:
    report = conformant.run.report
    assert report is not None
    assert set(report) == {"schema", "verdict", "waivers", "variants"}
    assert report["waivers"] == []
    assert report["schema"] == 2
    assert list(report["variants"]) == ["default"]
    variant = conformant.run.variant
    assert set(variant) == VARIANT
    assert set(variant["artifact"]) == {"path", "sha256", "bytes"}
    assert set(variant["figures"]) == {entry.name for entry in fields(Figures)}
    assert list(variant["rules"]) == [rule.id for rule in RULES]
    for rule, entry in variant["rules"].items():
        assert set(entry) == RULE_KEYS
        assert entry["outcome"] in OUTCOMES
        assert entry["title"] == BY_ID[rule].title
        assert all(isinstance(text, str) for text in entry.values())


def test_schema_without_an_artifact(broken: Judged) -> None:
    variant = broken.run.variant
    assert set(variant) == VARIANT
    assert (variant["artifact"], variant["figures"], variant["outputs"]) == (None, None, None)
    assert list(variant["rules"]) == [rule.id for rule in RULES]


def test_conformant(conformant: Judged) -> None:
    package, run = conformant
    assert run.code == 0
    assert run.report is not None
    assert run.report["verdict"] == run.variant["verdict"] == "conformant"
    assert set(run.not_passed.values()) <= {"unverified"}
    artifact = read_artifact(package / "mlflow_model_artifact", FileDigests())
    assert run.variant["artifact"] == {
        "path": "mlflow_model_artifact",
        "sha256": artifact.sha256,
        "bytes": artifact.bytes,
    }
    assert run.variant["fix_first"] is None
    steps = {step: run.variant["python"][step] for step in STEPS}
    assert steps == dict.fromkeys(STEPS, True)
    assert run.variant["python"]["version"] == ".".join(map(str, sys.version_info[:3]))
    assert run.variant["figures"]["model_loads"] == 2
    figures = run.variant["figures"]
    assert {name: figures.pop(name) for name in NOT_HERE} == NOT_HERE
    assert all(figure > 0 for figure in figures.values())
    assert figures["artifact_bytes"] == artifact.bytes
    assert figures["rows_per_second"] == pytest.approx(48 / figures["second_forward_seconds"])


def test_conformant_says_what_stayed_open(conformant: Judged) -> None:
    run = conformant.run
    open_ones = [rule for rule, word in run.outcomes.items() if word == "unverified"]
    passed = len(RULES) - len(open_ones)
    told = f"CONFORMANT  default: {len(RULES)} rules: {passed} passed, {len(open_ones)} unverified"
    block = run.output[run.output.index("vcp verdict") :].splitlines()
    assert block[1] == told
    for rule in open_ones:
        assert any(line.startswith("  unverified  ") and rule in line for line in block)
        assert run.variant["rules"][rule]["message"]
    assert any(line.startswith("  artifact    ./mlflow_model_artifact (0.2 MB, ") for line in block)
    steps = "".join(rf"{step} [\d.]+ s, " for step in ("import", "load", "forward", "again"))
    times = rf"  figures     {steps}[\d.]+ rows/s"
    sizes = r" {14}peak memory \d+ MB, artifact 0.2 MB, 2 model loads, \d+ forward passes"
    (place,) = (number for number, line in enumerate(block) if re.fullmatch(times, line))
    assert re.fullmatch(sizes, block[place + 1])
    assert "  report      ./.vcp/report.json, ./.vcp/report.html" in block


def test_a_run_on_a_conforming_package_is_short(conformant: Judged) -> None:
    """Nobody reads two hundred lines that say that all is well, however long the run took."""
    lines = conformant.run.output.splitlines()
    # With an empty cache, the progress of the environment's build takes lines of its own.
    assert len([line for line in lines if not line.startswith("  vcp: ")]) < 50


def test_nonconformant(broken: Judged) -> None:
    run = broken.run
    assert run.code == 1
    assert run.report is not None
    assert run.report["verdict"] == "nonconformant"
    failed = {rule for rule, word in run.outcomes.items() if word == "failed"}
    assert failed == {"VCP108", "VCP202"}
    assert run.variant["fix_first"] == "VCP108"
    assert {run.variant["python"][step] for step in STEPS} == {None}
    entry = run.variant["rules"]["VCP202"]
    assert entry["where"].startswith("requirements.txt:")
    assert "scanpy" in entry["found"]
    assert entry["remedy"]


def test_the_first_to_fix_blocks_what_depends_on_it(broken: Judged) -> None:
    run = broken.run
    later = [rule.id for rule in RULES if rule.stage not in ("static", "environment")]
    assert {run.outcomes[rule] for rule in later} == {"skipped"}
    assert {run.variant["rules"][rule]["message"] for rule in later} == {"fix VCP108 first"}
    assert "  fix first   VCP108: the model config is one JSON object" in run.output


def test_static_failures_come_before_any_environment(broken: Judged) -> None:
    package = broken.package
    assert not (package.parent / "cache" / "environments").exists()
    assert not (package / ".vcp" / "logs").exists()
    assert not list(package.glob(".mlflow_model_artifact*"))


def test_failures_are_short_and_without_traceback(broken: Judged) -> None:
    told = broken.run.output
    assert "Traceback" not in told
    failures = told[told.index("= FAILURES =") : told.index("= vcp verdict =")]
    parts = re.split(r"^_{3,} .* _{3,}$", failures, flags=re.MULTILINE)[1:]
    assert len(parts) == 2
    for part in parts:
        title, *rest = [line for line in part.splitlines() if line.strip(" =")]
        assert len(rest) <= 5
        expected, found, fix, page = rest
        assert re.match(r"VCP\d{3}: ", title)
        assert [line.split()[0] for line in (expected, found, fix, page)] == [
            "expected",
            "found",
            "fix",
            "page",
        ]
        assert Path(page.split()[-1]).is_file()


def test_a_failing_model_is_told_as_shortly(package: Path) -> None:
    append_text(
        package / WRAPPER,
        "\ndef _broken(self, context, model_input, params=None):\n"
        "    raise ValueError('first line\\n' + 'x' * 100_000)\n"
        "PbmcPcaMLflowModel.predict = _broken\n",
    )
    run = run_vcp(package, PCA_50.options)
    assert run.code == 1
    assert run.not_passed["VCP704"] == "failed"
    assert "Traceback" not in run.output
    assert "found     ValueError: first line (model_code/pbmc_pca_mlflow_model.py:" in run.output
    assert len(run.output) < 20_000


def test_skipped_inference_is_unverified(package: Path) -> None:
    run = run_vcp(package, PCA_50.options, "--vcp-skip-inference")
    assert run.code == 0
    assert run.report is not None
    assert run.report["verdict"] == "unverified"
    later = [rule.id for rule in RULES if rule.id[3] in "789"]
    assert {run.outcomes[rule] for rule in later} == {"unverified"}
    assert "UNVERIFIED  default: " in run.output
    assert "inference was skipped (--vcp-skip-inference)" in run.output
    assert (package / "mlflow_model_artifact" / "MLmodel").is_file()
    assert run.variant["figures"]["model_loads"] == 0
    gate = run_vcp(package, PCA_50.options, "--vcp-skip-inference", "--vcp-must-verify=VCP701")
    assert gate.code == 11
    assert gate.report is not None
    assert gate.report["verdict"] == "unverified"


def test_a_gate_on_a_rule_that_stayed_open(package: Path) -> None:
    run = run_vcp(package, PCA_50.options, "--vcp-must-verify=VCP902", "--vcp-device=cpu")
    assert run.code == 11
    assert run.report is not None
    assert run.report["verdict"] == "unverified"
    assert "missing     VCP902: they have to be verified" in run.output


def test_payload_is_used_and_the_example_stays(package: Path) -> None:
    small = Path(__file__).parents[2] / "fixtures" / "data" / "pbmc_20_cells.h5ad"
    (package / "more_data").mkdir()
    (package / "more_data" / "few.h5ad").write_bytes(small.read_bytes())
    payload = package.parent / "payload.json"
    data = [["more_data/few.h5ad"]]
    payload.write_text(json.dumps({"dataframe_split": {"columns": ["input_uri"], "data": data}}))
    run = run_vcp(package, PCA_50.options, f"--vcp-json-payload-filepath={payload}")
    assert run.code == 0, run.output
    (output,) = run.variant["outputs"].values()
    assert output["shape"] == [20, 50]
    example = package / "mlflow_model_artifact" / "serving_input_example.json"
    assert "example_data/pbmc_48_cells.h5ad" in example.read_text()
    assert "json-payload-filepath " in run.output


def test_payload_that_names_no_input(package: Path) -> None:
    payload = package / "payload.json"
    data = [["more_data/none.h5ad"]]
    payload.write_text(json.dumps({"dataframe_split": {"columns": ["input_uri"], "data": data}}))
    run = run_vcp(package, PCA_50.options, "--vcp-json-payload-filepath=payload.json")
    # Who runs the tests has named it, not who wrote the package: no rule is broken.
    assert run.code == pytest.ExitCode.USAGE_ERROR
    assert "names 'more_data/none.h5ad', which is not at" in run.output
    assert run.report is None


def test_a_gpu_that_was_asked_for_and_is_not_there(package: Path) -> None:
    """The package has no GPU library, so no machine has a GPU for it."""
    run = run_vcp(package, PCA_50.options, "--vcp-device=cuda")
    assert run.code == 10
    assert run.report is not None
    assert run.report["verdict"] == "error"
    assert run.outcomes["VCP902"] == "error"
    entry = run.variant["rules"]["VCP902"]
    assert "no GPU is visible" in entry["message"]
    assert "--vcp-device auto" in entry["remedy"]
    assert "failed" not in run.outcomes.values()
    assert not (package / "mlflow_model_artifact").exists()


def test_report_is_replaced_whole(tmp_path: Path) -> None:
    write_report({"verdict": "old"}, tmp_path)
    with pytest.raises(TypeError):
        write_report({"verdict": "new", "rules": object()}, tmp_path)
    assert json.loads((tmp_path / "report.json").read_text()) == {"verdict": "old"}
    write_report({"verdict": "ü"}, tmp_path)
    assert json.loads((tmp_path / "report.json").read_text(encoding="utf-8")) == {"verdict": "ü"}
    assert os.listdir(tmp_path) == ["report.json"]


def test_report_tells_what_is_no_character(tmp_path: Path) -> None:
    """A name that is not UTF-8, in what a model says."""
    told = {"message": "no file caf\udce9.npz"}
    path = write_report(told, tmp_path)
    assert json.loads(path.read_text(encoding="utf-8")) == told


def test_report_is_readable_for_all_whom_the_mask_admits(tmp_path: Path) -> None:
    mask = os.umask(0o027)
    try:
        path = write_report({}, tmp_path)
    finally:
        os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_report_that_can_not_be_written_is_an_error(package: Path) -> None:
    """What could be written when the run began can't be at its end."""
    (package / ".vcp").mkdir()
    lock = "import os\ndef pytest_runtest_logfinish(): os.chmod('.vcp', 0o555)\n"
    (package / "lock_the_report.py").write_text(lock)
    options = [*PCA_50.options, "-k", "vcp101", "-p", "lock_the_report"]
    run = run_without_root_rights(package, options, {"PYTHONPATH": str(package)})
    assert run.returncode == 10, run.stdout
    assert "report      not written: " in run.stdout
    assert "choose another place with --vcp-report-dir" in run.stdout


def test_a_hub_chooses_the_levels(tmp_path: Path) -> None:
    package = PCA_50.copy(tmp_path)
    append_text(package / WRAPPER, "\n_HOME = '/home/anna/weights'\n")
    assert run_vcp(package, PCA_50.options, "-k", "vcp110").outcomes["VCP110"] == "advice"
    (package.parent / "hub.yaml").write_text(
        "levels: {VCP110: required, VCP107: advice}\n", "utf-8"
    )
    (package / "LICENSE").unlink()
    run = run_vcp(package, PCA_50.options, "--vcp-policy=../hub.yaml", "-k", "vcp110 or vcp107")
    assert (run.outcomes["VCP110"], run.outcomes["VCP107"]) == ("failed", "advice"), run.output
    told = {rule: run.variant["rules"][rule]["level"] for rule in ("VCP110", "VCP107")}
    assert told == {"VCP110": "required", "VCP107": "advice"}
