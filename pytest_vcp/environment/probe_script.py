"""Runs inside the judged environment, by path: prints what is installed there, as one JSON object.

Standard library only, any Python from 3.10, and nothing of the environment is imported: a
distribution that is broken must not be able to break the look at it. The metadata is read by
hand, because `importlib.metadata` parses every long description, which takes longer than all of
the rest, and hides a distribution that is there twice.
"""

from __future__ import annotations

import hashlib
import importlib.machinery
import importlib.util
import json
import os
import platform
import sys
from typing import Any

_SUFFIXES = frozenset(importlib.machinery.all_suffixes())
# What MLflow needs in order to load a model from a file, to predict, and to serve it over HTTP.
SERVING_FILES = (
    "mlflow/__init__.py",
    "mlflow/models/cli.py",
    "mlflow/pyfunc/__init__.py",
    "mlflow/pyfunc/scoring_server/__init__.py",
    "mlflow/server/__init__.py",
)


def _headers(metadata_file: str) -> dict[str, list[str]]:
    """The values of the headers of a METADATA or PKG-INFO file, by their names in lower case."""
    found: dict[str, list[str]] = {}
    try:
        with open(metadata_file, encoding="utf-8", errors="replace") as stream:
            for line in stream:
                if line == "\n":
                    break
                if line[0] not in " \t":  # else the line before goes on
                    key, _, value = line.partition(":")
                    found.setdefault(key.lower(), []).append(value.strip())
    except OSError:
        pass
    return found


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


def list_installed() -> list[dict[str, Any]]:
    """Every distribution, also the second copy of one, in the order of the module search path."""
    found = []
    for folder in _folders():
        for entry in sorted(os.listdir(folder)):
            file = _metadata_file(folder, entry)
            headers = _headers(file) if file else {}
            name, version = headers.get("name"), headers.get("version")
            if file and name and version and name[0] and version[0]:
                stat = os.stat(file)
                found.append(
                    {
                        "name": name[0],
                        "version": version[0],
                        "location": file if file.endswith(".egg-info") else os.path.dirname(file),
                        "requires": headers.get("requires-dist", []),
                        "requires_python": headers.get("requires-python", [None])[0],
                        "stamp": f"{stat.st_mtime_ns} {stat.st_size}",
                    }
                )
    return found


def _record(dist_info: str) -> list[str]:
    """The files that a distribution's RECORD promises, as paths relative to site-packages."""
    try:
        with open(os.path.join(dist_info, "RECORD"), encoding="utf-8") as stream:
            return [line.split(",", 1)[0].strip('"') for line in stream]
    except OSError:
        return []


def _import_names(files: list[str]) -> set[str]:
    """The names by which files are imported: `numpy` for all of its modules.

    A namespace package belongs to nobody, so what lies in it is named in full: `google.protobuf`.
    """
    packages = set()
    modules = []
    for file in files:
        folder, _, base = file.rpartition("/")
        stem, dot, suffix = base.partition(".")
        if dot + suffix not in _SUFFIXES:
            continue
        if stem == "__init__":
            packages.add(folder)
        else:
            modules.append((folder, f"{folder}/{stem}" if folder else stem))
    names = {_outermost(folder, packages) for folder in packages}
    names |= {_outermost(folder, packages) or module for folder, module in modules}
    dotted = {name.replace("/", ".") for name in names}
    return {name for name in dotted if all(part.isidentifier() for part in name.split("."))}


def _outermost(folder: str, packages: set[str]) -> str:
    """The outermost package that a folder belongs to; empty where it belongs to none."""
    parts = folder.split("/")
    for end in range(1, len(parts) + 1):
        outer = "/".join(parts[:end])
        if outer in packages:
            return outer
    return ""


def _top_levels(location: str) -> list[str]:
    """The top-level modules that setuptools notes, also for what it did not copy (editable)."""
    try:
        with open(os.path.join(location, "top_level.txt"), encoding="utf-8") as stream:
            return stream.read().split()
    except OSError:
        return []


def map_providers(distributions: list[dict[str, Any]]) -> dict[str, list[str]]:
    """The distributions behind each name that can be imported."""
    found: dict[str, list[str]] = {}
    for entry in distributions:
        files = _record(entry["location"])
        names = _import_names([file for file in files if not file.startswith("__editable__")])
        names = names or set(_top_levels(entry["location"]))
        if "distutils-precedence.pth" in files:  # setuptools puts itself in the place of distutils
            names.add("distutils")
        for name in names or {entry["name"].replace("-", "_").replace(".", "_")}:
            found.setdefault(name, []).append(entry["name"])
    return found


def missing_of_mlflow(distributions: list[dict[str, Any]]) -> list[str]:
    """The files that MLflow should have and has not; empty when it is whole."""
    spec = importlib.util.find_spec("mlflow")  # a top-level name: this imports nothing
    if spec is None or spec.origin is None:
        return ["mlflow/__init__.py"]
    root = os.path.dirname(os.path.dirname(spec.origin))
    expected = dict.fromkeys(SERVING_FILES)
    for entry in distributions:
        if entry["name"].lower() == "mlflow" and entry["location"].startswith(root):
            files = _record(entry["location"])
            expected.update(dict.fromkeys(file for file in files if file.endswith(".py")))
    return [file for file in expected if not os.path.exists(os.path.join(root, file))]


def list_absent(distributions: list[dict[str, Any]], kept_in: str) -> dict[str, Any]:
    """The files that distributions promise and that are not there, relative to the environment.

    A file that goes changes its folder: the file `kept_in` has the time of change of each folder
    and what was absent then. Only where one of them differs is everything looked for again, and
    the answer has `folders` to keep.
    """
    try:
        with open(kept_in, encoding="utf-8") as stream:
            kept = json.load(stream)["files"]
        if all(_read_change_time(folder) == time for folder, time in kept["folders"].items()):
            return {"absent": kept["absent"], "folders": None}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass
    promised = _map_promised(distributions)
    # Before the look: what goes during it is noticed next time.
    folders = {folder: _read_change_time(folder) for folder in promised}
    missing = [
        os.path.join(folder, name)
        for folder, names in promised.items()
        for name in names.difference(_list_folder(folder))
    ]
    return {"absent": missing, "folders": folders}


def _map_promised(distributions: list[dict[str, Any]]) -> dict[str, set[str]]:
    """The names of the files that belong into each folder; folders relative to the environment.

    Byte-code comes again by itself. The metadata is left out: it goes with an uninstallation, and
    what is uninstalled is told by what is installed.
    """
    promised: dict[str, set[str]] = {}
    for entry in distributions:
        root = os.path.relpath(os.path.dirname(entry["location"]), sys.prefix)
        folders: dict[str, str] = {}
        for file in _record(entry["location"]):
            folder, _, name = file.rpartition("/")
            if name.endswith((".pyc", "__pycache__")) or ".dist-info" in folder:
                continue
            if folder not in folders:
                folders[folder] = os.path.normpath(os.path.join(root, folder))
            promised.setdefault(folders[folder], set()).add(name)
    return promised


def _read_change_time(folder: str) -> int | None:
    """When an entry last came to a folder or left it, in ns; None where it is not there."""
    try:
        return os.stat(os.path.join(sys.prefix, folder)).st_mtime_ns
    except OSError:
        return None


def _list_folder(folder: str) -> list[str]:
    try:
        return os.listdir(os.path.join(sys.prefix, folder))
    except OSError:
        return []


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
    """Print the facts on standard output.

    Arguments are the file in which `absent` finds what is kept, or nothing, and the fingerprints
    for which the modules are known.
    """
    files_kept_in, *known = sys.argv[1:]
    distributions = list_installed()
    stamps = [f"{entry['location']} {entry['stamp']}" for entry in distributions]
    state = "\n".join([sys.executable, *stamps]).encode(errors="surrogateescape")
    fingerprint = hashlib.sha256(state).hexdigest()
    facts: dict[str, Any] = {
        "version": platform.python_version(),
        "installed": distributions,
        "markers": markers(),
        "fingerprint": fingerprint,
        "mlflow_missing": missing_of_mlflow(distributions),
        "modules": None,
        "files": list_absent(distributions, files_kept_in) if files_kept_in else None,
    }
    if fingerprint not in known:
        standard = sorted(sys.stdlib_module_names)
        facts["modules"] = {"standard": standard, "provided": map_providers(distributions)}
    json.dump(facts, sys.stdout)


if __name__ == "__main__":
    main()
