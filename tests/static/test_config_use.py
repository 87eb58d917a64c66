"""Keys of the model config that nothing reads, and all the ways to read one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_vcp.rules.outcomes import Unverified
from pytest_vcp.settings.values import ModelClass
from pytest_vcp.source.config_use import read_config_use
from tests.static.judging import StaticSettings, WriteModules, judge
from tests.static.written import modules, violation, write

Config = dict[str, Any]
NETWORK: Config = {"network": {"width": 4, "depth": 2}, "organism": "human"}
WIDTH: Config = {"width": 4}
# The body of load_context, and what follows.
READ: dict[str, tuple[Config, str]] = {
    "empty config": ({}, "pass"),
    "by key": (WIDTH, "w = context.model_config['width']"),
    "get": (WIDTH, "w = (context.model_config or {}).get('width', 3)"),
    "a constant as key": (WIDTH, "w = context.model_config[KEY]\nKEY = 'width'"),
    "not ASCII": ({"größe": {"µm": 1}}, "w = context.model_config['größe']['µm']"),
    "part by part": (
        NETWORK,
        "c = context.model_config\n n = c['network']\n n['width'] + n['depth']\n c['organism']",
    ),
    "all of it": (NETWORK, "Net(**context.model_config)"),
    "part as a whole": (
        NETWORK,
        "config = context.model_config\n Net(**config['network'], x=config.get('organism'))",
    ),
    "part by another name": (
        NETWORK,
        "config = context.model_config\n n = config.get('network', {})\n f(n, config['organism'])",
    ),
    "dataclass": (NETWORK, "args = Args(**context.model_config)"),
    "namespace": (NETWORK, "args = argparse.Namespace(**context.model_config)\n args.network"),
    "OmegaConf": (NETWORK, "cfg = OmegaConf.create(context.model_config)\n cfg.network.width"),
    "hparams": (NETWORK, "self.hparams = context.model_config\ndef f(s): Net(**s.hparams)"),
    "hparams updated": (NETWORK, "self.hparams.update(context.model_config)"),
    "helper": (NETWORK, "build(context.model_config)\ndef build(options): Net(**options)"),
    "method": (NETWORK, "self._build(context)\ndef f(ctx): return Net(**ctx.model_config)"),
    "loop": (NETWORK, "for k, v in context.model_config.items(): setattr(self, k, v)"),
    "loop over keys": (NETWORK, "c = context.model_config\n for k in KEYS: setattr(self, k, c[k])"),
    "loop over known keys": (
        NETWORK,
        "config = context.model_config\n for k in KEYS:\n  if k in config: f(k, config[k])",
    ),
    "made keys": ({"a_x": 1}, "config = context.model_config\n config[f'{name}_x']"),
    "merged": (NETWORK, "config = {**DEFAULTS, **context.model_config}\n Net(**config)"),
    "merged by operator": (NETWORK, "c = DEFAULTS | context.model_config\n Net(**c)"),
    "merged by update": (NETWORK, "s = dict(DEFAULTS)\n s.update(context.model_config)\n f(s)"),
    "conditional": (NETWORK, "c = context.model_config if context.model_config else {}\n f(**c)"),
    "conditional, by a call": (NETWORK, "config = f(context.model_config) if x else config"),
    "getattr": (NETWORK, "config = getattr(context, 'model_config', None) or {}\n Net(**config)"),
    "pop": (NETWORK, "config = dict(context.model_config)\n config.pop('a')\n Net(**config)"),
    "match": (WIDTH, "match context.model_config:\n  case {'width': w}: self.w = w"),
    "constructor": (WIDTH, "pass\ndef __init__(self, width=4): self.w = width"),
    "constructor with all": (WIDTH, "pass\ndef __init__(self, **kwargs): self.k = kwargs"),
    "constructor with config": (WIDTH, "pass\ndef __init__(self, config): self.n = Net(**config)"),
    "list": ({"layers": [{"n": 1}]}, "for layer in context.model_config['layers']: f(layer)"),
}
UNREAD: dict[str, tuple[Config, str, list[str]]] = {
    "nothing is read": ({"a": 1, "b": 2}, "pass", ["a", "b"]),
    "typo": ({"widht": 4}, "w = context.model_config.get('width', 3)", ["widht"]),
    "one of two": ({"width": 4, "x": 1}, "w = context.model_config['width']", ["x"]),
    "other case": ({"Width": 4}, "w = context.model_config['width']", ["Width"]),
    "in a docstring": ({"width": 4}, "'Reads width.'", ["width"]),
    "nested": (
        {"network": {"widht": 4}},
        "config = context.model_config\n w = config['network']['width']",
        ["network.widht"],
    ),
    "stored": (
        {"widht": 4},
        "self.config = context.model_config or {}\ndef f(self): return self.config['width']",
        ["widht"],
    ),
    "questions alone": (
        {"widht": 4},
        """config = context.model_config
 if not config or 'width' not in config: raise ValueError
 assert isinstance(config, dict) and len(config)
 if config: f(config['width'])""",
        ["widht"],
    ),
    "shown alone": (
        {"widht": 4},
        "config = context.model_config\n print(config)\n log.info(f'{config}')\n config['width']",
        ["widht"],
    ),
    "defaults": (
        {"widht": 4},
        "config = {'width': 3, **(context.model_config or {})}\n f(config['width'])",
        ["widht"],
    ),
    "defaults by operator": (
        {"widht": 4},
        "config = DEFAULTS | (context.model_config or {})\n f(config['width'])",
        ["widht"],
    ),
    "conditional": (
        {"widht": 4},
        "config = context.model_config if context.model_config else {}\n f(config['width'])",
        ["widht"],
    ),
    "constructor": ({"n": 5}, "pass\ndef __init__(self, n_components=50): self.n_ = 1", ["n"]),
    "copy": ({"x": 1}, "config = dict(context.model_config or {})\n f(config['width'])", ["x"]),
}


def _unread(folder: Path, config: Config) -> list[str]:
    use = read_config_use(modules(folder))
    return [".".join(path) for path in use.list_unread(config)]


def _load(body: str) -> str:
    return f"def load_context(self, context):\n {body}\n"


@pytest.mark.parametrize(("config", "body"), READ.values(), ids=list(READ))
def test_config_that_is_read(config: Config, body: str, write_modules: WriteModules) -> None:
    assert _unread(write_modules(m=_load(body)), config) == []


@pytest.mark.parametrize(("config", "body", "keys"), UNREAD.values(), ids=list(UNREAD))
def test_config_that_is_not_read(
    config: Config, body: str, keys: list[str], write_modules: WriteModules
) -> None:
    assert _unread(write_modules(m=_load(body)), config) == keys


def test_keys_are_looked_for_in_all_modules(write_modules: WriteModules) -> None:
    init = _load("self.w = build(context.model_config['network'])")
    folder = write_modules(init, sub__SUB__keys="class Keys:\n    ORGANISM = 'organism'\n")
    assert _unread(folder, {**NETWORK, "x": 1}) == ["x"]


def test_the_key_that_was_meant_is_named(reference: Path) -> None:
    settings = StaticSettings(reference, model_config={"n_component": 50, "a\nb" * 30: {}})
    told = violation(settings, "VCP116")
    assert told.found == "n_component, which nothing reads (and 1 more)"
    assert told.remedy.startswith("did you mean n_components? ")
    violation(replace(settings, model_config={"a\nb" * 30: {}}), "VCP116")


def test_a_base_from_a_library_may_read_the_config(reference: Path) -> None:
    source = "from zoo import Base\nclass Model(Base):\n    x = 1\n"
    write(reference, {"model_code/m.py": source})
    settings = StaticSettings(reference, ModelClass("model_code.m", "Model"))
    settings = replace(settings, model_config={"unknown": 1})
    assert isinstance(judge(settings)["VCP116"], Unverified)
