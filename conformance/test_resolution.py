"""Section 2: what only the environment that pip made of requirements.txt can tell about it.

That pip's resolver accepts the whole file (VCP208) is judged beside the building itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from pytest_vcp.environment.build import Environment
from pytest_vcp.environment.other_pythons import OtherPython, admits
from pytest_vcp.environment.resolution import applying, everything_needed, pins_by_name, unmet
from pytest_vcp.requirements.lock import DECLARED, Lock, RequirementLine
from pytest_vcp.rules.outcomes import Blocked, Unverified, Violation
from pytest_vcp.rules.registry import rule
from pytest_vcp.rules.wording import and_others
from pytest_vcp.settings.values import nearest
from pytest_vcp.source.imported import Imported

if TYPE_CHECKING:
    from pytest_vcp.environment.resolution import Chosen
    from pytest_vcp.settings.resolved import Settings

Pins = Mapping[str, RequirementLine]

LOCK_AGAIN = "change requirements.in and lock again: pytest --vcp-lock"
# What pip-compile leaves out of a lock by default: environments begin with these, mostly.
LEFT_OUT = frozenset({"setuptools", "pip", "wheel", "distribute"})
# Beyond every Python that there will be for a while.
_LAST = 30


@rule("VCP207")
def test_vcp207_every_pin_admits_the_python(
    vcp_environment_build: Environment,
    vcp_lock: Lock,
    vcp_other_pythons: tuple[OtherPython, ...],
    vcp_settings: Settings,
) -> None:
    """The Requires-Python of every pin, upper bound included, admits the target Python.

    So it does each further Python that the policy names.
    """
    failure = vcp_environment_build.failure
    if failure is not None and failure.refused is not None:
        name, wanted = failure.refused.name, failure.refused.requires_python
        lines = applying(vcp_lock.pinned_as(name), vcp_environment_build)
        raise _other_python(name, wanted, vcp_environment_build, lines, vcp_settings)
    if failure is not None and not failure.resolved:
        raise Blocked(failure.rule)
    for line in applying(vcp_lock.pinned, vcp_environment_build):
        for entry in vcp_environment_build.installed:
            wanted = entry.requires_python or ""
            if entry.name == line.name and not admits(wanted, vcp_environment_build.version):
                raise _other_python(entry.name, wanted, vcp_environment_build, [line], vcp_settings)
    for other in vcp_other_pythons:
        _serves(other, vcp_lock)
    _all_were_judged(vcp_other_pythons, vcp_environment_build, vcp_settings)


@rule("VCP209")
def test_vcp209_everything_needed_is_pinned(
    vcp_whole_environment: Environment,
    vcp_pins: Pins,
    vcp_lock: Lock,
    vcp_other_pythons: tuple[OtherPython, ...],
) -> None:
    """Everything that a pinned requirement needs is pinned as well.

    So it is on each further Python that the policy names, in a version that serves there. What pip-
    compile leaves out by default is only advised.
    """
    needed = everything_needed(vcp_pins, vcp_whole_environment)
    missing = sorted(name for name in needed if name not in vcp_pins)
    if set(missing) - LEFT_OUT:
        raise _no_pin([name for name in missing if name not in LEFT_OUT], needed, vcp_pins)
    for other in vcp_other_pythons:
        _is_complete_on(other, vcp_lock)
    if missing:
        raise _no_pin(missing, needed, vcp_pins)


def _no_pin(missing: Sequence[str], needed: Mapping[str, str], pins: Pins) -> Violation:
    name, by = missing[0], needed[missing[0]]
    return Violation(
        expected="a pin for everything that the pins need",
        received=f"none for {name}, which {by} needs{and_others(len(missing))}",
        remedy="lock again, which pins all that is needed: pytest --vcp-lock",
        where=pins[by].where if by in pins else None,
        binds=name not in LEFT_OUT,
    )


@rule("VCP210")
def test_vcp210_nothing_is_pinned_without_need(
    vcp_whole_environment: Environment, vcp_pins: Pins, vcp_lock: Lock
) -> None:
    """Every pin is declared in requirements.in, or needed by what is."""
    if not vcp_lock.declared_in_view:
        raise Unverified(f"{DECLARED} is not part of an artifact")
    declared = applying(vcp_lock.declared, vcp_whole_environment)
    unclear = [line for line in declared if line.name is None and line.kind != "option"]
    if unclear:
        raise Unverified(f"{unclear[0].where} does not say which distributions it brings")
    roots = {line.name: line for line in declared if line.name is not None}
    needed = everything_needed(roots, vcp_whole_environment)
    idle = [line for name, line in vcp_pins.items() if name not in roots and name not in needed]
    if idle:
        raise Violation(
            expected=f"pins that {DECLARED} asks for, or what those need",
            received=f"{idle[0].short}, which nothing needs{and_others(len(idle))}",
            remedy=f"delete the pin; if the model needs it, add it to {DECLARED}",
            where=idle[0].where,
        )


@rule("VCP212")
def test_vcp212_no_pinned_release_was_yanked(
    vcp_choices: tuple[Chosen, ...], vcp_pins: Pins
) -> None:
    """No pinned release was yanked."""
    yanked = [entry for entry in vcp_choices if entry.yanked]
    if yanked:
        first = yanked[0]
        reason = f": {' '.join(first.reason.split())}" if first.reason else ""
        told = f"{first.name} {first.version} was yanked{reason}"
        raise Violation(
            expected="releases that were not withdrawn",
            received=f"{told if len(told) <= 90 else f'{told[:87]}...'}{and_others(len(yanked))}",
            remedy=f"ask for another release: {LOCK_AGAIN}",
            where=vcp_pins[first.name].where if first.name in vcp_pins else None,
        )


@rule("VCP213")
def test_vcp213_every_import_is_provided_by_a_pin(
    vcp_whole_environment: Environment,
    vcp_pins: Pins,
    vcp_imported: tuple[Imported, ...],
) -> None:
    """A pin provides each third-party module that model_code and model_spec.py import."""
    modules = vcp_whole_environment.modules
    wrong = []
    for entry in vcp_imported:
        by = modules.providers(entry.module, entry.attributes)
        if not modules.is_standard(entry.module) and not by & vcp_pins.keys():
            wrong.append((entry, sorted(by)))
    if wrong:
        entry, by_others = wrong[0]
        more = and_others(len({other.module for other, _ in wrong}))
        if by_others:
            received = f"{by_others[0]}, which is installed and not pinned, provides it{more}"
            remedy = f"add {by_others[0]} to {DECLARED} and lock again: pytest --vcp-lock"
        else:
            received = f"nothing that is installed provides it{more}"
            remedy = _where_it_comes_from(entry, vcp_whole_environment, vcp_pins)
        raise Violation(
            expected=f"a pin that provides {_named(entry)}",
            received=received,
            remedy=remedy,
            where=entry.where,
        )


def _serves(other: OtherPython, lock: Lock) -> None:
    """Raise Violation where a pin is not for another Python."""
    if other.refused is not None:
        name = other.refused.name
        why = f"requires Python {other.refused.requires_python}"
    elif other.missing is not None:
        name = other.missing
        why = "has no file for it in any index"
    else:
        return
    lines = applying(lock.pinned_as(name), other.environment)
    raise Violation(
        expected=f"{name} in a release for Python {other.python}, which the policy names",
        received=f"{lines[0].short if lines else name}, which {why}",
        remedy="pin a release that admits both Pythons, or one for each by a marker: "
        f'; python_version == "{other.python}"',
        where=lines[0].where if lines else None,
    )


def _all_were_judged(
    others: tuple[OtherPython, ...], environment: Environment, settings: Settings
) -> None:
    """Raise Unverified where nobody says what a pin requires, or nobody could be asked."""
    if settings.policy.pythons and environment.manager == "local":
        raise Unverified("the policy's Pythons are asked of the pip in a built environment")
    for other in others:
        if other.unjudged:
            first, *more = other.unjudged
            raise Unverified(
                f"{first}{and_others(1 + len(more))} has no wheel for Python {other.python}, "
                "and no index says which Pythons it requires"
            )


def _is_complete_on(other: OtherPython, lock: Lock) -> None:
    """Raise Violation where the lock leaves out, on another Python, what a pin needs there."""
    if other.refused is not None or other.missing is not None:
        return  # VCP207 says so, and the needs of the other pins are not known.
    pins = pins_by_name(lock, other.environment)
    for by, requirement in unmet(pins, other.environment):
        name = canonicalize_name(requirement.name)
        pin = pins.get(name)
        wanted = f"{requirement.name}{requirement.specifier}"
        raise Violation(
            expected=f"a pin for all that the pins need on Python {other.python} as well",
            received=f"{pin.short if pin else 'none'}, and {by} needs {wanted} there",
            remedy=f"give that Python a line for {name}, with the marker "
            f'; python_version == "{other.python}"',
            where=(pin or pins[by]).where if pin or by in pins else None,
        )


def _other_python(
    name: str,
    wanted: str,
    environment: Environment,
    lines: list[RequirementLine],
    settings: Settings,
) -> Violation:
    shown = lines[0].short if lines else name
    fitting = _nearest_python(wanted, settings)
    return Violation(
        expected=f"{name} in a release for Python {environment.version}",
        received=f"{shown}, which requires Python {wanted}",
        remedy=f"package on Python {fitting} (--vcp-python), or {LOCK_AGAIN}"
        if fitting
        else LOCK_AGAIN,
        where=lines[0].where if lines else None,
    )


def _nearest_python(requires_python: str, settings: Settings) -> str | None:
    """The admitted Python nearest to the target, of those that the platform runs."""
    _, least = settings.policy.least_python
    fitting = [minor for minor in range(least, _LAST) if admits(requires_python, f"3.{minor}")]
    _, target = settings.target_python
    return f"3.{min(fitting, key=lambda minor: abs(minor - target))}" if fitting else None


def _named(entry: Imported) -> str:
    text = f"{entry.module}.{entry.attributes[0]}" if entry.attributes else entry.module
    return text if len(text) <= 80 else f"{text[:77]}..."


def _where_it_comes_from(entry: Imported, environment: Environment, pins: Pins) -> str:
    """The likeliest way to mend an import that nothing provides."""
    if entry.sibling is not None:
        return f"it is a module of the package: import it as {entry.sibling}"
    by_pins = {
        module: pins.keys() & set(names)
        for module, names in environment.modules.provided.items()
        if "." not in module and pins.keys() & set(names)
    }
    pin = canonicalize_name(entry.top)
    of_that_name = [module for module, names in by_pins.items() if pin in names]
    if of_that_name:
        return f"{pin} is imported as {of_that_name[0]}"
    hint = nearest(entry.top, list(by_pins))
    add = f"add its package to {DECLARED} and compile; move it into model_code if it is yours"
    return f"{hint} Otherwise {add}" if hint else add
