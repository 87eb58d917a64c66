"""Checks that an input opens as the format that its name implies, and is not empty.

Each reader checks the headers, and one chunk of each array. A library is imported only for a suffix
that needs it; anndata, which takes long to import, is only used where the model has imported it.
"""

from __future__ import annotations

import gzip
import importlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

from . import chunks
from .plain import first_line

Reply = dict[str, Any]

# The message of anndata about an encoding that is newer than itself.
_UNKNOWN_ENCODING = "No read method registered"
_HDF5 = b"\x89HDF\r\n\x1a\n"
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_PNG = (b"\x89PNG\r\n\x1a\n",)
_JPEG = (b"\xff\xd8\xff",)
# The size of the header, in either byte order: NIfTI-1 and ANALYZE, NIfTI-2.
_NIFTI = tuple(size.to_bytes(4, order) for size in (348, 540) for order in ("little", "big"))


class Lacking(Exception):
    """The environment lacks the library that would read the input."""


class TooOld(Exception):
    """The environment's library can't read a newer format; arguments: library, problem."""


def open_all(state: Reply, params: Reply) -> Reply:
    """Open each of `params["paths"]`; report its problem, or the library that is lacking.

    `too_old` is the library, with its version, that can't read a newer format.
    """
    return {"openings": [_open(path) for path in params["paths"]]}


def _open(path: str) -> Reply:
    found: Reply = {"problem": None, "lacking": None, "too_old": None}
    try:
        found["problem"] = _problem(path)
    except Lacking as library:
        found["lacking"] = str(library)
    except TooOld as library:
        found["too_old"], found["problem"] = library.args
    except Exception as error:  # noqa: BLE001 - readers raise what they like
        found["problem"] = chunks.problem_of(error)
    return found


def _problem(path: str) -> str | None:
    """Describe the problem of an input; None without one. Raises what the reader raises."""
    if not any(size for _, size in _files(path)):
        return "it is empty"
    name = os.path.basename(os.path.normpath(path)).lower()
    for suffixes, look in _READERS:
        if name.endswith(suffixes):
            return look(path)
    return None


def _files(path: str) -> Iterator[tuple[str, int]]:
    """Yield the file itself, or every file in the directory, with its size in bytes."""
    if not os.path.isdir(path):
        yield path, os.path.getsize(path)
    for parent, _, names in os.walk(path):
        for name in names:
            file = os.path.join(parent, name)
            if os.path.isfile(file):
                yield file, os.path.getsize(file)


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise Lacking(name.partition(".")[0]) from None


def _h5ad(path: str) -> str | None:
    anndata = sys.modules.get("anndata")
    shape = _shape(path) if anndata is None else _shape_by_anndata(path, anndata)
    return _nothing_in(*shape) or chunks.check_hdf5(path, _library("h5py"))


def _shape(path: str) -> tuple[int, int]:
    with _library("h5py").File(path, "r") as file:
        return _length(file["obs"]), _length(file["var"])


def _shape_by_anndata(path: str, anndata: Any) -> tuple[int, int]:
    try:
        data = anndata.read_h5ad(path, backed="r")
    except Exception as error:
        if _UNKNOWN_ENCODING in str(error):
            raise TooOld(f"anndata {anndata.__version__}", first_line(error)) from None
        raise
    try:
        return int(data.shape[0]), int(data.shape[1])
    finally:
        data.file.close()


def _length(table: Any) -> int:
    """Count the rows of `obs` or `var`: a group with an index, in old files a structured array."""
    index = table[table.attrs["_index"]] if hasattr(table, "keys") else table
    return int(index.shape[0])


def _nothing_in(observations: int, variables: int) -> str | None:
    if observations and variables:
        return None
    return f"it holds {observations} observations of {variables} variables"


def _hdf5(path: str) -> str | None:
    try:
        library = _library("h5py")
    except Lacking:
        return _match_beginning(_HDF5)(path)
    with library.File(path, "r") as file:
        if not len(file):
            return "it holds no dataset"
    return chunks.check_hdf5(path, library)


def _zarr(path: str) -> str | None:
    if not os.path.isdir(path):
        return "it is a file, and a zarr store is a directory"
    if not any(os.path.isfile(os.path.join(path, name)) for name in _ZARR_ROOTS):
        return "it lacks the metadata of a zarr store (.zgroup, .zarray or zarr.json at its top)"
    arrays = [name for name, metadata in _zarr_arrays(path) if _has_elements(metadata)]
    if not arrays:
        return "no array in it has an element"
    try:
        library = _library("zarr")
    except Lacking:
        return None  # The model has its own reader.
    if os.path.isfile(os.path.join(path, _OF_FORMAT_3)) and library.__version__.startswith("2."):
        raise TooOld(f"zarr {library.__version__}", "it is a store of format 3")
    root = library.open(path, mode="r")
    if dict(root.attrs).get("encoding-type") == "anndata":
        nothing = _nothing_in(_length(root["obs"]), _length(root["var"]))
        if nothing:
            return nothing
    problems = (chunks.check_zarr(root, name) for name in arrays)
    return next(filter(None, problems), None)


_OF_FORMAT_3 = "zarr.json"
_ZARR_ROOTS = (".zgroup", ".zarray", _OF_FORMAT_3)


def _zarr_arrays(path: str) -> Iterator[tuple[str, Reply]]:
    """Yield path and metadata of every array in the store, of zarr 2 and of zarr 3."""
    for file, _ in _files(path):
        name = os.path.basename(file)
        if name in (".zarray", _OF_FORMAT_3):
            with open(file, encoding="utf-8") as stream:
                metadata = json.load(stream)
            if name == ".zarray" or metadata.get("node_type") == "array":
                group = os.path.relpath(os.path.dirname(file), path).replace(os.sep, "/")
                yield "" if group == "." else group, metadata


def _has_elements(metadata: Reply) -> bool:
    return all(size > 0 for size in metadata["shape"])


def _npy(path: str) -> str | None:
    import numpy

    try:
        array = numpy.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError as refusal:
        # Arrays of Python objects are left to the model: nothing is unpickled here.
        if "allow_pickle" in str(refusal):
            return None
        raise
    return None if array.size else f"its array of shape {array.shape} has no element"


def _npz(path: str) -> str | None:
    import numpy

    with numpy.load(path, allow_pickle=False) as archive:
        return chunks.check_archive(archive) if archive.files else "it holds no array"


def _table(separator: str) -> Callable[[str], str | None]:
    def look(path: str) -> str | None:
        import pandas

        # One line, in an encoding that accepts every byte; the rest is left to the model.
        options: Reply = {"header": None, "nrows": 1, "encoding": "latin-1", "quoting": 3}
        return None if len(pandas.read_csv(path, sep=separator, **options)) else "it has no line"

    return look


def _parquet(path: str) -> str | None:
    if os.path.isdir(path):
        return None
    file = _library("pyarrow.parquet").ParquetFile(path)
    return chunks.check_parquet(file) if file.metadata.num_rows else "it has no row"


def _match_beginning(*beginnings: bytes) -> Callable[[str], str | None]:
    """Create a reader that recognizes files by their first bytes."""

    def look(path: str) -> str | None:
        opener: Callable[..., Any] = gzip.open if path.lower().endswith(".gz") else open
        with opener(path, "rb") as file:
            found = file.read(max(map(len, beginnings)))
        if found.startswith(beginnings):
            return None
        return f"it begins with {found!r}, as no such file does"

    return look


_READERS: tuple[tuple[tuple[str, ...], Callable[[str], str | None]], ...] = (
    ((".h5ad",), _h5ad),
    ((".h5", ".hdf5", ".loom", ".h5mu"), _hdf5),
    ((".zarr",), _zarr),
    ((".npy",), _npy),
    ((".npz",), _npz),
    ((".csv", ".csv.gz"), _table(",")),
    ((".tsv", ".tsv.gz"), _table("\t")),
    ((".parquet",), _parquet),
    ((".tif", ".tiff"), _match_beginning(*_TIFF)),
    ((".png",), _match_beginning(*_PNG)),
    ((".jpg", ".jpeg"), _match_beginning(*_JPEG)),
    ((".nii", ".nii.gz"), _match_beginning(*_NIFTI)),
)


# ---------------------------------------------------------------------------------- observations
#
# The number of observations in an input, where it is AnnData.


def count(path: str) -> dict[str, Any]:
    """Count the observations of an AnnData input (.h5ad file or zarr store).

    An input of another kind has `is_anndata` False; one that can't be read has a `problem`.
    """
    try:
        if path.endswith(".h5ad"):
            return {"is_anndata": True, "observations": _count_h5ad(path), "problem": None}
        if os.path.isdir(path) and _is_anndata_store(path):
            return {"is_anndata": True, "observations": _count_zarr(path), "problem": None}
    except Exception as problem:  # noqa: BLE001 - readers raise what they like
        text = f"{type(problem).__name__}: {' '.join(str(problem).split())[:200]}"
        return {"is_anndata": True, "observations": None, "problem": text}
    return {"is_anndata": False, "observations": None, "problem": None}


def _count_h5ad(path: str) -> int:
    try:
        import anndata
    except ImportError:
        return _h5ad_by_hand(path)
    data = anndata.read_h5ad(path, backed="r")
    try:
        return int(data.n_obs)
    finally:
        data.file.close()


def _h5ad_by_hand(path: str) -> int:
    """Return the length of the index of `obs`, for a model that reads the file with h5py."""
    import h5py

    with h5py.File(path, "r") as file:
        table = file["obs"]
        index = table[table.attrs["_index"]] if isinstance(table, h5py.Group) else table
        return int(index.shape[0])


def _is_anndata_store(path: str) -> bool:
    """Return whether the root declares AnnData: in .zattrs of zarr 2, or zarr.json of zarr 3.

    AnnData may also be a part of another kind of store, whose metadata then mention it, too.
    """
    for name in (".zattrs", "zarr.json"):
        metadata = os.path.join(path, name)
        if os.path.isfile(metadata):
            with open(metadata, encoding="utf-8") as file:
                found = json.load(file)
            attributes = found if name == ".zattrs" else found.get("attributes", {})
            return bool(attributes.get("encoding-type") == "anndata")
    return False


def _count_zarr(path: str) -> int:
    import anndata

    return int(anndata.read_zarr(path).n_obs)
