"""Runs inside the judged environment, by path: prints what is installed there, as one JSON object.

Standard library only, any Python from 3.10, and nothing of the environment is imported: a
distribution that is broken must not be able to break the look at it. The metadata is read by
hand, because `importlib.metadata` parses every long description, which takes longer than all of
the rest, and hides a distribution that is there twice.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import platform
import sys

# What MLflow needs in order to load a model from a file, to predict, and to serve it over HTTP.
SERVING_FILES = (
    "mlflow/__init__.py",
    "mlflow/models/cli.py",
    "mlflow/pyfunc/__init__.py",
    "mlflow/pyfunc/scoring_server/__init__.py",
    "mlflow/server/__init__.py",
)


def _headers(metadata_file: str) -> tuple[str | None, str | None]:
    """Name and version of a METADATA or PKG-INFO file; None for what it does not say."""
    name = version = None
    try:
        with open(metadata_file, encoding="utf-8", errors="replace") as stream:
            for line in stream:
                if not line.strip() or (name and version):
                    break
                key, _, value = line.partition(":")
                if key.lower() == "name":
                    name = value.strip()
                elif key.lower() == "version":
                    version = value.strip()
    except OSError:
        pass
    return name, version


def _metadata_file(folder: str, entry: str) -> str | None:
    """The file with the headers, for the entry of a folder that is a distribution's metadata."""
    path = os.path.join(folder, entry)
    if entry.startswith("~"):  # what pip leaves behind of an uninstallation that was interrupted
        return None
    if entry.endswith(".dist-info"):
        return os.path.join(path, "METADATA")
    if entry.endswith(".egg-info"):
        return os.path.join(path, "PKG-INFO") if os.path.isdir(path) else path
    return None


def _folders() -> list[str]:
    """The folders on the module search path, each once, however many links lead to it."""
    seen: dict[str, str] = {}
    for entry in sys.path:
        if os.path.isdir(entry):
            seen.setdefault(os.path.realpath(entry), entry)
    return list(seen.values())


def installed() -> list[dict[str, str]]:
    """Every distribution, also the second copy of one, in the order of the module search path."""
    found = []
    for folder in _folders():
        for entry in sorted(os.listdir(folder)):
            file = _metadata_file(folder, entry)
            name, version = _headers(file) if file else (None, None)
            if file and name and version:
                stat = os.stat(file)
                found.append(
                    {
                        "name": name,
                        "version": version,
                        "location": file if file.endswith(".egg-info") else os.path.dirname(file),
                        "stamp": f"{stat.st_mtime_ns} {stat.st_size}",
                    }
                )
    return found


def _record_modules(dist_info: str) -> list[str]:
    """The modules that a distribution's RECORD promises, as paths relative to site-packages."""
    try:
        with open(os.path.join(dist_info, "RECORD"), encoding="utf-8") as stream:
            files = [line.split(",", 1)[0].strip('"') for line in stream]
    except OSError:
        return []
    return [file for file in files if file.endswith(".py")]


def missing_of_mlflow(distributions: list[dict[str, str]]) -> list[str]:
    """The files that MLflow should have and has not; empty when it is whole."""
    spec = importlib.util.find_spec("mlflow")  # a top-level name: this imports nothing
    if spec is None or spec.origin is None:
        return ["mlflow/__init__.py"]
    root = os.path.dirname(os.path.dirname(spec.origin))
    expected = dict.fromkeys(SERVING_FILES)
    for entry in distributions:
        if entry["name"].lower() == "mlflow" and entry["location"].startswith(root):
            expected.update(dict.fromkeys(_record_modules(entry["location"])))
    return [file for file in expected if not os.path.exists(os.path.join(root, file))]


def markers() -> dict[str, str]:
    """The values with which this interpreter answers environment markers (PEP 508)."""
    info = sys.implementation.version
    kind = "" if info.releaselevel == "final" else f"{info.releaselevel[0]}{info.serial}"
    return {
        "implementation_name": sys.implementation.name,
        "implementation_version": f"{info.major}.{info.minor}.{info.micro}{kind}",
        "os_name": os.name,
        "platform_machine": platform.machine(),
        "platform_python_implementation": platform.python_implementation(),
        "platform_release": platform.release(),
        "platform_system": platform.system(),
        "platform_version": platform.version(),
        "python_full_version": platform.python_version(),
        "python_version": ".".join(platform.python_version_tuple()[:2]),
        "sys_platform": sys.platform,
    }


def main() -> None:
    """Print the facts on standard output."""
    distributions = installed()
    stamps = [f"{entry['location']} {entry['stamp']}" for entry in distributions]
    state = "\n".join([sys.executable, *stamps]).encode(errors="surrogateescape")
    facts = {
        "version": platform.python_version(),
        "installed": distributions,
        "markers": markers(),
        "fingerprint": hashlib.sha256(state).hexdigest(),
        "mlflow_missing": missing_of_mlflow(distributions),
    }
    json.dump(facts, sys.stdout)


if __name__ == "__main__":
    main()
