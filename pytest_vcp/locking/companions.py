"""The versions that the policy knows to work with an MLflow, as constraints for a compiler."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pytest_vcp.requirements.lock import RequirementLine
from pytest_vcp.settings.policy import Policy

# After one of these comes the requested version, or its lower bound.
_FROM_HERE = ("==", "===", ">=", ">", "~=")
# The comment with which both compilers note that a constraint affected a pin.
_NOTE = re.compile(r"^\s+#\s+(?:via )?-c \S+\n", re.MULTILINE)


@dataclass(frozen=True)
class Companions:
    """Constraints for the requested MLflow, and those that contradict requirements.in."""

    mlflow: str
    taken: tuple[str, ...] = ()
    contradicted: tuple[str, ...] = ()

    def text(self) -> str:
        """Return the text of a constraints file."""
        return "".join(f"{entry}\n" for entry in self.taken)


def companions_of(declared: Sequence[RequirementLine], policy: Policy) -> Companions:
    """Return the policy's constraints for the MLflow that requirements.in pins."""
    version = next((str(line.exact_version) for line in declared if line.name == "mlflow"), "")
    known = policy.companions.get(version, {})
    forbidden = [entry for entry in known if _contradicts(Requirement(entry), declared)]
    taken = tuple(entry for entry in known if entry not in forbidden)
    return Companions(version, taken, tuple(forbidden))


def without_notes(compiled: str) -> str:
    """Remove the notes on constraints from a compiled file: their file is only temporary."""
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
