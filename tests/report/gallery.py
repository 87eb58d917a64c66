"""Reports to look at: of the reference packages and of broken ones, with pictures of each.

``python -m tests.report.gallery OUT`` makes every report, with pictures and as a PDF; names behind
OUT choose some. ``python -m tests.report.gallery --docs`` makes the pictures of docs/images.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fixtures import mutations
from fixtures.mutants import append_text, unchanged
from fixtures.mutants.forward.outputs import returning
from fixtures.references import PCA_50, REFERENCES, Reference
from tests.report import browser
from tests.runs import COMMAND_RULES, run_vcp

IMAGES = Path(__file__).parents[2] / "docs" / "images"
# Wide, and as a phone.
WIDTHS = {"light": 1000, "dark": 1000, "narrow": 400}
# Pictures of the documentation: the report, and what of it.
SHOWN: Mapping[str, tuple[str, dict[str, Any]]] = {
    "conformant": ("pbmc_pca-pcs50", {"width": 900, "height": 820}),
    "to-do": ("late-defects", {"width": 900, "height": 820}),
    "phone": ("late-defects", {"width": 400, "height": 820, "dark": True}),
    "output": ("pbmc_pca-pcs50", {"width": 900, "height": 990, "part": "pictures"}),
}
# One mutant of each section, by rule and name.
MUTANTS = (
    ("VCP109", "config_json_with_a_fault"),
    ("VCP206", "pin_older_than_required"),
    ("VCP302", "sdist_that_does_not_build"),
    ("VCP402", "column_by_another_name"),
    ("VCP504", "input_not_there"),
    ("VCP604", "weights_rewritten"),
    ("VCP705", "second_output_of_another_rank"),
    ("VCP707", "one_missing_value"),
    ("VCP802", "masked_values"),
    ("VCP904", "simulated_other_values_on_the_gpu"),
)


@dataclass(frozen=True)
class Case:
    """A report: the package that it is of, what is done to it, and how it is judged."""

    name: str
    reference: Reference
    apply: Callable[[Path], None] = unchanged
    options: tuple[str, ...] = ()
    environ: Mapping[str, str] = field(default_factory=dict)
    commands: Collection[str] = ()

    def judge(self, place: Path) -> Path:
        """Run the plugin; returns the report."""
        package = self.reference.copy(place, recorded=self.apply is unchanged)
        self.apply(package)
        options = self.options or self.reference.options
        run = run_vcp(package, options, env=self.environ, commands=self.commands, pictures=True)
        page = package / ".vcp" / "report.html"
        assert page.exists(), run.output
        return page


def several_at_once(package: Path) -> None:
    append_text(package / "requirements.txt", "scanpy\n")
    (package / "LICENSE").unlink()
    returning("return scores.astype('float64')")(package)


def late_defects(package: Path) -> None:
    returning("print('predicting')\nreturn scores.astype('float64') * float('nan')")(package)


def cases() -> Iterable[Case]:
    """All that this Python can judge."""
    for reference in REFERENCES:
        if reference.python in (None, sys.version_info[:2]):
            yield Case(
                reference.name, reference, commands=COMMAND_RULES if reference is PCA_50 else ()
            )
    scaling = (*PCA_50.options, "--vcp-scaling")
    yield Case("scaling", PCA_50, options=scaling)
    yield Case("variants", PCA_50, options=("--vcp-variant=all",))
    yield Case("several-at-once", PCA_50, several_at_once)
    yield Case("late-defects", PCA_50, late_defects)
    yield Case("skipped-inference", PCA_50, options=(*PCA_50.options, "--vcp-skip-inference"))
    yield Case("error", PCA_50, options=(*PCA_50.options, "--vcp-require-gpu"))
    waiver = "--vcp-waive=VCP706: the hub reads both"
    yield Case("waived", PCA_50, late_defects, options=(*PCA_50.options, waiver))
    known = {(entry.rule, entry.name): entry for entry in mutations.MUTATIONS}
    for key in MUTANTS:
        mutation = known[key]
        yield Case(
            "-".join(key).replace("_", "-"),
            mutations.reference(mutation),
            mutation.apply,
            mutations.options(mutation),
            mutations.environ(mutation),
        )


def gallery(program: str, out: Path, names: Sequence[str]) -> None:
    """Every report, or those of these names, each in a folder with its pictures."""
    for case in cases():
        if names and case.name not in names:
            continue
        print(case.name, flush=True)
        place = out / case.name
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        with tempfile.TemporaryDirectory() as scratch:
            page = Path(shutil.copy(case.judge(Path(scratch)), place))
        for name, width in WIDTHS.items():
            target = place / f"{name}.png"
            browser.picture(program, page, target, width=width, dark=name == "dark")
        printed = f"--print-to-pdf={place / 'printed.pdf'}"
        browser.look(program, place, page.name, printed, "--no-pdf-header-footer")
        shutil.rmtree(place / "profile", ignore_errors=True)


def pictures_of_the_docs(program: str) -> None:
    """Make docs/images anew."""
    named = {case.name: case for case in cases()}
    with tempfile.TemporaryDirectory() as scratch:
        pages: dict[str, Path] = {}
        for target, (name, what) in SHOWN.items():
            if name not in pages:
                pages[name] = named[name].judge(Path(scratch, name))
            browser.picture(program, pages[name], IMAGES / f"{target}.png", **what)


def main(arguments: list[str]) -> int:
    program = browser.find()
    if program is None:
        print(f"no browser is here: {', '.join(browser.NAMES)}", file=sys.stderr)
        return 1
    if not arguments:
        print(__doc__, file=sys.stderr)
        return 2
    if arguments == ["--docs"]:
        IMAGES.mkdir(exist_ok=True)
        pictures_of_the_docs(program)
    else:
        gallery(program, Path(arguments[0]).resolve(), arguments[1:])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
