"""Files of the report directory come whole, or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def put(path: Path, text: str) -> Path:
    """Write `text` as UTF-8; an earlier file stays until the new one is there. Raises OSError.

    What UTF-8 has no bytes for, from a name that is not in it, is written as JSON escapes it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
        os.chmod(name, 0o666 & ~_mask())
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
    return path


def _mask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
