"""`pytest --vcp-cache`: look into the cache, prune it, empty it, anywhere and without a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_vcp.report.terminal import summarize_cache
from tests.environment.stocked import digits, names, put
from tests.runs import Run, run_vcp


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    folder = tmp_path / "cache"
    put(folder, "new", size=2_500_000_000, days=0.5)
    put(folder, "old", size=40_000_000, days=90)
    return folder


def ask(cache: Path, action: str, *more: str) -> Run:
    return run_vcp(cache.parent, ["--vcp-cache", action, f"--vcp-cache-dir={cache}", *more])


def test_show(cache: Path) -> None:
    run = ask(cache, "show")
    assert run.code == 0, run.output
    assert run.output.splitlines() == [
        f"{cache}: 2 environments, 2.5 GB",
        (
            f"  {digits('new')}  CPython 3.11.7, virtualenv, 2.5 GB, built less than a minute ago, "
            "used 12 hours ago"
        ),
        "      for /work/new/requirements.txt: a==1, …",
        (
            f"  {digits('old')}  CPython 3.11.7, virtualenv, 40 MB, built less than a minute ago, "
            "used 90 days ago"
        ),
        "      for /work/old/requirements.txt: a==1, …",
    ]
    assert names(cache) == {"new", "old"}


def test_show_tells_what_is_in_use_and_what_is_left_over(cache: Path) -> None:
    slot = put(cache, "torn")
    (slot.folder / "ready.json").unlink()
    with put(cache, "used").mark_in_use():
        told = ask(cache, "show").output
    assert told.count("in use now") == 1
    assert "1 leftover of runs that were killed: --vcp-cache prune" in told


def test_prune_follows_the_policy(cache: Path) -> None:
    run = ask(cache, "prune")
    assert run.code == 0, run.output
    assert run.output.startswith("removed 1 environment, 40 MB\n")
    assert names(cache) == {"new"}
    policy = cache.parent / "hub.yaml"
    policy.write_text("cache: {bytes: 1000000000}", encoding="utf-8")
    assert "removed 1 environment, 2.5 GB" in ask(cache, "prune", f"--vcp-policy={policy}").output
    assert names(cache) == set()


def test_clear(cache: Path) -> None:
    run = ask(cache, "clear")
    assert run.code == 0, run.output
    assert run.output == f"removed 2 environments, 2.5 GB\n{cache}: 0 environments, 0 MB\n"
    assert names(cache) == set()


def test_the_ini_file_says_where(cache: Path) -> None:
    (cache.parent / "pytest.ini").write_text("[pytest]\nvcp_cache_dir = cache\n")
    run = run_vcp(cache.parent, ["--vcp-cache=show"])
    assert run.output.startswith(f"{cache}: 2 environments")


def test_it_wins_over_a_run(cache: Path) -> None:
    run = ask(cache, "show", "--vcp-model-class=model_code.a:B")
    assert run.code == 0, run.output
    assert "test session starts" not in run.output


@pytest.mark.parametrize("action", ["shwo", ""])
def test_an_action_that_is_none(cache: Path, action: str) -> None:
    run = ask(cache, action)
    assert run.code == 4, run.output
    assert f"--vcp-cache: {action!r} is not usable; " in run.output
    assert "show" in run.output


def test_a_cache_that_is_none(cache: Path) -> None:
    run = ask(cache / "old.txt", "show")
    assert run.output == f"{cache / 'old.txt'}: 0 environments, 0 MB\n"
    (cache / "environments" / "file").touch()
    run = ask(cache / "environments" / "file", "clear")
    assert run.code == 4, run.output
    assert "is a file; name a directory" in run.output


def test_one_line_for_the_verdict(cache: Path, tmp_path: Path) -> None:
    assert summarize_cache(cache) == "2 environments, 2.5 GB, the oldest unused for 90 days"
    assert summarize_cache(tmp_path / "none") is None
