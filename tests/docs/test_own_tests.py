"""The page on tests of one's own: its files and commands, run in copies of reference packages."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import pytest

from fixtures.mutants import replace_text
from fixtures.references import KNOCKOUT, PCA_50
from tests.docs.pages import DOCS, blocks, commands, files
from tests.runs import Run, run_vcp

PAGE = DOCS / "how-to" / "own-tests.md"
DATA = Path(__file__).parents[2] / "fixtures" / "data"
KNOCKOUT_TESTS = "tests/test_knockout.py"
PCA_TESTS = {name: text for name, text in files(PAGE).items() if name != KNOCKOUT_TESTS}
SUITE = "pytest_vcp.conformance"


def passed(run: Run) -> int:
    """Tests that passed, those of the suite and others."""
    found = re.findall(r"(\d+) passed", run.output)
    assert found, run.output
    return int(found[-1])  # The verdict block before pytest's last line counts rules alone.


def number_of_tests(texts: list[str]) -> int:
    return sum(text.count("\ndef test_") for text in texts)


def write(package: Path, texts: dict[str, str]) -> None:
    for name, text in texts.items():
        path = package / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of pbmc_pca with everything that the page writes into it."""
    package = PCA_50.copy(tmp_path)
    (ini,) = blocks(PAGE, "ini")
    write(package, {"pytest.ini": ini, **PCA_TESTS})
    (package / "tests" / "data").mkdir()
    shutil.copy(DATA / "pbmc_20_cells.h5ad", package / "tests" / "data")
    return package


@pytest.mark.parametrize("words", commands(PAGE), ids=" ".join)
def test_the_commands_pass(package: Path, words: list[str]) -> None:
    if "-n" in words:
        pytest.importorskip("xdist", reason="pytest-xdist is not installed")
    assert words[0] == "pytest"
    run = run_vcp(package, words[1:])
    assert run.code == 0, run.output
    own = number_of_tests(list(PCA_TESTS.values()))
    with_suite = SUITE in words
    assert passed(run) == own + list(run.outcomes.values()).count("passed")
    assert (run.report is not None) == with_suite
    assert (package / "mlflow_model_artifact").exists() == with_suite


def test_both_whenever_somebody_types_pytest(package: Path) -> None:
    (line,) = re.findall(r"`(addopts = [^`]+)`", PAGE.read_text(encoding="utf-8"))
    with (package / "pytest.ini").open("a", encoding="utf-8") as ini:
        ini.write(f"{line}\n")
    run = run_vcp(package, [])
    assert run.code == 0, run.output
    assert run.report is not None
    assert run.report["verdict"] == "conformant"
    assert passed(run) > list(run.outcomes.values()).count("passed")


def test_a_failing_test_changes_the_exit_code_alone(package: Path) -> None:
    write(package, {"tests/test_more.py": "def test_more():\n    assert False\n"})
    run = run_vcp(package, ["--pyargs", SUITE, "tests/test_more.py"])
    assert run.code == 1
    assert run.report is not None
    assert run.report["verdict"] == "conformant"
    assert (package / "mlflow_model_artifact").exists()


def test_the_rule_to_fix_first_is_named(package: Path) -> None:
    (told,) = re.findall(r"`(fix VCP\d+ first): …`", PAGE.read_text(encoding="utf-8"))
    wrapper = package / "model_code" / "pbmc_pca_mlflow_model.py"
    replace_text(wrapper, 'Path(context.artifacts["checkpoint"])', 'Path("model_data/pcs50")')
    run = run_vcp(package, ["tests/test_scores.py"])
    assert run.code == 1
    assert told in run.output
    assert "Traceback" not in run.output


def test_without_inference_there_is_no_model_to_test(package: Path) -> None:
    run = run_vcp(package, ["tests", "-rs", "--vcp-skip-inference"])
    assert run.code == 0, run.output
    assert passed(run) == number_of_tests([PCA_TESTS["tests/test_facts.py"]])
    assert "inference was skipped (--vcp-skip-inference)" in run.output


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="the lock of gene_knockout is for 3.11")
def test_the_known_gene(tmp_path: Path) -> None:
    package = KNOCKOUT.copy(tmp_path)
    text = files(PAGE)[KNOCKOUT_TESTS]
    write(package, {KNOCKOUT_TESTS: text})
    run = run_vcp(package, KNOCKOUT.options, KNOCKOUT_TESTS)
    assert run.code == 0, run.output
    assert passed(run) == number_of_tests([text])


def test_a_failure_of_the_model_is_told_at_the_line_of_the_test(package: Path) -> None:
    write(
        package,
        {
            "tests/test_more.py": "def test_more(vcp_model):\n"
            "    vcp_model.predict([{'input_uri': 'nowhere.h5ad'}])\n"
        },
    )
    run = run_vcp(package, ["tests/test_more.py"])
    assert run.code == 1
    assert "WorkerFailure: FileNotFoundError: input_uri" in run.output
    assert "tests/test_more.py:2" in run.output
    assert "model.py" not in run.output.replace("mlflow_model.py", "")
