"""The store of a package's own: what it holds after three runs, and what can be done with that."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from fixtures.references import PCA_50
from pytest_vcp import __version__
from tests.report import browser
from tests.runs import Run, run_vcp
from tests.tracking.serving import served
from tests.tracking.store import EXPERIMENT, Store, embedded

WRAPPER = Path("model_code", "pbmc_pca_mlflow_model.py")
REGISTERED = "pbmc"


@dataclass(frozen=True)
class Three:
    """Two versions of a model, and a third run that found a fault."""

    package: Path
    store: Store
    runs: tuple[Run, Run, Run]
    content: dict[str, Any]


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Three:
    root = tmp_path_factory.mktemp("three")
    package = PCA_50.copy(root)
    keep = (f"--vcp-register-model={REGISTERED}",)
    first = run_vcp(package, ["--vcp-variant=pcs10", *keep])
    second = run_vcp(package, ["--vcp-variant=pcs50", *keep])
    source = (package / WRAPPER).read_text(encoding="utf-8")
    broken = source.replace("return np.concatenate(scores, axis=0)", "return scores[0] * np.nan")
    assert broken != source
    (package / WRAPPER).write_text(broken, encoding="utf-8")
    third = run_vcp(package, ["--vcp-variant=pcs50", *keep])
    store = embedded(package, root / "elsewhere")
    return Three(package, store, (first, second, third), store.content())


def test_each_run_is_there_with_its_verdict(three: Three) -> None:
    assert [run.code for run in three.runs] == [0, 0, 1], three.runs[-1].output
    runs = three.content["runs"]
    assert three.content["experiment"] == EXPERIMENT
    assert [run["status"] for run in runs] == ["FINISHED", "FINISHED", "FAILED"]
    verdicts = [run["tags"]["vcp.verdict"] for run in runs]
    assert verdicts == ["conformant", "conformant", "nonconformant"]
    assert [run["tags"].get("vcp.fix_first") for run in runs] == [None, None, "VCP707"]
    assert {run["tags"]["vcp.version"] for run in runs} == {__version__}
    assert all(0 < run["seconds"] < 900 for run in runs)


def test_versions_are_told_apart_by_params_and_tags(three: Three) -> None:
    first, second, _ = three.content["runs"]
    assert (first["params"]["config.n_components"], first["tags"]["components"]) == ("10", "10")
    assert (second["params"]["config.n_components"], second["tags"]["components"]) == ("50", "50")
    for run, report in zip((first, second), three.runs[:2], strict=True):
        python, artifact = report.variant["python"], report.variant["artifact"]
        assert run["params"]["lock_sha256"] == python["lock"]
        assert run["params"]["python"] == python["version"]
        assert run["tags"]["vcp.artifact_sha256"] == artifact["sha256"]
        assert run["name"] == f"{run['tags']['vcp.variant']} {artifact['sha256'][:8]}"


def test_figures_are_metrics_of_run_and_model(three: Three) -> None:
    models = {model["run"]: model for model in three.content["models"]}
    for run, judged in zip(three.content["runs"], three.runs, strict=True):
        figures = judged.variant["figures"]
        for name in ("load_seconds", "forward_seconds", "peak_rss_bytes", "artifact_bytes"):
            assert run["metrics"][name] == pytest.approx(figures[name])
        assert run["metrics"]["rules_failed"] == float(judged.code == 1)
        if run["id"] in models:
            assert models[run["id"]]["metrics"] == run["metrics"]


def test_the_reports_are_artifacts_of_the_run(three: Three) -> None:
    reports = ["report.html", "report.json"]
    found = [run["files"] for run in three.content["runs"]]
    attested = [[f"attestation-{name}.json", *reports] for name in ("pcs10", "pcs50")]
    # The faulty version was not put in place, so nothing attests to it.
    assert found == [*attested, reports]


def test_the_model_is_kept_as_it_was_judged(three: Three) -> None:
    """File by file: the attestation of the run holds for what MLflow keeps."""
    run, model = three.content["runs"][1], three.content["models"]
    (logged,) = [entry for entry in model if entry["run"] == run["id"]]
    assert (logged["status"], logged["name"]) == ("READY", "pcs50")
    assert run["models"] == [logged["id"]]
    assert logged["params"] == run["params"]
    statement = json.loads((three.package / ".vcp" / "attestation-pcs50.json").read_text())
    kept = Path(logged["path"])
    files = [path for path in kept.rglob("*") if path.is_file()]
    digests = {
        path.relative_to(kept).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }
    assert digests == {entry["name"]: entry["digest"]["sha256"] for entry in statement["subject"]}


def test_weights_are_not_copied_again(three: Three) -> None:
    artifact = three.package / "mlflow_model_artifact" / "artifacts"
    (logged,) = [entry for entry in three.content["models"] if entry["name"] == "pcs50"]
    weights = [path for path in artifact.rglob("*") if path.is_file()]
    assert weights
    for path in weights:
        kept = Path(logged["path"], "artifacts", path.relative_to(artifact))
        assert kept.samefile(path) or not _can_link(path)
    # What is edited by hand is a file of its own.
    assert not Path(logged["path"], "MLmodel").samefile(artifact.parent / "MLmodel")


def _can_link(path: Path) -> bool:
    try:
        (path.parent / "second").hardlink_to(path)
    except OSError:
        return False
    (path.parent / "second").unlink()
    return True


def test_training_again_leaves_the_kept_weights_alone(three: Three) -> None:
    """Whoever trains again writes into the file of model_data/, not into what was kept."""
    trained = three.package / "model_data" / "pcs50" / "pca.npz"
    (logged,) = [entry for entry in three.content["models"] if entry["name"] == "pcs50"]
    assert not Path(logged["path"], "artifacts", "pcs50", "pca.npz").samefile(trained)


@pytest.mark.parametrize(("version", "columns"), [(1, 10), (2, 50)])
def test_a_registered_version_loads_and_predicts(three: Three, version: int, columns: int) -> None:
    (example,) = (three.package / "example_data").glob("*.h5ad")
    told = three.store.prediction(f"models:/{REGISTERED}/{version}", example)
    assert told["finite"]
    assert (told["shape"][1], told["used"]) == (50, columns)
    assert told["inputs"] == ["input_uri"]
    assert told["has_example"]


def test_mlflow_ui_shows_the_runs_side_by_side(three: Three, tmp_path: Path) -> None:
    """As a browser sees its page to compare: each run, what tells them apart, and the figures."""
    program = browser.find()
    if program is None:
        pytest.skip(f"no browser is here: {', '.join(browser.NAMES)}")
    store = ("--backend-store-uri", f"sqlite:///{three.package}/.vcp/mlflow/mlflow.db")
    runs = three.content["runs"]
    chosen = quote(json.dumps([run["id"] for run in runs]))
    with served(three.store.python, "ui", *store, folder=tmp_path) as uri:
        page = f"{uri}/#/compare-runs?runs={chosen}&experiments={quote(json.dumps(['1']))}"
        options = ("--virtual-time-budget=30000", "--dump-dom")
        shown = browser.load(program, tmp_path, page, *options).stdout
    for run in runs:
        assert run["name"] in shown
    for name in ("config.n_components", "load_seconds", "peak_rss_bytes", "vcp.verdict"):
        assert name in shown


def test_the_terminal_tells_where_and_what(three: Three) -> None:
    first, _, third = (run.output for run in three.runs)
    assert f"in experiment {EXPERIMENT} at .vcp/mlflow\n" in first
    look = r"\(cd \.vcp/mlflow && (\S+) -m mlflow ui --backend-store-uri sqlite:///mlflow\.db\)"
    found = re.search(look, first)
    assert found is not None
    assert Path(found[1]).is_file()
    assert f"registered  {REGISTERED}, version 1" in first
    assert f"no version of {REGISTERED}: a conformant run without a failed test makes one" in third


def test_nothing_but_the_store_is_left(three: Three) -> None:
    folder = three.package / ".vcp" / "mlflow"
    assert sorted(path.name for path in folder.iterdir()) == ["artifacts", "mlflow.db"]
    assert not (three.package / "mlruns").exists()


def test_no_param_names_a_place_of_this_machine(three: Three) -> None:
    told = json.dumps([run["params"] | run["tags"] for run in three.content["runs"]])
    assert str(three.package.parent) not in told
    assert str(Path.home()) not in told


def test_all_variants_of_a_run_are_kept(tmp_path: Path) -> None:
    """By the process that reports, once each, also where others have run the tests."""
    package = PCA_50.copy(tmp_path)
    run = run_vcp(package, ["--vcp-variant=all", "--vcp-register-model=both", "-n", "2"])
    assert run.code == 0, run.output
    assert "registered  both, version 1, 2" in run.output
    content = embedded(package, tmp_path / "elsewhere").content()
    assert sorted(run["tags"]["vcp.variant"] for run in content["runs"]) == ["pcs10", "pcs50"]
    assert len(content["models"]) == 2
