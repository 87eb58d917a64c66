"""Finding the model class and its methods in the source, however authors write them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pytest_vcp.settings.values import ModelClass
from pytest_vcp.source.methods import Method
from pytest_vcp.source.package import read_package
from pytest_vcp.source.wrapper import (
    NotFound,
    WrapperFacts,
    find_class,
    load_context_problem,
    predict_problem,
)
from tests.static.judging import WriteModules

HEAD = "import mlflow\n"
MODEL = """
class Model(mlflow.pyfunc.PythonModel):
    def load_context(self, context): self.w = 1
    def predict(self, model_input, params=None): return self.w
"""


def _find(folder: Path, name: str = "model_code.m:Model") -> WrapperFacts | NotFound:
    module, _, cls = name.partition(":")
    modules = read_package(folder, sys.version_info[:2]).modules
    assert not [m for m in modules if m.problem]
    return find_class(modules, ModelClass(module, cls))


def _is_fine(found: WrapperFacts | NotFound) -> bool:
    return (
        isinstance(found, WrapperFacts)
        and found.load_context is not None
        and found.predict is not None
        and found.is_python_model is not False
        and not found.open_hooks
        and (not isinstance(found.predict, Method) or predict_problem(found.predict) is None)
    )


WITHIN_IF = """
import contextlib, os
from .m import Model
if 'CI' in os.environ:
    with contextlib.suppress(ImportError):
        Model = None
"""
LEGAL = {
    "defined there": ("", {"m": HEAD + MODEL}, "model_code.m:Model"),
    "re-exported by the package": ("from .m import Model", {"m": HEAD + MODEL}, "model_code:Model"),
    "re-exported by another name": (
        "from model_code.m import Model as Renamed",
        {"m": HEAD + MODEL},
        "model_code:Renamed",
    ),
    "star import": ("from .m import *", {"m": HEAD + MODEL}, "model_code:Model"),
    "alias": ("", {"m": HEAD + MODEL + "Alias = Model\n"}, "model_code.m:Alias"),
    "alias through a module": ("from . import m\nA = m.Model", {"m": HEAD + MODEL}, "model_code:A"),
    "import as": (
        "import model_code.m as wrapped\nA = wrapped.Model",
        {"m": HEAD + MODEL},
        "model_code:A",
    ),
    "sub-package": ("from .sub.m import Model", {"sub__SUB__m": HEAD + MODEL}, "model_code:Model"),
    "within try": (
        "try:\n    from .fast import Model\nexcept ImportError:\n    Model = None",
        {"fast": HEAD + MODEL},
        "model_code:Model",
    ),
    "within if": (
        "import os\nif os.name == 'posix':\n    from .m import Model\nelse:\n    Model = None",
        {"m": HEAD + MODEL},
        "model_code:Model",
    ),
    "with inside of if": (
        WITHIN_IF,
        {"m": HEAD + MODEL},
        "model_code:Model",
    ),
    "lazy": ("def __getattr__(name): ...", {"m": HEAD + MODEL}, "model_code:Model"),
    "made by a call": (
        "from .m import make\nModel = make()",
        {"m": "make = 1"},
        "model_code:Model",
    ),
    "from a library": ("from zoo import Model", {}, "model_code:Model"),
    "inherited predict": (
        "",
        {
            "base": HEAD
            + "class Base(mlflow.pyfunc.PythonModel):\n"
            + "    def predict(self, context, model_input, params=None):\n"
            + "        return self._forward(self._get_input(model_input))\n"
            + "    def _get_input(self, x): raise NotImplementedError\n"
            + "    def _forward(self, x): raise NotImplementedError('override')\n",
            "m": "from . import base\n"
            "class Model(base.Base):\n"
            "    def load_context(self, context): pass\n"
            "    def _get_input(self, x): return x\n"
            "    def _forward(self, x): return x\n",
        },
        "model_code.m:Model",
    ),
    "mixin before PythonModel": (
        "",
        {
            "m": "from mlflow.pyfunc import PythonModel as PM\n"
            "class Mixin:\n"
            "    def predict(self, model_input): return 1\n"
            "class Model(Mixin, PM):\n"
            "    def load_context(self, context): pass\n"
        },
        "model_code.m:Model",
    ),
    "generic base": (
        "",
        {
            "m": "import typing, mlflow.pyfunc\nT = typing.TypeVar('T')\n"
            "class Base(mlflow.pyfunc.PythonModel, typing.Generic[T]):\n"
            "    def load_context(self, context): pass\n"
            "    def predict(self, model_input, params=None): return 1\n"
            "class Model(Base[int]): pass\n"
        },
        "model_code.m:Model",
    ),
    "same name as its base": (
        "",
        {"base": HEAD + MODEL, "m": "from .base import Model\nclass Model(Model): pass\n"},
        "model_code.m:Model",
    ),
    "library base": ("", {"m": "from zoo import Base\nclass Model(Base): pass\n"}, ""),
    "unused hook left open": (
        "",
        {"m": HEAD + MODEL + "    def _get_input(self, u): raise NotImplementedError\n"},
        "",
    ),
    "optional hook": (
        "",
        {
            "m": HEAD
            + "class Model(mlflow.pyfunc.PythonModel):\n"
            + "    def load_context(self, context): pass\n"
            + "    def predict(self, model_input):\n"
            + "        try:\n            return self._forward(model_input)\n"
            + "        except NotImplementedError:\n            return model_input\n"
            + "    def _forward(self, x): raise NotImplementedError\n"
        },
        "",
    ),
    "methods assigned": (
        "",
        {
            "m": HEAD
            + "def _load(self, context): pass\n"
            + "class Model(mlflow.pyfunc.PythonModel):\n"
            + "    load_context = _load\n"
            + "    predict = lambda self, model_input, params=None: 1\n"
        },
        "",
    ),
    "method added later": (
        "",
        {
            "m": HEAD
            + "class Model(mlflow.pyfunc.PythonModel):\n"
            + "    def load_context(self, context): pass\n"
            + "def predict(self, model_input): return 1\n"
            + "Model.predict = predict\n"
        },
        "",
    ),
    "import cycle": (
        "from .m import Model",
        {"m": "import model_code\nfrom model_code import *\n" + HEAD + MODEL},
        "model_code:Model",
    ),
}


@pytest.mark.parametrize(("init", "sources", "name"), LEGAL.values(), ids=list(LEGAL))
def test_legal_wrappers(
    init: str, sources: dict[str, str], name: str, write_modules: WriteModules
) -> None:
    found = _find(write_modules(init, **sources), name or "model_code.m:Model")
    assert _is_fine(found), found


ILLEGAL = {
    "PythonModel's predict comes first": (
        "from mlflow.pyfunc import PythonModel\n"
        "class Mixin:\n    def predict(self, model_input): return 1\n"
        "class Model(PythonModel, Mixin):\n    def load_context(self, context): pass\n"
    ),
    "no base": "class Model:\n"
    "    def load_context(self, context): pass\n"
    "    def predict(self, model_input): return 1\n",
    "reached through super": HEAD + "class Base(mlflow.pyfunc.PythonModel):\n"
    "    def load_context(self, context): pass\n"
    "    def predict(self, model_input): return self._forward(model_input)\n"
    "    def _forward(self, x): raise NotImplementedError()\n"
    "class Model(Base):\n"
    "    def _forward(self, x): return super()._forward(x)\n",
    "abstract method left": HEAD
    + "import abc\nclass Model(mlflow.pyfunc.PythonModel):\n"
    + "    def load_context(self, context): pass\n"
    + "    def predict(self, model_input): return self.encode(model_input)\n"
    + "    @abc.abstractmethod\n    def encode(self, x): ...\n",
    "empty predict": HEAD + "class Model(mlflow.pyfunc.PythonModel):\n"
    "    def load_context(self, context): pass\n"
    '    def predict(self, model_input):\n        """To do."""\n',
    "stub below a library's predict": "from zoo import Base\nclass Model(Base):\n"
    "    def _forward(self, x): raise NotImplementedError\n",
    "type checking only": "from typing import TYPE_CHECKING\n"
    "if TYPE_CHECKING:\n    from model_code.real import Model\n",
}


@pytest.mark.parametrize("source", ILLEGAL.values(), ids=list(ILLEGAL))
def test_illegal_wrappers(source: str, write_modules: WriteModules) -> None:
    assert not _is_fine(_find(write_modules(m=source, real=HEAD + MODEL)))


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("Model = 1", "Model is a constant"),
        ("def Model(): ...", "Model is a function"),
        ("class A: ...\nModel = A()", "Model is an instance of A"),
        ("class A: ...", "no Model in model_code/m.py"),
        ("from . import real as Model", "Model is the module model_code.real"),
    ],
)
def test_what_is_found_instead(source: str, what: str, write_modules: WriteModules) -> None:
    found = _find(write_modules(m=source, real=""))
    assert isinstance(found, NotFound)
    assert found.what == what


OTHER = "model_code.other:Net"


def test_near_misses_are_named_in_full(write_modules: WriteModules) -> None:
    folder = write_modules(m="class PcaModl: ...", other="class PcaModel: ...\nclass Net: ...")
    found = _find(folder, "model_code.m:PcaModel")
    assert isinstance(found, NotFound)
    assert found.near == ("model_code.other:PcaModel", "model_code.m:PcaModl")
    unlike = _find(folder, "model_code.m:Tokenizer")
    assert isinstance(unlike, NotFound)
    assert unlike.near == ()
    missing = _find(folder, "model_code.no:PcaModel")
    assert isinstance(missing, NotFound)
    assert missing.near[0] == "model_code.other:PcaModel"
    assert missing.classes == ("model_code.m:PcaModl", "model_code.other:PcaModel", OTHER)


# What MLflow 3.1.0 itself did with these parameters: it saved, loaded and predicted; or it failed,
# or handed the context over as the model input.
PREDICT = {
    "(self, context, model_input, params=None)": True,
    "(self, model_input, params=None)": True,
    "(self, context, model_input)": True,
    "(self, model_input)": True,
    "(self, ctx, model_input, params=None)": True,
    "(self, ctx, data)": True,
    "(self, *args, **kwargs)": True,
    "(self, *args)": True,
    "(*args, **kwargs)": True,
    "(self, model_input, *, params)": True,
    "(self, *inputs, params=None)": True,
    "(self, /, model_input, params=None)": True,
    "(this, model_input, params=None)": True,
    "(self, context, model_input, params=None, extra=1)": True,
    "(self, a=1, b=2, c=3)": True,
    "(self, model_input, context)": False,
    "(self, model_input, *rest)": False,
    "(self, model_input, batch=3)": False,
    "(self, model_input, *, context=None)": False,
    "(self, model_input, params=None, context=None)": False,
    "(self, **kwargs)": False,
    "(self, model_input, **kwargs)": False,
    "(self, model_input, *, params, extra)": False,
    "(self)": False,
    "()": False,
    "(self, context)": False,
    "(model_input, params=None)": False,
    "(self, context, model_input, params, extra)": False,
    "(self, context, model_input, params, /)": False,
    "(self, params, model_input)": False,
    "(self, a, b, c)": False,
}
LOAD_CONTEXT = {
    "(self, context)": True,
    "(self, context, extra=1)": True,
    "(self, *a, **k)": True,
    "(self, context: 'mlflow.pyfunc.PythonModelContext') -> None": True,
    "(self, ctx)": False,
    "(self, *, context)": False,
    "(self, context, /)": False,
    "(self, **kw)": False,
    "(self, *a)": False,
    "(self)": False,
    "(context)": False,
    "(self, context, extra)": False,
}


def _method(write_modules: WriteModules, name: str, definition: str) -> Method:
    body = "".join(f"    {line}\n" for line in definition.splitlines())
    found = _find(write_modules(m=f"{HEAD}class Model(mlflow.pyfunc.PythonModel):\n{body}"))
    assert isinstance(found, WrapperFacts)
    method = found.predict if name == "predict" else found.load_context
    assert isinstance(method, Method)
    return method


@pytest.mark.parametrize("decorator", ["", "@staticmethod\n", "@classmethod\n"])
@pytest.mark.parametrize(("parameters", "callable_"), PREDICT.items(), ids=list(PREDICT))
def test_predict_as_mlflow_calls_it(
    parameters: str, callable_: bool, decorator: str, write_modules: WriteModules
) -> None:
    definition = f"{decorator}def predict{parameters}: return 1"
    problem = predict_problem(_method(write_modules, "predict", definition))
    assert (problem is None) == callable_, problem


@pytest.mark.parametrize(("parameters", "callable_"), LOAD_CONTEXT.items(), ids=list(LOAD_CONTEXT))
def test_load_context_as_mlflow_calls_it(
    parameters: str, callable_: bool, write_modules: WriteModules
) -> None:
    definition = f"def load_context{parameters}: self.w = 1"
    problem = load_context_problem(_method(write_modules, "load_context", definition))
    assert (problem is None) == callable_, problem


def test_async_is_refused_and_foreign_decorators_are_trusted(write_modules: WriteModules) -> None:
    waits = _method(write_modules, "predict", "async def predict(self, model_input): return 1")
    assert predict_problem(waits)
    decorated = "@zoo.adapt\ndef predict(self, rows, *, device): return 1"
    assert predict_problem(_method(write_modules, "predict", decorated)) is None


def test_messages_leave_annotations_out(write_modules: WriteModules) -> None:
    definition = "def predict(self, model_input: 'pd.DataFrame', extra: int, more: int): return 1"
    problem = predict_problem(_method(write_modules, "predict", definition))
    assert problem is not None
    assert problem.startswith("predict(self, model_input, extra, more): ")
