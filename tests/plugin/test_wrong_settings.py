"""Wrong values: each is refused before anything is built, with its option, value and remedy."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_vcp.settings.policy import SHIPPED
from tests.plugin.conftest import CLASS, Configure
from tests.plugin.rights import run_without_root_rights

pytest_plugins = ["pytester"]

# Option, the wrong value, and what the refusal says besides those two.
REFUSED = {
    "class without colon": ("model-class", "model_code.wrapper", "write MODULE:CLASS"),
    "class with a path": ("model-class", "model_code/wrapper.py:Model", "write MODULE:CLASS"),
    "class without a name": ("model-class", "model_code.wrapper:", "write MODULE:CLASS"),
    "class outside model_code": ("model-class", "wrapper:Model", "try model_code.wrapper:Model"),
    "class with another case": (
        "model-class",
        "model_code.pbmc_pca_mlflow_model:PbmcPcaMlflowModel",
        "did you mean model_code.pbmc_pca_mlflow_model:PbmcPcaMLflowModel?",
    ),
    "class in another module": (
        "model-class",
        "model_code.pbmc_pca:PbmcPcaMLflowModel",
        "did you mean model_code.pbmc_pca_mlflow_model:PbmcPcaMLflowModel?",
    ),
    "artifact without equals": ("artifact", "pcs50", "write NAME=PATH"),
    "artifact without name": ("artifact", "=pcs50", "write NAME=PATH"),
    "artifact without path": ("artifact", "checkpoint=", "write NAME=PATH"),
    "artifact absolute": ("artifact", "checkpoint=/data/pcs50", "not an absolute one"),
    "artifact on a drive": ("artifact", r"checkpoint=C:\data\pcs50", "not an absolute one"),
    "artifact leaving": ("artifact", "checkpoint=../model_data/pcs50", "with '..'"),
    "artifact with prefix": (
        "artifact",
        "checkpoint=model_data/pcs50",
        "leave the prefix out: checkpoint=pcs50",
    ),
    "artifact remote": ("artifact", "checkpoint=s3://bucket/pcs50", "download it into model_data/"),
    "artifact missing": ("artifact", "checkpoint=pcs5", "did you mean checkpoint=pcs50?"),
    "artifact missing below": (
        "artifact",
        "checkpoint=pcs50/pca.nzp",
        "did you mean checkpoint=pcs50/pca.npz?",
    ),
    "artifact unlike any": ("artifact", "checkpoint=weights", "there is: pcs10, pcs50"),
    "config unquoted": (
        "model-config-json",
        "{n_components: 50}",
        "line 1, column 2, between '{' and 'n_components: 50}'",
    ),
    "config cut short": ("model-config-json", '{"n": 50', "line 1, column 9"),
    "config empty": ("model-config-json", " ", "it is not JSON"),
    "config with NaN": ("model-config-json", '{"n": NaN}', "JSON, which has no NaN"),
    "tag without equals": ("model-tag", "knockout", "write KEY=VALUE"),
    "tag without value": ("model-tag", "task=", "write KEY=VALUE"),
    "payload missing": ("json-payload-filepath", "no.json", "there is no such file"),
    "payload a directory": ("json-payload-filepath", "model_data", "there is no such file"),
    "package missing": ("pkg-dir", "mlflow_pgk", "it is not a directory"),
    "package a file": ("pkg-dir", "model_spec.py", "it is not a directory"),
    "manager unknown": ("env-manager", "uv", "choose from virtualenv, conda, local"),
    "manager misspelt": ("env-manager", "virtualenvs", "did you mean virtualenv?"),
    "device unknown": ("device", "gpu", "choose from auto, cpu, cuda"),
    "device without a number": ("device", "cuda:", "did you mean cuda"),
    "device misspelt": ("device", "CUDA", "did you mean cuda?"),
    "python no version": ("python", "python3", "write it as 3.11 or 3.11.7"),
    "python two": ("python", "2.7", "write it as 3.11 or 3.11.7"),
    "timeout no number": ("timeout", "10m", "write it as 600"),
    "timeout zero": ("timeout", "0", "above 0"),
    "timeout negative": ("timeout", "-5", "above 0"),
    "timeout not a number": ("timeout", "nan", "above 0"),
    "timeout infinite": ("timeout", "inf", "above 0"),
    "rule unknown": ("must-verify", "VCP704,VCP7051", "'VCP7051' is no rule; did you mean VCP705?"),
    "rule in lower case": ("must-verify", "vcp705", "did you mean VCP705?"),
    "rule family": ("must-verify", "forward", "separate rule ids by commas"),
    "rule forgotten": ("must-verify", "VCP704,", "'' is no rule"),
    "report in a file": ("report-dir", "model_spec.py", "is a file; name a directory"),
    "report below a file": ("report-dir", "model_spec.py/x", "is a file; name a directory"),
    "report in the code": ("report-dir", "model_code/report", "is part of the artifact"),
    "report in the artifact": ("report-dir", "mlflow_model_artifact/x", "is part of the artifact"),
    "cache in a file": ("cache-dir", "requirements.txt/cache", "is a file; name a directory"),
    "cache in the weights": ("cache-dir", "model_data/cache", "is part of the artifact"),
    "artifact in the code": ("artifact-dir-path", "model_code/artifact", "part of the artifact"),
}


def refusal(
    configure: Configure, *options: str, ini: Iterable[str] = (), model_class: str = CLASS
) -> str:
    with pytest.raises(pytest.UsageError) as caught:
        configure(*options, ini=ini, model_class=model_class)
    return str(caught.value)


@pytest.mark.parametrize("case", REFUSED)
def test_option_is_refused(configure: Configure, case: str) -> None:
    name, value, remedy = REFUSED[case]
    model_class = "" if name == "model-class" else CLASS
    told = refusal(configure, f"--vcp-{name}={value}", model_class=model_class)
    assert told.startswith(f"--vcp-{name}: {value!r} is not usable; ")
    assert remedy in told
    assert "\n" not in told


@pytest.mark.parametrize("case", [case for case in REFUSED if REFUSED[case][1].strip()])
def test_ini_value_is_refused_under_its_own_name(configure: Configure, case: str) -> None:
    name, value, remedy = REFUSED[case]
    key = f"vcp_{name.replace('-', '_')}"
    model_class = "" if name == "model-class" else CLASS
    told = refusal(configure, ini=[f"{key} = {value}"], model_class=model_class)
    assert told.startswith(f"{key} (ini file): {value!r} is not usable; ")
    assert remedy in told


def test_quotes_in_the_ini_file_are_no_shell_quotes(configure: Configure) -> None:
    told = refusal(configure, ini=["""vcp_model_config_json = '{"a": 1}'"""])
    assert "without quotes around it" in told
    assert "for the shell" not in told


def test_no_truth_value(configure: Configure) -> None:
    told = refusal(configure, ini=["vcp_strict = perhaps"])
    assert told.startswith("vcp_strict (ini file): ")
    assert "perhaps" in told
    assert "true or false" in told


@pytest.mark.parametrize("option", ["artifact", "model-tag"])
def test_one_name_twice(configure: Configure, option: str) -> None:
    told = refusal(configure, f"--vcp-{option}=a=pcs10", f"--vcp-{option}=a=pcs50")
    assert told == (
        f"--vcp-{option}: 'a=pcs50' is not usable; the name 'a' is given twice; give each its own"
    )


@pytest.mark.parametrize("value", ["[1, " * 1000, "1, " * 1000])
def test_long_values_are_cut(configure: Configure, value: str) -> None:
    told = refusal(configure, f"--vcp-model-config-json={value}")
    assert len(told) < 500


def test_python_that_is_not_here(configure: Configure) -> None:
    told = refusal(configure, "--vcp-python=3.99")
    assert told.startswith("--vcp-python: there is no Python 3.99 here (found: ")
    assert "install it" in told


def test_python_that_conda_brings_need_not_be_here(configure: Configure) -> None:
    settings = configure("--vcp-env-manager=conda", "--vcp-python=3.99")
    assert (settings.python, settings.target_python) == ("3.99", (3, 99))


def test_python_besides_the_running_one_without_an_environment(configure: Configure) -> None:
    told = refusal(configure, "--vcp-env-manager=local", "--vcp-python=3.99")
    assert told.startswith("--vcp-python: '3.99' is not usable; ")
    assert "leave one of the two out" in told


def test_weights_that_are_a_dangling_link_are_left_to_a_rule(
    configure: Configure, package: Path
) -> None:
    (package / "model_data" / "gone").symlink_to("nowhere")
    assert configure("--vcp-artifact=a=gone").artifacts == (("a", "gone"),)


def test_package_without_weights_is_left_to_a_rule(configure: Configure, package: Path) -> None:
    (package / "model_data").rename(package / "data")
    assert configure("--vcp-artifact=a=pcs50").artifacts == (("a", "pcs50"),)


@pytest.mark.parametrize("option", ["report-dir", "cache-dir"])
def test_directory_that_is_not_writable(package: Path, tmp_path: Path, option: str) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o555)
    place = locked / "deep" / "down"
    run = run_without_root_rights(package, [CLASS, f"--vcp-{option}={place}"])
    assert run.returncode == pytest.ExitCode.USAGE_ERROR
    assert run.stdout.strip() == (
        f"ERROR: --vcp-{option}: '{place}' is not usable; {locked} is not writable; "
        f"name another directory with --vcp-{option}"
    )


PAYLOADS: dict[str, tuple[str | bytes, str]] = {
    "not JSON": ('{"dataframe_split": [}', "is not JSON: Expecting value at line 1, column 22"),
    "a list": ("[]", "is no serving payload: an object with one of dataframe_split"),
    "another object": ('{"data": []}', "is no serving payload"),
    "not text": (b"\xff\xfe\x00", "can't be read"),
    "input missing": (
        '{"dataframe_records": [{"input_uri": "gone.h5ad"}]}',
        "names 'gone.h5ad', which is not at /",
    ),
}


@pytest.mark.parametrize("case", PAYLOADS)
def test_payload_that_is_none(configure: Configure, package: Path, case: str) -> None:
    content, problem = PAYLOADS[case]
    path = package / "payload.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    told = refusal(configure, "--vcp-json-payload-filepath=payload.json")
    assert told.startswith(f"--vcp-json-payload-filepath: {path} ")
    assert problem in told
    assert "start from the serving_input_example.json" in told


POLICIES = {
    "missing": (None, "can't be read: No such file or directory"),
    "not YAML": ("a: [1", "is not YAML: "),
    "not a mapping": ("- VCP701\n", "is not a mapping of policy keys"),
    "empty": ("", "is not a mapping of policy keys"),
    "unknown key": ("least_pyton: '3.11'", "unknown key 'least_pyton'; did you mean least_python?"),
    "unlike any key": ("zzz: 1", "unknown key 'zzz'; known are pinned_requirements, "),
    "unknown tolerance": (
        "tolerance: {repaet: {absolute: 1, relative: 1}}",
        "unknown key 'tolerance.repaet'; did you mean repeat?",
    ),
    "tolerance no mapping": ("tolerance: 1e-3", "under tolerance; write a mapping of repeat, json"),
    "tolerance negative": (
        "tolerance: {json: {relative: -1}}",
        "has -1 under tolerance.json.relative; write a number of 0 or more",
    ),
    "share misspelt": (
        "tolerance: {repeat: {mismatch_pmm: 5}}",
        "unknown key 'tolerance.repeat.mismatch_pmm'; did you mean mismatch_ppm?",
    ),
    "share too large": (
        "tolerance: {batch: {mismatch_ppm: 1000001}}",
        "has 1000001 under tolerance.batch.mismatch_ppm; write 1000000 or less",
    ),
    "factor of an unknown dtype": (
        "tolerance: {by_dtype: {float15: 2}}",
        "unknown key 'tolerance.by_dtype.float15'; did you mean float16?",
    ),
    "factor no number": (
        "tolerance: {by_dtype: {float16: wide}}",
        "has 'wide' under tolerance.by_dtype.float16; write a number of 0 or more",
    ),
    "factors no mapping": (
        "tolerance: {by_dtype: 2}",
        "has 2 under tolerance.by_dtype; write a mapping of float16, float64",
    ),
    "unknown precision": (
        "tolerance: {device: {bf16-mxied: {relative: 1}}}",
        "unknown key 'tolerance.device.bf16-mxied'; did you mean bf16-mixed?",
    ),
    "precision no number": (
        "tolerance: {device: {tf32: {absolute: fine}}}",
        "has 'fine' under tolerance.device.tf32.absolute; write a number of 0 or more",
    ),
    "precision no mapping": (
        "tolerance: {device: {tf32: 1}}",
        "under tolerance.device.tf32; write a mapping of absolute, relative, mismatch_ppm",
    ),
    # YAML reads it as the number 3.1.
    "version unquoted": ("least_python: 3.10", "has 3.1 under least_python; write a version in"),
    "other version unquoted": ("pythons: [3.12]", "has 3.12 under pythons; write a version in"),
    "other versions no list": ("pythons: '3.12'", "has '3.12' under pythons; write a list of"),
    "other version too old": (
        "pythons: ['3.12', '3.9']",
        "has '3.9' under pythons; write 3.10 (least_python) or newer",
    ),
    "requirements no list": ("pinned_requirements: mlflow==3.1.0", "write a list of texts"),
    "unknown rule": ("must_verify: [VCP7011]", "unknown rule 'VCP7011' under must_verify; did you"),
    "rules no list": ("must_verify: VCP701", "has 'VCP701' under must_verify; write a list"),
    "size no number": ("pickle_bytes: 1 MB", "has '1 MB' under pickle_bytes; write a number"),
    "extends another": ("extends: ours", "has 'ours' under extends; write shipped, or nothing"),
    "stands alone, key missing": (
        "extends: nothing\nleast_python: '3.11'",
        "extends nothing, and has no pinned_requirements; give it, or leave out 'extends: nothing'",
    ),
    "stands alone, key of a precision missing": (
        SHIPPED.read_text(encoding="utf-8").replace("    tf32: {absolute: 5.0e-3, ", "    tf32: {")
        + "extends: nothing\n",
        "extends nothing, and has no tolerance.device.tf32.absolute; give it, or leave out",
    ),
    "placeholder no text": ("placeholders: {input: 3}", "has 3 under placeholders.input; write a"),
    "budget no number": ("budget: {load_seconds: long}", "has 'long' under budget.load_seconds"),
    "cache no mapping": ("cache: 10", "has 10 under cache; write a mapping of environments, bytes"),
    "level of no rule": (
        "levels: {VCP999: advice}",
        "lists the unknown rule 'VCP999' under levels",
    ),
    "no level": ("levels: {VCP804: high}", "has 'high' under levels.VCP804; write one of required"),
    "companions as a list": (
        "companions: {'3.1.0': [a]}",
        "under companions.3.1.0; write a mapping",
    ),
    "no companion": ("companions: {'3.1.0': {a b: c}}", "has 'a b' under companions.3.1.0"),
    "cache key unknown": ("cache: {day: 3}", "has the unknown key 'cache.day'; did you mean days?"),
    "cache days no number": ("cache: {days: ever}", "has 'ever' under cache.days; write a number"),
    "capability unquoted": (
        "gpu_capabilities: [8.0]",
        "has 8.0 under gpu_capabilities; write a list of compute capabilities in quotes",
    ),
    "capability of an architecture": (
        "gpu_capabilities: [sm_90]",
        "has 'sm_90' under gpu_capabilities; write a list of compute capabilities in quotes",
    ),
    "capabilities no list": ("gpu_capabilities: '8.0'", "has '8.0' under gpu_capabilities; write"),
    "one pass": ("gpu_passes: 1", "has 1 under gpu_passes; write a whole number of 2 or more"),
    "half a pass": ("gpu_passes: 2.5", "has 2.5 under gpu_passes; write a whole number of 2"),
    "precision no text": ("precisions: [32]", "has 32 under precisions; write a text"),
    "managers no list": ("env_managers: conda", "has 'conda' under env_managers; write a list"),
    "column no text": ("input_column: [a]", "has ['a'] under input_column; write a text"),
}


@pytest.mark.parametrize("case", POLICIES)
def test_policy_that_is_none(configure: Configure, package: Path, case: str) -> None:
    content, problem = POLICIES[case]
    path = package / "hub.yaml"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    told = refusal(configure, "--vcp-policy=hub.yaml")
    assert told.startswith(f"--vcp-policy: {path} ")
    assert problem in told
    assert "\n" not in told
    in_ini = refusal(configure, ini=["vcp_policy = hub.yaml"])
    assert in_ini.startswith(f"vcp_policy (ini file): {path} ")


def test_policy_that_stands_alone(configure: Configure, package: Path) -> None:
    text = SHIPPED.read_text(encoding="utf-8").replace("input_uri", "sample")
    (package / "hub.yaml").write_text(f"extends: nothing\n{text}", encoding="utf-8")
    policy = configure("--vcp-policy=hub.yaml").policy
    assert policy == replace(configure().policy, input_column="sample")


def test_policy_keeps_what_it_leaves_out(configure: Configure, package: Path) -> None:
    (package / "hub.yaml").write_text(
        textwrap.dedent(
            """
            least_python: "3.12"
            tolerance:
              repeat: {relative: 1e-3}
              json: {mismatch_ppm: 7}
              by_dtype: {float16: 5}
              device: {tf32: {relative: 3e-3}}
            """
        ),
        encoding="utf-8",
    )
    policy = configure("--vcp-policy=hub.yaml", "--vcp-python=3.11").policy
    shipped = configure().policy
    assert policy.least_python == (3, 12)
    assert policy.repeat_tolerance.relative == 1e-3
    assert policy.repeat_tolerance.absolute == shipped.repeat_tolerance.absolute
    assert policy.json_tolerance == replace(shipped.json_tolerance, mismatch_ppm=7)
    assert policy.batch_tolerance == shipped.batch_tolerance
    assert policy.dtype_factors == {**shipped.dtype_factors, "float16": 5}
    assert policy.device_tolerances == {
        **shipped.device_tolerances,
        "tf32": replace(shipped.device_tolerances["tf32"], relative=3e-3),
    }
    assert policy.pinned_requirements == shipped.pinned_requirements
