"""Which workers of a run are forked, and which get an interpreter of their own."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from fixtures.references import PCA_50
from tests.runs import run_vcp

WRAPPER = "model_code/pbmc_pca_mlflow_model.py"
NEW = "pytest-vcp: a new interpreter, since "
# What is added to the module of the wrapper, and the reason why its workers are started.
REASONS = {
    "": None,
    "\n_GENES = {'CD8A', 'MS4A1'}\n": f"the order of sets may matter ({WRAPPER}:",
    "\nimport os\nos.environ['A'] = 'b'\n": (
        f"the package changes the interpreter's state at import ({WRAPPER}:"
    ),
}


@pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux only")
@pytest.mark.parametrize("added", REASONS, ids=["neither", "sets", "state"])
def test_workers_are_forked_unless_the_code_could_tell(package: Path, added: str) -> None:
    with (package / WRAPPER).open("a", encoding="utf-8") as module:
        module.write(added)
    run = run_vcp(package, [*PCA_50.options, "-k", "vcp701 or vcp710"])
    assert run.outcomes["VCP710"] == "passed", run.output
    for role in ("packager", "loader"):
        log = (package / ".vcp" / "logs" / f"default-{role}.log").read_text(encoding="utf-8")
        reason = REASONS[added]
        assert NEW not in log if reason is None else log.startswith(NEW + reason), log
