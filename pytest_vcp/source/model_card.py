"""What the model card beside the package says: whether the model needs a GPU."""

from __future__ import annotations

from pathlib import Path

import yaml

from pytest_vcp.util import yaml_text

_KEY = "compute_requirement"


def says_gpu(card: Path) -> bool:
    """Whether the metadata of the card has ``compute_requirement: "GPU"``.

    A card that is not there, or can't be read, says nothing.
    """
    try:
        said = yaml_text.load(card.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return False
    requirement = said.get(_KEY) if isinstance(said, dict) else None
    return isinstance(requirement, str) and requirement.strip().upper() == "GPU"
