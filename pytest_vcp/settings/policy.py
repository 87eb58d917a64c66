"""The platform's policy: read from YAML, checked, and frozen."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast, get_args

import pytest
import yaml
from packaging.requirements import InvalidRequirement, Requirement

from pytest_vcp.rules.registry import BY_ID, Level
from pytest_vcp.settings.values import nearest
from pytest_vcp.util import yaml_text

SHIPPED = Path(__file__).with_name("policy.yaml")
_EXTENDS = "extends"
# Mappings whose keys a hub may choose freely.
_FREE = ("levels", "companions")
_MILLION = 1_000_000
_TEXTS = ("input", "variant", "command")
_EXAMPLE = f"write a YAML file like {SHIPPED}"


# The default precision in which a model computes.
FULL = "float32"


@dataclass(frozen=True)
class Tolerance:
    """Two floats agree where ``|a - b| <= absolute + relative * |b|``.

    Of each million values of an output, `mismatch_ppm` may differ by more.
    """

    absolute: float
    relative: float
    mismatch_ppm: float

    def times(self, factor: float) -> Tolerance:
        """Widen the tolerance for values coarser by this factor; as many may differ by more."""
        return Tolerance(self.absolute * factor, self.relative * factor, self.mismatch_ppm)

    def or_wider(self, other: Tolerance) -> Tolerance:
        """Combine two tolerances, taking the larger of each number."""
        return Tolerance(
            max(self.absolute, other.absolute),
            max(self.relative, other.relative),
            max(self.mismatch_ppm, other.mismatch_ppm),
        )


@dataclass(frozen=True)
class Placeholders:
    """Values in the untouched template: the example's input, a variant's name and arguments."""

    input: str
    variant: str
    command: str


@dataclass(frozen=True)
class Budget:
    """Upper limits for loading, one forward pass and the server's first answer."""

    load_seconds: float
    forward_seconds: float
    answer_seconds: float
    peak_rss_bytes: int


@dataclass(frozen=True)
class CacheLimits:
    """Upper limits of the cache: environments, their bytes, and days since one was last used."""

    environments: int
    bytes: int
    days: float


@dataclass(frozen=True)
class Policy:
    """The platform's own requirements, beyond MLflow's; `policy.yaml` documents each key."""

    pinned_requirements: tuple[str, ...]
    companions: Mapping[str, Mapping[str, str]]
    least_python: tuple[int, int]
    pythons: tuple[tuple[int, int], ...]
    env_managers: tuple[str, ...]
    input_column: str
    must_verify: tuple[str, ...]
    levels: Mapping[str, Level]
    metadata_files: tuple[str, ...]
    licence_files: tuple[str, ...]
    placeholders: Placeholders
    gpu_only: str
    model_card: str
    pickle_bytes: int
    code_file_bytes: int
    input_bytes: int
    expected_bytes: int
    gpu_capabilities: tuple[tuple[int, int], ...]
    repeat_seconds: float
    gpu_passes: int
    gpu_growth_bytes: int
    precisions: tuple[str, ...]
    budget: Budget
    repeat_tolerance: Tolerance
    json_tolerance: Tolerance
    batch_tolerance: Tolerance
    expected_tolerance: Tolerance
    dtype_factors: Mapping[str, float]
    device_tolerances: Mapping[str, Tolerance]
    cache: CacheLimits

    def level_of(self, rule: str) -> Level:
        """Return the level of a rule under this policy, by its id."""
        return self.levels.get(rule, BY_ID[rule].level)

    def in_force(self, tolerance: Tolerance, precision: str = FULL) -> dict[str, Any]:
        """Return a tolerance as plain values, with those of other dtypes under ``by_dtype``.

        A model that computes in less than float32 gets the tolerance of that precision, where it is
        wider: the output was rounded on its way, whatever its final dtype.
        """
        of_dtypes = {name: tolerance.times(by) for name, by in self.dtype_factors.items()}
        if precision != FULL:
            coarse = self.device_tolerances[precision]
            tolerance = tolerance.or_wider(coarse)
            of_dtypes = {name: own.or_wider(coarse) for name, own in of_dtypes.items()}
        by_dtype = {name: asdict(own) for name, own in of_dtypes.items()}
        return {**asdict(tolerance), "by_dtype": by_dtype}


def load_policy(path: Path | None = None, origin: str = "--vcp-policy") -> Policy:
    """Read the shipped policy, extended by the file at `path`; messages name its `origin`.

    A file with ``extends: nothing`` replaces the shipped one, and gives every key. Raises
    pytest.UsageError for a file that can't be read, an unknown or missing key, or a value of the
    wrong type; the message names the file and the key.
    """
    values = _Source(SHIPPED, origin).mapping()
    source = _Source(SHIPPED if path is None else path, origin)
    if path is None:
        return source.policy(values)
    given = source.mapping()
    base = given.pop(_EXTENDS, "shipped")
    if base not in ("shipped", "nothing"):
        raise source.build_error(
            _EXTENDS, base, "shipped, or nothing for a policy that stands alone"
        )
    if base == "nothing":
        source.require(values, given)
    return source.policy(source.extend(values, given))


class _Source:
    """Reads one policy file, and refuses errors in it."""

    def __init__(self, path: Path, origin: str) -> None:
        self._path = path
        self._origin = origin

    def mapping(self) -> dict[str, Any]:
        """Load the content of the file."""
        try:
            loaded = yaml_text.load(self._path.read_text(encoding="utf-8"))
        except OSError as problem:
            raise self._refusal(f"can't be read: {problem.strerror}; {_EXAMPLE}") from None
        except (yaml.YAMLError, UnicodeDecodeError) as problem:
            message = " ".join(str(problem).split())
            raise self._refusal(f"is not YAML: {message}; {_EXAMPLE}") from None
        if not isinstance(loaded, dict):
            raise self._refusal(f"is not a mapping of policy keys; {_EXAMPLE}")
        return loaded

    def require(self, known: Mapping[str, Any], given: Mapping[str, Any], within: str = "") -> None:
        """Refuse a policy that stands alone and leaves a key out."""
        for key, value in known.items():
            if key not in given:
                raise self._refusal(
                    f"extends nothing, and has no {within}{key}; give it, or leave out "
                    f"'{_EXTENDS}: nothing'"
                )
            if isinstance(value, dict) and isinstance(given[key], dict) and key not in _FREE:
                self.require(value, given[key], f"{within}{key}.")

    def extend(
        self, known: Mapping[str, Any], given: Mapping[str, Any], within: str = ""
    ) -> dict[str, Any]:
        """Extend `known` by the given values; a nested mapping is extended, not replaced."""
        merged = dict(known)
        for key, value in given.items():
            full = f"{within}{key}"
            if key not in known and not within.startswith(_FREE):
                hint = nearest(str(key), list(known)) or f"known are {', '.join(known)}"
                raise self._refusal(f"has the unknown key {full!r}; {hint}")
            if isinstance(known.get(key), dict) and isinstance(value, dict):
                merged[key] = self.extend(known[key], value, f"{full}.")
            elif isinstance(known.get(key), dict):
                raise self.build_error(full, value, f"a mapping of {', '.join(known[key])}")
            else:
                merged[key] = value
        return merged

    def policy(self, values: Mapping[str, Any]) -> Policy:
        """Check every value and freeze them all."""
        tolerance, budget = values["tolerance"], values["budget"]
        placeholders, cache = values["placeholders"], values["cache"]
        least_python = self._version("least_python", values["least_python"])
        return Policy(
            pinned_requirements=self._texts("pinned_requirements", values["pinned_requirements"]),
            companions={
                version: self._companions(f"companions.{version}", known)
                for version, known in values["companions"].items()
            },
            least_python=least_python,
            pythons=self._versions("pythons", values["pythons"], least_python),
            env_managers=self._texts("env_managers", values["env_managers"]),
            input_column=self._text("input_column", values["input_column"]),
            must_verify=self._rules("must_verify", values["must_verify"]),
            levels=self._levels("levels", values["levels"]),
            metadata_files=self._texts("metadata_files", values["metadata_files"]),
            licence_files=self._texts("licence_files", values["licence_files"]),
            placeholders=Placeholders(
                **{key: self._text(f"placeholders.{key}", placeholders[key]) for key in _TEXTS}
            ),
            gpu_only=self._one_of("gpu_only", values["gpu_only"], ("declared", "always", "never")),
            model_card=self._text("model_card", values["model_card"]),
            pickle_bytes=int(self._number("pickle_bytes", values["pickle_bytes"])),
            code_file_bytes=int(self._number("code_file_bytes", values["code_file_bytes"])),
            input_bytes=int(self._number("input_bytes", values["input_bytes"])),
            expected_bytes=int(self._number("expected_bytes", values["expected_bytes"])),
            gpu_capabilities=self._capabilities("gpu_capabilities", values["gpu_capabilities"]),
            repeat_seconds=self._number("repeat_seconds", values["repeat_seconds"]),
            gpu_passes=self._passes("gpu_passes", values["gpu_passes"]),
            gpu_growth_bytes=int(self._number("gpu_growth_bytes", values["gpu_growth_bytes"])),
            precisions=self._texts("precisions", values["precisions"]),
            budget=Budget(
                load_seconds=self._number("budget.load_seconds", budget["load_seconds"]),
                forward_seconds=self._number("budget.forward_seconds", budget["forward_seconds"]),
                answer_seconds=self._number("budget.answer_seconds", budget["answer_seconds"]),
                peak_rss_bytes=int(self._number("budget.peak_rss_bytes", budget["peak_rss_bytes"])),
            ),
            repeat_tolerance=self._tolerance("tolerance.repeat", tolerance["repeat"]),
            json_tolerance=self._tolerance("tolerance.json", tolerance["json"]),
            batch_tolerance=self._tolerance("tolerance.batch", tolerance["batch"]),
            expected_tolerance=self._tolerance("tolerance.expected", tolerance["expected"]),
            dtype_factors={
                dtype: self._number(f"tolerance.by_dtype.{dtype}", factor)
                for dtype, factor in tolerance["by_dtype"].items()
            },
            device_tolerances={
                precision: self._tolerance(f"tolerance.device.{precision}", value)
                for precision, value in tolerance["device"].items()
            },
            cache=CacheLimits(
                environments=int(self._number("cache.environments", cache["environments"])),
                bytes=int(self._number("cache.bytes", cache["bytes"])),
                days=self._number("cache.days", cache["days"]),
            ),
        )

    def _text(self, key: str, value: object) -> str:
        if not isinstance(value, str) or not value:
            raise self.build_error(key, value, "a text")
        return value

    def _one_of(self, key: str, value: object, known: tuple[str, ...]) -> str:
        if value not in known:
            raise self.build_error(key, value, f"one of {', '.join(known)}")
        return str(value)

    def _texts(self, key: str, value: object) -> tuple[str, ...]:
        if not isinstance(value, list):
            raise self.build_error(key, value, "a list of texts")
        return tuple(self._text(key, entry) for entry in value)

    def _rules(self, key: str, value: object) -> tuple[str, ...]:
        rules = self._texts(key, value)
        for rule in rules:
            if rule not in BY_ID:
                hint = nearest(rule, tuple(BY_ID)) or "ids are written like VCP701"
                raise self._refusal(f"lists the unknown rule {rule!r} under {key}; {hint}")
        return rules

    def _companions(self, key: str, value: object) -> dict[str, str]:
        if not isinstance(value, dict):
            raise self.build_error(
                key, value, "a mapping of requirements to what fails without them"
            )
        for requirement, part in value.items():
            self._text(f"{key}.{requirement}", part)
            try:
                Requirement(str(requirement))
            except InvalidRequirement:
                raise self.build_error(
                    key, requirement, "requirements such as starlette<1"
                ) from None
        return {str(requirement): str(part) for requirement, part in value.items()}

    def _levels(self, key: str, value: Mapping[str, object]) -> dict[str, Level]:
        self._rules(key, list(value))
        for rule, level in value.items():
            self._one_of(f"{key}.{rule}", level, get_args(Level))
        return cast("dict[str, Level]", dict(value))

    def _version(self, key: str, value: object) -> tuple[int, int]:
        # Without quotes YAML reads 3.10 as the number 3.1.
        if not isinstance(value, str) or not re.fullmatch(r"3\.\d+", value):
            raise self.build_error(key, value, 'a version in quotes, such as "3.10"')
        major, minor = value.split(".")
        return int(major), int(minor)

    def _versions(
        self, key: str, value: object, least: tuple[int, int]
    ) -> tuple[tuple[int, int], ...]:
        if not isinstance(value, list):
            raise self.build_error(
                key, value, 'a list of versions in quotes, such as ["3.12", "3.13"]'
            )
        versions = tuple(dict.fromkeys(self._version(key, entry) for entry in value))
        for major, minor in versions:
            if (major, minor) < least:
                needed = ".".join(map(str, least))
                raise self.build_error(key, f"{major}.{minor}", f"{needed} (least_python) or newer")
        return versions

    def _capabilities(self, key: str, value: object) -> tuple[tuple[int, int], ...]:
        wanted = 'a list of compute capabilities in quotes, such as ["8.0", "9.0"]'
        if not isinstance(value, list):
            raise self.build_error(key, value, wanted)
        for entry in value:
            # Without quotes YAML reads a number, and 12.0 may become 12.
            if not isinstance(entry, str) or not re.fullmatch(r"\d{1,2}\.\d", entry):
                raise self.build_error(key, entry, wanted)
        numbers = (entry.split(".") for entry in value)
        return tuple((int(major), int(minor)) for major, minor in numbers)

    def _passes(self, key: str, value: object) -> int:
        number = self._number(key, value)
        if number < 2 or number != int(number):
            raise self.build_error(key, value, "a whole number of 2 or more")
        return int(number)

    def _number(self, key: str, value: object) -> float:
        # YAML reads 1e-5, without a dot, as a string.
        try:
            number = float(value) if isinstance(value, (int, float, str)) else -1.0
        except ValueError:
            number = -1.0
        if isinstance(value, bool) or not 0 <= number < float("inf"):
            raise self.build_error(key, value, "a number of 0 or more")
        return number

    def _tolerance(self, key: str, value: Mapping[str, Any]) -> Tolerance:
        ppm = self._number(f"{key}.mismatch_ppm", value["mismatch_ppm"])
        if ppm > _MILLION:
            raise self.build_error(f"{key}.mismatch_ppm", value["mismatch_ppm"], "1000000 or less")
        absolute = self._number(f"{key}.absolute", value["absolute"])
        return Tolerance(absolute, self._number(f"{key}.relative", value["relative"]), ppm)

    def build_error(self, key: str, value: object, wanted: str) -> pytest.UsageError:
        """Build the error for a value that a key can't have."""
        return self._refusal(f"has {value!r} under {key}; write {wanted}")

    def _refusal(self, problem: str) -> pytest.UsageError:
        return pytest.UsageError(f"{self._origin}: {self._path} {problem}")
