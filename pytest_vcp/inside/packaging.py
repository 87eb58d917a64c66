"""Save the model with MLflow's own `pyfunc.save_model`, and try it as the hub's packager does."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from . import outputs
from .linking import link as link_file
from .litter import LITTER
from .mismatches import not_compared
from .spec import comparable

Reply = dict[str, Any]


def save(state: Reply, params: Reply) -> Reply:
    """Save the model of the current directory, which is the package directory.

    `params`: module, name, config (dict), artifacts (name -> path below model_data), metadata
    (dict), destination (path that does not exist yet). model_spec was described before.
    """
    import mlflow

    started = time.perf_counter()
    # Without `normpath`, MLflow takes "model_data/." for the files in it, not for the directory.
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
    with not_compared(), _without_loading(type(model)), _clean_code() as code:
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
    """A copy of model_code without what tools have left in it; MLflow itself spares __pycache__."""
    with tempfile.TemporaryDirectory() as place:
        ignore = shutil.ignore_patterns(*LITTER)
        yield shutil.copytree("model_code", os.path.join(place, "model_code"), ignore=ignore)


def construct(wrapper: Callable[..., Any], config: Mapping[str, Any]) -> Any:
    """Call the wrapper class with what its constructor takes of the model config.

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
        # It may only pass its keywords on to a base class, which takes none. The hub's own
        # packager gives no argument at all.
        try:
            return wrapper(**matching)
        except Exception:  # noqa: BLE001 - whatever it is, the first one tells more
            raise refusal from None


def _takes_whole(
    named: Sequence[inspect.Parameter], config: Mapping[str, Any]
) -> inspect.Parameter | None:
    """The parameter that is meant for the whole config, where there is one."""
    for entry in named:
        if entry.name in ("model_config", "config") and entry.name not in config:
            return entry
    if len(named) == 1 and named[0].name not in config:
        required = named[0].default is inspect.Parameter.empty
        return named[0] if required else None
    return None


@contextlib.contextmanager
def _without_loading(wrapper: type) -> Iterator[None]:
    """Keep MLflow from loading the weights into the very object that it then pickles.

    MLflow calls load_context while saving. The class is pickled by reference, so shadowing the
    method on the class for this moment leaves no trace in the artifact.
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
    """Let MLflow link the weights where it would copy them."""
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
    """Directories that MLflow made through a private temporary one are readable by all again."""
    mask = os.umask(0)
    os.umask(mask)
    for parent, _, _ in os.walk(artifact):
        os.chmod(parent, 0o777 & ~mask)


def validate(state: Reply, params: Reply) -> Reply:
    """Run the serving payload through MLflow's own validate_serving_input.

    `params`: artifact, payload (as for the server, with absolute paths), keep (a file for the
    predictions, so that another process can compare its own with them).
    """
    from mlflow.models import validate_serving_input

    started = time.perf_counter()
    with not_compared():
        prediction = validate_serving_input(params["artifact"], json.dumps(params["payload"]))
    seconds = time.perf_counter() - started
    summary = outputs.summarise(prediction)
    kept = outputs.keep(prediction, params["keep"])
    return {"seconds": seconds, "summary": summary, "kept": kept, "model_loads": 1, "passes": 1}
