"""Installation with uv of what pip has chosen: the same files, in a fraction of the time.

Only pip resolves and judges a lock. It usually chooses wheels, each with the hash of its file; uv
takes these from its cache, and links instead of copying if it can. Anything else is left to pip,
including what uv would have to download: MLflow's own command builds an environment with pip, which
then has it in its cache.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pytest_vcp.environment import watched
from pytest_vcp.environment.watched import Progress
from pytest_vcp.requirements.lock import RequirementLine

# The user's variables that uv may use: for access and caching, never for what to choose.
_KEPT = frozenset(
    {
        "UV_CACHE_DIR",
        "UV_NO_CACHE",
        "UV_LINK_MODE",
        "UV_HTTP_TIMEOUT",
        "UV_HTTP_RETRIES",
        "UV_KEYRING_PROVIDER",
        "UV_NATIVE_TLS",
        "UV_SYSTEM_CERTS",
        "UV_INSECURE_HOST",
        "UV_OFFLINE",
    }
)
# pip's variables, uv's equivalents, and uv's separators; pip separates by spaces.
_TWINS = (
    ("PIP_INDEX_URL", "UV_DEFAULT_INDEX", " "),
    ("PIP_EXTRA_INDEX_URL", "UV_INDEX", " "),
    ("PIP_FIND_LINKS", "UV_FIND_LINKS", ","),
    ("PIP_TRUSTED_HOST", "UV_INSECURE_HOST", " "),
    ("PIP_CERT", "SSL_CERT_FILE", " "),
    ("PIP_PROXY", "ALL_PROXY", " "),
)
_BUILT = ("vcs", "url", "path", "editable")
# Lets uv download, too, for users who build many environments from the same distributions.
DOWNLOADS = "VCP_UV_DOWNLOADS"
_CHOSEN = "uv-requirements.txt"
_LOG = "uv.log"


def find() -> str | None:
    """Return the path of uv, or None if it is not on PATH."""
    return shutil.which("uv")


def environ_of(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables for uv, which reads neither pip's configuration nor its variables."""
    found = {
        key: value
        for key, value in environ.items()
        if not key.startswith(("UV_", "PIP_")) or key in _KEPT
    }
    for ours, theirs, separator in _TWINS:
        if ours in environ:
            found[theirs] = separator.join(environ[ours].split())
    return found


def fits(lines: Iterable[RequirementLine]) -> bool:
    """Return whether uv may install a lock of these lines once pip has resolved it.

    Otherwise pip would work twice: to build whatever has no index, and to read every file that has
    a hash.
    """
    return not any(line.hashes or line.kind in _BUILT for line in lines)


def options_of(environ: Mapping[str, str]) -> list[str]:
    """Return the options with which uv searches where pip would, and nowhere else."""
    no_index = ["--no-index"] if environ.get("PIP_NO_INDEX") else []
    # pip's strategy: the best of all indexes.
    best = ("--index-strategy", "unsafe-best-match")
    return ["--no-config", "--no-python-downloads", *best, *no_index]


def install_chosen(
    uv: str,
    python: Path,
    directory: Path,
    report: Path,
    environ: Mapping[str, str],
    progress: Progress,
) -> bool:
    """Install exactly the files of pip's installation report; return whether uv could.

    `environ` names the package sources in pip's variables, relative ones resolved against
    `directory`. If it fails, pip can install as if nothing had been tried.
    """
    chosen = _list_pins(json.loads(report.read_bytes()))
    if chosen is None:
        return False
    if not chosen:
        return True
    file, log = report.with_name(_CHOSEN), report.with_name(_LOG)
    file.write_text("".join(f"{line}\n" for line in chosen), encoding="utf-8")
    command: list[str | Path] = [
        *(uv, "pip", "install", *options_of(environ)),
        *("--no-deps", "--no-build", "--require-hashes"),
        *("--python", python, "-r", file),
    ]
    doing = f"installing {len(chosen)} distributions with uv"
    variables = environ_of(environ)
    online: list[tuple[str, ...]] = [()] if os.environ.get(DOWNLOADS) else []
    return any(
        watched.run([*command, *words], variables, directory, log, progress, _news, doing) == 0
        for words in [("--offline",), *online]
    )


def _list_pins(report: Mapping[str, Any]) -> list[str] | None:
    """Return what pip would install, as pins with hashes; None if anything is not a wheel."""
    pins = []
    for entry in report["install"]:
        pin = _pin(entry)
        if pin is None:
            return None
        pins.append(pin)
    return pins


def _pin(entry: Mapping[str, Any]) -> str | None:
    """Return one distribution as a line that no other file meets; None for what has to be built."""
    download = entry["download_info"]
    hashes = download.get("archive_info", {}).get("hashes", {})
    if entry["is_direct"] or not hashes or not download["url"].endswith(".whl"):
        return None
    metadata = entry["metadata"]
    options = " ".join(f"--hash={name}:{value}" for name, value in hashes.items())
    return f"{metadata['name']}=={metadata['version']} {options}"


def _news(line: str) -> str | None:
    """Return the progress that a line of uv reports: the large files it downloads; else None."""
    line = line.strip()
    return line.lower() if line.startswith("Downloading ") else None
