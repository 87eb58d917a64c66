"""Files inside model_code that are not code: weights, and other binary or huge files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pytest_vcp.rules.outcomes import Location
from pytest_vcp.source.package import CODE, files_below, is_binary

_WEIGHTS = frozenset(
    (
        *(".bin", ".ckpt", ".gguf", ".h5", ".h5ad", ".hdf5", ".joblib", ".keras", ".msgpack"),
        *(".npy", ".npz", ".onnx", ".pb", ".pickle", ".pkl", ".pt", ".pth", ".safetensors"),
        *(".tflite", ".torch"),
    )
)
# Compiled code is code.
_COMPILED = frozenset((".dll", ".dylib", ".pyc", ".pyd", ".pyo", ".so"))
_BEGINNING = 1024


@dataclass(frozen=True)
class NoCode:
    """A file that does not belong in model_code; `kind` completes "found ..."."""

    kind: str
    where: Location


def files_that_are_no_code(pkg_dir: Path, most_bytes: int) -> tuple[NoCode, ...]:
    """Check every file in model_code, ignoring the litter of editors and interpreters."""
    return tuple(
        NoCode(kind, Location.within(pkg_dir, path))
        for path in filter(Path.is_file, files_below(pkg_dir / CODE))
        if not path.name.startswith(".") and (kind := _kind(path, most_bytes)) is not None
    )


def _kind(path: Path, most_bytes: int) -> str | None:
    suffix = path.suffix.lower()
    if suffix in _WEIGHTS:
        return f"a file of weights or data ({suffix})"
    size = path.stat().st_size
    if size > most_bytes:
        return f"a file of {size / 1e6:.6g} MB"
    if suffix in _COMPILED:
        return None
    with path.open("rb") as file:
        return "a binary file" if is_binary(file.read(_BEGINNING)) else None
