"""The conditions under which a worker runs, and the environment variables that they imply."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

# The caller's variables for its own Python, tools and caches must not reach the model: the
# consumer's machine does not have them.
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
# The variable and the default for the pipes of NVIDIA's service for sharing a GPU.
_GPU_PIPES = ("CUDA_MPS_PIPE_DIRECTORY", "/tmp/nvidia-mps")
# Defaults that the caller may override. torch detects a GPU without initialising it, since a
# process that has used one can't use it in a fork; and no library reserves a complete GPU, since
# several processes have the model loaded at the same time. For that reason, too, threads that wait
# for work give up their core after 2 ** 4 cycles of the processor, not after 2 ** 26.
_DEFAULTS = {
    "OPENBLAS_THREAD_TIMEOUT": "4",
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
    """Return the directory of pipes to a shared GPU, which all processes must share, if any."""
    variable, usual = _GPU_PIPES
    directory = Path(os.environ.get(variable, usual))
    return (directory,) if directory.is_dir() else ()


@dataclass(frozen=True)
class Conditions:
    """The limits on what a worker may see and do.

    `cwd`, `home` and `tmp` are its directories, created where missing. `path` comes before the
    environment's own entries on `sys.path`. Nothing may be written below `read_only`, nor anywhere
    but below `writable`, unless that is None; nothing below `hidden` can be read except below
    `visible`. Writes below `shared`, directories of all processes of the machine, are recorded.
    Files written below `private`, but not below `public` or in the worker's own directories, are
    invisible to other processes, where the kernel supports that. `environ` is added last.
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
        """Return the conditions that the worker itself enforces, as values for JSON."""
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
        """Build the variables of a worker that runs `python`: the caller's, filtered, and own."""
        kept = {
            name: value
            for name, value in caller.items()
            if name not in _DROPPED and not name.startswith(_DROPPED_PREFIXES)
        }
        tmp = str(self.tmp.absolute())
        # Programs that the model starts by name are those of its environment, as if activated.
        programs = [str(python.absolute().parent), kept.get("PATH", os.defpath)]
        return {
            **_DEFAULTS,
            **kept,
            "PATH": os.pathsep.join(programs),
            "HOME": str(self.home.absolute()),
            "TMPDIR": tmp,
            "TMP": tmp,
            "TEMP": tmp,
            # For the Pythons that the model starts; the worker itself gets options.
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONNOUSERSITE": "1",
            # Without a display, a window that waits to be closed would look like a hang.
            "MPLBACKEND": "Agg",
            # Without it MLflow leaves mlruns/ in the working directory.
            "MLFLOW_TRACKING_URI": (self.tmp.absolute() / "mlruns").as_uri(),
            # MLflow's own calls home would be recorded as the model's.
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "DO_NOT_TRACK": "true",
            **self.environ,
        }
