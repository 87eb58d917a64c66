"""A rule that was selected alone still has to wait for the rules before it."""

from __future__ import annotations

import os
from pathlib import Path

from fixtures.mutations import MUTATIONS, options
from fixtures.references import PCA_50
from tests.mutations.judging import ARTIFACT
from tests.runs import run_vcp

SELECTION = ("-k", "vcp601 or vcp705")


def test_a_broken_rule_that_was_not_selected_is_not_overlooked(tmp_path: Path) -> None:
    broken = next(mutation for mutation in MUTATIONS if mutation.rule == "VCP101")
    package = PCA_50.copy(tmp_path)
    broken.apply(package)
    run = run_vcp(package, options(broken), *SELECTION, f"--vcp-cache-dir={tmp_path / 'cache'}")
    assert run.code == 1, run.output
    assert run.variant["verdict"] == "nonconformant", run.output
    assert run.outcomes["VCP705"] == run.outcomes["VCP601"] == "skipped", run.output
    assert run.variant["rules"]["VCP705"]["message"] == "fix VCP101 first", run.output
    assert not (package / ARTIFACT).exists()


def test_surroundings_that_fail_under_a_gate_do_not_blame_the_package(tmp_path: Path) -> None:
    package = PCA_50.copy(tmp_path)
    nobody = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_RETRIES": "0"}
    silent = {"PIP_CONFIG_FILE": os.devnull, "PIP_FIND_LINKS": "", "PIP_EXTRA_INDEX_URL": ""}
    cache = f"--vcp-cache-dir={tmp_path / 'cache'}"
    run = run_vcp(package, PCA_50.options, *SELECTION, cache, env={**nobody, **silent})
    assert run.code == 10, run.output
    assert run.variant["verdict"] == "error", run.output
    assert run.outcomes["VCP601"] == "error", run.output
    assert run.outcomes["VCP705"] == "unverified", run.output
    assert not (package / ARTIFACT).exists()
