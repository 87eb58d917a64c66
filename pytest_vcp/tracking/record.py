"""The MLflow record of one variant: a run with params, tags and metrics, and its model."""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_vcp import __version__
from pytest_vcp.report.finish import REPORT_FILES, attestation_path
from pytest_vcp.report.json import REPORT, count_outcomes
from pytest_vcp.source.metadata import read_metadata
from pytest_vcp.util.text import truncate

if TYPE_CHECKING:
    from pytest_vcp.report.recorder import Recorder
    from pytest_vcp.report.result import VariantResult
    from pytest_vcp.settings.resolved import Settings

Metric = tuple[str, float, int]

# MLflow's stores accept only these characters in names, and limit the length of names and values.
_NO_KEY = re.compile(r"[^\w.\- ]")
_NO_NAME = re.compile(r"[^\w\- ]")
_WIDEST_KEY = 200
_WIDEST = 5000
# Directory names of packages and artifacts that are not named after their model.
_COMMON = ("mlflow_pkg", "mlflow_model_artifact")
# Settings that change the judgement, besides those that say what to package.
_TOLD = ("policy", "must-verify", "waive", "strict", "scaling", "timeout", "json-payload-filepath")
_ALWAYS = ("passed", "failed", "waived", "unverified")
_ENDED = {"conformant": "FINISHED", "unverified": "FINISHED"}


def experiment_of(settings: Settings) -> str:
    """Return the name of the model: that of the metadata file, or else of the directory."""
    store = settings.artifact_only or settings.pkg_dir
    if store.is_relative_to(settings.pkg_dir):
        metadata = read_metadata(settings.pkg_dir, settings.policy)
        if metadata is not None and metadata.model_name and metadata.model_name.strip():
            return metadata.model_name.strip()[:_WIDEST_KEY]
    names = (path.name for path in (store, *store.parents))
    return next((name for name in names if name and name not in _COMMON), "model")


def record_of(recorder: Recorder, variant: str) -> dict[str, Any]:
    """Build the record of a variant, as the worker expects it (see `server.tracking.log`)."""
    run, result = recorder.run, recorder.results[variant]
    settings = run.variants[variant].settings
    verdict = recorder.verdicts[variant]
    digest = result.digests.digest if result.digests else None
    tags = {
        **_make_keys({_of_the_model(name): value for name, value in settings.model_tags}),
        "vcp.verdict": verdict.word,
        "vcp.version": __version__,
        "vcp.variant": variant,
        **({"vcp.fix_first": verdict.first.rule} if verdict.first else {}),
        **({"vcp.artifact_sha256": digest} if digest else {}),
        "mlflow.source.name": "pytest-vcp",
    }
    name = variant if settings.sources["model-class"] == "metadata" else experiment_of(settings)
    return {
        "name": f"{name} {digest[:8]}" if digest else name,
        "started": int(run.started * 1000),
        "finished": _ENDED.get(verdict.word, "FAILED"),
        "params": recorder.portable.document(_params(settings, result)),
        "tags": {key: truncate(value, _WIDEST) for key, value in tags.items()},
        "metrics": [*_metrics(recorder, variant)],
        "files": [str(path) for path in _files(recorder, variant) if path.is_file()],
        "model": _model(settings, result, name, tags),
        "register": _registered_model(settings, verdict.word),
    }


def _params(settings: Settings, result: VariantResult) -> dict[str, str]:
    """Collect the settings of the run; the keys of a nested configuration are joined by dots."""
    environment, python = result.environment or {}, result.python or {}
    params = {
        "model_class": str(settings.model_class),
        "variant": settings.variant,
        **{f"artifact.{name}": path for name, path in settings.artifacts},
        **dict(_flat("config", settings.model_config)),
        "env_manager": settings.env_manager,
        "python": python["version"],
        "mlflow": environment.get("mlflow") or "",
        "lock_sha256": python["lock"] or "",
        "device": settings.device,
        **{
            name.replace("-", "_"): settings.texts[name] for name in _TOLD if name in settings.texts
        },
    }
    if settings.artifact_only is not None:
        del params["model_class"]
    return {name: truncate(value, _WIDEST) for name, value in _make_keys(params).items() if value}


def _flat(name: str, value: object) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, entry in value.items():
            yield from _flat(f"{name}.{key}", entry)
    else:
        yield name, value if isinstance(value, str) else json.dumps(value)


def _metrics(recorder: Recorder, variant: str) -> Iterator[Metric]:
    """Yield figures, the number of rules with each outcome, and the scaling by observations."""
    figures = recorder.results[variant].figures
    for name, value in asdict(figures).items() if figures else ():
        if isinstance(value, (int, float)) and math.isfinite(value):
            yield name, float(value), 0
    counts = count_outcomes(tuple(recorder.outcomes(variant).values()))
    # Zero is logged as well, so that runs can be compared without gaps.
    for kind in dict.fromkeys((*_ALWAYS, *counts)):
        yield f"rules_{kind}", float(counts.get(kind, 0)), 0
    for step in figures.scaling if figures else ():
        for name, value in asdict(step).items():
            if name != "observations" and value is not None:
                yield f"scaling_{name}", float(value), step.observations


def _files(recorder: Recorder, variant: str) -> Iterator[Path]:
    """Yield the reports that this run could write; others may be left over from an earlier run."""
    settings = recorder.run.variants[variant].settings
    if recorder.report_problem is None:
        names = REPORT_FILES if recorder.page_problem is None else (REPORT,)
        yield from (settings.report_dir / name for name in names)
    if recorder.results[variant].attestation is not None:
        yield attestation_path(settings)


def _model(
    settings: Settings, result: VariantResult, name: str, tags: Mapping[str, str]
) -> dict[str, Any] | None:
    """Describe the artifact that was attested to; None without one."""
    if result.attestation is None or result.digests is None:
        return None
    return {
        "name": _NO_NAME.sub("_", name),
        "path": str(settings.artifact_only or settings.artifact_dir),
        "directory": list(result.digests.directory),
        "tags": {key: value for key, value in tags.items() if not key.startswith("mlflow.")},
        "is_ours": settings.artifact_only is None,
    }


def _registered_model(settings: Settings, word: str) -> str | None:
    """Return the registered model that gets a new version; None unless the run is conformant."""
    assert settings.tracking is not None
    return settings.tracking.registered if word == "conformant" else None


def _of_the_model(name: str) -> str:
    """Return the key for an author's tag: MLflow itself acts on some of its own."""
    return f"model.{name}" if name.startswith("mlflow.") else name


def _make_keys(params: Mapping[str, str]) -> dict[str, str]:
    """Replace the keys by unique ones that MLflow accepts."""
    keyed: dict[str, str] = {}
    for name, value in params.items():
        short = _NO_KEY.sub("_", name).strip(". ")[:_WIDEST_KEY] or "_"
        further = (f"{short}-{number}" for number in itertools.count(2))
        keyed[next(key for key in itertools.chain([short], further) if key not in keyed)] = value
    return keyed
