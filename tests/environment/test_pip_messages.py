"""pip's sentences, as pip 24 to 26 print them, and what they are taken for."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_vcp.environment.installer import source_settings
from pytest_vcp.environment.pip_messages import build_no_answer, explain, progress_of, was_refused

LOG = Path("pip.log")

CONFLICT = """\
ERROR: Cannot install -r requirements.txt (line 1) and six==1.4.1 because these package versions \
have conflicting dependencies.

The conflict is caused by:
    The user requested six==1.4.1
    python-dateutil 2.9.0.post0 depends on six>=1.5

To fix this you could try to:
1. loosen the range of package versions you've specified

ERROR: ResolutionImpossible: for help visit https://pip.pypa.io/en/latest/topics/
"""
OTHER_PYTHON = """\
ERROR: Ignored the following versions that require a different python version: 2.3.0 \
Requires-Python >=3.11; 2.4.0 Requires-Python >=3.11
ERROR: Could not find a version that satisfies the requirement numpy==2.4.0 (from versions: 1.3.0)
ERROR: No matching distribution found for numpy==2.4.0
"""
DIRECT_OTHER_PYTHON = """\
Processing ./tool
ERROR: Package 'tool' requires a different Python: 3.13.0 not in '<3.12'
"""
OTHER_PLATFORM = """\
ERROR: tool-1.0-cp27-cp27m-win32.whl is not a supported wheel on this platform.
"""
OLD_BUILD = """\
Collecting tool==1.0 (from -r requirements.txt (line 1))
  Downloading tool-1.0.tar.gz (12 kB)
  Preparing metadata (setup.py): finished with status 'error'
  error: subprocess-exited-with-error

  × python setup.py egg_info did not run successfully.
  │ exit code: 1
  ╰─> [2 lines of output]
      Traceback (most recent call last):
      ModuleNotFoundError: No module named 'torch'
      [end of output]

  note: This error originates from a subprocess, and is likely not a problem with pip.
error: metadata-generation-failed

× Encountered error while generating package metadata.
╰─> See above for output.
"""
WHEEL_BUILD = """\
Building wheels for collected packages: tool
  Building wheel for tool (pyproject.toml): started
  error: subprocess-exited-with-error
  × Building wheel for tool (pyproject.toml) did not run successfully.
  ╰─> [1 lines of output]
      error: command 'gcc' failed: No such file or directory
      [end of output]
  ERROR: Failed building wheel for tool
Failed to build tool
ERROR: Failed to build installable wheels for some pyproject.toml based projects (tool)
"""
CLONE = """\
Collecting tool
  Cloning https://git.example.org/lab/tool.git (to revision abc) to /tmp/tool
  error: subprocess-exited-with-error
  × git clone --filter=blob:none --quiet https://git.example.org/lab/t.git did not run successfully.
  ╰─> [1 lines of output]
      fatal: unable to access 'https://git.example.org/lab/tool.git/': Could not resolve host
      [end of output]
"""
FLAKY_THEN_BUILD = (
    "WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError'\n"
    + WHEEL_BUILD
)
BACKEND_GONE = """\
Processing ./tool.tar.gz (from -r requirements.txt (line 1))
ERROR: Exception:
Traceback (most recent call last):
  File "resolver.py", line 99, in resolve
pip._vendor.pyproject_hooks._impl.BackendUnavailable: Cannot import 'backend'
"""
HASHES = """\
ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE. If you have updated \
the package versions, please update the hashes.
"""
TIMED_OUT = """\
Collecting torch==2.7.0
ERROR: Exception:
Traceback (most recent call last):
pip._vendor.urllib3.exceptions.ReadTimeoutError: HTTPSConnectionPool(host='files.example.org', \
port=443): Read timed out.
"""
SERVER_ERROR = """\
ERROR: HTTP error 503 while getting https://user:****@index.example.org/simple/tool-1.0.whl
"""
FULL = """\
Installing collected packages: torch
ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device
"""
CRASH = """\
ERROR: Exception:
Traceback (most recent call last):
AssertionError: this can't be
"""


@pytest.mark.parametrize(
    ("output", "kind", "words"),
    [
        (CONFLICT, "resolver", "python-dateutil 2.9.0.post0 depends on six>=1.5"),
        (OTHER_PYTHON, "python", "numpy requires Python >=3.11"),
        (DIRECT_OTHER_PYTHON, "python", "tool requires Python <3.12"),
        (OTHER_PLATFORM, "unavailable", "not a supported wheel on this platform"),
        (OLD_BUILD, "build", "tool==1.0 can't be built"),
        (OLD_BUILD, "build", "No module named 'torch'"),
        (WHEEL_BUILD, "build", "command 'gcc' failed"),
        (CLONE, "network", "git.example.org"),
        (FLAKY_THEN_BUILD, "build", "tool can't be built"),
        (BACKEND_GONE, "build", "Cannot import 'backend'"),
        (HASHES, "build", "DO NOT MATCH THE HASHES"),
        (TIMED_OUT, "network", "files.example.org"),
        (SERVER_ERROR, "network", "index.example.org"),
        (FULL, "machine", "No space left on device"),
        (CRASH, "machine", "AssertionError"),
        ("", "machine", "no output"),
    ],
)
def test_a_failure_is_named(output: str, kind: str, words: str) -> None:
    failure = explain(output, LOG)
    assert failure.kind == kind
    assert words in "\n".join([failure.headline, *failure.detail])
    assert len(failure.detail) <= 3
    assert all(len(line) <= 100 for line in (failure.headline, *failure.detail))


GIT = """\
Collecting tool@ git+https://example.org/lab/tool.git@0123456
  Cloning https://example.org/lab/tool.git (to revision 0123456) to /tmp/pip-install-a/tool
  Running command git clone --filter=blob:none --quiet https://example.org/lab/tool.git /tmp/tool
  {said}
  error: subprocess-exited-with-error

  × git clone --filter=blob:none --quiet https://example.org/lab/tool.git /tmp/tool did not run.
  │ exit code: 128
  ╰─> See above for output.
"""


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("fatal: unable to access 'https://example.org/': Could not resolve host: x", "network"),
        ("fatal: unable to access 'https://example.org/': Failed to connect to x", "network"),
        ("ssh: Could not resolve hostname example.org: Name or service not known", "network"),
        ("ssh: connect to host example.org port 22: Connection timed out", "network"),
        ("fatal: unable to access 'https://a/': The requested URL returned error: 403", "build"),
        ("fatal: repository 'https://example.org/lab/tool.git/' not found", "build"),
        ("fatal: remote error: upload-pack: not our ref 0123456", "build"),
    ],
)
def test_a_repository_out_of_reach_is_not_the_packages_fault(said: str, kind: str) -> None:
    failure = explain(GIT.format(said=said), Path("pip.log"))
    assert failure.kind == kind
    assert kind == "build" or said in failure.headline


def test_a_wheel_that_does_not_build_was_resolved() -> None:
    assert explain(WHEEL_BUILD, LOG).resolved
    assert not explain(OLD_BUILD, LOG).resolved


@pytest.mark.parametrize(
    ("told", "answer"),
    [
        (
            "Could not fetch URL https://a.org/simple/x/: 404 Client Error: Not Found - skipping",
            False,
        ),
        (
            "Could not fetch URL https://a.org/simple/x/: 403 Client Error: Forbidden - skipping",
            True,
        ),
        ("Could not fetch URL https://a.org/simple/x/: connection error: refused - skipping", True),
        ("Fetched page https://a.org/simple/x/ as text/html", False),
    ],
)
def test_not_found_is_an_answer(told: str, answer: bool) -> None:
    assert was_refused(f"2026-01-01T00:00:00,000 {told}\n") is answer


def test_credentials_of_an_index_are_not_repeated() -> None:
    output = "Looking in indexes: https://me:secret@index.example.org/simple\n"
    failure = build_no_answer(output, LOG)
    assert "index.example.org" in failure.headline
    assert "secret" not in failure.headline


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("Collecting six==1.16.0 (from -r requirements.txt (line 1))", "resolving six"),
        ("  Downloading torch-2.7.0.whl (766.4 MB)", "downloading torch-2.7.0.whl (766.4 MB)"),
        ("  Downloading https://a.org/b/c-1.whl (1 kB)", "downloading c-1.whl (1 kB)"),
        ("Installing collected packages: a, b, c", "installing 3 distributions"),
        ("Requirement already satisfied: pip", None),
    ],
)
def test_progress(line: str, words: str | None) -> None:
    assert progress_of(line) == words


def test_only_sources_are_taken_from_the_configuration() -> None:
    listing = (
        ":env:.find-links='/wheels'\n"
        "global.extra-index-url='\\nhttps://a.org/simple\\nhttps://b.org/simple'\n"
        "global.no-deps='true'\n"
        "global.index-url='https://one.org'\n"
        "install.index-url='https://two.org'\n"
        "download.index-url='https://three.org'\n"
    )
    assert source_settings(listing) == {
        "PIP_FIND_LINKS": "/wheels",
        "PIP_EXTRA_INDEX_URL": "https://a.org/simple https://b.org/simple",
        "PIP_INDEX_URL": "https://two.org",
    }
