"""The environments for which the markers of a requirement are evaluated."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from packaging.markers import default_environment
from packaging.requirements import Requirement

# The Pythons and platforms on which a package is used: two lines for one distribution conflict if
# both apply on any of them.
_PYTHONS = ((3, 10), (3, 11), (3, 12), (3, 13))
_PLATFORMS = (
    ("linux", "Linux", "posix", "x86_64"),
    ("linux", "Linux", "posix", "aarch64"),
    ("darwin", "Darwin", "posix", "arm64"),
    ("darwin", "Darwin", "posix", "x86_64"),
    ("win32", "Windows", "nt", "AMD64"),
)

Environment = dict[str, str]


def target_environment(python: tuple[int, int]) -> Environment:
    """Return the environment of this platform with the target Python."""
    # `default_environment` returns a TypedDict in some releases of packaging, a dict in others.
    environment = {key: str(value) for key, value in default_environment().items()}
    environment["extra"] = ""
    if python != sys.version_info[:2]:
        environment["python_version"] = f"{python[0]}.{python[1]}"
        environment["python_full_version"] = f"{python[0]}.{python[1]}.0"
    return environment


def usual_environments(python: tuple[int, int]) -> Iterator[Environment]:
    """Yield the target Python and the other usual ones, each on the usual platforms."""
    for version in dict.fromkeys([python, *_PYTHONS]):
        for sys_platform, system, os_name, machine in _PLATFORMS:
            yield target_environment(version) | {
                "sys_platform": sys_platform,
                "platform_system": system,
                "os_name": os_name,
                "platform_machine": machine,
            }


def applies(requirement: Requirement | None, environment: Environment) -> bool:
    """Return whether a requirement applies in an environment; one without a marker always does."""
    if requirement is None or requirement.marker is None:
        return True
    return requirement.marker.evaluate(environment)
