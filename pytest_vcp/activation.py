"""Activation of the plugin: the settings, the suite as default argument, further plugins."""

from __future__ import annotations

import glob
import os
import signal
import sys
import threading
from types import FrameType

import pytest

from pytest_vcp import session
from pytest_vcp.artifact.publishing import DestinationTaken, check_destination
from pytest_vcp.environment import interpreters
from pytest_vcp.evaluation.finished import on_its_python
from pytest_vcp.evaluation.variant import Variant
from pytest_vcp.report.github import GitHubReport, is_asked_for
from pytest_vcp.report.recorder import Recorder, ShortReports
from pytest_vcp.report.terminal import TerminalReport
from pytest_vcp.report.xdist import Distribution
from pytest_vcp.rules import suite
from pytest_vcp.run import LAUNCHER, RUN, Run
from pytest_vcp.settings.resolved import Settings, resolve
from pytest_vcp.settings.values import refusal
from pytest_vcp.source.package import CODE
from pytest_vcp.source.preimports import guessed_inputs
from pytest_vcp.source.wrapper import NotFound
from pytest_vcp.tracking.tracker import Tracker
from pytest_vcp.util.progress import Progress
from pytest_vcp.variants import resolve_variants
from pytest_vcp.worker.launching import start

# Options that say how to package, and so make no sense for an artifact that already exists.
_OF_A_PACKAGE = (
    "model-class",
    "artifact",
    "model-config-json",
    "model-tag",
    "variant",
    "artifact-dir-path",
    "record-expected",
)


def switch_on(config: pytest.Config) -> None:
    """Resolve the settings and register the fixtures, the recorder and the reporters.

    Raises pytest.UsageError for an invalid setting, before anything is built.
    """
    variants = _variants(resolve(config))
    for settings in variants:
        if settings.artifact_only is None:
            _check_destination(settings)
        guessed_inputs(settings)  # Refuses an invalid payload file.
    interpreter = _interpreter(variants[0])
    _choose_tests(config)
    worker = hasattr(config, "workerinput")
    progress = Progress(
        sys.stderr if worker else sys.stdout, quiet=config.getoption("verbose", 0) < 0
    )
    run = Run(variants, interpreter, progress, config.stash.get(LAUNCHER, start))
    config.stash[RUN] = run
    config.add_cleanup(run.close)
    for variant in run.variants.values():
        if isinstance(variant, Variant):
            _check_class(variant, run)
    as_interrupt(config)
    config.pluginmanager.register(session, "vcp-session")
    config.pluginmanager.register(session.suite_fixtures(), "vcp-facts")
    config.pluginmanager.register(ShortReports(), "vcp-short-reports")
    recorder = Recorder(config, run)
    config.pluginmanager.register(recorder, "vcp-recorder")
    if not worker:
        distribution = Distribution()
        config.add_cleanup(distribution.close)
        config.pluginmanager.register(distribution, "vcp-distribution")
    if not worker and config.pluginmanager.hasplugin("terminal"):
        config.pluginmanager.register(TerminalReport(recorder), "vcp-terminal")
    if not worker and run.settings.tracking is not None:
        tracker = Tracker(recorder, run.settings.tracking)
        config.add_cleanup(tracker.close)
        config.pluginmanager.register(tracker, "vcp-tracker")
    if not worker and is_asked_for(os.environ):
        config.pluginmanager.register(GitHubReport(recorder), "vcp-github")


def _variants(base: Settings) -> tuple[Settings, ...]:
    if base.artifact_only is not None:
        for name in _OF_A_PACKAGE:
            if base.sources[name] == "option":
                raise refusal(
                    base.given(name, ""),
                    "--vcp-verify-artifact judges what is packaged already; leave this out",
                )
        return (on_its_python(base),)
    return resolve_variants(base)


def _check_class(variant: Variant, run: Run) -> None:
    """Refuse a missing class if one with a similar name exists: the option is mistyped."""
    settings = variant.settings
    if not (settings.pkg_dir / CODE).is_dir() or not settings.model_class.module:
        return  # Reported by VCP101 or VCP109.
    found = variant.wrapper
    if isinstance(found, NotFound) and found.near and not run.package.unparsed:
        given = settings.given("model-class", settings.model_class)
        raise refusal(given, f"there is {found.what}; did you mean {found.near[0]}?")


def _check_destination(settings: Settings) -> None:
    try:
        check_destination(settings.artifact_dir)
    except DestinationTaken as problem:
        given = settings.given("artifact-dir-path", settings.artifact_dir)
        raise refusal(given, str(problem)) from None


def _interpreter(settings: Settings) -> interpreters.Interpreter | None:
    if settings.target_python < settings.policy.least_python:
        return None  # Reported by VCP301.
    given = settings.given("python", settings.python or "")
    if settings.env_manager == "local" and settings.target_python != sys.version_info[:2]:
        raise refusal(
            given,
            "--vcp-env-manager local uses the running interpreter; leave one of the two out",
        )
    if settings.env_manager == "conda":
        return interpreters.find_running()  # conda installs the requested Python itself.
    try:
        return interpreters.find(settings.python)
    except interpreters.InterpreterNotFound as problem:
        raise pytest.UsageError(f"{given.origin}: {problem}") from None


def _choose_tests(config: pytest.Config) -> None:
    """Run the conformance suite if the user named no tests."""
    if config.args_source is not pytest.Config.ArgsSource.ARGS:
        config.args = [str(suite.directory())]
    # The user's ini file may set other patterns for names; the suite is collected all the same.
    config.addinivalue_line("python_files", f"{glob.escape(str(suite.directory()))}/test_*.py")
    config.addinivalue_line("python_functions", "test_vcp")


# ----------------------------------------------------------------------------------- termination
#
# SIGTERM, as sent by schedulers and CI systems, ends a run the same way as Ctrl-C.


def as_interrupt(config: pytest.Config) -> None:
    """Clean up on SIGTERM, which would otherwise end Python at once; a second one still does.

    A SIGTERM handler that is already installed stays in place.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        return
    signal.signal(signal.SIGTERM, _interrupt)
    config.add_cleanup(_restore)


def _interrupt(number: int, frame: FrameType | None) -> None:
    _restore()
    raise KeyboardInterrupt(signal.Signals(number).name)


def _restore() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
