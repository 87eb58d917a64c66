"""Fixed paths in the directories for temporary files, found in the strings of the code."""

from __future__ import annotations

import re

from pytest_vcp.source.literals import texts
from pytest_vcp.source.package import ModelPackage

_FIXED = re.compile(r"^/(?:var/)?tmp(?:/|$)")


def names_a_temporary_path(package: ModelPackage) -> bool:
    """Whether model_code names a path below /tmp or /var/tmp.

    Two processes that load the model meet there: they are then not to do so at the same time.
    """
    return any(
        _FIXED.search(text)
        for module in package.modules
        if module.tree is not None
        for text, _ in texts(module.tree)
    )
