"""On a runner of GitHub: a summary of the job, annotations on lines; nothing of it elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import pytest

from fixtures.mutants import append_text
from fixtures.references import PCA_50
from pytest_vcp.mlflow_cli.serve import free_port
from tests.runs import Run, run_vcp

OPTIONS = tuple(PCA_50.options)
WRAPPER = "model_code/pbmc_pca_mlflow_model.py"
LFS_POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 4096\n"
TROUBLED = """
def pytest_sessionfinish(session):
    recorder = session.config.pluginmanager.get_plugin("vcp-recorder")
    recorder.troubles.append("100% of {package}/a_b\\n::error::more")
"""
ANNOTATION = re.compile(
    r"^::(?P<level>error|warning) (?P<properties>[^:]*)::(?P<text>.*)$", re.MULTILINE
)


def run_on_github(package: Path, *extra: str, options: Iterable[str] = OPTIONS) -> tuple[Run, str]:
    """A run as on a runner, whose checkout holds the package; also the summary."""
    summary = package.parent.parent / "summary.md"
    summary.write_text("# of an earlier step\n", encoding="utf-8")
    env = {
        "GITHUB_ACTIONS": "true",
        "GITHUB_STEP_SUMMARY": str(summary),
        "GITHUB_WORKSPACE": str(package.parent),
    }
    run = run_vcp(package, options, *extra, env=env)
    told = summary.read_text(encoding="utf-8")
    assert told.startswith("# of an earlier step\n")
    return run, told


def annotated(run: Run) -> list[tuple[str, dict[str, str], str]]:
    return [
        (
            found["level"],
            dict(entry.split("=", 1) for entry in found["properties"].split(",")),
            found["text"],
        )
        for found in ANNOTATION.finditer(run.output)
    ]


def test_what_is_broken(package: Path) -> None:
    append_text(package / "requirements.txt", "scanpy\n")
    append_text(package / WRAPPER, '\nMORE = "/home/mara/100%_<b>.npz"\n')
    run, summary = run_on_github(package)
    assert run.code == 1
    (level, properties, text), advice = annotated(run)
    assert (level, properties["title"]) == ("error", "VCP202")
    place = run.variant["rules"]["VCP202"]["where"]
    assert place == f"requirements.txt:{properties['line']}"
    assert properties["file"] == "mlflow_pkg/requirements.txt"
    assert text.count("%0A") == 3
    assert "fix: " in text
    level, properties, text = advice
    assert (level, properties["title"]) == ("warning", "VCP110")
    assert properties["file"] == f"mlflow_pkg/{WRAPPER}"
    assert "~/100%25_<b>.npz" in text

    assert "## Model package: nonconformant" in summary
    to_do, _, rest = summary.partition("**Advice**")
    assert "1. **VCP202** " in to_do
    assert "- **VCP110** " in rest
    assert r"\~/100%\_\<b\>.npz" in rest
    assert str(package) not in summary
    assert "`pytest --vcp-rules VCP202`" in summary


def test_what_is_sound(package: Path) -> None:
    run, summary = run_on_github(package)
    assert run.code == 0, run.output
    assert annotated(run) == []
    assert "### default: conformant" in summary
    assert "**To do**" not in summary
    assert "- VCP714: no expected output was recorded" in summary
    assert re.search(r"^- import [\d.]+ s, load ", summary, re.MULTILINE)
    assert run.variant["artifact"]["sha256"] in summary


def test_advice_in_a_strict_run_is_an_error(package: Path) -> None:
    append_text(package / WRAPPER, '\nMORE = "/home/mara/more.npz"\n')
    run, summary = run_on_github(package, "--vcp-strict", "-k", "vcp110")
    assert run.code == 1
    assert [(level, about["title"]) for level, about, _ in annotated(run)] == [("error", "VCP110")]
    assert "1. **VCP110** " in summary
    assert "**Advice**" not in summary


def test_each_variant_is_told(package: Path) -> None:
    append_text(package / WRAPPER, "\nraise RuntimeError('at import')\n")
    append_text(package / "requirements.txt", "scanpy\n")
    run, summary = run_on_github(package, options=["--vcp-variant=all"])
    assert run.code == 1, run.output
    assert "### pcs10: nonconformant" in summary
    assert "### pcs50: nonconformant" in summary
    # What is about the package as a whole is annotated once.
    assert [about["title"] for _, about, _ in annotated(run)] == ["VCP202"]


def test_a_finding_of_one_variant_names_it(package: Path) -> None:
    for weights in (package / "model_data" / "pcs10").iterdir():
        weights.write_text(LFS_POINTER, encoding="utf-8")
    run, _ = run_on_github(package, options=["--vcp-variant=all"])
    assert run.code == 1, run.output
    ((_, about, _),) = annotated(run)
    assert about["title"] == "VCP106 (pcs10)"


def test_a_file_outside_of_the_checkout_is_not_named(package: Path, tmp_path: Path) -> None:
    append_text(package / "requirements.txt", "scanpy\n")
    checkout = tmp_path / "elsewhere"
    checkout.mkdir()
    env = {"GITHUB_ACTIONS": "true", "GITHUB_WORKSPACE": str(checkout)}
    run = run_vcp(package, OPTIONS, env=env)
    ((_, properties, _),) = annotated(run)
    assert properties == {"title": "VCP202"}


def test_what_went_wrong_beside_the_verdict(package: Path) -> None:
    uri = f"http://127.0.0.1:{free_port()}"
    run, summary = run_on_github(package, f"--vcp-tracking-uri={uri}")
    assert run.code == 10, run.output
    told = f"the run was not kept with MLflow at {uri}: no connection: Connection refused"
    assert re.findall(r"^::error.*$", run.output, re.MULTILINE) == [f"::error::{told}"]
    assert "## Model package: conformant" in summary
    assert f"**Errors**\n\n- {told}\n" in summary


def test_words_of_others_are_no_markup(package: Path) -> None:
    (package / "conftest.py").write_text(TROUBLED.format(package=package), encoding="utf-8")
    run, summary = run_on_github(package, "-k", "vcp101")
    assert run.code == 0, run.output
    assert "::error::100%25 of PACKAGE/a_b%0A::error::more" in run.output.splitlines()
    assert "- 100% of PACKAGE/a\\_b\n::error::more\n" in summary


def test_a_summary_that_can_not_be_written_changes_no_verdict(
    package: Path, tmp_path: Path
) -> None:
    env = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(tmp_path)}
    run = run_vcp(package, OPTIONS, "-k", "vcp101", env=env)
    assert run.code == 0, run.output
    assert "::warning::the summary can't be written: " in run.output


@pytest.mark.parametrize("said", ["", "false"])
def test_nothing_of_it_elsewhere(package: Path, said: str) -> None:
    append_text(package / "requirements.txt", "scanpy\n")
    env = {"GITHUB_ACTIONS": said, "GITHUB_STEP_SUMMARY": ""}
    assert annotated(run_vcp(package, OPTIONS, env=env)) == []
