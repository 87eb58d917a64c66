"""`--vcp-attestation`: whether an artifact is the one that was judged, told by digests alone."""

from __future__ import annotations

import base64
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from pytest_vcp.report.outcomes import Outcome
from tests.plugin.attested import statement_on, write
from tests.plugin.conftest import Configure
from tests.plugin.rights import run_without_root_rights
from tests.plugin.staged import write_artifact
from tests.runs import Run, run_vcp

pytest_plugins = ["pytester"]

WEIGHTS = Path("artifacts", "weights")
SAME = "the artifact that was judged CONFORMANT: files 4, rules unverified 1, waived 0"
OPEN = Outcome("VCP902", "default", "unverified", "no GPU")
FAILED = Outcome("VCP705", "default", "failed", "too few rows")


class Judged(NamedTuple):
    """An artifact with an attestation beside it."""

    artifact: Path
    statement: dict[str, Any]
    attestation: Path

    def options(self) -> list[str]:
        return ["--vcp-verify-artifact=artifact", f"--vcp-attestation={self.attestation.name}"]

    def compare(self) -> Run:
        return run_vcp(self.artifact.parent, self.options())

    def differences(self) -> list[str]:
        """What is said of the files, by a comparison that finds something."""
        run = self.compare()
        assert run.code == 1, run.output
        *lines, last = run.output.splitlines()
        assert last.startswith("not the artifact that was judged: "), run.output
        return lines


@pytest.fixture
def judged(configure: Configure, tmp_path: Path) -> Judged:
    artifact = write_artifact(tmp_path / "inbox" / "artifact", "content")
    (artifact / WEIGHTS / "b.bin").write_text("other content")
    statement = statement_on(artifact, configure(), OPEN)
    return Judged(artifact, statement, write(artifact.parent / "attestation.json", statement))


def files(judged: Judged) -> list[Path]:
    return sorted(path for path in judged.artifact.rglob("*") if path.is_file())


def test_the_same(judged: Judged) -> None:
    run = judged.compare()
    assert run.code == 0, run.output
    (line,) = run.output.splitlines()
    assert line.startswith(f"{SAME} (pytest-vcp ")
    assert line.endswith(", Python 3.11.7, variant default)")
    assert "signature" not in run.output


def test_a_bit_in_any_file(judged: Judged) -> None:
    for file in files(judged):
        before = file.read_bytes()
        file.write_bytes(bytes([before[0] ^ 1]) + before[1:])
        name = file.relative_to(judged.artifact).as_posix()
        assert judged.differences() == [f"changed  {name}"]
        file.write_bytes(before)
    assert judged.compare().code == 0


def test_every_kind_of_difference_is_named(judged: Judged) -> None:
    (judged.artifact / "MLmodel").unlink()
    (judged.artifact / "__pycache__").mkdir()
    (judged.artifact / "__pycache__" / "model.pyc").write_bytes(b"")
    (judged.artifact / WEIGHTS / "a.bin").write_text("retrained")
    (judged.artifact / WEIGHTS / "b.bin").rename(judged.artifact / WEIGHTS / "c.bin")
    run = judged.compare()
    assert run.code == 1
    assert run.output.splitlines()[:4] == [
        "added    __pycache__/model.pyc",
        "changed  artifacts/weights/a.bin",
        "missing  MLmodel",
        "renamed  artifacts/weights/b.bin -> artifacts/weights/c.bin",
    ]
    assert "4 files differ" in run.output


def test_a_copy_under_another_name_is_added(judged: Judged) -> None:
    shutil.copy(judged.artifact / "MLmodel", judged.artifact / "MLmodel.bak")
    assert judged.differences() == ["added    MLmodel.bak"]


def test_two_that_changed_places(judged: Judged) -> None:
    first, second = (judged.artifact / WEIGHTS / name for name in ("a.bin", "b.bin"))
    aside = judged.artifact / "aside"
    first.rename(aside)
    second.rename(first)
    aside.rename(second)
    assert judged.differences() == [
        "changed  artifacts/weights/a.bin",
        "changed  artifacts/weights/b.bin",
    ]


def _out(file: Path) -> None:
    """A link out of the artifact, to the very same content."""
    file.rename(file.parents[3] / "elsewhere")
    file.symlink_to(file.parents[3] / "elsewhere")


def _nowhere(file: Path) -> None:
    file.unlink()
    file.symlink_to("nowhere")


def _pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def _folder(file: Path) -> None:
    file.unlink()
    file.symlink_to(file.parent)


@pytest.mark.parametrize("replace", [_out, _nowhere, _pipe, _folder])
def test_no_plain_file_in_the_place_of_one(judged: Judged, replace: Callable[[Path], None]) -> None:
    replace(judged.artifact / WEIGHTS / "b.bin")
    assert judged.differences() == [
        "changed  artifacts/weights/b.bin (no plain file, or a link out of the artifact)"
    ]


def test_a_link_inside_counts_as_what_it_leads_to(judged: Judged, configure: Configure) -> None:
    (judged.artifact / WEIGHTS / "c.bin").symlink_to("a.bin")
    assert judged.differences() == ["added    artifacts/weights/c.bin"]
    write(judged.attestation, statement_on(judged.artifact, configure()))
    assert judged.compare().code == 0


def test_a_link_to_a_folder_is_added(judged: Judged) -> None:
    (judged.artifact / "more").symlink_to(WEIGHTS)
    assert judged.differences() == ["added    more"]


def test_names_cannot_forge_a_line(judged: Judged) -> None:
    (judged.artifact / "a\nthe artifact that was judged").write_text("")
    os.close(os.open(os.fsencode(judged.artifact) + b"/caf\xe9", os.O_CREAT))
    assert judged.differences() == [
        "added    'a\\nthe artifact that was judged'",
        "added    'caf\\udce9'",
    ]


def test_names_that_are_no_utf8_are_attested_to(judged: Judged, configure: Configure) -> None:
    os.close(os.open(os.fsencode(judged.artifact) + b"/caf\xe9", os.O_CREAT))
    write(judged.attestation, statement_on(judged.artifact, configure()))
    assert judged.compare().code == 0


def test_a_file_that_cannot_be_read(judged: Judged) -> None:
    (judged.artifact / "MLmodel").chmod(0)
    judged.artifact.parent.chmod(0o755)
    done = run_without_root_rights(judged.artifact.parent, judged.options())
    assert done.returncode == 10, done.stdout
    assert (
        "--vcp-attestation: MLmodel in the artifact can't be read: Permission denied" in done.stdout
    )


def test_what_failed_is_the_same_and_still_no_good(judged: Judged, configure: Configure) -> None:
    statement = statement_on(judged.artifact, configure(), FAILED, word="nonconformant")
    write(judged.attestation, statement)
    run = judged.compare()
    assert run.code == 1
    assert run.output.startswith("the artifact that was judged NONCONFORMANT: files 4, ")


# -------------------------------------------------------------------------------------- envelopes


def envelope(
    statement: object, encode: Callable[[bytes], bytes] = base64.b64encode
) -> dict[str, Any]:
    return {
        "payload": encode(json.dumps(statement).encode()).decode(),
        "payloadType": "application/vnd.in-toto+json",
        "signatures": [{"sig": "MEUCIQ=="}],
    }


def bundle(statement: object) -> dict[str, Any]:
    return {
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": {},
        "dsseEnvelope": envelope(statement),
    }


@pytest.mark.parametrize(
    "wrap",
    [envelope, lambda statement: envelope(statement, base64.urlsafe_b64encode), bundle],
    ids=["envelope", "URL-safe", "bundle"],
)
def test_a_signed_one(judged: Judged, wrap: Callable[[object], object]) -> None:
    write(judged.attestation, wrap(judged.statement))
    run = judged.compare()
    assert run.code == 0, run.output
    same, signature = run.output.splitlines()
    assert same.startswith(SAME)
    assert signature == "the signature was not checked: that is for the tool that made it"


# ------------------------------------------------------------------------------------ wrong files


def _changed(judged: Judged, **values: object) -> str:
    return json.dumps({**judged.statement, **values})


def _predicate(judged: Judged, **values: object) -> str:
    return _changed(judged, predicate={**judged.statement["predicate"], **values})


WRONG: dict[str, tuple[Callable[[Judged], str], str]] = {
    "empty": (lambda _: "", "it is not JSON"),
    "deep": (lambda _: "[" * 100_000, "it is not JSON"),
    "a list": (lambda _: "[]", "it is no attestation of pytest-vcp"),
    "a number": (lambda _: "7", "it is no attestation of pytest-vcp"),
    "a report": (lambda _: '{"schema": 1}', "it is no attestation of pytest-vcp"),
    "another predicate": (
        lambda judged: _changed(judged, predicateType="https://slsa.dev/provenance/v1"),
        "it is no in-toto statement of a test result",
    ),
    "of another tool": (
        lambda judged: _predicate(judged, configuration=[]),
        "it is no attestation of pytest-vcp",
    ),
    "another result": (
        lambda judged: _predicate(judged, result="FINE"),
        "its result is none of PASSED, WARNED, FAILED",
    ),
    "no files": (lambda judged: _changed(judged, subject=[]), "it names no file"),
    "a file twice": (
        lambda judged: _changed(judged, subject=judged.statement["subject"] * 2),
        "it names no file, or one of them twice",
    ),
    "a signature alone": (
        lambda _: '{"messageSignature": {}}',
        "it holds a signature, not what was signed",
    ),
    "another payload": (
        lambda judged: json.dumps({**envelope(judged.statement), "payloadType": "text/plain"}),
        "its envelope holds no in-toto statement",
    ),
    "a damaged payload": (
        lambda judged: json.dumps({**envelope(judged.statement), "payload": "e30=?"}),
        "the payload of its envelope can't be decoded",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_no_attestation(judged: Judged, case: str) -> None:
    make, problem = WRONG[case]
    judged.attestation.write_text(make(judged), encoding="utf-8")
    run = judged.compare()
    assert run.code == 4, run.output
    assert run.output.startswith(
        f"ERROR: --vcp-attestation: 'attestation.json' is not usable; {problem}"
    )
    assert "name the attestation.json that a run wrote beside its report" in run.output
    assert "Traceback" not in run.output


def test_a_file_that_is_not_there(judged: Judged) -> None:
    judged.attestation.unlink()
    run = judged.compare()
    assert run.code == 4, run.output
    assert "it can't be read: No such file or directory; name the attestation.json" in run.output


# ---------------------------------------------------------------------------------------- options


def test_without_an_artifact(judged: Judged) -> None:
    run = run_vcp(judged.artifact.parent, ["--vcp-attestation=attestation.json"])
    assert run.code == 4, run.output
    assert "say with --vcp-verify-artifact PATH which artifact to compare with" in run.output


def test_an_artifact_that_is_not_there(judged: Judged) -> None:
    shutil.rmtree(judged.artifact)
    run = judged.compare()
    assert run.code == 4, run.output
    assert "--vcp-verify-artifact: 'artifact' is not usable; it is no directory" in run.output


def test_the_artifact_of_the_ini_file(judged: Judged) -> None:
    ini = judged.artifact.parent / "pytest.ini"
    ini.write_text("[pytest]\nvcp_verify_artifact = artifact\n", encoding="utf-8")
    run = run_vcp(judged.artifact.parent, ["--vcp-attestation=attestation.json"])
    assert run.code == 0, run.output
    assert run.output.startswith(SAME)
    assert not (judged.artifact.parent / ".vcp").exists(), "nothing else was done"
