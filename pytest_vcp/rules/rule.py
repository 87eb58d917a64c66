"""What a rule is: what must hold, how binding it is, when and for what it is judged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["required", "advice"]
Stage = Literal["static", "environment", "spec", "artifact", "forward", "serving", "device"]
Scope = Literal["package", "variant"]

STAGES: tuple[Stage, ...] = (
    "static",
    "environment",
    "spec",
    "artifact",
    "forward",
    "serving",
    "device",
)
# The order for a finished artifact.
ARTIFACT_STAGES: tuple[Stage, ...] = (
    "static",
    "artifact",
    "environment",
    "spec",
    "forward",
    "serving",
    "device",
)


@dataclass(frozen=True)
class Rule:
    """One rule of the standard.

    `title` completes the sentence "in a conforming package ..."; why it must hold, its page says.
    A rule whose `scope` is the package does not
    depend on the variant, and is judged once. One that is judged `on_demand` costs so much time
    that it may be left out: no rule of a later stage asks for it unless the run judges it.
    """

    id: str
    stage: Stage
    title: str
    level: Level = "required"
    scope: Scope = "package"
    on_demand: bool = False
