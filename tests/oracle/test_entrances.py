"""A package, the artifact of its run, and the one that the platform's packager makes of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.references import REFERENCES, Reference
from tests.gpus import skip_on_another_python
from tests.oracle.entrances import assert_every_entrance_agrees
from tests.runs import run_vcp


@pytest.mark.parametrize("sound", REFERENCES, ids=lambda sound: sound.name)
def test_every_entrance_comes_to_the_same(sound: Reference, tmp_path: Path) -> None:
    skip_on_another_python(sound)
    package = sound.copy(tmp_path)
    run = run_vcp(package, sound.options)
    assert_every_entrance_agrees(run, package, sound.options, tmp_path)
