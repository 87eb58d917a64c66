"""Saving of the model with MLflow's own `pyfunc.save_model`, and validation as by the hub."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import json
import os
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatch
from typing import Any

from . import outputs
from .platform_packager import without_arguments
from .server import peak_rss_bytes
from .spec import comparable

Reply = dict[str, Any]


def save(state: Reply, params: Reply) -> Reply:
    """Save the model of the current directory, which is the package directory.

    `params`: module, name, config (dict), artifacts (name -> path below model_data), metadata
    (dict), destination (path that does not exist yet). Must run after `spec.describe`.
    """
    import mlflow

    started = time.perf_counter()
    # Without `normpath`, MLflow reads "model_data/." as the files in it, not as the directory.
    # Relative on purpose: MLflow records these paths in MLmodel as they are given.
    sources = {
        name: os.path.normpath(f"model_data/{path}") for name, path in params["artifacts"].items()
    }
    with _linked_weights(os.path.realpath("model_data")):
        save_model(state, params, params["destination"], sources, "requirements.txt")
    _open_up(params["destination"])
    return {
        "seconds": time.perf_counter() - started,
        "mlflow_version": mlflow.__version__,
        "signature": comparable(state["signature"]),
    }


def save_model(
    state: Reply,
    params: Reply,
    destination: str,
    artifacts: Mapping[str, str] | None,
    requirements: str | list[str],
) -> None:
    """Construct the wrapper, and let MLflow save it to `destination`."""
    import mlflow.pyfunc

    wrapper = getattr(importlib.import_module(params["module"]), params["name"])
    model = construct(wrapper, params["config"])
    with skip_comparison(), _without_loading(type(model)), _clean_code() as code:
        mlflow.pyfunc.save_model(
            destination,
            python_model=model,
            code_paths=[code],
            artifacts=artifacts,
            model_config=params["config"],
            metadata=params["metadata"],
            signature=state["signature"],
            input_example=state["example"],
            pip_requirements=requirements,
        )


@contextlib.contextmanager
def _clean_code() -> Iterator[str]:
    """Copy model_code without files left by tools; MLflow itself only leaves out __pycache__."""
    with tempfile.TemporaryDirectory() as folder:
        ignore = shutil.ignore_patterns(*LITTER)
        yield shutil.copytree("model_code", os.path.join(folder, "model_code"), ignore=ignore)


def construct(wrapper: Callable[..., Any], config: Mapping[str, Any]) -> Any:
    """Call the wrapper class with the parts of the model config that its constructor takes.

    A parameter named model_config or config, or a single required one whose name is no key of
    the config, gets the dictionary; otherwise keys go to parameters of the same name.
    """
    accepted = list(inspect.signature(wrapper).parameters.values())
    named = [
        entry
        for entry in accepted
        if entry.kind not in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    ]
    matching = {entry.name: config[entry.name] for entry in named if entry.name in config}
    whole = _takes_whole(named, config)
    if whole is not None and whole.kind is inspect.Parameter.POSITIONAL_ONLY:
        return wrapper(dict(config), **matching)
    if whole is not None:
        return wrapper(**{whole.name: dict(config)}, **matching)
    if not any(entry.kind is inspect.Parameter.VAR_KEYWORD for entry in accepted):
        return wrapper(**matching)
    try:
        return wrapper(**config)
    except TypeError as refusal:
        # The class may only pass its keywords on to a base class, which takes none. The hub's own
        # packager passes no argument at all.
        try:
            return wrapper(**matching)
        except Exception:  # noqa: BLE001 - whatever it is, the first one says more
            raise refusal from None


def _takes_whole(
    named: Sequence[inspect.Parameter], config: Mapping[str, Any]
) -> inspect.Parameter | None:
    """Return the parameter that is meant for the complete config; None without one."""
    for entry in named:
        if entry.name in ("model_config", "config") and entry.name not in config:
            return entry
    if len(named) == 1 and named[0].name not in config:
        required = named[0].default is inspect.Parameter.empty
        return named[0] if required else None
    return None


@contextlib.contextmanager
def _without_loading(wrapper: type) -> Iterator[None]:
    """Keep MLflow from loading the weights into the same object that it then pickles.

    MLflow calls load_context while saving. The class is pickled by reference, so shadowing the
    method on the class meanwhile leaves no trace in the artifact.
    """
    own = wrapper.__dict__.get("load_context")
    wrapper.load_context = lambda self, context: None  # type: ignore[attr-defined]
    try:
        yield
    finally:
        if own is None:
            del wrapper.load_context  # type: ignore[attr-defined]
        else:
            wrapper.load_context = own  # type: ignore[attr-defined]


@contextlib.contextmanager
def _linked_weights(data: str) -> Iterator[None]:
    """Make MLflow link the weights instead of copying them, where possible."""
    copy = shutil.copy2

    def link(source: Any, destination: Any, *, follow_symlinks: bool = True) -> Any:
        real = os.path.realpath(source)
        if real.startswith(data + os.sep) and link_file(real, os.fspath(destination)):
            return destination
        return copy(source, destination, follow_symlinks=follow_symlinks)

    shutil.copy2 = link  # type: ignore[assignment]
    try:
        yield
    finally:
        shutil.copy2 = copy


def _open_up(artifact: str) -> None:
    """Make directories readable to all again that MLflow created in a private temporary one."""
    mask = os.umask(0)
    os.umask(mask)
    for parent, _, _ in os.walk(artifact):
        os.chmod(parent, 0o777 & ~mask)


def validate(state: Reply, params: Reply) -> Reply:
    """Run the serving payload through MLflow's own validate_serving_input.

    `params`: artifact, payload (as for the server, with absolute paths), keep (a file for the
    predictions, so that another process can compare its own to them).
    """
    from mlflow.models import validate_serving_input

    started = time.perf_counter()
    with skip_comparison():
        prediction = validate_serving_input(params["artifact"], json.dumps(params["payload"]))
    seconds, peak = time.perf_counter() - started, peak_rss_bytes()
    summary = outputs.summarise(prediction)
    kept = outputs.write_arrays(prediction, params["keep"])
    return {"seconds": seconds, "peak_rss_bytes": peak, "summary": summary, "kept": kept}


# --------------------------------------------------------------------------------- ignored files
#
# Files that tools leave beside code and data, and that do not belong in an artifact.

# Byte-code, version control, desktops, notebooks, checkers. Settings of git that are themselves
# under version control, such as .gitattributes, are no litter.
LITTER = (
    *("__pycache__", "*.pyc", "*.pyo"),
    *(".git", ".hg", ".svn", ".bzr", "CVS"),
    *(".DS_Store", "._*", "Thumbs.db", "desktop.ini"),
    *(".ipynb_checkpoints", ".mypy_cache", ".pytest_cache", ".ruff_cache"),
)


def find_ignored(path: str) -> str | None:
    """Return the first part of a path with forward slashes that is litter; None without one."""
    return next((part for part in path.split("/") if _is_litter(part)), None)


def _is_litter(name: str) -> bool:
    return any(fnmatch(name, pattern) for pattern in LITTER)


# ---------------------------------------------------------------------------------- linked files
#
# Reflinks, which share the blocks of a file, or hard links, instead of copies.
#
# An artifact must stay as it was verified, whatever its author does with model_data/ afterwards.
# A reflink guarantees that. A hard link does not: an author who trains again and saves to the same
# path writes into the file of both names. It is used only for files that are protected against
# writing, as content-addressed stores leave them; all others are copied.

# ioctl FICLONE of Linux: the new file shares the blocks of the old one until either is written.
_FICLONE = 0x40049409


def link_file(source: str, destination: str) -> bool:
    """Link `source` to `destination` without copying its bytes; return False if that fails."""
    if _reflink(source, destination):
        return True
    return _is_protected(source) and _hard_link(source, destination)


def _is_protected(path: str) -> bool:
    """Return whether no user may write to the file, by its mode, since root always may."""
    return not stat.S_IMODE(os.stat(path).st_mode) & 0o222


def _reflink(source: str, destination: str) -> bool:
    try:
        import fcntl
    except ImportError:
        return False
    try:
        with open(source, "rb") as old, open(destination, "xb") as new:
            fcntl.ioctl(new.fileno(), _FICLONE, old.fileno())
    except OSError:
        if os.path.exists(destination) and os.path.getsize(destination) == 0:
            os.unlink(destination)
        return False
    shutil.copystat(source, destination)
    return True


def _hard_link(source: str, destination: str) -> bool:
    try:
        os.link(source, destination)
    except OSError:
        return False
    return True


# ------------------------------------------------------------------------------- packaging twice
#
# Packaging of the model for a second time, to see whether the result is the same.


# Entries that differ in every artifact: names, times, and the sizes and locations of weights.
_OWN = ("utc_time_created", "model_uuid", "model_id", "run_id", "artifact_path", "model_size_bytes")


def save_again(state: Reply, params: Reply) -> Reply:
    """Save the model once more and compare it to `params["artifact"]`; see `save`.

    Weights and requirements are left out, because they only depend on files of the package. The
    second artifact is removed. `without_arguments` is what the class raises without its config.
    """
    folder = tempfile.mkdtemp()
    second = os.path.join(folder, "artifact")
    try:
        save_model(state, params, second, artifacts=None, requirements=[])
        differing = [
            name for name in sorted(_files(second)) if _differs(name, params["artifact"], second)
        ]
        attribute = _attribute(params["artifact"], second) if _PICKLE in differing else None
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    wrapper = getattr(importlib.import_module(params["module"]), params["name"])
    return {
        "differing": differing,
        "attribute": attribute,
        "without_arguments": without_arguments(wrapper),
    }


_PICKLE = "python_model.pkl"
_FROM_THE_LOCK = ("requirements.txt", "conda.yaml", "constraints.txt")


def _files(root: str) -> list[str]:
    """List the paths of the files below `root` to compare."""
    found = []
    for parent, _, names in os.walk(root):
        paths = (os.path.relpath(os.path.join(parent, name), root) for name in names)
        found += [path for path in paths if path not in _FROM_THE_LOCK]
    return found


def _differs(name: str, first: str, second: str) -> bool:
    paths = [os.path.join(root, name) for root in (first, second)]
    if not os.path.isfile(paths[0]):
        return True
    if name == "MLmodel":
        return bool(_metadata(paths[0]) != _metadata(paths[1]))
    return _content(paths[0]) != _content(paths[1])


def _content(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _metadata(path: str) -> Any:
    import yaml

    with open(path, encoding="utf-8") as file:
        document = yaml.safe_load(file)
    for key in _OWN:
        document.pop(key, None)
    document["flavors"]["python_function"].pop("artifacts", None)
    return document


def _attribute(first: str, second: str) -> str | None:
    """Return the first attribute of the wrapper that differs, by name; None if unknown."""
    cloudpickle = importlib.import_module("cloudpickle")  # It comes with MLflow.
    try:
        before, after = (
            vars(cloudpickle.loads(_content(os.path.join(root, _PICKLE))))
            for root in (first, second)
        )
        for name in {**before, **after}:
            if name not in before or name not in after:
                return str(name)
            if cloudpickle.dumps(before[name]) != cloudpickle.dumps(after[name]):
                return str(name)
    except Exception:  # noqa: BLE001 - objects of any type are loaded here
        pass
    return None


# ------------------------------------------------------------------- warnings about requirements
#
# Suppression of MLflow's comparison of the lock with the environment, which prints a warning.

_NAME = "warn_dependency_requirement_mismatches"


@contextlib.contextmanager
def skip_comparison() -> Iterator[None]:
    """Disable that comparison while saving or loading.

    It reads the metadata of every distribution, which takes longer than saving itself. Whether the
    installed versions are the pinned ones is a separate rule, judged before.
    """
    users = [module for name, module in sys.modules.items() if name.startswith("mlflow.")]
    found = {module: vars(module)[_NAME] for module in users if _NAME in vars(module)}
    for module in found:
        setattr(module, _NAME, lambda requirements: None)
    try:
        yield
    finally:
        for module, own in found.items():
            setattr(module, _NAME, own)
