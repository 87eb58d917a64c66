"""report.html: what it tells, that it stands alone, and that nothing in it is taken for markup."""

from __future__ import annotations

import itertools
import re
import shutil
from html import unescape
from pathlib import Path

import pytest

from fixtures.mutants import replace_text
from fixtures.references import PCA_50
from pytest_vcp.artifact.artifact import read_artifact
from pytest_vcp.artifact.digests import FileDigests
from pytest_vcp.report.finish import result_in_time
from pytest_vcp.rules.registry import BY_ID, RULES
from pytest_vcp.rules.suite import page as page_of
from tests.gatekeeper.conftest import Delivery, delivery, packaged
from tests.report.conftest import IMAGE, SCRIPT, Judged
from tests.report.pages import Page, read_page
from tests.runs import run_vcp

__all__ = ["delivery", "packaged"]  # Fixtures.

KINDS = ("sound", "hostile", "broken", "variants")


@pytest.fixture(params=KINDS)
def any_of_them(request: pytest.FixtureRequest) -> Judged:
    found: Judged = request.getfixturevalue(request.param)
    return found


def test_the_verdict_comes_first(any_of_them: Judged) -> None:
    _, run, page = any_of_them
    assert run.report is not None
    assert page.one("h1").text == f"Model package: {run.report['verdict']}"
    told = [element.text for element in page.all("span", "verdict")]
    words = [variant["verdict"] for variant in run.report["variants"].values()]
    assert told == [run.report["verdict"], *words]


def test_every_rule_is_there_once_with_its_page_and_its_outcome(any_of_them: Judged) -> None:
    _, run, page = any_of_them
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    assert [name for name in ids if name.startswith("VCP")] == [rule.id for rule in RULES]
    summaries = [element.text for element in page.all("summary")]
    for rule in RULES:
        (summary,) = (text for text in summaries if f" {rule.id}: " in text)
        assert summary == f"{run.outcomes[rule.id]} {rule.id}: {rule.title}"
        headings = re.findall(r"^## (.+)$", page_of(rule.id).read_text("utf-8"), re.MULTILINE)
        assert "What must hold" in headings
        part = page.part(rule.id)
        assert [heading.text for heading in page.within(part, "h5")] == headings


def test_links_lead_to_what_is_there(any_of_them: Judged) -> None:
    page = any_of_them.page
    targets = page.values("href")
    assert targets
    assert {target.removeprefix("#") for target in targets} <= set(page.values("id"))
    assert all(target.startswith("#") for target in targets)


def test_nothing_comes_from_elsewhere_and_nothing_runs(any_of_them: Judged) -> None:
    page = any_of_them.page
    assert all(source.startswith("data:image/png;base64,") for source in page.values("src"))
    assert not {"script", "link", "iframe", "object", "form"} & {
        element.tag for element in page.elements
    }
    assert not [
        name for element in page.elements for name in element.attributes if name[:2] == "on"
    ]
    style = page.one("style").text
    assert "url(" not in style
    assert "@import" not in style
    policy = next(element for element in page.all("meta") if "http-equiv" in element.attributes)
    assert policy.attributes["content"].startswith("default-src 'none'; ")


def test_headings_are_in_order(any_of_them: Judged) -> None:
    levels = [int(e.tag[1]) for e in any_of_them.page.elements if re.fullmatch(r"h\d", e.tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


def test_what_others_wrote_is_text(hostile: Judged) -> None:
    _, run, page = hostile
    assert run.outcomes["VCP704"] == "failed"
    assert rf"{SCRIPT}\udce9" in page.part("to-do").text
    assert IMAGE in page.part("artifact").text
    assert SCRIPT not in page.source
    assert IMAGE not in page.source
    assert SCRIPT in unescape(page.source)


def test_the_to_do_list_has_the_order_of_the_work(broken: Judged) -> None:
    _, run, page = broken
    part = page.part("to-do")
    rules = [link.text for link in page.within(part, "a")]
    assert rules[0] == run.variant["fix_first"]
    assert set(rules) == {rule for rule, word in run.outcomes.items() if word == "failed"}
    for rule in rules:
        entry = run.variant["rules"][rule]
        (item,) = (item for item in page.within(part, "li") if item.text.startswith(rule))
        assert f"expected {entry['expected']} found {entry['found']}" in item.text
        assert f"fix {entry['remedy']}" in item.text


def test_advice_waived_and_unverified_have_parts_of_their_own(broken: Judged) -> None:
    _, run, page = broken
    for word in ("advice", "waived", "unverified"):
        rules = {rule for rule, found in run.outcomes.items() if found == word}
        parts = [element for element in page.all("section") if element.attributes["id"] == word]
        assert bool(parts) == bool(rules), word
        for part in parts:
            assert {link.text for link in page.within(part, "a")} == rules
    assert "it is only a test" in page.part("waived").text


def test_signature_and_params(sound: Judged) -> None:
    text = sound.page.part("signature").text
    assert "input_uri string column yes" in text
    assert "float32 (-1, 50) yes" in text
    assert "target_sum double 10000.0" in text
    least, greatest, _ = sound.run.variant["outputs"][""]["range"]
    assert f"(48, 50) float32 {least:.4g} {greatest:.4g}" in text


def test_every_file_of_the_artifact_with_its_digest(sound: Judged) -> None:
    artifact = read_artifact(sound.package / "mlflow_model_artifact", FileDigests())
    part = sound.page.part("artifact")
    items = [item.text for item in sound.page.within(part, "li")]
    for file in artifact.files:
        name = file.path.rpartition("/")[2]
        assert [item for item in items if item.startswith(name) and item.endswith(file.sha256)]
    digests = re.findall(r"\b[0-9a-f]{64}\b", part.text)
    assert sorted(digests) == sorted(file.sha256 for file in artifact.files)


def test_the_lock_with_direct_requirements_first(sound: Judged) -> None:
    text = sound.page.part("environment").text
    direct, _, rest = text.partition("What they bring along")
    assert "anndata==0.11.4 anndata==0.11.4 0.11.4" in direct
    assert re.search(r"matplotlib==(\S+) \1", rest)
    assert f"Python {sound.run.variant['python']['version']}" in direct


def test_figures_have_bars(sound: Judged) -> None:
    page = sound.page
    widths = [float(bar.attributes["style"].strip("width: %")) for bar in page.all("span", "bar")]
    # Four times, memory and artifact, three steps with time and memory.
    sizes = (4, 2, 3, 3)
    assert len(widths) == sum(sizes)
    assert all(0 <= width <= 100 for width in widths)
    # The longest of each group; another that comes to the same is as long.
    bars = iter(widths)
    assert [max(itertools.islice(bars, size)) for size in sizes] == [100] * len(sizes)
    assert "768 observations" in page.part("figures").text


def test_variants_each_have_what_is_theirs(variants: Judged) -> None:
    page = variants.page
    for part in ("unverified", "signature", "pictures", "artifact", "figures"):
        headings = [heading.text for heading in page.within(page.part(part), "h3")]
        assert headings == ["pcs10", "pcs50"], part
    assert "anndata==" in page.part("environment").text


def test_what_variants_share_is_told_once(variants: Judged) -> None:
    page = variants.page
    for part, told in (("unverified", "no GPU is visible here"), ("signature", "input_uri")):
        assert page.part(part).text.count(told) == 1, part
        assert "s for pcs10." in page.part(part).text.partition("pcs50")[2]
    assert page.part("signature").text.count("Prediction on the example") == 2


def test_a_rule_that_differs_between_variants_tells_both(tmp_path: Path) -> None:
    package = PCA_50.copy(tmp_path)
    replace_text(package / "metadata.yaml", '{"n_components": 10}', "[10]")
    run = run_vcp(package, ["--vcp-variant=all"], "-k", "vcp1")
    assert run.report is not None, run.output
    page = read_page(package)
    words = {name: told["rules"] for name, told in run.report["variants"].items()}
    differing = [rule for rule in BY_ID if words["pcs10"][rule] != words["pcs50"][rule]]
    assert differing
    for rule in differing:
        text = page.part(rule).text
        assert text.startswith(f"pcs10 {words['pcs10'][rule]['outcome']}")
        assert f"pcs50 {words['pcs50'][rule]['outcome']}" in text
    others = (rule for rule in BY_ID if rule not in differing)
    assert not [rule for rule in others if page.part(rule).text.startswith("pcs10")]


def test_what_holds_for_all_variants_is_told_once(tmp_path: Path) -> None:
    package = PCA_50.copy(tmp_path)
    shutil.rmtree(package / "model_data" / "pcs10")
    run = run_vcp(package, ["--vcp-variant=all"], "-k", "vcp1")
    assert run.report is not None, run.output
    page = read_page(package)
    text = page.part("to-do").text
    assert text.count("model_data/pcs10 does not exist") == 1
    assert text.endswith("pcs50 As above: VCP109")


def test_a_finished_artifact(delivery: Delivery) -> None:
    run = delivery.verify()
    assert run.report is not None, run.output
    page = Page((delivery.artifact.parent / ".vcp" / "report.html").read_text(encoding="utf-8"))
    assert "model" in page.all("ul", "variants")[0].text
    assert "anndata==" in page.part("environment").text
    assert "not put in its place" not in page.part("artifact").text
    assert "target_sum" in page.part("signature").text


def test_the_terminal_names_both(sound: Judged) -> None:
    assert "  report      ./.vcp/report.json, ./.vcp/report.html" in sound.run.output


def test_a_page_that_can_not_be_written_is_told_as_the_report_is(tmp_path: Path) -> None:
    package = PCA_50.copy(tmp_path)
    (package / ".vcp" / "report.html" / "taken").mkdir(parents=True)
    run = run_vcp(package, PCA_50.options, "-k", "vcp101")
    assert run.code == 10, run.output
    (line,) = (line for line in run.output.splitlines() if line.startswith("  report "))
    assert line.startswith("  report      not written: ")
    assert "report.html" in line
    assert run.report is not None


def test_a_page_that_takes_too_long_is_left_out(tmp_path: Path) -> None:
    package = PCA_50.copy(tmp_path)
    earlier = package / ".vcp" / "report.html"
    earlier.parent.mkdir()
    earlier.write_text("of another run", encoding="utf-8")
    (package / "hurry.py").write_text(
        "import time\n"
        "from pytest_vcp.report import finish, html\n"
        "finish.PAGE_SECONDS = 0.1\n"
        "html.render = lambda *_: time.sleep(60)\n",
        encoding="utf-8",
    )
    run = run_vcp(package, PCA_50.options, "-k", "vcp101", "-p", "hurry")
    assert run.code == 0, run.output
    assert run.outcomes["VCP101"] == "passed"
    (line,) = (line for line in run.output.splitlines() if line.startswith("  report "))
    assert line.endswith(
        "report.json (./.vcp/report.html: left out, since it takes more than 0.1 s to write)"
    )
    assert not earlier.exists()


@pytest.mark.parametrize("problem", [ValueError("no"), TimeoutError("its own")])
def test_what_rendering_raises_is_raised(problem: Exception) -> None:
    def work() -> None:
        raise problem

    with pytest.raises(type(problem), match=str(problem)):
        result_in_time(work, 5)


def test_nothing_is_judged_nothing_is_written(tmp_path: Path) -> None:
    package = PCA_50.copy(tmp_path)
    run_vcp(package, PCA_50.options, "--collect-only")
    assert not (package / ".vcp" / "report.html").exists()
