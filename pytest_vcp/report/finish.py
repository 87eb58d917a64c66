"""The end of a run that judged something: report.json and report.html are written side by side."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as TookTooLong
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import pytest

from pytest_vcp.artifact.artifact import digest_of
from pytest_vcp.artifact.publishing import DestinationTaken
from pytest_vcp.evaluation.finished import Finished
from pytest_vcp.report import attestation
from pytest_vcp.report.json import REPORT, build_report, write_report
from pytest_vcp.report.outcomes import Outcome, Verdict
from pytest_vcp.report.redaction import Portable
from pytest_vcp.report.result import (
    ArtifactDigests,
    PublishedArtifact,
    RecordedOutput,
    VariantResult,
)
from pytest_vcp.report.upcoming import list_upcoming
from pytest_vcp.settings.resolved import REPORT_DIR
from pytest_vcp.util import files, locks
from pytest_vcp.util.files import write_atomic

if TYPE_CHECKING:
    from pytest_vcp.run import Run
    from pytest_vcp.settings.resolved import Settings

_PAGE = "report.html"
REPORT_FILES = (REPORT, _PAGE)
PAGE_SECONDS = 60.0
# The results of `describe_variant` that the page shows.
_DESCRIBED = ("signature", "tree", "lock", "environment")


class Recorded(Protocol):
    """The records of a run at its end, as in `Recorder`."""

    run: Run
    results: dict[str, VariantResult]

    @property
    def portable(self) -> Portable: ...

    @property
    def verdicts(self) -> Mapping[str, Verdict]: ...

    @property
    def remarks(self) -> tuple[str, ...]: ...

    def outcomes(self, variant: str) -> dict[str, Outcome]: ...


def prepare_report_directory(settings: Settings, session: pytest.Session) -> None:
    """Create the report directory, if one of the tests may write to it while it runs."""
    names = (name for item in session.items for name in getattr(item, "fixturenames", ()))
    if not session.config.option.collectonly and any(name.startswith("vcp_") for name in names):
        _make(settings)


def _make(settings: Settings) -> None:
    """Create the report directory so that git ignores it; an existing default one is ignored, too.

    A directory that will hold the artifact is created later, like any other: the artifact may
    belong in git.
    """
    directory = settings.report_dir
    if settings.artifact_dir.is_relative_to(directory):
        return
    with suppress(OSError):  # Writing hits the same problem, and reports it.
        files.make_ignored(directory)
        if _is_ours(settings):
            files.ignore(directory)


def _is_ours(settings: Settings) -> bool:
    """Return whether the directory is the default, not the user's or one that a link leads to."""
    default = settings.pkg_dir / REPORT_DIR
    return settings.sources["report-dir"] == "default" and settings.report_dir == default


def write_reports(recorder: Recorded) -> str | None:
    """Write both reports; return why the page was left out, None where it was written.

    Raises OSError for the first file that can't be written.
    """
    # Imported late: only the rendering of a page needs it.
    from pytest_vcp.report import html

    _make(recorder.run.settings)
    portable, directory = recorder.portable, recorder.run.settings.report_dir
    report = portable.document(
        build_report(
            {
                name: (recorder.verdicts[name], recorder.outcomes(name))
                for name in recorder.run.names
            },
            recorder.results,
            recorder.run.settings.policy.level_of,
            recorder.remarks,
        )
    )
    write_report(report, directory)
    more = {
        name: {
            **portable.document(_page_facts(recorder, name)),
            "pictures": _pictures(recorder, name),
        }
        for name in recorder.run.names
    }
    page = result_in_time(lambda: html.render(report, more), PAGE_SECONDS)
    if page is None:
        # The page of an earlier run would be mistaken for this one's.
        (directory / _PAGE).unlink(missing_ok=True)
        return f"left out, since it takes more than {PAGE_SECONDS:g} s to write"
    write_atomic(directory / _PAGE, page)
    return None


def _page_facts(recorder: Recorded, variant: str) -> dict[str, Any]:
    """Collect what the page says about a variant and report.json does not."""
    verdict, result = recorder.verdicts[variant], recorder.results[variant]
    settings = recorder.run.variants[variant].settings
    to_come = list_upcoming(recorder.run, recorder.outcomes(variant)) if verdict.broken else ()
    return {
        "model": _model(settings),
        "is_finished": settings.artifact_only is not None,
        "broken": [outcome.rule for outcome in verdict.broken],
        "foreseen": [line.removeprefix("then").strip() for line in to_come],
        "gaps": list(verdict.gaps),
        **{key: value for key in _DESCRIBED if (value := getattr(result, key)) is not None},
    }


def _pictures(recorder: Recorded, variant: str) -> dict[str, Any] | None:
    """Return the pictures with their texts redacted, but not their image data; None without any."""
    drawn = recorder.results[variant].pictures
    if drawn is None:
        return None
    portable = recorder.portable
    pictures = [
        {**portable.document({**picture, "slices": []}), "slices": picture.get("slices", [])}
        for picture in drawn["pictures"]
    ]
    return {"pictures": pictures, "remarks": portable.document(drawn["remarks"])}


def _model(settings: Settings) -> str:
    """Return the name of the judged model; empty where no setting names its class."""
    if settings.artifact_only is not None:
        return settings.artifact_only.name
    return str(settings.model_class) if settings.model_class.module else ""


# ------------------------------------------------------------------------------------ publishing
#
# The end of a run that verified what it packaged: the artifact is moved to its destination.


def publish_artifact(run: Run, variant: str) -> VariantResult:
    """Publish the artifact of a variant; return where it is, or what went wrong."""
    judged = run.variants[variant]
    if isinstance(judged, Finished):
        return VariantResult()
    try:
        judged.publish()
    except (OSError, DestinationTaken) as problem:
        return VariantResult(publishing_problem=str(problem))
    artifact = judged.artifact
    path = str(judged.settings.artifact_dir)
    return VariantResult(artifact=PublishedArtifact(path, artifact.sha256, artifact.bytes))


# ---------------------------------------------------------------------------- keeping recordings
#
# The end of a run with --vcp-record-expected: the file is written, or the reason is reported.

RULE = "VCP714"


def write_recording(recorder: Recorded, variant: str) -> VariantResult:
    """Write the recorded output of a variant into the package, if its artifact was published.

    Return where it is, or what went wrong. A gap for the rule on the recorded output itself does
    not prevent this: the output is compared for the first time in the next run.
    """
    judged = recorder.run.variants[variant]
    recording = None if isinstance(judged, Finished) else judged.recording
    is_published = recorder.results[variant].artifact is not None
    if recording is None or not is_published or set(recorder.verdicts[variant].gaps) - {RULE}:
        return VariantResult()
    try:
        recording.write()
    except OSError as problem:
        return VariantResult(recording_problem=problem.strerror or str(problem))
    return VariantResult(recorded=RecordedOutput(str(recording.path), len(recording.content)))


# -------------------------------------------------------------------------- exclusive publishing
#
# Runs that publish to the same destination finish one after the other.

# Publishing, ending the processes and writing the report take seconds. A run that waits longer than
# this waits for one that hangs, and goes ahead: each step by itself is safe.
_PATIENCE_SECONDS = 60.0


@contextmanager
def exclusive_publishing(cache_dir: Path, destination: Path) -> Iterator[None]:
    """Keep other runs from publishing to `destination` until the report on this one is written.

    Otherwise the report of one run could end up beside the artifact of another. Where the cache
    can't be written, or does not support locks, runs do not wait for each other.
    """
    with ExitStack() as turn:
        with suppress(OSError):
            files.make_ignored(cache_dir)
            lock = locks.lock_of(cache_dir / "publishing", destination)
            turn.enter_context(locks.hold(lock, patience=_PATIENCE_SECONDS))
        yield


# ------------------------------------------------------------------------------------- attesting
#
# The end of a run on an artifact: the attestation is written beside the report.

_NAME = "attestation.json"


def note_digests(recorder: Recorded, variant: str) -> VariantResult:
    """Record the digests of an artifact that was published, or is judged by itself.

    An attestation of an earlier run is removed, since it describes an earlier artifact.
    """
    judged = recorder.run.variants[variant]
    if recorder.results[variant].digests is not None:
        return VariantResult()  # Recorded by the process that judged it.
    directory = judged.settings.artifact_only or judged.settings.artifact_dir
    with suppress(OSError):  # Writing hits the same problem, and reports it.
        attestation_path(judged.settings).unlink(missing_ok=True)
    try:
        files = judged.files() if isinstance(judged, Finished) else judged.artifact.files
        identity = identify_directory(directory)
    except OSError:
        return VariantResult()  # Nothing to attest to, as the rules report.
    digests = {file.path: file.sha256 for file in files}
    return VariantResult(digests=ArtifactDigests(digests, digest_of(files), identity))


def write_attestation(recorder: Recorded, variant: str) -> VariantResult:
    """Attest to the recorded digests; return where the attestation is, or what went wrong.

    The verdict `error` says nothing about an artifact, so nothing is attested to.
    """
    result, verdict = recorder.results[variant], recorder.verdicts[variant]
    if result.digests is None or verdict.word == "error":
        return VariantResult()
    assert result.python is not None
    settings = recorder.run.variants[variant].settings
    statement = attestation.build(
        result.digests.files,
        verdict.word,
        recorder.outcomes(variant),
        settings,
        result.python["version"],
        recorder.run.names,
    )
    try:
        path = write_atomic(attestation_path(settings), f"{json.dumps(statement, indent=2)}\n")
    except OSError as problem:
        return VariantResult(attestation_problem=problem.strerror or str(problem))
    return VariantResult(attestation=str(path))


def identify_directory(directory: Path) -> tuple[int, int]:
    """Return device and inode, to distinguish a directory from one of the same name.

    Raises OSError.
    """
    status = directory.stat()
    return status.st_dev, status.st_ino


def attestation_path(settings: Settings) -> Path:
    """Return the path of the attestation: each variant of the metadata file has its own."""
    if settings.sources["model-class"] == "metadata":
        return settings.report_dir / f"attestation-{settings.variant}.json"
    return settings.report_dir / _NAME


# ----------------------------------------------------------------------------------- time limits
#
# Work that does not affect the verdict gets as long as a reader would wait, and is then left out.

T = TypeVar("T")


def result_in_time(work: Callable[[], T], seconds: float) -> T | None:
    """Return the result of `work`; None where it takes longer. Raises what it raises.

    Late work goes on in a daemon thread, and ends with the process.
    """
    done: Future[T] = Future()

    def run() -> None:
        try:
            done.set_result(work())
        except BaseException as problem:  # noqa: BLE001 - raised again in the waiting thread
            done.set_exception(problem)

    threading.Thread(target=run, daemon=True).start()
    try:
        return done.result(seconds)
    except TookTooLong:
        if done.done():
            raise
        return None
