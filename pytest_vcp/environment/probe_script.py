"""A script for the judged environment, run by path: prints its distributions as a JSON object.

It uses only the standard library, on any Python from 3.10, and imports nothing of the environment:
a broken distribution must not be able to break the inspection. The metadata is read by hand,
because `importlib.metadata` parses every long description, which takes longer than all of the rest,
and hides a distribution that is installed twice.
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
# The files that MLflow needs to load a model from a file, to predict, and to serve it over HTTP.
SERVING_FILES = (
    "mlflow/__init__.py",
    "mlflow/models/cli.py",
    "mlflow/pyfunc/__init__.py",
    "mlflow/pyfunc/scoring_server/__init__.py",
    "mlflow/server/__init__.py",
)


def _headers(metadata_file: str) -> dict[str, list[str]]:
    """Read the headers of a METADATA or PKG-INFO file: values by names in lower case."""
    found: dict[str, list[str]] = {}
    try:
        with open(metadata_file, encoding="utf-8", errors="replace") as stream:
            for line in stream:
                if line == "\n":
                    break
                if line[0] not in " \t":  # else it continues the line before
                    key, _, value = line.partition(":")
                    found.setdefault(key.lower(), []).append(value.strip())
    except OSError:
        pass
    return found


def _metadata_file(folder: str, entry: str) -> str | None:
    """Return the file with the headers if a folder's entry is a distribution's metadata."""
    path = os.path.join(folder, entry)
    if entry.startswith("~"):  # left behind by an interrupted uninstallation
        return None
    if entry.endswith(".dist-info"):
        return os.path.join(path, "METADATA")
    if entry.endswith(".egg-info"):
        return os.path.join(path, "PKG-INFO") if os.path.isdir(path) else path
    return None


def _folders() -> list[str]:
    """List the folders on the module search path, each once, however many links lead to it."""
    seen: dict[str, str] = {}
    for entry in sys.path:
        if os.path.isdir(entry):
            seen.setdefault(os.path.realpath(entry), entry)
    return list(seen.values())


def list_installed() -> list[dict[str, Any]]:
    """List every distribution, duplicates included, in the order of the module search path."""
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
    """List the files in a distribution's RECORD, as paths relative to site-packages."""
    try:
        with open(os.path.join(dist_info, "RECORD"), encoding="utf-8") as stream:
            return [line.split(",", 1)[0].strip('"') for line in stream]
    except OSError:
        return []


def _import_names(files: list[str]) -> set[str]:
    """Return the names by which files are imported: `numpy` for all of its modules.

    A namespace package belongs to no distribution, so its content is named in full:
    `google.protobuf`.
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
    """Return the outermost package that a folder belongs to; empty if it belongs to none."""
    parts = folder.split("/")
    for end in range(1, len(parts) + 1):
        outer = "/".join(parts[:end])
        if outer in packages:
            return outer
    return ""


def _top_levels(location: str) -> list[str]:
    """List the top-level modules recorded by setuptools, also for editable installs."""
    try:
        with open(os.path.join(location, "top_level.txt"), encoding="utf-8") as stream:
            return stream.read().split()
    except OSError:
        return []


def map_providers(distributions: list[dict[str, Any]]) -> dict[str, list[str]]:
    """Map each importable name to the distributions behind it."""
    found: dict[str, list[str]] = {}
    for entry in distributions:
        files = _record(entry["location"])
        names = _import_names([file for file in files if not file.startswith("__editable__")])
        names = names or set(_top_levels(entry["location"]))
        if "distutils-precedence.pth" in files:  # setuptools replaces distutils
            names.add("distutils")
        for name in names or {entry["name"].replace("-", "_").replace(".", "_")}:
            found.setdefault(name, []).append(entry["name"])
    return found


def missing_of_mlflow(distributions: list[dict[str, Any]]) -> list[str]:
    """List the files that MLflow should have but lacks; empty if it is complete."""
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
    """Return the missing files of distributions, relative to the environment.

    Removing a file changes its folder: the file `kept_in` has the modification time of each folder
    and the files that were missing then. Only if one of these times differs is everything searched
    again, and the result has `folders` to store.
    """
    try:
        with open(kept_in, encoding="utf-8") as stream:
            kept = json.load(stream)["files"]
        if all(_read_change_time(folder) == time for folder, time in kept["folders"].items()):
            return {"absent": kept["absent"], "folders": None}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass
    promised = _map_promised(distributions)
    # Before the search: a removal during it is noticed next time.
    folders = {folder: _read_change_time(folder) for folder in promised}
    missing = [
        os.path.join(folder, name)
        for folder, names in promised.items()
        for name in names.difference(_list_folder(folder))
    ]
    return {"absent": missing, "folders": folders}


def _map_promised(distributions: list[dict[str, Any]]) -> dict[str, set[str]]:
    """Map each folder, relative to the environment, to the names of its distributions' files.

    Byte-code is left out because it is regenerated. Metadata is left out because an uninstallation
    removes it, and the list of installed distributions shows that.
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
    """Return when a folder's entries last changed, in ns; None if it does not exist."""
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
    """Return this interpreter's values for environment markers (PEP 508)."""
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

    Arguments are the file with the stored result of `list_absent`, or an empty string, and the
    fingerprints for which the modules are known.
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
