"""Section 2: the requirements of the package, in requirements.in and requirements.txt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pytest_vcp.environment.build import Environment, failure_to_build
from pytest_vcp.environment.other_pythons import OtherPython, admits
from pytest_vcp.environment.resolution import applying, everything_needed, find_unmet, pins_by_name
from pytest_vcp.requirements.fetching import why_not_fetchable
from pytest_vcp.requirements.lock import DECLARED, PINNED, Lock, RequirementLine
from pytest_vcp.requirements.markers import applies, target_environment, usual_environments
from pytest_vcp.requirements.options import options_of
from pytest_vcp.rules.outcomes import Blocked, Location, Unverified, Violation
from pytest_vcp.rules.registry import rule
from pytest_vcp.rules.wording import and_others
from pytest_vcp.settings.values import nearest
from pytest_vcp.source.imported import Imported
from pytest_vcp.util.text import truncate
from pytest_vcp.util.urls import has_secret_url

if TYPE_CHECKING:
    from pytest_vcp.environment.resolution import Chosen
    from pytest_vcp.settings.resolved import Settings

LOCK_AGAIN = "lock again: pytest --vcp-lock"


@rule("VCP201")
def test_vcp201_the_platform_section_is_intact(vcp_settings: Settings, vcp_lock: Lock) -> None:
    """requirements.in contains the platform's requirements, unchanged and uncontradicted."""
    _require(vcp_lock, DECLARED)
    for wanted in vcp_settings.policy.pinned_requirements:
        requirement = Requirement(wanted)
        lines = vcp_lock.declared_as(requirement.name)
        others = [line for line in lines if not _is_same(line, requirement)]
        if len(others) == len(lines):
            _raise_not_intact(wanted, requirement, others, vcp_lock)
        for line in others:
            if _contradicts(line, requirement, vcp_settings.target_python):
                raise Violation(
                    expected=f"{wanted} in {DECLARED}, and nothing that contradicts it",
                    found=f"a second line: {line.short}",
                    remedy="delete the second line; the platform's section stays as it is",
                    where=line.where,
                )


@rule("VCP202")
def test_vcp202_every_requirement_is_an_exact_pin(vcp_lock: Lock) -> None:
    """Every requirement in requirements.txt is an exact == pin."""
    _require(vcp_lock, PINNED)
    loose = [
        line
        for line in vcp_lock.pinned
        if line.kind == "invalid" or (line.kind == "requirement" and line.exact_version is None)
    ]
    if loose:
        raise Violation(
            expected="every requirement pinned as NAME==VERSION",
            found=f"{loose[0].short}{and_others(len(loose))}",
            remedy=f"write NAME==VERSION, without a star or range; or {LOCK_AGAIN}",
            where=loose[0].where,
        )


@rule("VCP203")
def test_vcp203_another_machine_can_fetch_everything(vcp_lock: Lock) -> None:
    """requirements.txt names nothing that only the author's machine has, or that moves."""
    _require(vcp_lock, PINNED)
    found = [(line, why) for line in vcp_lock.pinned if (why := why_not_fetchable(line))]
    if found:
        line, why = found[0]
        raise Violation(
            expected="releases from an index, or a URL with a commit or a hash",
            found=f"{why.what}: {line.short}{and_others(len(found))}",
            remedy=why.remedy,
            where=line.where,
        )


@rule("VCP204")
def test_vcp204_local_versions_come_with_their_index(vcp_lock: Lock) -> None:
    """A local version such as +cu118 comes with the index that serves it."""
    _require(vcp_lock, PINNED)
    for lines in (vcp_lock.pinned, vcp_lock.declared):
        options = [option for line in lines for option in options_of(line)]
        elsewhere = any(line.kind == "nested" for line in lines)
        if elsewhere or any(option.serves_local_versions for option in options):
            continue
        local = [line for line in lines if line.local_version]
        if local:
            raise Violation(
                expected="a line --extra-index-url URL that can serve "
                f"+{local[0].local_version}; pypi.org can't",
                found=f"{local[0].short}{and_others(len(local))}, and no such line",
                remedy="add --extra-index-url with the index that has it, or drop "
                f"+{local[0].local_version}",
                where=local[0].where,
            )


@rule("VCP205")
def test_vcp205_no_distribution_is_pinned_twice(vcp_settings: Settings, vcp_lock: Lock) -> None:
    """No distribution is pinned by two lines that apply at once."""
    _require(vcp_lock, PINNED)
    seen: dict[str, list[RequirementLine]] = {}
    for line in vcp_lock.pinned:
        if line.name is None:
            continue
        for earlier in seen.setdefault(line.name, []):
            if _apply_at_once(earlier, line, vcp_settings.target_python):
                raise Violation(
                    expected=f"{line.name} pinned once",
                    found=f"it twice: {earlier.short} (line {earlier.where.line}), {line.short}",
                    remedy="delete the wrong line (case, '-', '_' and '.' make no other name)",
                    where=line.where,
                )
        seen[line.name].append(line)


@rule("VCP206")
def test_vcp206_every_requirement_is_met_by_its_pin(vcp_settings: Settings, vcp_lock: Lock) -> None:
    """Every requirement of requirements.in is met by its pin in requirements.txt."""
    _require(vcp_lock, DECLARED)
    _require(vcp_lock, PINNED)
    environment = target_environment(vcp_settings.target_python)
    for line in vcp_lock.declared:
        if line.kind == "invalid":
            raise Violation(
                expected="a requirement in pip's form, such as numpy>=2",
                found=line.short,
                remedy=f"correct this line, and {LOCK_AGAIN}",
                where=line.where,
            )
        if line.name is None or not applies(line.requirement, environment):
            continue
        named = vcp_lock.pinned_as(line.name)
        pins = [pin for pin in named if applies(pin.requirement, environment)]
        if not pins:
            raise _drift(line, f"a pin of {line.name} in {PINNED}", "none")
        for pin in pins:
            if not _meets(pin, line):
                raise _drift(line, f"a pin that meets {line.short}", f"{pin.short} in {pin.where}")


@rule("VCP211")
def test_vcp211_no_option_changes_what_is_resolved(vcp_lock: Lock) -> None:
    """No option changes what pip installs, and no line contains credentials."""
    _require(vcp_lock, PINNED)
    lines = (*vcp_lock.pinned, *vcp_lock.declared)
    revealing = [line for line in lines if has_secret_url(line.text)]
    if revealing:
        raise Violation(
            expected="no user name, password or token in a URL",
            found=f"{revealing[0].short}{and_others(len(revealing))}",
            remedy="use a URL without a login, and revoke the token or password that stood here",
            where=revealing[0].where,
        )
    bending = [
        (line, option.name)
        for line in lines
        for option in options_of(line)
        if option.changes_the_choice
    ]
    if bending:
        line, name = bending[0]
        raise Violation(
            expected="no option that changes which versions pip picks",
            found=f"the option {name}{and_others(len(bending))}",
            remedy=f"delete it, and {LOCK_AGAIN}",
            where=line.where,
        )


@rule("VCP214")
def test_vcp214_hashes_are_on_every_line_or_on_none(vcp_lock: Lock) -> None:
    """Either every line of requirements.txt has hashes, or none has."""
    _require(vcp_lock, PINNED)
    lines = [line for line in vcp_lock.pinned if line.kind in ("requirement", "url", "vcs")]
    # pip checks a hash within a URL, but does not require others because of it.
    asking = [line for line in lines if line.hashes]
    options = {option.name for line in vcp_lock.pinned for option in options_of(line)}
    bare = [line for line in lines if not line.is_hashed]
    if bare and (asking or "--require-hashes" in options):
        raise _half_hashed(asking, bare)


@rule("VCP215")
def test_vcp215_pins_work_with_the_platforms_mlflow(vcp_settings: Settings, vcp_lock: Lock) -> None:
    """What is pinned works with all parts of the platform's MLflow."""
    _require(vcp_lock, PINNED)
    for version in {str(line.exact_version) for line in vcp_lock.pinned_as("mlflow")}:
        for companion, part in vcp_settings.policy.companions.get(version, {}).items():
            wanted = Requirement(companion)
            for pin in vcp_lock.pinned_as(wanted.name):
                found = pin.exact_version
                if found and not wanted.specifier.contains(found, prereleases=True):
                    raise Violation(
                        expected=f"{companion}, which works with MLflow {version}",
                        found=f"{pin.short}, with which {part} fails",
                        remedy=f"add the line {companion} to {DECLARED}, and {LOCK_AGAIN}",
                        where=pin.where,
                    )


@rule("VCP216")
def test_vcp216_each_distribution_has_one_line(vcp_settings: Settings, vcp_lock: Lock) -> None:
    """No distribution has a second line with other markers."""
    _require(vcp_lock, PINNED)
    seen: dict[str, RequirementLine] = {}
    for line in vcp_lock.pinned:
        if line.name is None:
            continue
        first = seen.setdefault(line.name, line)
        if first is not line and not _apply_at_once(first, line, vcp_settings.target_python):
            raise Violation(
                expected=f"one line for {line.name}, since MLflow merges several into one",
                found=f"{first.short} (line {first.where.line}) and {line.short}",
                remedy="keep the line for the Python of the model: "
                f"pytest --vcp-lock --vcp-python={'.'.join(map(str, vcp_settings.target_python))}",
                where=line.where,
            )


def _half_hashed(asking: list[RequirementLine], bare: list[RequirementLine]) -> Violation:
    """Build the violation on partial hashes, at the lines in the minority: with or without one."""
    odd, has = (asking, "a hash") if 0 < len(asking) < len(bare) else (bare, "no hash")
    remedy = "pytest --vcp-lock gives every line its hashes; or delete every --hash"
    if not asking:
        remedy = "delete --require-hashes; or pytest --vcp-lock, which gives every line its hashes"
    elif any(line.kind == "vcs" for line in bare):
        remedy = "delete every --hash, since a repository can have none; or pin a release of it"
    return Violation(
        expected="a hash on every line, or on none",
        found=f"{has} at {odd[0].short}{and_others(len(odd))}, unlike the others",
        remedy=remedy,
        where=odd[0].where,
    )


def _require(lock: Lock, name: str) -> None:
    if name == DECLARED and not lock.declared_in_view:
        raise Unverified(f"{DECLARED} is not part of an artifact")
    if name in lock.missing:
        raise Blocked("VCP101" if lock.declared_in_view else "VCP601")


def _is_same(line: RequirementLine, wanted: Requirement) -> bool:
    """Return whether the line is equivalent, apart from spaces and the spelling of the name."""
    found = line.requirement
    return found is not None and (found.specifier, found.extras, found.url, found.marker) == (
        wanted.specifier,
        wanted.extras,
        wanted.url,
        wanted.marker,
    )


def _raise_not_intact(
    wanted: str, requirement: Requirement, others: list[RequirementLine], lock: Lock
) -> None:
    name = canonicalize_name(requirement.name)
    commented = [c for c in lock.commented_out if c.name == name]
    if others:
        received, where = others[0].short, others[0].where
    elif commented:
        received, where = "the line, but commented out", commented[0].where
    else:
        received, where = f"no line for {requirement.name}", Location(DECLARED)
    raise Violation(
        expected=f"the line {wanted} in {DECLARED}",
        found=received,
        remedy=f"restore the line {wanted}, and {LOCK_AGAIN}",
        where=where,
    )


def _contradicts(line: RequirementLine, wanted: Requirement, python: tuple[int, int]) -> bool:
    found = line.requirement
    if found is None or found.url:
        return True
    if not any(applies(found, environment) for environment in usual_environments(python)):
        return False
    versions = [specifier.version for specifier in wanted.specifier if specifier.operator == "=="]
    return not all(found.specifier.contains(version, prereleases=True) for version in versions)


def _apply_at_once(
    first: RequirementLine, second: RequirementLine, python: tuple[int, int]
) -> bool:
    return any(
        applies(first.requirement, environment) and applies(second.requirement, environment)
        for environment in usual_environments(python)
    )


def _meets(pin: RequirementLine, declared: RequirementLine) -> bool:
    if declared.url is not None:
        return pin.url is not None and _without_fragment(pin.url) == _without_fragment(declared.url)
    # Where a pin gives no version, VCP202 or VCP203 reports that, not this rule. Extras are not
    # compared: compilers may leave them out, since their requirements are pinned on separate lines.
    version = pin.exact_version
    if version is None or declared.requirement is None:
        return True
    return declared.requirement.specifier.contains(version, prereleases=True)


def _without_fragment(url: str) -> str:
    return url.partition("#")[0].rstrip("/")


def _drift(line: RequirementLine, expected: str, received: str) -> Violation:
    return Violation(expected=expected, found=received, remedy=LOCK_AGAIN, where=line.where)


# ------------------------------------------------------------------------------------ resolution
#
# Rules on requirements.txt that need the environment that pip built from it.

Pins = Mapping[str, RequirementLine]

CHANGE_AND_LOCK_AGAIN = "change requirements.in and lock again: pytest --vcp-lock"
# The distributions that pip-compile leaves out of a lock by default: most environments have them.
LEFT_OUT = frozenset({"setuptools", "pip", "wheel", "distribute"})
# A minor version beyond every Python of the near future.
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


@rule("VCP208")
def test_vcp208_resolver_accepts_the_lock(vcp_environment_build: Environment) -> None:
    """pip's resolver accepts the whole of requirements.txt."""
    failure = failure_to_build(vcp_environment_build)
    if failure is None or (failure.rule != "VCP208" and failure.resolved):
        return
    if failure.rule != "VCP208":
        raise Blocked(failure.rule)
    if failure.kind == "resolver":
        expected = "pins that pip can install together"
        remedy = f"give up one of the two; {CHANGE_AND_LOCK_AGAIN}"
    else:
        python = vcp_environment_build.version
        expected = f"pins that an index has, for Python {python} on this platform"
        remedy = f"pin a version that fits; {CHANGE_AND_LOCK_AGAIN}"
    raise Violation(expected=expected, found=failure.summary, remedy=remedy)


@rule("VCP209")
def test_vcp209_everything_needed_is_pinned(
    vcp_complete_environment: Environment,
    vcp_pins: Pins,
    vcp_lock: Lock,
    vcp_other_pythons: tuple[OtherPython, ...],
) -> None:
    """Everything that a pinned requirement needs is pinned as well.

    So it is on each further Python that the policy names, in a version that serves there. What pip-
    compile leaves out by default is only advised.
    """
    needed = everything_needed(vcp_pins, vcp_complete_environment)
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
        found=f"none for {name}, which {by} needs{and_others(len(missing))}",
        remedy="lock again, which pins all that is needed: pytest --vcp-lock",
        where=pins[by].where if by in pins else None,
        binds=name not in LEFT_OUT,
    )


@rule("VCP210")
def test_vcp210_nothing_is_pinned_without_need(
    vcp_complete_environment: Environment, vcp_pins: Pins, vcp_lock: Lock
) -> None:
    """Every pin is declared in requirements.in, or needed by what is."""
    if not vcp_lock.declared_in_view:
        raise Unverified(f"{DECLARED} is not part of an artifact")
    declared = applying(vcp_lock.declared, vcp_complete_environment)
    unclear = [line for line in declared if line.name is None and line.kind != "option"]
    if unclear:
        raise Unverified(f"{unclear[0].where} does not say which distributions it brings")
    roots = {line.name: line for line in declared if line.name is not None}
    needed = everything_needed(roots, vcp_complete_environment)
    idle = [line for name, line in vcp_pins.items() if name not in roots and name not in needed]
    if idle:
        raise Violation(
            expected=f"pins that {DECLARED} asks for, or what those need",
            found=f"{idle[0].short}, which nothing needs{and_others(len(idle))}",
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
        release = f"{first.name} {first.version} was yanked{reason}"
        raise Violation(
            expected="releases that were not withdrawn",
            found=f"{truncate(release, 90)}{and_others(len(yanked))}",
            remedy=f"ask for another release: {CHANGE_AND_LOCK_AGAIN}",
            where=vcp_pins[first.name].where if first.name in vcp_pins else None,
        )


@rule("VCP213")
def test_vcp213_every_import_is_provided_by_a_pin(
    vcp_complete_environment: Environment,
    vcp_pins: Pins,
    vcp_imported: tuple[Imported, ...],
) -> None:
    """A pin provides each third-party module that model_code and model_spec.py import."""
    modules = vcp_complete_environment.modules
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
            remedy = _where_it_comes_from(entry, vcp_complete_environment, vcp_pins)
        raise Violation(
            expected=f"a pin that provides {format_import(entry)}",
            found=received,
            remedy=remedy,
            where=entry.where,
        )


def _serves(other: OtherPython, lock: Lock) -> None:
    """Raise Violation where a pin does not support another Python."""
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
        found=f"{lines[0].short if lines else name}, which {why}",
        remedy="pin a release that admits both Pythons, or one for each by a marker: "
        f'; python_version == "{other.python}"',
        where=lines[0].where if lines else None,
    )


def _all_were_judged(
    others: tuple[OtherPython, ...], environment: Environment, settings: Settings
) -> None:
    """Raise Unverified where a pin's Pythons are unknown, or no environment was built to ask in."""
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
    """Raise Violation where the lock lacks a requirement that a pin has on another Python."""
    if other.refused is not None or other.missing is not None:
        return  # VCP207 reports this, and the requirements of the other pins are unknown.
    pins = pins_by_name(lock, other.environment)
    for by, requirement in find_unmet(pins, other.environment):
        name = canonicalize_name(requirement.name)
        pin = pins.get(name)
        wanted = f"{requirement.name}{requirement.specifier}"
        raise Violation(
            expected=f"a pin for all that the pins need on Python {other.python} as well",
            found=f"{pin.short if pin else 'none'}, and {by} needs {wanted} there",
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
        found=f"{shown}, which requires Python {wanted}",
        remedy=f"package on Python {fitting} (--vcp-python), or {CHANGE_AND_LOCK_AGAIN}"
        if fitting
        else CHANGE_AND_LOCK_AGAIN,
        where=lines[0].where if lines else None,
    )


def _nearest_python(requires_python: str, settings: Settings) -> str | None:
    """Return the admitted Python nearest to the target, of the platform's; None without one."""
    _, least = settings.policy.least_python
    fitting = [minor for minor in range(least, _LAST) if admits(requires_python, f"3.{minor}")]
    _, target = settings.target_python
    return f"3.{min(fitting, key=lambda minor: abs(minor - target))}" if fitting else None


def format_import(entry: Imported) -> str:
    text = f"{entry.module}.{entry.attributes[0]}" if entry.attributes else entry.module
    return truncate(text, 80)


def _where_it_comes_from(entry: Imported, environment: Environment, pins: Pins) -> str:
    """Return the likeliest remedy for an import that nothing provides."""
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
