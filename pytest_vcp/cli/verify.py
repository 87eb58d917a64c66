"""`--vcp-verify-artifact PATH --vcp-attestation FILE`: check that this artifact is the judged one.

Only digests are compared: no environment is built, and the artifact's files are read only as bytes.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pytest_vcp.artifact.artifact import stray_links
from pytest_vcp.artifact.digests import FileDigests
from pytest_vcp.options import ATTESTATION
from pytest_vcp.report.attestation import TOOL, Statement, read_statement
from pytest_vcp.report.outcomes import ERROR_EXIT, NONCONFORMANT_EXIT
from pytest_vcp.settings.reading import Reader
from pytest_vcp.settings.resolved import finished_artifact
from pytest_vcp.settings.values import Given, refusal

# Digests are computed without the GIL; more readers make a disk slower.
_READERS = 4
# The file is not trusted; a statement on a hundred thousand files is smaller.
_LARGEST = 64 << 20
_NAME_IT = "name the attestation.json that a run wrote beside its report, or one that was signed"


def verify(config: pytest.Config, asked: str) -> int:
    """Compare, print each difference, and return the exit code.

    It is 0 if this is the judged artifact and it did not fail, 1 if it differs or failed, and 10 if
    a file can't be read. Raises pytest.UsageError for a file that is not an attestation, and if no
    artifact is named.
    """
    given = Given(asked, ATTESTATION, "option")
    artifact = finished_artifact(Reader(config))
    if artifact is None:
        raise refusal(given, "say with --vcp-verify-artifact PATH which artifact to compare with")
    statement = _read(config.invocation_params.dir / Path(asked).expanduser(), given)
    try:
        differences = sorted(_differences(statement.files, _digests(artifact)))
    except OSError as problem:
        name = _format_name(os.path.relpath(problem.filename or artifact, artifact))
        message = f"{name} in the artifact can't be read: {problem.strerror}; see to its rights"
        print(f"{ATTESTATION.flag}: {message}", file=sys.stderr)
        return ERROR_EXIT
    print("\n".join([*differences, *_summary(statement, len(differences))]))
    return NONCONFORMANT_EXIT if differences or statement.result == "FAILED" else 0


def _read(file: Path, given: Given) -> Statement:
    try:
        if file.stat().st_size > _LARGEST or not (file.is_file() or file.is_dir()):
            raise ValueError(f"it is no file of at most {_LARGEST >> 20} MiB")
        return read_statement(file.read_bytes())
    except OSError as problem:
        raise refusal(given, f"it can't be read: {problem.strerror}; {_NAME_IT}") from None
    except ValueError as problem:
        raise refusal(given, f"{problem}; {_NAME_IT}") from None


def _summary(statement: Statement, differing: int) -> Iterator[str]:
    by = f"{TOOL} {statement.version}, Python {statement.python}, variant {statement.variant}"
    if differing:
        files = "1 file differs" if differing == 1 else f"{differing} files differ"
        yield f"not the artifact that was judged: {files} ({_format_name(by)})"
    else:
        yield (
            f"the artifact that was judged {_format_name(statement.verdict.upper())}: "
            f"files {len(statement.files)}, rules unverified {statement.unverified}, "
            f"waived {statement.waived} ({_format_name(by)})"
        )
    if statement.is_signed:
        yield "the signature was not checked: that is for the tool that made it"


def _differences(known: Mapping[str, str], found: Mapping[str, str | None]) -> Iterator[str]:
    """Yield a line for each difference; `found` has None for anything but a plain file."""
    missing: dict[str, list[str]] = {}
    for name in sorted(known.keys() - found.keys(), reverse=True):
        missing.setdefault(known[name], []).append(name)
    for name in sorted(found.keys() - known.keys()):
        digest = found[name]
        if digest is not None and missing.get(digest):
            yield f"renamed  {_format_name(missing[digest].pop())} -> {_format_name(name)}"
        else:
            yield f"added    {_format_name(name)}"
    yield from (f"missing  {_format_name(name)}" for names in missing.values() for name in names)
    for name in known.keys() & found.keys():
        if found[name] is None:
            yield f"changed  {_format_name(name)} (no plain file, or a link out of the artifact)"
        elif known[name] != found[name]:
            yield f"changed  {_format_name(name)}"


def _digests(artifact: Path) -> dict[str, str | None]:
    """Return the digest of each file below `artifact`; None for entries without their own content.

    A link to a file inside counts as that file, as it does when the artifact is judged.
    """
    stray = {link.path for link in stray_links(artifact)}
    names = [path.relative_to(artifact).as_posix() for path in _entries(artifact)]
    digests = FileDigests()

    def digest(name: str) -> str | None:
        path = artifact / name
        return digests.digest(path) if path.is_file() and name not in stray else None

    with ThreadPoolExecutor(_READERS) as readers:
        return dict(zip(names, readers.map(digest, names), strict=True))


def _entries(artifact: Path) -> Iterator[Path]:
    """Yield everything but folders; a link to a folder, which no attestation covers, counts."""

    def refuse(problem: OSError) -> None:
        raise problem

    for parent, folders, names in os.walk(artifact, onerror=refuse):
        yield from (Path(parent, name) for name in names)
        yield from (path for name in folders if (path := Path(parent, name)).is_symlink())


def _format_name(name: str) -> str:
    """Return a name that can be printed on one line, escaped if necessary."""
    return name if name.isprintable() else ascii(name)
