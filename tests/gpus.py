"""Whether a reference package runs here, and on a GPU: where not, tests skip and say why."""

from __future__ import annotations

import subprocess
import sys

import pytest

from fixtures.environments import environment_of
from fixtures.references import PACKAGES, Reference
from pytest_vcp.evaluation import nvml


def skip_on_another_python(sound: Reference) -> None:
    """Skip where the lock of the package is for another Python than this one."""
    if sound.python not in (None, sys.version_info[:2]):
        wanted = ".".join(map(str, sound.python or ()))
        pytest.skip(f"the lock of {sound.package} is for Python {wanted}")


def skip_without_gpu(sound: Reference) -> None:
    """Skip where there is no GPU, or the torch that the package pins can't use it."""
    if not nvml.gpus():
        pytest.skip("needs a GPU, and the driver reports none")
    python = environment_of(PACKAGES / sound.package / "mlflow_pkg" / "requirements.txt").python
    ask = "import sys, torch; sys.exit(not torch.cuda.is_available())"
    if subprocess.run([python, "-I", "-c", ask], check=False).returncode:
        pytest.skip(f"needs a GPU, and the torch that {sound.package} pins finds none")
