"""Looking into environments that are damaged on purpose."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pytest_vcp.environment.inspection import (
    InspectionFailed,
    MlflowFacts,
    inspect_installed,
    pip_check,
)
from pytest_vcp.rules.outcomes import ToolError


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty environment without pip."""
    place = tmp_path_factory.mktemp("environment") / "env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", place], check=True)
    return place


@pytest.fixture
def site(base: Path, tmp_path: Path) -> Path:
    """The site-packages of a private copy."""
    subprocess.run(["cp", "-a", base, tmp_path / "env"], check=True)
    (found,) = (tmp_path / "env").glob("lib/python3.*/site-packages")
    return found


def python_of(site: Path) -> Path:
    return site.parents[2] / "bin" / "python"


def put(site: Path, name: str, version: str, record: str | None = None) -> Path:
    info = site / f"{name}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nx")
    if record is not None:
        (info / "RECORD").write_text(record)
    return info


def put_mlflow(site: Path) -> None:
    files = ["__init__", "models/cli", "pyfunc/__init__", "pyfunc/scoring_server/__init__"]
    files += ["server/__init__", "utils/annotations"]
    for file in files:
        path = site / "mlflow" / f"{file}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("raise SystemExit('imported')\n")
    put(site, "mlflow", "3.1.0", "".join(f"mlflow/{file}.py,,\n" for file in files))


def test_every_copy_is_seen(site: Path) -> None:
    put(site, "Some.Thing", "1.0")
    put(site, "some_thing", "2.0")
    found = inspect_installed(python_of(site)).installed
    assert [(entry.name, entry.version) for entry in found] == [
        ("some-thing", "1.0"),
        ("some-thing", "2.0"),
    ]


def test_leftovers_and_torn_metadata_are_not_distributions(site: Path) -> None:
    put(site, "~umpy", "1.0")
    (site / "empty-1.0.dist-info").mkdir()
    (put(site, "nameless", "1.0") / "METADATA").write_text("Metadata-Version: 2.1\n\nName: body\n")
    assert inspect_installed(python_of(site)).installed == ()


def test_old_metadata_is_read_too(site: Path) -> None:
    (site / "plain-1.0.egg-info").write_text("Name: plain\nVersion: 1.0\n")
    folder = site / "foldered.egg-info"
    folder.mkdir()
    (folder / "PKG-INFO").write_text("Name: foldered\nVersion: 2.0\n")
    found = {entry.name: entry.version for entry in inspect_installed(python_of(site)).installed}
    assert found == {"plain": "1.0", "foldered": "2.0"}


def test_the_fingerprint_notices_each_change(site: Path) -> None:
    seen = {inspect_installed(python_of(site)).fingerprint}
    info = put(site, "thing", "1.0")
    seen.add(inspect_installed(python_of(site)).fingerprint)
    (info / "METADATA").write_text("Name: thing\nVersion: 1.0\nRequires-Dist: other\n")
    seen.add(inspect_installed(python_of(site)).fingerprint)
    assert len(seen) == 3
    assert inspect_installed(python_of(site)).fingerprint in seen


def test_a_whole_mlflow_is_found_without_importing_it(site: Path) -> None:
    put_mlflow(site)
    assert inspect_installed(python_of(site)).mlflow == MlflowFacts("3.1.0", False, ())


@pytest.mark.parametrize("file", ["mlflow/server/__init__.py", "mlflow/utils/annotations.py"])
def test_what_mlflow_lacks_is_named(site: Path, file: str) -> None:
    put_mlflow(site)
    (site / file).unlink()
    assert inspect_installed(python_of(site)).mlflow.missing == (file,)


def test_skinny_alone_and_nothing_at_all(site: Path) -> None:
    assert inspect_installed(python_of(site)).mlflow.version is None
    put(site, "mlflow_skinny", "3.1.0")
    assert inspect_installed(python_of(site)).mlflow.skinny_only


def test_an_interpreter_that_does_not_answer(tmp_path: Path) -> None:
    with pytest.raises(InspectionFailed):
        inspect_installed(tmp_path / "python")


def test_without_pip_there_is_no_answer(site: Path, tmp_path: Path) -> None:
    assert pip_check(python_of(site), "fingerprint", tmp_path / "record.json") is None


def test_a_recorded_answer_is_reused_while_nothing_changed(tmp_path: Path) -> None:
    counting = tmp_path / "python"
    counting.write_text(f"#!/bin/sh\necho asked >> {tmp_path}/asked\necho a 1 requires b\nexit 1\n")
    counting.chmod(0o755)
    record = tmp_path / "record.json"
    for fingerprint in ("one", "one", "two"):
        assert pip_check(counting, fingerprint, record) == ("a 1 requires b",)
    assert (tmp_path / "asked").read_text().count("asked") == 2
    record.write_text("torn")
    assert pip_check(counting, "two", record) == ("a 1 requires b",)


def test_a_pip_that_fails_is_no_verdict(tmp_path: Path) -> None:
    failing = tmp_path / "python"
    failing.write_text("#!/bin/sh\necho broken >&2\nexit 2\n")
    failing.chmod(0o755)
    with pytest.raises(ToolError, match="broken"):
        pip_check(failing, "fingerprint", tmp_path / "record.json")
