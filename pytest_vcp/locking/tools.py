"""The environment of the resolver: pip-tools and its pip, on the Python that is locked for.

A resolver looks at what its own Python accepts, so the one of the plugin would lock for the
plugin's. The environment is built, cached and shared between runs like that of a model.
"""

from __future__ import annotations

from pathlib import Path

from pytest_vcp.environment.build import prepare_tool
from pytest_vcp.environment.interpreters import Interpreter
from pytest_vcp.environment.watched import Progress

_LOCK = Path(__file__).with_name("pip-tools.txt")


def resolver_python(interpreter: Interpreter, cache_dir: Path, progress: Progress) -> Path:
    """The interpreter of the environment that holds pip-tools; built where there is none yet.

    Raises ToolError where it can't be built: no package is to blame for that.
    """
    return prepare_tool("pip-tools", _LOCK, interpreter, cache_dir, progress).python
