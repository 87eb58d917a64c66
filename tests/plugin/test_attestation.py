"""The attestation of a run: what it says, when it is written, when an earlier one goes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from fixtures.mutants import append_text
from fixtures.references import PCA_50
from pytest_vcp import __version__
from pytest_vcp.artifact.artifact import read_artifact
from pytest_vcp.artifact.digests import FileDigests
from pytest_vcp.report.attestation import read_statement
from pytest_vcp.report.outcomes import Outcome, Word
from pytest_vcp.rules.registry import BY_ID
from tests.plugin.attested import statement_on
from tests.plugin.conftest import Configure
from tests.plugin.staged import tree, write_artifact
from tests.runs import Run, run_vcp

pytest_plugins = ["pytester"]

ARTIFACT = "mlflow_model_artifact"
FILE = Path(".vcp", "attestation.json")
WRAPPER = Path("model_code", "pbmc_pca_mlflow_model.py")

ADVICE = Outcome("VCP716", "default", "advice", "slow")
WAIVED = Outcome("VCP606", "default", "waived", "found /home/somebody/x; waived: it has to")
OF_PACKAGE = Outcome("VCP106", "", "waived", "no licence; waived: it is coming")
FAILED = Outcome("VCP705", "default", "failed", "too few rows")
OPEN = Outcome("VCP902", "default", "unverified", "no GPU")
SKIPPED = Outcome("VCP706", "default", "skipped", "fix VCP705 first")
WAIVE = ("--vcp-waive=VCP606: it has to", "--vcp-waive=VCP106: it is coming")


def told(predicate: dict[str, Any]) -> dict[str, Any]:
    """What is said about this tool and this run."""
    (tool,) = (entry for entry in predicate["configuration"] if entry["name"] == "pytest-vcp")
    annotations = tool["annotations"]
    assert isinstance(annotations, dict)
    return annotations


# --------------------------------------------------------------------------------- what it says


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    made = write_artifact(tmp_path / "made", "content")
    (made / "requirements.txt").write_text("numpy==2.0.0\n")
    return made


def test_a_statement_of_a_test_result(configure: Configure, artifact: Path) -> None:
    made = statement_on(artifact, configure(*WAIVE), ADVICE, WAIVED, OF_PACKAGE, OPEN)
    assert made["_type"] == "https://in-toto.io/Statement/v1"
    assert made["predicateType"] == "https://in-toto.io/attestation/test-result/v0.1"
    assert set(made) == {"_type", "subject", "predicateType", "predicate"}
    assert [entry["name"] for entry in made["subject"]] == sorted(
        name for name, content in tree(artifact).items() if content is not None
    )
    assert all(len(entry["digest"]["sha256"]) == 64 for entry in made["subject"])
    predicate = made["predicate"]
    assert predicate["passedTests"] == ["VCP601"]
    assert predicate["warnedTests"] == ["VCP106", "VCP606", "VCP716"]
    assert predicate["failedTests"] == []
    policy, lock, tool = predicate["configuration"]
    assert (policy["name"], len(policy["digest"]["sha256"])) == ("policy", 64)
    assert lock in made["subject"]
    assert tool["uri"] == f"pkg:pypi/pytest-vcp@{__version__}"
    assert told(predicate) == {
        "version": __version__,
        "verdict": "conformant",
        "variant": "default",
        "python": "3.11.7",
        "waived": {"VCP106": "it is coming", "VCP606": "it has to"},
        "unverified": ["VCP902"],
    }


def test_no_place_and_no_message_is_in_it(configure: Configure, artifact: Path) -> None:
    text = json.dumps(statement_on(artifact, configure(*WAIVE), WAIVED, FAILED))
    for stranger in (str(artifact.parent), "/home", "somebody", "rows"):
        assert stranger not in text


@pytest.mark.parametrize(
    ("word", "outcomes", "result"),
    [
        ("conformant", [OPEN], "PASSED"),
        ("conformant", [ADVICE], "WARNED"),
        ("conformant", [WAIVED], "WARNED"),
        ("unverified", [OPEN], "WARNED"),
        ("nonconformant", [FAILED, SKIPPED], "FAILED"),
    ],
)
def test_results(
    configure: Configure, artifact: Path, word: Word, outcomes: list[Outcome], result: str
) -> None:
    made = statement_on(artifact, configure(*WAIVE), *outcomes, word=word)
    assert made["predicate"]["result"] == result


def test_what_was_skipped_is_not_verified(configure: Configure, artifact: Path) -> None:
    made = statement_on(artifact, configure(), FAILED, SKIPPED, OPEN, word="nonconformant")
    assert made["predicate"]["failedTests"] == ["VCP705"]
    assert told(made["predicate"])["unverified"] == ["VCP706", "VCP902"]


def test_in_a_strict_run_advice_fails(configure: Configure, artifact: Path) -> None:
    made = statement_on(artifact, configure("--vcp-strict"), ADVICE, word="nonconformant")
    predicate = made["predicate"]
    assert (predicate["failedTests"], predicate["warnedTests"]) == (["VCP716"], [])


def test_another_policy_has_another_digest(
    configure: Configure, package: Path, artifact: Path
) -> None:
    def digest(*options: str) -> str:
        (policy, *_) = statement_on(artifact, configure(*options))["predicate"]["configuration"]
        return str(policy["digest"]["sha256"])

    # What says the same elsewhere is the same policy.
    (package / "same.yaml").write_text("{}\n")
    (package / "hub.yaml").write_text("budget: {load_seconds: 1}\n")
    assert digest() == digest("--vcp-policy=same.yaml") != digest("--vcp-policy=hub.yaml")


# ---------------------------------------------------------------------------- when it is written


class Packaged(NamedTuple):
    """A package, and the run that packaged it."""

    package: Path
    run: Run


@pytest.fixture(scope="module")
def packaged(tmp_path_factory: pytest.TempPathFactory) -> Packaged:
    package = PCA_50.copy(tmp_path_factory.mktemp("packaged"))
    run = run_vcp(package, PCA_50.options)
    assert run.code == 0, run.output
    return Packaged(package, run)


@pytest.fixture
def again(packaged: Packaged, tmp_path: Path) -> Path:
    """A copy of the package with its artifact and its attestation, which may be changed."""
    return Path(shutil.copytree(packaged.package, tmp_path / "again" / packaged.package.name))


def compare(artifact: Path, attestation: Path) -> Run:
    return run_vcp(
        artifact.parent,
        [f"--vcp-verify-artifact={artifact}", f"--vcp-attestation={attestation}"],
    )


def test_a_packaging_run_attests_to_what_it_published(packaged: Packaged) -> None:
    package, run = packaged
    assert "  attestation  ./.vcp/attestation.json\n" in run.output
    content = (package / FILE).read_bytes()
    found = read_statement(content)
    judged = read_artifact(package / ARTIFACT, FileDigests())
    assert found.files == {file.path: file.sha256 for file in judged.files}
    assert (found.verdict, found.is_signed) == ("conformant", False)
    predicate = json.loads(content)["predicate"]
    by_outcome: dict[str, list[str]] = {}
    for rule, word in run.outcomes.items():
        by_outcome.setdefault(word, []).append(rule)
    assert predicate["passedTests"] == by_outcome["passed"]
    assert told(predicate)["unverified"] == by_outcome["unverified"]
    named = {
        *predicate["passedTests"],
        *predicate["warnedTests"],
        *predicate["failedTests"],
        *told(predicate)["unverified"],
    }
    assert named == set(BY_ID)
    assert str(package).encode() not in content


def test_it_verifies_elsewhere_until_a_bit_is_flipped(packaged: Packaged, tmp_path: Path) -> None:
    artifact = tmp_path / "inbox" / "model"
    shutil.copytree(packaged.package / ARTIFACT, artifact)
    attestation = tmp_path / "letter.json"
    shutil.copy(packaged.package / FILE, attestation)
    assert compare(artifact, attestation).code == 0
    weights = next(path for path in (artifact / "artifacts").rglob("*") if path.is_file())
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    weights.write_bytes(content)
    run = compare(artifact, attestation)
    assert run.code == 1, run.output
    assert run.output.splitlines()[0] == f"changed  {weights.relative_to(artifact).as_posix()}"


def test_a_run_that_publishes_nothing_leaves_it(again: Path) -> None:
    before = (again / FILE).read_bytes()
    append_text(again / WRAPPER, "\nPbmcPcaMLflowModel.predict = lambda *_, **__: 'text'\n")
    run = run_vcp(again, PCA_50.options)
    assert run.code == 1, run.output
    assert "  attestation  " not in run.output
    assert (again / FILE).read_bytes() == before
    assert compare(again / ARTIFACT, again / FILE).code == 0


def test_one_that_was_not_judged_to_its_end_has_none(again: Path) -> None:
    (again / "test_a.py").write_text("def test_a(): assert False\n")
    own = ["--pyargs", "pytest_vcp.conformance", "test_a.py"]
    run = run_vcp(again, PCA_50.options, *own, "--maxfail=1")
    assert run.variant["artifact"] is not None, run.output
    assert not (again / FILE).exists(), "it speaks of the artifact before"
    assert "  attestation  " not in run.output


def test_where_it_cannot_be_written(again: Path) -> None:
    (again / FILE).unlink()
    (again / FILE).mkdir()
    run = run_vcp(again, PCA_50.options)
    assert run.code == 10, run.output
    told_so = "  attestation  not written: Is a directory; choose another place with --vcp-report"
    assert told_so in run.output
    assert run.variant["verdict"] == "conformant"
    # Nothing half-written; the directory leaves itself out of git.
    assert [path.name for path in (again / ".vcp").glob(".*")] == [".gitignore"]


def test_with_xdist(again: Path) -> None:
    pytest.importorskip("xdist", reason="pytest-xdist is not installed")
    (again / FILE).unlink()
    run = run_vcp(again, PCA_50.options, "-n", "2")
    assert run.code == 0, run.output
    assert compare(again / ARTIFACT, again / FILE).code == 0


def test_each_variant_has_its_own(package: Path) -> None:
    run = run_vcp(package, ["--vcp-variant=all"])
    assert run.code == 0, run.output
    names = {"attestation-pcs10.json", "attestation-pcs50.json"}
    reports = package / ".vcp"
    assert {path.name for path in reports.glob("attestation*")} == names
    # By itself, it goes beside the other one, and so does what is said of it.
    before = tree(reports)
    assert run_vcp(package, ["--vcp-variant=pcs10"]).code == 0
    after = tree(reports)
    assert {path.name for path in reports.glob("attestation*")} == names
    assert {name for name in names if after[name] != before[name]} == {"attestation-pcs10.json"}
    for variant in ("pcs10", "pcs50"):
        assert (
            compare(package / ARTIFACT / variant, reports / f"attestation-{variant}.json").code == 0
        )
