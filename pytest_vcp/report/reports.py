"""The end of a run that judged something: report.json and report.html are put side by side."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from pytest_vcp.report import in_time
from pytest_vcp.report.document import REPORT, build_report, write_report
from pytest_vcp.report.foresight import foreseen
from pytest_vcp.settings.resolved import REPORT_DIR
from pytest_vcp.util import files
from pytest_vcp.util.files import write_atomic

if TYPE_CHECKING:
    from pytest_vcp.report.recorder import Recorder
    from pytest_vcp.settings.resolved import Settings

_PAGE = "report.html"
REPORT_FILES = (REPORT, _PAGE)
PAGE_SECONDS = 60.0
# What `seen` takes down for people.
_SEEN = ("signature", "tree", "lock", "environment")


def prepare_report_directory(settings: Settings, session: pytest.Session) -> None:
    """Make the directory, if one of the tests leaves something there while it runs."""
    names = (name for item in session.items for name in getattr(item, "fixturenames", ()))
    if not session.config.option.collectonly and any(name.startswith("vcp_") for name in names):
        _make(settings)


def _make(settings: Settings) -> None:
    """Make the directory so that git leaves it out; ours comes to do so where it is there already.

    One that comes to hold an artifact is made later, as any other: the artifact may be for git.
    """
    directory = settings.report_dir
    if settings.artifact_dir.is_relative_to(directory):
        return
    with suppress(OSError):  # Writing meets the same obstacle, and tells of it.
        files.make_ignored(directory)
        if _is_ours(settings):
            files.ignore(directory)


def _is_ours(settings: Settings) -> bool:
    """Whether the directory is the one that nobody named, or led elsewhere by a link."""
    default = settings.pkg_dir / REPORT_DIR
    return settings.sources["report-dir"] == "default" and settings.report_dir == default


def write_reports(recorder: Recorder) -> str | None:
    """Write both; why the page was left out, where it was.

    Raises OSError for the first that can't be written.
    """
    # Nobody needs what renders a page before there is one.
    from pytest_vcp.report import html

    _make(recorder.run.settings)
    portable, directory = recorder.portable, recorder.run.settings.report_dir
    report = portable.document(
        build_report(
            {
                name: (recorder.verdicts[name], recorder.outcomes(name))
                for name in recorder.run.names
            },
            recorder.facts,
            recorder.run.settings.policy.level_of,
            recorder.remarks,
        )
    )
    write_report(report, directory)
    more = {
        name: {**portable.document(_besides(recorder, name)), "pictures": _pictures(recorder, name)}
        for name in recorder.run.names
    }
    page = in_time.result(lambda: html.render(report, more), PAGE_SECONDS)
    if page is None:
        # One of an earlier run would be taken for that of this one.
        (directory / _PAGE).unlink(missing_ok=True)
        return f"left out, since it takes more than {PAGE_SECONDS:g} s to write"
    write_atomic(directory / _PAGE, page)
    return None


def _besides(recorder: Recorder, variant: str) -> dict[str, Any]:
    """What the page says of a variant, and report.json does not."""
    verdict, facts = recorder.verdicts[variant], recorder.facts[variant]
    settings = recorder.run.variants[variant].settings
    to_come = foreseen(settings, recorder.outcomes(variant)) if verdict.broken else ()
    return {
        "model": _model(settings),
        "is_finished": settings.artifact_only is not None,
        "broken": [outcome.rule for outcome in verdict.broken],
        "foreseen": [line.removeprefix("then").strip() for line in to_come],
        "gaps": list(verdict.gaps),
        **{key: facts[key] for key in _SEEN if key in facts},
    }


def _pictures(recorder: Recorder, variant: str) -> dict[str, Any] | None:
    """The pictures, with what is said of them rewritten, but not what they are made of."""
    drawn = recorder.facts[variant].get("pictures")
    if drawn is None:
        return None
    portable = recorder.portable
    pictures = [
        {**portable.document({**picture, "png": ""}), "png": picture["png"]}
        for picture in drawn["pictures"]
    ]
    return {"pictures": pictures, "remarks": portable.document(drawn["remarks"])}


def _model(settings: Settings) -> str:
    """What was judged, by name; empty where nothing named the class."""
    if settings.artifact_only is not None:
        return settings.artifact_only.name
    return str(settings.model_class) if settings.model_class.module else ""
