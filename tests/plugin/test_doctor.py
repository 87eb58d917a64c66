"""What a machine has, a line each; what it lacks is told with its cost and a way to get it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.runs import command, environment, run_vcp

DOCTOR = ("--vcp-doctor",)
UNREACHABLE = {
    "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
    "PIP_NO_INDEX": "0",
    "PIP_RETRIES": "0",
    "PIP_CONFIG_FILE": os.devnull,
    "PIP_FIND_LINKS": "",
    "PIP_EXTRA_INDEX_URL": "",
}


def lines(output: str) -> dict[str, tuple[str, str]]:
    """The word and the rest of each line, by what it is about."""
    rows = (re.match(r"(ok|missing) +(.{12})  (.+)", row) for row in output.splitlines())
    return {row[2].strip(): (row[1], row[3]) for row in rows if row}


def test_each_thing_has_a_line(tmp_path: Path) -> None:
    run = run_vcp(tmp_path, DOCTOR, env={"PATH": str(tmp_path)})
    found = lines(run.output)
    assert run.code == 0, run.output
    assert found[f"Python 3.{sys.version_info[1]}"][0] == "ok"
    assert found["cache"][0] == "ok"
    word, told = found["git"]
    assert word == "missing"
    assert told.startswith("none on PATH: lines of a lock such as git+https://… can't be installed")
    assert found["pyenv"][0] == "ok"
    assert {"TMPDIR", "index", "uv", "conda", "namespaces", "GPU", "MLflow"} <= found.keys()


def test_an_index_that_does_not_answer_is_missing(tmp_path: Path) -> None:
    run = run_vcp(tmp_path, DOCTOR, env=UNREACHABLE)
    word, told = lines(run.output)["index"]
    assert word == "missing"
    assert "only environments that are in the cache can be used; check the connection" in told
    assert run.code == 0, run.output


def test_without_room_nothing_can_be_judged(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    script = f'mount -t tmpfs -o size=1m none {small} && exec "$@"'
    isolate = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"]
    done = subprocess.run(
        [*isolate, *command([*DOCTOR, f"--vcp-cache-dir={small / 'cache'}"])],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if "unshare" in done.stderr:
        pytest.skip("the kernel gives this process no namespaces")
    assert done.returncode == 10, done.stdout
    word, told = lines(done.stdout)["cache"]
    assert word == "missing"
    assert told == (
        f"1 MB free at {small / 'cache'}: no environment fits; make room, or name another place "
        "with --vcp-cache-dir"
    )
    assert done.stdout.rstrip().endswith("no package can be judged here before that is mended")
