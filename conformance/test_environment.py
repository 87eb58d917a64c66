"""Section 3: the environment, built once from requirements.txt, and inspected afterwards."""

from __future__ import annotations

from collections.abc import Sequence

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion

from pytest_vcp.environment.build import Environment, failure_to_build
from pytest_vcp.environment.inspection import Installed
from pytest_vcp.evaluation.prediction import Reply
from pytest_vcp.requirements.lock import Lock
from pytest_vcp.rules.outcomes import NO_REMEDY, Blocked, Unverified, Violation
from pytest_vcp.rules.registry import rule
from pytest_vcp.settings.resolved import Settings

LOCK = "requirements.txt"
LOCK_AGAIN = "change requirements.in and lock again: pytest --vcp-lock"


# Exceptions of a module that reads files, or contacts a server, when it is imported.
_OF_WORK = ("FileNotFoundError", "NotADirectoryError", "PermissionError", "OSError", "URLError")


@rule("VCP301")
def test_vcp301_target_python_is_accepted(vcp_settings: Settings) -> None:
    """The target Python is one that the platform accepts."""
    target, least = vcp_settings.target_python, vcp_settings.policy.least_python
    if target < least:
        raise Violation(
            expected=f"Python {dotted(least)} or newer",
            found=f"Python {dotted(target)}",
            remedy=f"set --vcp-python to {dotted(least)} or newer, and lock for it with --vcp-lock",
        )


@rule("VCP302")
def test_vcp302_environment_builds(
    vcp_environment_build: Environment, vcp_settings: Settings
) -> None:
    """The environment builds from requirements.txt."""
    failure = failure_to_build(vcp_environment_build)
    accepted, manager = vcp_settings.policy.env_managers, vcp_environment_build.manager
    if failure is None and manager not in accepted:
        raise Unverified(f"the platform builds with {' or '.join(accepted)}, not with {manager}")
    if failure is None:
        return
    if failure.rule != "VCP302":
        raise Blocked(failure.rule)
    raise Violation(
        expected="distributions that install in a new environment",
        found=failure.summary,
        remedy=f"pin a version with a wheel, pytest --vcp-lock; pip's output is in {failure.log}",
    )


@rule("VCP303")
def test_vcp303_pip_check_is_clean(vcp_environment: Environment) -> None:
    """pip check finds no broken requirement in the environment."""
    broken = vcp_environment.broken
    if broken is None:
        raise Unverified("the running interpreter has no pip to check it with")
    if broken:
        raise Violation(
            expected="an environment in which pip check finds nothing",
            found=first_and_count(broken),
            remedy=LOCK_AGAIN,
        )


@rule("VCP304")
def test_vcp304_what_is_pinned_is_installed(vcp_environment: Environment, vcp_lock: Lock) -> None:
    """What is installed is what requirements.txt pins."""
    wrong = []
    for line in vcp_lock.pinned:
        pin = line.requirement
        if (
            pin is None
            or canonicalize_name(pin.name) == "mlflow"
            or not applies(pin, vcp_environment)
        ):
            continue  # VCP305 judges MLflow itself
        problem = mismatch(pin, copies(vcp_environment, pin.name))
        if problem:
            wrong.append((problem, line.where))
    if wrong:
        raise Violation(
            expected=f"what {LOCK} pins, each once",
            found=first_and_count([problem for problem, _ in wrong]),
            remedy=renew(vcp_environment, f"see what pip installed: {vcp_environment.pip_report}"),
            where=wrong[0][1],
        )


@rule("VCP305")
def test_vcp305_mlflow_is_the_platforms_and_whole(
    vcp_environment: Environment, vcp_settings: Settings
) -> None:
    """The MLflow in the environment is the platform's version, and complete."""
    facts = vcp_environment.mlflow
    pins = [Requirement(line) for line in vcp_settings.policy.pinned_requirements]
    pin = next((pin for pin in pins if canonicalize_name(pin.name) == "mlflow"), None)
    wanted = pin or Requirement("mlflow")
    if facts.skinny_only:
        problem: str | None = "mlflow-skinny alone, which can't serve a model"
    else:
        problem = mismatch(wanted, copies(vcp_environment, "mlflow"))
    if problem:
        remedy = renew(vcp_environment, f"put {wanted} into requirements.in, and pytest --vcp-lock")
        raise Violation(expected=str(wanted), found=problem, remedy=remedy)
    if facts.missing:
        raise Violation(
            expected=f"all files of mlflow {facts.version}",
            found=f"no {first_and_count(facts.missing)}",
            remedy=renew(vcp_environment, "drop the pin whose distribution writes into mlflow/"),
        )


@rule("VCP306")
def test_vcp306_code_imports_in_the_environment(vcp_imports: Reply) -> None:
    """model_code and model_spec import with only the package directory on the path."""
    failure = vcp_imports.failure
    if failure is None:
        return
    if failure.exception == "SystemExit":
        remedy = "let the module end without sys.exit; it is imported, not run"
    elif failure.remedy is not None:
        remedy = failure.remedy
    elif (failure.exception or "").startswith("mlflow."):
        remedy = "correct this line as MLflow says"
    elif failure.exception in _OF_WORK:
        remedy = "importing must only define: move work into load_context or predict"
    else:
        remedy = NO_REMEDY
    raise Violation(
        expected="model_code and model_spec to import in the new environment",
        found=failure.summary,
        remedy=remedy,
        where=failure.where,
    ) from failure


def applies(pin: Requirement, environment: Environment) -> bool:
    """Return whether the marker of a pin holds for the environment's interpreter."""
    return pin.marker is None or pin.marker.evaluate(dict(environment.markers))


def copies(environment: Environment, name: str) -> list[Installed]:
    """List every installed copy of a distribution."""
    wanted = canonicalize_name(name)
    return [entry for entry in environment.installed if entry.name == wanted]


def mismatch(pin: Requirement, found: Sequence[Installed]) -> str | None:
    """Describe the problem of the installed copies of a pinned distribution; None without one."""
    if not found:
        return f"{pin.name} is not installed"
    if len(found) > 1:
        versions = " and ".join(entry.version for entry in found)
        return f"{pin.name} is installed {len(found)} times ({versions})"
    version = found[0].version
    try:
        admitted = pin.specifier.contains(version, prereleases=True)
    except InvalidVersion:
        admitted = False
    return None if admitted else f"{pin.name} {version} is installed, pinned is {pin.specifier}"


def renew(environment: Environment, otherwise: str) -> str:
    """Return the remedy for an environment that differs from what was installed into it."""
    if environment.manager == "local":
        return f"install {LOCK} with pip into the running environment"
    if environment.reused:
        return f"it was changed after it was built: delete {environment.directory} and run again"
    return otherwise


def first_and_count(findings: Sequence[str]) -> str:
    """Format the first finding, and the number of others."""
    more = len(findings) - 1
    return findings[0] if not more else f"{findings[0]} (and {more} more)"


def dotted(version: tuple[int, int]) -> str:
    """Format a version as people write it."""
    return ".".join(map(str, version))
