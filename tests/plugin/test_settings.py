"""Every option and its ini twin: read, ordered, shown with their source, refused with a remedy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pytest_vcp.options import OPTIONS
from pytest_vcp.report.terminal import header
from pytest_vcp.rules.registry import BY_ID
from tests.plugin.conftest import CLASS, Configure
from tests.runs import run_vcp

pytest_plugins = ["pytester"]

WRAPPER = CLASS.partition("=")[2]
# Option -> a value for the ini file, another for the command line, the setting, and what it is
# then. Paths are relative to the package directory, as is the ini file.
VALUES: dict[str, tuple[str, str, str, Any, Any]] = {
    "model-class": (
        "model_code.other:Other",
        WRAPPER,
        "model_class",
        "model_code.other:Other",
        WRAPPER,
    ),
    "artifact": (
        "a=pcs10",
        "b=pcs50",
        "artifacts",
        (("a", "pcs10"),),
        (("b", "pcs50"),),
    ),
    "model-config-json": ('{"a": 1}', "[2]", "model_config", {"a": 1}, [2]),
    "model-tag": ("a=1", "b=2=3", "model_tags", (("a", "1"),), (("b", "2=3"),)),
    "json-payload-filepath": ("one.json", "two.json", "payload", "one.json", "two.json"),
    "artifact-dir-path": ("one", "two/three", "artifact_dir", "one", "two/three"),
    "skip-inference": ("true", "", "skip_inference", True, True),
    "variant": ("pcs10", "pcs50", "variant", "pcs10", "pcs50"),
    "verify-artifact": ("one.mlflow", "two.mlflow", "artifact_only", "one.mlflow", "two.mlflow"),
    "pkg-dir": (".", "../other", "pkg_dir", ".", "../other"),
    "env-manager": ("local", "virtualenv", "env_manager", "local", "virtualenv"),
    "python": ("3.8", "3.9", "target_python", (3, 8), (3, 9)),
    "device": ("cpu", "cuda:1", "device", "cpu", "cuda:1"),
    "require-gpu": ("true", "", "require_gpu", True, True),
    "level": ("quick", "static", "level", "quick", "static"),
    "strict": ("yes", "", "strict", True, True),
    "must-verify": ("VCP101", "VCP705, VCP706", "must_verify", ("VCP101",), ("VCP705", "VCP706")),
    "waive": ("VCP709: a", "VCP709: b", "waivers", "VCP709: a", "VCP709: b"),
    "waivers": ("one.waivers", "two.waivers", "waivers", "VCP709: one", "VCP709: two"),
    "policy": ("one.yaml", "two.yaml", "policy", "genome_uri", "volume_uri"),
    "report-dir": ("reports", "../elsewhere", "report_dir", "reports", "../elsewhere"),
    "cache-dir": ("cache", "../cache", "cache_dir", "cache", "../cache"),
    "tracking-uri": ("http://a", "http://b", "tracking", "http://a", "http://b"),
    "tracking-experiment": ("one", "two", "tracking", "one", "two"),
    "register-model": ("one", "two", "tracking", "one", "two"),
    "no-tracking": ("true", "", "tracking", None, None),
    "scaling": ("true", "", "scaling", True, True),
    "no-pictures": ("true", "", "pictures", False, False),
    "timeout": ("7", "8.5", "timeout", 7.0, 8.5),
}
TRACKING = {
    "tracking-uri": "uri",
    "tracking-experiment": "experiment",
    "register-model": "registered",
}
SWITCHES = tuple(option.name for option in OPTIONS if option.metavar is None)


@pytest.fixture
def files(package: Path) -> Path:
    """The package with all the files that the values above name."""
    data = [["example_data/pbmc_48_cells.h5ad"]]
    payload = {"dataframe_split": {"columns": ["input_uri"], "data": data}}
    for name in ("one.json", "two.json"):
        (package / name).write_text(json.dumps(payload), encoding="utf-8")
    (package / "one.yaml").write_text("input_column: genome_uri\n", encoding="utf-8")
    (package / "two.yaml").write_text("input_column: volume_uri\n", encoding="utf-8")
    for name in ("one", "two"):
        (package / f"{name}.mlflow").mkdir()
        text = f"- {{rule: VCP709, reason: {name}}}\n"
        (package / f"{name}.waivers").write_text(text, encoding="utf-8")
    other = package.parent / "other" / "model_data"
    other.mkdir(parents=True)
    (other / "pcs50").write_bytes(b"weights")
    return package


def expected(package: Path, name: str, value: Any) -> Any:
    """The value that the table gives, made absolute where it is a path."""
    paths = (
        "json-payload-filepath",
        "artifact-dir-path",
        "verify-artifact",
        "pkg-dir",
        "report-dir",
        "cache-dir",
    )
    return (package / value).resolve() if name in paths else value


def found(settings: Any, name: str) -> Any:
    value = getattr(settings, VALUES[name][2])
    if name == "policy":
        return value.input_column
    if name in TRACKING:
        return getattr(value, TRACKING[name])
    if name.startswith("waive"):
        (waiver,) = value.entries
        return f"{waiver.rule}: {waiver.reason}"
    return str(value) if name == "model-class" else value


def beside(name: str) -> str:
    """The class, but beside what stands in its place."""
    return "" if name in ("variant", "verify-artifact") else CLASS


def test_the_table_has_every_option() -> None:
    assert list(VALUES) == [option.name for option in OPTIONS]


@pytest.mark.parametrize("name", VALUES)
def test_ini_value_is_used_and_shown(configure: Configure, files: Path, name: str) -> None:
    given, _, _, wanted, _ = VALUES[name]
    key = f"vcp_{name.replace('-', '_')}"
    model_class = "" if name == "model-class" else beside(name)
    if name == "model-class":
        (files / "model_code" / "other.py").write_text("class Other: ...\n", encoding="utf-8")
    settings = configure(ini=[f"{key} = {given}"], model_class=model_class)
    assert found(settings, name) == expected(files, name, wanted)
    assert settings.sources[name] == "ini"
    if name != "model-class":
        assert "(ini)" in "\n".join(header(settings))


@pytest.mark.parametrize("name", VALUES)
def test_command_line_wins_and_is_shown(configure: Configure, files: Path, name: str) -> None:
    given, over, _, _, wanted = VALUES[name]
    key = f"vcp_{name.replace('-', '_')}"
    flag = f"--vcp-{name}"
    option = flag if name in SWITCHES else f"{flag}={over}"
    settings = configure(option, ini=[f"{key} = {given}"], model_class=beside(name))
    assert found(settings, name) == expected(files, name, wanted)
    assert settings.sources[name] == "option"
    told = "\n".join(header(settings))
    assert told.count("(option)") == (2 if beside(name) and name != "model-class" else 1)
    # Where pytest was started is shown as it is, and not as it was written.
    assert (f"{name} on" if name in SWITCHES else over.removeprefix("../")) in told


def test_defaults(configure: Configure, package: Path) -> None:
    settings = configure()
    assert settings.pkg_dir == package
    assert settings.artifact_dir == package / "mlflow_model_artifact"
    assert settings.report_dir == package / ".vcp"
    assert (settings.env_manager, settings.device, settings.timeout) == ("virtualenv", "auto", 600)
    assert (settings.skip_inference, settings.strict, settings.must_verify) == (False, False, ())
    assert {name for name, source in settings.sources.items() if source != "default"} == {
        "model-class"
    }


def test_a_switch_in_the_ini_file_can_be_taken_back(configure: Configure) -> None:
    settings = configure("-o", "vcp_strict=false", ini=["vcp_strict = true"])
    assert not settings.strict


def test_several_values_in_the_ini_file_stand_on_lines_of_their_own(configure: Configure) -> None:
    settings = configure(ini=["vcp_artifact =", "    a=pcs10", "    b=pcs50"])
    assert settings.artifacts == (("a", "pcs10"), ("b", "pcs50"))


def test_pyproject_is_an_ini_file_too(configure: Configure, package: Path) -> None:
    (package / "pyproject.toml").write_text(
        '[tool.pytest.ini_options]\nvcp_artifact = ["a=pcs10"]\nvcp_strict = true\n',
        encoding="utf-8",
    )
    settings = configure()
    assert settings.artifacts == (("a", "pcs10"),)
    assert settings.strict


def test_ini_paths_are_relative_to_the_ini_file(
    configure: Configure, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ini = package.parent / "ci" / "vcp.ini"
    ini.parent.mkdir()
    ini.write_text("[pytest]\nvcp_pkg_dir = ../mlflow_pkg\nvcp_report_dir = out\n")
    settings = configure("-c", str(ini))
    assert settings.pkg_dir == package
    assert settings.report_dir == ini.parent / "out"


def test_all_rules_can_be_demanded(configure: Configure) -> None:
    assert configure("--vcp-must-verify=all").must_verify == tuple(BY_ID)


def test_a_wrong_value_ends_pytest_with_its_code_for_usage(package: Path) -> None:
    run = run_vcp(package, [CLASS], "--vcp-device=gpu")
    assert run.code == pytest.ExitCode.USAGE_ERROR
    assert run.output.strip() == (
        "ERROR: --vcp-device: 'gpu' is not usable; choose from auto, cpu, cuda, cuda:0"
    )
    assert sorted(path.name for path in package.iterdir() if path.name.startswith(".")) == []
