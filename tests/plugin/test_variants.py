"""Variants of the metadata file: chosen, judged each, packaged side by side, reported apart."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fixtures.mutants import replace_text
from pytest_vcp.rules.registry import BY_ID
from pytest_vcp.run import RUN
from pytest_vcp.settings.resolved import Settings
from tests.runs import run_vcp

pytest_plugins = ["pytester"]

ARTIFACT = "mlflow_model_artifact"
Resolve = Callable[..., dict[str, Settings]]


@pytest.fixture
def resolve(pytester: pytest.Pytester, package: Path, monkeypatch: pytest.MonkeyPatch) -> Resolve:
    """The settings of each variant of a run in the package directory."""

    def resolved(*options: str) -> dict[str, Settings]:
        monkeypatch.chdir(package)
        run = pytester.parseconfigure(*options).stash[RUN]
        return {name: variant.settings for name, variant in run.variants.items()}

    return resolved


def write_variants(package: Path, *variants: str) -> None:
    lines = "".join(f"  {variant}\n" for variant in variants)
    (package / "metadata.yaml").write_text(f"model_name: pca\nvariants:\n{lines}", "utf-8")


CLASS = "--model-class model_code.pbmc_pca_mlflow_model:PbmcPcaMLflowModel"


def test_all_variants_lie_side_by_side(resolve: Resolve, package: Path) -> None:
    found = resolve("--vcp-variant=all")
    assert list(found) == ["pcs10", "pcs50"]
    assert found["pcs10"].model_config == {"n_components": 10}
    assert found["pcs50"].artifacts == (("checkpoint", "pcs50"),)
    assert found["pcs50"].model_tags == (("components", "50"),)
    for name, settings in found.items():
        assert settings.artifact_dir == package / ARTIFACT / name
        assert settings.sources["model-class"] == "metadata"


def test_one_variant_lies_at_the_plain_path(resolve: Resolve, package: Path) -> None:
    found = resolve("--vcp-variant=pcs10")
    assert [settings.artifact_dir for settings in found.values()] == [package / ARTIFACT]


@pytest.mark.parametrize(
    "config", ["""'{"n_components": 50}'""", '{"n_components":50}', '{"n_components": 50}']
)
def test_quoted_and_unquoted_configs(resolve: Resolve, package: Path, config: str) -> None:
    write_variants(
        package, f"a: >-\n    {CLASS} --artifact checkpoint=pcs50 --model-config-json {config}"
    )
    assert resolve("--vcp-variant=a")["a"].model_config == {"n_components": 50}


def test_tags_of_the_option_are_added(resolve: Resolve) -> None:
    found = resolve("--vcp-variant=pcs10", "--vcp-model-tag=stage=test")
    assert dict(found["pcs10"].model_tags) == {"components": "10", "stage": "test"}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--vcp-variant=pcs11"], "metadata.yaml has no variant of this name; did you mean pcs10?"),
        (["--vcp-variant=all", "--vcp-artifact=a=pcs10"], "--vcp-artifact says the same"),
        (["--vcp-variant=all", f"--vcp-{CLASS[2:].replace(' ', '=')}"], "leave one of the two out"),
    ],
)
def test_what_contradicts_is_refused(resolve: Resolve, options: list[str], told: str) -> None:
    with pytest.raises(pytest.UsageError) as refusal:
        resolve(*options)
    assert told in str(refusal.value)


def test_the_command_line_wins_over_the_ini_file(resolve: Resolve, package: Path) -> None:
    (package / "pytest.ini").write_text("[pytest]\nvcp_variant = pcs10\n", encoding="utf-8")
    assert list(resolve(f"--vcp-{CLASS[2:].replace(' ', '=')}")) == ["default"]
    (package / "pytest.ini").write_text(
        f"[pytest]\nvcp_model_class = {CLASS.split()[1]}\nvcp_artifact = checkpoint=pcs50\n",
        encoding="utf-8",
    )
    assert list(resolve("--vcp-variant=pcs10")) == ["pcs10"]


def test_without_a_metadata_file(resolve: Resolve, package: Path) -> None:
    (package / "metadata.yaml").unlink()
    with pytest.raises(pytest.UsageError, match=r"no metadata.yaml or packaging_metadata.yaml"):
        resolve("--vcp-variant=all")


def test_a_foreign_directory_is_no_place_for_variants(resolve: Resolve, package: Path) -> None:
    (package / ARTIFACT).mkdir()
    (package / ARTIFACT / "thesis.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(pytest.UsageError, match="was not made by pytest-vcp"):
        resolve("--vcp-variant=all")


@pytest.mark.parametrize("workers", [[], ["-n2"]])
def test_each_variant_is_judged_and_packaged(package: Path, workers: list[str]) -> None:
    run = run_vcp(package, ["--vcp-variant=all", *workers])
    assert run.code == 0, run.output
    assert run.report is not None
    variants = run.report["variants"]
    assert list(variants) == ["pcs10", "pcs50"]
    for name, variant in variants.items():
        assert variant["verdict"] == "conformant", run.output
        assert variant["rules"].keys() == BY_ID.keys()
        assert variant["figures"]["model_loads"] == 2
        assert (package / ARTIFACT / name / "MLmodel").exists()
    outputs = [variant["outputs"][""] for variant in variants.values()]
    assert [output["shape"] for output in outputs] == [[48, 50], [48, 50]]
    assert outputs[0]["sha256"] != outputs[1]["sha256"]
    again = run_vcp(package, ["--vcp-variant=pcs10"])
    assert again.code == 0, again.output
    assert again.variant["artifact"]["path"] == f"{ARTIFACT}/pcs10"


def test_rules_of_the_package_are_judged_once(package: Path) -> None:
    run = run_vcp(package, ["--vcp-variant=all", "--collect-only", "-q"])
    once = [rule for rule, entry in BY_ID.items() if entry.scope == "package"]
    for rule in BY_ID:
        named = [line for line in run.output.splitlines() if f"test_{rule.lower()}_" in line]
        assert len(named) == (1 if rule in once else 2), (rule, named)


def test_a_broken_variant_leaves_the_other_whole(package: Path) -> None:
    replace_text(package / "metadata.yaml", "checkpoint=pcs10", "checkpoint=pcs50")
    replace_text(package / "metadata.yaml", '{"n_components": 10}', "[1, 2]")
    run = run_vcp(package, ["--vcp-variant=all"])
    assert run.code == 1, run.output
    assert run.report is not None
    assert run.report["verdict"] == "nonconformant"
    found = {name: variant["verdict"] for name, variant in run.report["variants"].items()}
    assert found == {"pcs10": "nonconformant", "pcs50": "conformant"}, run.output
    assert not (package / ARTIFACT / "pcs10").exists()
    assert (package / ARTIFACT / "pcs50" / "MLmodel").exists()


def test_what_is_wrong_with_all_is_told_once(package: Path) -> None:
    (package / "model_spec.py").unlink()
    run = run_vcp(package, ["--vcp-variant=all"])
    verdict = run.output.partition("vcp verdict")[2]
    assert verdict.count("VCP101: ") == 1, run.output
    assert "as above    VCP101" in verdict, run.output


def test_users_tests_run_for_each_variant(package: Path) -> None:
    (package / "test_own.py").write_text(
        "def test_width(vcp_model, vcp_variant):\n"
        "    cells = [{'input_uri': 'example_data/pbmc_48_cells.h5ad'}]\n"
        "    vcp_model.predict(cells)\n"
        "    used = sum(value != 0 for value in vcp_model.values()[0])\n"
        "    assert f'pcs{used}' == vcp_variant\n",
        encoding="utf-8",
    )
    run = run_vcp(package, ["--vcp-variant=all", "test_own.py"])
    assert run.code == 0, run.output
    assert "2 passed" in run.output
