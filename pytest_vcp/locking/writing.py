"""Put a file in place whole, or leave the old one as it was."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from pytest_vcp.rulebook.violations import ToolError

_MODE = 0o666


def put(path: Path, text: str) -> bool:
    """Write `text` as UTF-8 with line feeds; False where the file says that already.

    What a link leads to is replaced, not the link. Raises ToolError where nothing can be written.
    """
    content = text.encode()
    path = Path(os.path.realpath(path))
    try:
        if path.is_file() and path.read_bytes() == content:
            return False
        _replace(path, content)
    except OSError as problem:
        raise ToolError(
            f"{path} can't be written: {problem.strerror or problem}",
            "see to the rights of its directory, and the space there",
        ) from problem
    return True


def _replace(path: Path, content: bytes) -> None:
    mode = path.stat().st_mode & 0o777 if path.exists() else _MODE & ~_umask()
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with open(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(name, mode)
        os.replace(name, path)
    except BaseException:
        # Also KeyboardInterrupt: nothing but the old file is left.
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise


def _umask() -> int:
    """The mask for new files, which can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
