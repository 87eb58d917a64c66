"""Under which conditions a worker runs, and the environment variables that follow from them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

# What the caller has set for its own Python, tools and caches must not reach the model: the
# consumer's machine does not have it.
_DROPPED_PREFIXES = (
    "PYTHON",
    "VIRTUAL_ENV",
    "CONDA_",
    "_CONDA_",
    "_CE_",
    "PYTEST_",
    "MLFLOW_",
    "COV_CORE_",
    "COVERAGE_",
    "XDG_",
)
# Directories that every system has for temporary files, besides the one that TMPDIR names.
TEMPORARY = tuple(path for path in map(Path, ("/tmp", "/var/tmp")) if path.is_dir())
# Where NVIDIA's service that lets processes share a GPU has its pipes, and how that is told.
_GPU_PIPES = ("CUDA_MPS_PIPE_DIRECTORY", "/tmp/nvidia-mps")
# What the caller may choose otherwise. torch looks for a GPU without using it, since what has used
# one can't in a process that it forks; and no library takes a whole GPU for itself, since several
# processes have the model at the same time.
_GPU_DEFAULTS = {
    "PYTORCH_NVML_BASED_CUDA_CHECK": "1",
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    "TF_FORCE_GPU_ALLOW_GROWTH": "true",
}
_DROPPED = frozenset(
    {
        "__PYVENV_LAUNCHER__",
        "HF_HOME",
        "HF_HUB_CACHE",
        "HUGGINGFACE_HUB_CACHE",
        "TRANSFORMERS_CACHE",
        "TORCH_HOME",
        "MPLCONFIGDIR",
        # The caller's working directory is the package more often than not.
        "PWD",
        "OLDPWD",
        "VCP_WORKER",
    }
)


def gpu_pipes() -> tuple[Path, ...]:
    """The directory of pipes to a shared GPU, which have to be the same for all processes."""
    variable, usual = _GPU_PIPES
    directory = Path(os.environ.get(variable, usual))
    return (directory,) if directory.is_dir() else ()


@dataclass(frozen=True)
class Conditions:
    """What a worker may see and do.

    `cwd`, `home` and `tmp` are its directories, created where missing. `path` comes before the
    environment's own entries on `sys.path`. Nothing may be written below `read_only`, nor anywhere
    but below `writable`, unless that is None; nothing below `hidden` can be read except what lies
    below `visible`. What is written below `shared`, directories of all processes of the machine, is
    noted. What is written below `private`, and neither below `public` nor in the worker's own
    directories, is seen by no other process, where the kernel can do that. `environ` is added last.
    """

    cwd: Path
    home: Path
    tmp: Path
    path: tuple[Path, ...] = ()
    network: Literal["on", "off"] = "on"
    read_only: tuple[Path, ...] = ()
    writable: tuple[Path, ...] | None = None
    hidden: tuple[Path, ...] = ()
    visible: tuple[Path, ...] = ()
    shared: tuple[Path, ...] = ()
    private: tuple[Path, ...] = ()
    public: tuple[Path, ...] = ()
    environ: Mapping[str, str] = field(default_factory=dict)

    def create_directories(self) -> None:
        """Create the worker's own directories."""
        for directory in (self.cwd, self.home, self.tmp):
            directory.mkdir(parents=True, exist_ok=True)

    def as_params(self) -> dict[str, Any]:
        """The part that the worker itself puts in force, as JSON has it."""
        return {
            "cwd": str(self.cwd.absolute()),
            "home": str(self.home.absolute()),
            "tmp": str(self.tmp.absolute()),
            "path": [str(path.absolute()) for path in self.path],
            "network": self.network,
            "read_only": [str(path.absolute()) for path in self.read_only],
            "writable": None
            if self.writable is None
            else [str(path.absolute()) for path in self.writable],
            "hidden": [str(path.absolute()) for path in self.hidden],
            "visible": [str(path.absolute()) for path in self.visible],
            "shared": [str(path.absolute()) for path in self.shared],
            "private": [str(path.absolute()) for path in self.private],
            "public": [str(path.absolute()) for path in (*self.public, *gpu_pipes())],
        }

    def environment(self, python: Path, caller: Mapping[str, str] = os.environ) -> dict[str, str]:
        """The variables of a worker that runs `python`: the caller's, cleaned, and its own."""
        kept = {
            name: value
            for name, value in caller.items()
            if name not in _DROPPED and not name.startswith(_DROPPED_PREFIXES)
        }
        tmp = str(self.tmp.absolute())
        # What the model starts by name comes from its own environment, as after activating it.
        programs = [str(python.absolute().parent), kept.get("PATH", os.defpath)]
        return {
            **_GPU_DEFAULTS,
            **kept,
            "PATH": os.pathsep.join(programs),
            "HOME": str(self.home.absolute()),
            "TMPDIR": tmp,
            "TMP": tmp,
            "TEMP": tmp,
            # For the Pythons that the model starts; the worker itself is told by options.
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONNOUSERSITE": "1",
            # There is no display, and a window that waits to be closed would look like a hang.
            "MPLBACKEND": "Agg",
            # Without it MLflow leaves mlruns/ in the working directory.
            "MLFLOW_TRACKING_URI": (self.tmp.absolute() / "mlruns").as_uri(),
            # MLflow's own calls home would be recorded as the model's.
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "DO_NOT_TRACK": "true",
            **self.environ,
        }
