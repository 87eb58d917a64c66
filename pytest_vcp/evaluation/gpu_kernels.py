"""The GPUs that a build of torch has kernels for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pytest_vcp.rules.outcomes import Location, Unverified

Capability = tuple[int, int]

# sm_86 is machine code; compute_86 is code that the driver compiles for the GPU that it finds.
_ARCHITECTURE = re.compile(r"(sm|compute)_(\d+)(\d)([a-z]?)")


@dataclass(frozen=True)
class Target:
    """A GPU that torch has to support: its compute capability, and its name in messages."""

    capability: Capability
    name: str


@dataclass(frozen=True)
class Kernels:
    """The architectures of the environment's torch, and the GPUs that it has to support.

    `torch` is its version, `build` the toolkit or "the CPU alone", `architectures` as in "sm_90"
    and "compute_90". It has to support one of the GPUs that are `here`, and each of those that
    were `named`. `where` is the line of the lock that pins it.
    """

    torch: str
    build: str
    architectures: tuple[str, ...]
    here: tuple[Target, ...]
    named: tuple[Target, ...]
    where: Location | None = None

    def find_unserved(self) -> Target | None:
        """Return a GPU that has to be supported and has no kernel; None without one."""
        here, named = (
            [each for each in targets if not serves(self.architectures, each.capability)]
            for targets in (self.here, self.named)
        )
        # A GPU that the model does not use, such as that of the display, may be old.
        return next(iter([*(here if len(here) == len(self.here) else ()), *named]), None)


def serves(architectures: Iterable[str], capability: Capability) -> bool:
    """Return whether code for these architectures runs on a GPU of this compute capability.

    Machine code runs on the same major version from its minor version up; code that is compiled
    when it is loaded runs on every GPU from its version up. Code with a letter, such as sm_90a,
    uses features of that one architecture, and runs only there.
    """
    return any(_serves(architecture, capability) for architecture in architectures)


def format_capability(capability: Capability) -> str:
    """Format a capability as NVIDIA writes it."""
    return ".".join(map(str, capability))


def read_kernels(
    reply: Mapping[str, Any],
    here: tuple[Target, ...],
    asked_for: tuple[Target, ...],
    where: Location | None,
) -> Kernels:
    """Parse the reply of the worker's ``device.describe_kernels``; determine the GPUs to support.

    `here` are the GPUs known to the driver; the one that torch has in use takes precedence.
    Raises Unverified if there is no torch for CUDA, or no GPU to check it against.
    """
    in_use = tuple(
        Target((gpu["capability"][0], gpu["capability"][1]), gpu["name"]) for gpu in reply["gpus"]
    )
    # The first GPU that torch has in use is the one that "cuda" refers to.
    here = in_use[:1] or here
    if not here and not asked_for:
        raise Unverified("no GPU is visible here, and the policy names none (gpu_capabilities)")
    if reply["torch"] is None:
        raise Unverified("the environment has no torch")
    architectures = tuple(reply["architectures"])
    if reply["build"].startswith("ROCm"):
        raise Unverified(f"torch {reply['torch']} is built for {reply['build']}, not for CUDA")
    if not here and not architectures:
        raise Unverified(
            f"torch {reply['torch']} is built for {reply['build']} on this platform, "
            "and no GPU is here"
        )
    return Kernels(
        reply["torch"],
        reply["build"],
        architectures,
        here,
        # Nothing is known of another platform's build; only the GPU that is here can be checked.
        asked_for if architectures else (),
        where,
    )


def _serves(architecture: str, capability: Capability) -> bool:
    found = _ARCHITECTURE.fullmatch(architecture)
    if found is None:
        return False
    kind, letter = found[1], found[4]
    built_for = int(found[2]), int(found[3])
    if letter:
        return built_for == capability
    if kind == "compute":
        return built_for <= capability
    return built_for[0] == capability[0] and built_for[1] <= capability[1]
