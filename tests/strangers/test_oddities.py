"""Unusual but legal ways to write things, judged without building or starting anything."""

from __future__ import annotations

import json
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_vcp.artifact.pickles import read_pickle
from pytest_vcp.requirements.lock import read_lock
from pytest_vcp.settings.values import ModelClass
from pytest_vcp.source.package import read_package
from pytest_vcp.source.payload import inputs, resolve_inputs
from pytest_vcp.source.preimports import find_set_use, preimports
from pytest_vcp.worker.server.inputs import count
from pytest_vcp.worker.server.packaging import construct
from tests.static.judging import StaticSettings, violated
from tests.strangers.building import Stranger
from tests.strangers.test_strangers import STRANGERS

CONFIG = {"organism": "human", "network": {"width": 4}}


class Recorded:
    """Remembers what its constructor was given."""

    given: object = None


class TakesNothing(Recorded):
    pass


class TakesConfig(Recorded):
    def __init__(self, config: Any) -> None:
        self.given = config


class TakesModelConfigAndMore(Recorded):
    def __init__(self, organism: str, model_config: Any = None, device: str = "cpu") -> None:
        self.given = (organism, model_config, device)


class TakesConfigByName(Recorded):
    def __init__(self, *, config: Any) -> None:
        self.given = config


class TakesOneUnnamed(Recorded):
    def __init__(self, options: Any, /) -> None:
        self.given = options


class TakesKeys(Recorded):
    def __init__(self, organism: str, network: Any = None, missing: int = 3) -> None:
        self.given = (organism, network, missing)


class TakesAnything(Recorded):
    def __init__(self, **options: Any) -> None:
        self.given = options


class PassesAnythingOn(Recorded):
    """A way to write a constructor that serves every base class, but takes nothing itself."""

    def __init__(self, *positional: Any, **named: Any) -> None:
        super().__init__(*positional, **named)
        self.given = "constructed"


CONSTRUCTORS: dict[type[Recorded], object] = {
    TakesNothing: None,
    TakesConfig: CONFIG,
    TakesModelConfigAndMore: ("human", CONFIG, "cpu"),
    TakesConfigByName: CONFIG,
    TakesOneUnnamed: CONFIG,
    TakesKeys: ("human", {"width": 4}, 3),
    TakesAnything: CONFIG,
    PassesAnythingOn: "constructed",
}


@pytest.mark.parametrize("wrapper", CONSTRUCTORS, ids=lambda wrapper: wrapper.__name__)
def test_constructors_get_what_they_take(wrapper: type[Recorded]) -> None:
    assert construct(wrapper, CONFIG).given == CONSTRUCTORS[wrapper]


@pytest.mark.parametrize("name", ["config", "model_config"])
def test_a_key_of_the_config_wins_over_its_name(name: str) -> None:
    assert construct(TakesConfig, {"config": 7}).given == 7
    assert construct(TakesAnything, {name: 7}).given == {name: 7}


REQUESTS: dict[str, Callable[[list[str]], dict[str, Any]]] = {
    "split": lambda uris: {
        "dataframe_split": {"columns": ["n", "input_uri"], "data": [[1, uri] for uri in uris]}
    },
    "records": lambda uris: {"dataframe_records": [{"input_uri": uri, "n": 1} for uri in uris]},
    "instances": lambda uris: {"instances": [{"input_uri": uri} for uri in uris]},
    "columns": lambda uris: {"inputs": {"input_uri": uris, "n": [1, 2]}},
    "rows under inputs": lambda uris: {"inputs": [{"input_uri": uri} for uri in uris]},
}


@pytest.mark.parametrize("request_of", REQUESTS.values(), ids=list(REQUESTS))
def test_every_form_of_a_request_is_understood(
    request_of: Callable[[list[str]], dict[str, Any]],
) -> None:
    request = request_of(["a.zarr", "s3://bucket/b.zarr"])
    changed = resolve_inputs(request, "input_uri", Path("/pkg"))
    assert inputs(changed, "input_uri") == ["/pkg/a.zarr", "s3://bucket/b.zarr"]
    assert inputs(request, "input_uri") == ["a.zarr", "s3://bucket/b.zarr"]


def test_a_single_value_is_a_row() -> None:
    assert inputs({"inputs": {"input_uri": "a.zarr"}}, "input_uri") == ["a.zarr"]


# Whether libraries may be imported ahead of model_code.
MODULES = {
    "import keras\n": ("keras",),
    "import os, keras\nSIZE = os.environ.get('SIZE', '3')\n": ("keras", "os"),
    "import os, keras\nHOME = os.environ['HOME']\n": ("keras", "os"),
    "import os, keras\ndef f():\n    os.environ['A'] = 'b'\n": ("keras", "os"),
    "import os\nos.environ['KERAS_BACKEND'] = 'torch'\nimport keras\n": (),
    "import os\nos.environ.setdefault('OMP_NUM_THREADS', '1')\nimport numpy\n": (),
    "from os import environ\nif True:\n    environ.update(A='b')\n": (),
    "import os\nclass C:\n    os.putenv('A', 'b')\n": (),
    "import os\ndel os.environ['A']\n": (),
    "import sys\nsys.path.insert(0, 'vendored')\nimport numpy\n": (),
    "import sys, types\nsys.modules['tqdm'] = types.ModuleType('tqdm')\n": (),
    "import sys\nsys.dont_write_bytecode = True\n": (),
    "import sys, numpy\nIS_NEW = sys.version_info > (3, 11)\n": ("numpy", "sys"),
}
# The line, if any, whose result may depend on the hashes of strings or on addresses.
SETS = {
    "GENES = ['A', 'B']\n": None,
    "def f(genes):\n    return sorted(genes)\n": None,
    "def f(genes):\n    return list(set(genes))\n": 2,
    "GENES = {'A', 'B'}\n": 1,
    "def f(genes):\n    return [g for g in {g.upper() for g in genes}]\n": 2,
    "def f(a, b):\n    return list(a.keys() & b)\n": 2,
    "def f(a, b):\n\n    return a.index.difference(b)\n": 3,
    "def f(name):\n    return hash(name) % 10\n": 2,
}


@pytest.mark.parametrize("source", MODULES)
def test_nothing_is_imported_ahead_of_a_module_that_sets_variables(
    source: str, tmp_path: Path
) -> None:
    code = tmp_path / "model_code"
    code.mkdir()
    (code / "__init__.py").write_text(source)
    (code / "other.py").write_text("from . import x\n")
    assert preimports(read_package(tmp_path, sys.version_info[:2])) == MODULES[source]


@pytest.mark.parametrize("source", SETS)
def test_what_may_depend_on_the_order_of_a_set_is_found(source: str, tmp_path: Path) -> None:
    (tmp_path / "model_code").mkdir()
    (tmp_path / "model_code" / "model.py").write_text(source)
    found = find_set_use(read_package(tmp_path, sys.version_info[:2]))
    assert (found and found.line) == SETS[source]


@pytest.mark.parametrize("version", [2, 3])
def test_a_store_that_holds_anndata_among_others_is_not_anndata(
    version: int, tmp_path: Path
) -> None:
    table = {"encoding-type": "anndata"}
    if version == 2:
        (tmp_path / ".zattrs").write_text(json.dumps({"tables": [table]}))
    else:
        parts = {"metadata": {"tables/cells": {"attributes": table}}}
        root = {"zarr_format": 3, "attributes": {}, "consolidated_metadata": parts}
        (tmp_path / "zarr.json").write_text(json.dumps(root))
    assert count(str(tmp_path)) == {"is_anndata": False, "observations": None, "problem": None}


def test_a_lone_slash_is_no_path(tmp_path: Path) -> None:
    """In a pickle, a separator is followed by whatever the object holds next."""
    path = tmp_path / "config.pkl"
    path.write_bytes(pickle.dumps({"separator": "/", "data": "counts"}))
    assert "/data/counts" not in read_pickle(path).texts


@pytest.mark.parametrize("stranger", STRANGERS, ids=lambda stranger: stranger.name)
def test_no_static_rule_is_broken(stranger: Stranger, tmp_path: Path) -> None:
    """The same packages before their weights are made, with a lock in its most elaborate form."""
    package = tmp_path / "mlflow_pkg"
    package.mkdir()
    stranger.write_sources(package)
    _elaborate(package / "requirements.txt")
    module, _, name = stranger.options[0].partition("=")[2].partition(":")
    flag = "--vcp-model-config-json="
    given = [option for option in stranger.options if option.startswith(flag)]
    config = json.loads(given[0].removeprefix(flag)) if given else {}
    flag = "--vcp-artifact="
    pairs = [option.removeprefix(flag) for option in stranger.options if option.startswith(flag)]
    # Weights come later: that none lie there is the matter of two rules.
    artifacts = tuple((name, path) for name, _, path in (pair.partition("=") for pair in pairs))
    settings = StaticSettings(package, ModelClass(module, name), artifacts, config)
    assert set(violated(settings)) - {"VCP105", "VCP106"} <= stranger.advice


def _elaborate(lock: Path) -> None:
    """Hashes, extras, markers, continuations, comments, upper case, and line ends of Windows."""
    lines = ["--prefer-binary", "", "# compiled"]
    text = lock.read_text(encoding="utf-8").replace("sqlalchemy==", "SQLAlchemy[asyncio]==")
    for line in text.splitlines():
        if line.startswith("six=="):
            lines += [
                f'{line} ; python_version < "3.14" \\',
                f"    --hash=sha256:{'1' * 64} \\",
                f"    --hash=sha256:{'2' * 64}  # two files",
            ]
        elif "==" in line:
            lines += [f"{line} \\", f"    --hash=sha256:{'0' * 64}", "    # via something"]
    lock.write_bytes("\r\n".join([*lines, ""]).encode())


def test_the_elaborate_lock_is_read_whole(tmp_path: Path) -> None:
    STRANGERS[0].write_sources(tmp_path)
    plain = {line.name for line in read_lock(tmp_path).pinned}
    _elaborate(tmp_path / "requirements.txt")
    lock = read_lock(tmp_path).pinned
    assert {line.name for line in lock if line.kind != "option"} == plain
    assert all(line.hashes for line in lock if line.kind != "option")
