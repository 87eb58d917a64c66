"""What the policy knows to work with an MLflow, as constraints on what a compiler may choose."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pytest_vcp.requirements.lock import RequirementLine
from pytest_vcp.settings.policy import Policy

# A version behind one of these is asked for, or is the least that is.
_FROM_HERE = ("==", "===", ">=", ">", "~=")
# How both compilers tell that a constraint had a part in a pin.
_NOTE = re.compile(r"^\s+#\s+(?:via )?-c \S+\n", re.MULTILINE)


@dataclass(frozen=True)
class Companions:
    """Constraints for the MLflow that is asked for, and those that the author's lines forbid."""

    mlflow: str
    taken: tuple[str, ...] = ()
    contradicted: tuple[str, ...] = ()

    def text(self) -> str:
        """A file of constraints."""
        return "".join(f"{entry}\n" for entry in self.taken)


def companions_of(declared: Sequence[RequirementLine], policy: Policy) -> Companions:
    """What the policy says of the MLflow that requirements.in pins."""
    version = next((str(line.exact_version) for line in declared if line.name == "mlflow"), "")
    known = policy.companions.get(version, {})
    forbidden = [entry for entry in known if _contradicts(Requirement(entry), declared)]
    taken = tuple(entry for entry in known if entry not in forbidden)
    return Companions(version, taken, tuple(forbidden))


def without_notes(compiled: str) -> str:
    """A compiled file that says nothing of the constraints, whose file is gone by then."""
    return _NOTE.sub("", compiled)


def _contradicts(companion: Requirement, declared: Iterable[RequirementLine]) -> bool:
    return any(
        not companion.specifier.contains(version, prereleases=True)
        for line in declared
        if line.name == canonicalize_name(companion.name)
        for version in _asked_for(line)
    )


def _asked_for(line: RequirementLine) -> Iterator[str]:
    for specifier in line.requirement.specifier if line.requirement else ():
        if specifier.operator in _FROM_HERE:
            yield specifier.version.removesuffix(".*")
