"""Pictures in the report: drawn where the output is, and of no weight for the verdict."""

from __future__ import annotations

import base64
import sys
from pathlib import Path

import pytest

from fixtures.mutants.forward.outputs import returning
from fixtures.references import VOLUMES
from tests.mutations.judging import assert_accepted
from tests.place import Place, place
from tests.report.browser import png_size
from tests.report.conftest import Judged, judged
from tests.report.pages import Page, read_page

__all__ = ["place"]  # A fixture.

DISTRIBUTION = "distribution of the values"
SLICES = "middle slices of the first volume"
COMPONENTS = "first two principal components, coloured by cell_type"


def captions(page: Page) -> list[str]:
    return [caption.text for caption in page.all("figcaption")]


def plots(page: Page) -> list[str]:
    """What the plots are said to show."""
    found = page.all("svg")
    return [plot.attributes["aria-label"] or "" for plot in found if "role" in plot.attributes]


def test_distribution_and_components(sound: Judged) -> None:
    page = sound.page
    assert captions(page) == plots(page) == [DISTRIBUTION, COMPONENTS]
    assert page.values("src") == []
    text = page.part("pictures").text
    for label in ("value", "count", "first component (", "second component (", "Dendritic"):
        assert label in text


@pytest.mark.skipif(
    VOLUMES.python != sys.version_info[:2], reason="the lock with torch is for another Python"
)
def test_slices_of_a_volume(tmp_path: Path) -> None:
    found = judged(VOLUMES.copy(tmp_path), *VOLUMES.options)
    assert found.run.code == 0, found.run.output
    assert captions(found.page) == [DISTRIBUTION, SLICES]
    assert [image.attributes["alt"] for image in found.page.all("img")] == [
        f"{SLICES}, across axis {axis}" for axis in (-3, -2, -1)
    ]
    for image in found.page.all("img"):
        content = base64.b64decode((image.attributes["src"] or "").partition(",")[2], validate=True)
        size = (int(image.attributes["width"] or 0), int(image.attributes["height"] or 0))
        assert png_size(content) == size
        assert max(size) <= 256


def test_a_matrix_is_drawn_like_an_array(place: Place) -> None:
    returning("return np.asmatrix(scores)")(place.package)
    run = place.run(pictures=True)
    assert run.code == 0, run.output
    assert captions(read_page(place.package)) == [DISTRIBUTION, COMPONENTS]


def test_what_they_cost_is_no_figure(sound: Judged) -> None:
    figures = sound.run.variant["figures"]
    assert figures["forward_passes"] == 6
    steps = [step["peak_rss_bytes"] for step in figures["scaling"]]
    assert figures["peak_rss_bytes"] <= steps[0]


KILLED = """
import numpy, os, signal
numpy.histogram = lambda *args, **more: os.kill(os.getpid(), signal.SIGKILL)
return scores
"""
RAISES = "import numpy\nnumpy.histogram = None\nreturn scores"


@pytest.mark.parametrize(
    ("statements", "told", "drawn"),
    [
        (KILLED, "Not drawn: the process was killed by SIGKILL", []),
        (RAISES, "Not drawn: TypeError: ", [COMPONENTS]),
    ],
    ids=["killed", "raises"],
)
def test_without_a_picture_the_verdict_is_the_same(
    place: Place, statements: str, told: str, drawn: list[str]
) -> None:
    returning(statements)(place.package)
    run = place.run(pictures=True)
    assert_accepted(run, recorded=False)
    page = read_page(place.package)
    assert captions(page) == drawn
    assert told in page.part("pictures").text
    place.assert_nothing_left()
    place.assert_nothing_staged()


def test_no_library_for_drawing_is_needed(place: Place) -> None:
    returning("import sys\nsys.modules['matplotlib'] = None\nreturn scores")(place.package)
    assert_accepted(place.run(pictures=True), recorded=False)
    assert captions(read_page(place.package)) == [DISTRIBUTION, COMPONENTS]


def test_they_can_be_left_out(place: Place) -> None:
    run = place.run("--vcp-no-pictures", pictures=True)
    assert run.code == 0, run.output
    page = read_page(place.package)
    assert captions(page) == []
    assert "Not drawn: left out (--vcp-no-pictures)" in page.part("pictures").text


def test_a_run_without_a_prediction_says_nothing_of_them(hostile: Judged) -> None:
    assert "pictures" not in hostile.page.values("id")
