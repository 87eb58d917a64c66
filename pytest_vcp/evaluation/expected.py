"""The recorded output of one variant: its path, what it belongs to, and the comparison with it.

The numbers are written and compared by the worker that predicted. What they belong to is stored in
``record.json`` inside the archive, which is read here without numpy.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from pytest_vcp import __version__
from pytest_vcp.artifact.digests import FileDigests
from pytest_vcp.evaluation.artifact_session import ArtifactSession
from pytest_vcp.evaluation.prediction import DeviceUse, Reply
from pytest_vcp.evaluation.spec import Signature
from pytest_vcp.rules.outcomes import ToolError, Unverified
from pytest_vcp.settings.resolved import Settings
from pytest_vcp.source.metadata import read_metadata
from pytest_vcp.source.packager_arguments import VariantArguments
from pytest_vcp.source.payload import Payload, inputs
from pytest_vcp.util.files import write_atomic

FOLDER = "expected_outputs"
SCHEMA = 1
_RECORD = "record.json"
# A larger record is not one of ours, and should not be read into memory.
_LARGEST_RECORD = 10_000_000

Record = Mapping[str, Any]


class Unusable(Exception):
    """A recorded file that can't be used: the message completes "found ..."."""


@dataclass(frozen=True)
class Expected:
    """The result of comparing the prediction with the recorded output.

    `file` is its path below the package directory, `origin` where it was computed. `refused` says
    why the file can't be compared with, `difference` how the prediction differs from it.
    """

    file: str
    origin: str = ""
    refused: str | None = None
    difference: str | None = None


@dataclass(frozen=True)
class Recording:
    """A file that was recorded in this run, to be written to its path if the run succeeds."""

    path: Path
    content: bytes

    def write(self) -> None:
        """Write the file to its path. Raises OSError."""
        write_atomic(self.path, self.content)


def expected_path(settings: Settings) -> Path:
    """Return the path of the recorded output of this variant, whether or not it exists."""
    return settings.pkg_dir / FOLDER / f"{variant_name(settings)}.npz"


def variant_name(settings: Settings) -> str:
    """Return the variant's name, even if it was requested by its class and artifacts."""
    if settings.sources["model-class"] == "metadata":
        return settings.variant
    metadata = read_metadata(settings.pkg_dir, settings.policy)
    for entry in metadata.variants if metadata else ():
        if entry.problem is None and _is_of(settings, entry.arguments):
            return entry.name
    return settings.variant


def _is_of(settings: Settings, said: VariantArguments) -> bool:
    """Return whether the arguments in the metadata file match the settings."""
    pairs = (text.partition("=") for text in said.artifacts)
    artifacts = {name: PurePosixPath(path).as_posix() for name, _, path in pairs}
    try:
        config = json.loads(said.model_config_json or "{}")
    except ValueError:
        return False
    name = (said.model_class or "").rpartition(":")[2]
    given = {"class": name, "artifacts": artifacts, "config": config}
    return given == _arguments(settings)


def _arguments(settings: Settings) -> dict[str, Any]:
    """Return what defines the variant; of the class only its name, as a module may re-export it."""
    return {
        "class": settings.model_class.name,
        "artifacts": dict(settings.artifacts),
        "config": settings.model_config,
    }


def describe_owner(
    settings: Settings, signature: Signature, request: Payload, digests: FileDigests
) -> dict[str, Any]:
    """Describe what a recorded output belongs to: variant, signature, request and its input files.

    `request` has its inputs as written. An input that is larger than the policy allows, or that
    can't be read as files, has None in place of a digest.
    """
    return {
        "variant": variant_name(settings),
        "arguments": _arguments(settings),
        "signature": _digest(_describe_signature(signature)),
        "request": _digest(request),
        "inputs": {
            uri: _digest_of_input(settings.pkg_dir / uri, settings.policy.input_bytes, digests)
            for uri in inputs(request, settings.policy.input_column)
        },
    }


def _describe_signature(signature: Signature) -> list[Any]:
    """List the declarations of a signature; its JSON form changes between MLflow releases."""
    fields = (
        [entry.name, entry.type, entry.required, entry.shape]
        for entry in (*signature.inputs, *signature.outputs)
    )
    params = ([entry.name, entry.type, entry.default] for entry in signature.params)
    return [len(signature.inputs), *fields, *params]


def record(
    session: ArtifactSession,
    belongs_to: Mapping[str, Any],
    device: DeviceUse,
    tolerance: Mapping[str, Any],
) -> Recording:
    """Have the worker write the first prediction to a file; read and remove the file."""
    settings = session.settings
    lock = (settings.pkg_dir / "requirements.txt").read_bytes()
    document = {
        "schema": SCHEMA,
        "belongs_to": belongs_to,
        "tolerance": tolerance,
        "environment": {
            "device": ", ".join(device.gpus) if device.added_bytes else "cpu",
            "lock": hashlib.sha256(lock).hexdigest(),
            "pytest_vcp": __version__,
        },
    }
    params = {"record": document, "bytes": settings.policy.expected_bytes}
    reply = _answer(session.ask("expected.record", params, "recording the expected output"))
    written = Path(reply["path"])
    try:
        return Recording(expected_path(settings), written.read_bytes())
    finally:
        written.unlink(missing_ok=True)


def replay(
    session: ArtifactSession, belongs_to: Mapping[str, Any], tolerance: Mapping[str, Any]
) -> Expected:
    """Compare the first prediction with the recorded one, if they belong together."""
    settings = session.settings
    path = expected_path(settings)
    file = path.relative_to(settings.pkg_dir).as_posix()
    try:
        known = _read(path)
        origin = _origin(known)
        foreign = _foreign(known["belongs_to"], belongs_to)
        outputs = known["outputs"]
    except Unusable as problem:
        return Expected(file, refused=str(problem))
    except (KeyError, TypeError, AttributeError):
        return Expected(file, refused="a file whose record is incomplete")
    if foreign is not None:
        if settings.payload is not None and "request" in foreign:
            raise Unverified("the request that was given is not the one whose output was recorded")
        return Expected(file, origin, refused=next(iter(foreign.values())))
    # The worker that predicted can't see the package.
    copy = session.scratch / "expected.npz"
    shutil.copyfile(path, copy)
    params = {"path": str(copy), "outputs": outputs, "tolerance": tolerance}
    reply = _answer(session.ask("expected.replay", params, "replaying the recorded output"))
    refused = reply["unreadable"] and f"a file that can't be read: {reply['unreadable']}"
    return Expected(file, origin, refused, reply["difference"])


def _answer(reply: Reply) -> Mapping[str, Any]:
    if reply.content is not None:
        return reply.content
    failure = reply.failure
    if failure is None or not failure.reached:
        raise Unverified("the model's process ended before this could be tried")
    raise ToolError(
        f"the output could not be recorded or compared: {failure.summary}",
        "free memory and disk; if it comes again, report it as a bug of pytest-vcp",
    )


def _read(path: Path) -> Record:
    """Read the record of a file. Raises Unusable."""
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.getinfo(_RECORD).file_size > _LARGEST_RECORD:
                raise Unusable("a file whose record is too large")
            known = json.loads(archive.read(_RECORD))
    except KeyError:
        raise Unusable(f"an archive without {_RECORD}") from None
    except (OSError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as problem:
        raise Unusable(f"a file that can't be read: {problem}") from None
    schema = known.get("schema") if isinstance(known, dict) else None
    if not isinstance(known, dict) or schema != SCHEMA:
        raise Unusable(f"a file of schema {schema!r}; this release reads schema {SCHEMA}")
    return known


def _origin(known: Record) -> str:
    found = known["environment"]
    return f"Python {found['python']}, {found['platform']}, {found['device']}"


def _foreign(known: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, str] | None:
    """Return the first mismatch of a file, as kind and message; None if the file belongs here."""
    if known["variant"] != own["variant"]:
        return {"variant": f"a file of the variant {known['variant']}, not {own['variant']}"}
    for name, option in (
        ("class", "--vcp-model-class"),
        ("artifacts", "--vcp-artifact"),
        ("config", "--vcp-model-config-json"),
    ):
        was, now = known["arguments"][name], own["arguments"][name]
        if was != now:
            found = f"a file of another variant, whose {option} was {json.dumps(was)}"
            return {"variant": found}
    if known["signature"] != own["signature"]:
        return {"signature": "a file that was recorded with another signature"}
    if known["request"] != own["request"]:
        return {"request": "a file that was recorded on another example: other inputs or params"}
    for uri, digest in own["inputs"].items():
        was = known["inputs"][uri]
        if digest and was and digest != was:
            return {"input": f"a file that was recorded on another content of {uri}"}
    return None


def _digest(document: object) -> str:
    """Return the SHA-256 of the JSON form, which is the same for equal documents."""
    text = json.dumps(document, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _digest_of_input(path: Path, most: int, digests: FileDigests) -> str | None:
    """Return the SHA-256 of a file; for a directory, that of its files' names and digests."""
    try:
        if path.is_file():
            return digests.digest(path) if path.stat().st_size <= most else None
        files = sorted(entry for entry in path.rglob("*") if entry.is_file())
        if not files or sum(file.stat().st_size for file in files) > most:
            return None
        names = ((file.relative_to(path).as_posix(), digests.digest(file)) for file in files)
        return _digest([list(pair) for pair in names])
    except (OSError, ValueError):
        return None
