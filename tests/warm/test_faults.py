"""Each fault of the table still breaks a place that there is."""

from __future__ import annotations

import pytest

from tests.warm.faults import FAULTS, ROOT, Fault


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.title)
def test_its_place_is_there_once(fault: Fault) -> None:
    text = (ROOT / "pytest_vcp" / fault.file).resolve().read_text(encoding="utf-8")
    assert text.count(fault.old) == 1
