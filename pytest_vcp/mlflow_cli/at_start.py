"""What the Pythons of a command do at their start, without a change to the command.

MLflow copies a model to a temporary directory only to read its MLmodel file. That takes the disk
space of the weights, and time, so links take the place of those copies. And the collector is off in
the process of the command, which imports all of MLflow and then waits for another process.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

# A sitecustomize module. Only the process of the command itself makes links, and it takes the
# folder off the path of the processes that it starts, unless these need it.
_TEXT = """\
import os, sys

if os.path.realpath(sys.prefix).startswith({within!r}):
    sys.path[1:1] = {folders!r}
if any(os.path.basename(word) == "mlflow" for word in sys.orig_argv[:3]):
    import gc
    import shutil

    # What it imports is not garbage, and the model runs in another process.
    gc.disable()

    def link(source, destination, *, follow_symlinks=True, copy=shutil.copy2):
        path = os.path.realpath(source)
        if path.startswith({artifact!r}) and not os.path.lexists(destination):
            try:
                os.symlink(path, destination)
                return destination
            except OSError:
                pass
        return copy(source, destination, follow_symlinks=follow_symlinks)

    shutil.copy2 = link
    if not {folders!r}:
        del os.environ["PYTHONPATH"]
"""


def write(
    folder: Path, artifact: Path, folders: Sequence[str] = (), within: str = "/"
) -> dict[str, str]:
    """Write the module into `folder`; return the variables that make Pythons import it.

    Copies of files of `artifact` become links. `folders` come onto the path of each Python whose
    environment lies below `within`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    text = _TEXT.format(
        artifact=f"{artifact.resolve()}/", folders=list(dict.fromkeys(folders)), within=within
    )
    (folder / "sitecustomize.py").write_text(text, encoding="utf-8")
    return {"PYTHONPATH": str(folder)}
