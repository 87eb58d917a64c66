"""Globals that a pickle may name: some do harm when they are called, some only build data."""

from __future__ import annotations

import _compat_pickle
import sys

from pytest_vcp.artifact.pickle_reader import GETATTR, UNKNOWN, Global


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


# ------------------------------------------------------------------------------- harmful globals

# Modules of the standard library whose public names only build or compute values.
_HARMLESS = _names(
    """
    _bisect _codecs _collections _collections_abc _datetime _decimal _functools _heapq _json
    _operator _pydatetime _pydecimal _random _statistics _struct abc argparse array ast base64
    bisect calendar cmath collections collections.abc colorsys configparser copy copyreg
    dataclasses datetime decimal difflib enum fractions functools genericpath graphlib hashlib
    heapq html http ipaddress itertools json json.decoder json.encoder keyword locale logging
    math ntpath numbers operator pathlib pathlib._local posixpath pprint queue random re secrets
    signal statistics string struct textwrap time token types typing unicodedata urllib.parse
    uuid weakref zoneinfo
    """
)
# Names in these modules that do more than that.
_EXCEPTIONS = _names(
    """
    argparse.FileType logging.FileHandler logging.basicConfig types.CodeType types.FunctionType
    types.LambdaType typing.get_type_hints weakref.finalize
    """
)
# Names in other modules, or private names, that are meant to be in pickles.
_ALLOWED = _names(
    """
    _codecs.encode _io.BytesIO _io.StringIO array._array_reconstructor copyreg.__newobj__
    copyreg.__newobj_ex__ copyreg._reconstructor inspect.Parameter inspect.Signature
    inspect._ParameterKind inspect._empty os.stat_result os.terminal_size re._compile
    zoneinfo.ZoneInfo._unpickle
    """
)
_BUILTINS = _names(
    """
    __import__ breakpoint compile delattr eval exec exit globals help input locals open quit
    setattr vars
    """
)
# These are just as harmful when reached as attributes of other modules.
_MODULES = _names("builtins ctypes importlib nt os posix pty runpy shutil socket subprocess sys")
# Functions of libraries that load anything from a file or a string.
_LOADERS = _names(
    """
    cloudpickle.cloudpickle.load cloudpickle.cloudpickle.loads cloudpickle.load cloudpickle.loads
    dill._dill.load dill._dill.loads dill.load dill.loads joblib.load joblib.numpy_pickle.load
    mlflow.pyfunc.load_model numpy.lib.npyio.load numpy.load numpy.testing._private.utils.runstring
    pandas.io.pickle.read_pickle pandas.read_pickle torch.hub.load torch.jit._serialization.load
    torch.jit.load torch.load torch.serialization.load torch.storage._load_from_bytes
    """
)
_RUNNERS = ("IPython", "distutils", "pip", "pkg_resources", "setuptools")


def is_harmful(found: Global) -> bool:
    """Return whether loading a pickle that names this global may do more than build a value."""
    if found.module == UNKNOWN:
        return True
    module, name = _of_today(found)
    top, parts = module.partition(".")[0], name.split(".")
    if f"{module}.{name}" in _ALLOWED:
        return False
    if any(part.lstrip("_") in _MODULES for part in parts):
        return True
    if any(part.startswith("__") for part in parts):
        return True
    if top == "builtins":
        return parts[0] in _BUILTINS
    # A module that is merely stored, as in `self.numpy = numpy`, has no name.
    if top in sys.stdlib_module_names and name:
        private = any(part.startswith("_") for part in parts)
        method_of_a_path = top == "pathlib" and len(parts) > 1
        listed = f"{module}.{parts[0]}" in _EXCEPTIONS
        return module not in _HARMLESS or private or method_of_a_path or listed
    return top in _RUNNERS


def is_loader(called: Global) -> bool:
    """Return whether calling this may do anything, although storing it on an object is harmless."""
    return called == GETATTR or str(called) in _LOADERS


def _of_today(found: Global) -> Global:
    """Return the Python 3 name of a global in a pickle of Python 2."""
    renamed = _compat_pickle.NAME_MAPPING.get((found.module, found.name))
    if renamed is not None:
        return Global(*renamed)
    return Global(_compat_pickle.IMPORT_MAPPING.get(found.module, found.module), found.name)


# ------------------------------------------------------------------------------ globals for data

_DATA = _names(
    """
    _codecs.encode copyreg._reconstructor
    builtins.Ellipsis builtins.bool builtins.bytearray builtins.bytes builtins.complex
    builtins.dict builtins.float builtins.frozenset builtins.int builtins.list builtins.object
    builtins.range builtins.set builtins.slice builtins.str builtins.tuple
    collections.Counter collections.OrderedDict collections.defaultdict collections.deque
    numpy.dtype numpy.ndarray
    torch.Size torch.device torch.layout torch._tensor._rebuild_from_type_v2
    torch.nn.parameter.Buffer torch.nn.parameter.Parameter torch.serialization._get_layout
    """
)
_NUMPY = ("numpy.core.multiarray", "numpy._core.multiarray", "numpy.core.numeric")
_REBUILDS = ("_reconstruct", "scalar", "_frombuffer")
# numpy's other kinds of arrays, whose modules have moved from release to release. Not memmap,
# which opens a file when called.
_ARRAYS = _names("MaskedArray _mareconstruct chararray matrix recarray record")
# numpy's scalar types and torch's dtypes, which are named after kind and width.
_WIDTHS = ("float", "int", "uint", "complex", "bfloat", "bool", "str", "bytes", "quint", "qint")
_TORCH = ("torch", "torch.cuda", "torch.cuda.sparse", "torch.sparse", "torch.storage")
# torch's tensor and storage classes, its quantisation schemes, its dtypes without a kind.
_TORCH_ENDS, _TORCH_BEGINS = ("Storage", "Tensor"), ("per_channel_", "per_tensor_", "bits")


def builds_data(found: Global) -> bool:
    """Return whether this only builds a tensor, an array, a plain collection or a number."""
    module, name = _of_today(found)
    if f"{module}.{name}" in _DATA:
        return True
    if module in (*_NUMPY, "numpy._core.numeric") and name in _REBUILDS:
        return True
    if module.partition(".")[0] == "numpy" and name in _ARRAYS:
        return True
    if module in ("numpy", "torch") and name.lower().startswith(_WIDTHS):
        return name.isidentifier()
    if module in _TORCH:
        return name.endswith(_TORCH_ENDS) or name.startswith(_TORCH_BEGINS)
    if module == "torch._utils":
        return name.startswith("_rebuild_")
    # TorchScript: classes of the archive itself, read by torch's own interpreter.
    return module.split(".")[0] == "__torch__" or module == "torch.jit._pickle"
