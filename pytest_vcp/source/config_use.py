"""Which keys of the model config the code reads, told from the source alone.

A key counts as read where it stands as a text or as a name anywhere in model_code. Where the
config, or a part of it, goes out of sight as a whole (`**config`, a loop, a call, a variable that
has no config in its name), all keys of that part may be read, and none is said to be unread.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pytest_vcp.source.author_paths import texts
from pytest_vcp.source.package import SourceModule

# Keys from the outside in; () is the config itself.
Path = tuple[str, ...]

_NAMES_A_CONFIG = re.compile(r"(?:^|_)(?:config|configuration|cfg|conf|hparams)(?:_dict)?$")
_LOOK_UPS = ("get", "pop", "setdefault", "__getitem__")
_COPIES = ("dict", "copy", "deepcopy")
# Calls that look at the config, or show it, and read no key.
_LOOKS = ("isinstance", "len", "bool", "print", "debug", "info", "warning")
_CONDITIONAL = (ast.If, ast.IfExp, ast.While, ast.Assert)


@dataclass(frozen=True)
class ConfigUse:
    """What the code knows of the config.

    `words` are all texts and names in the code, `keys` those with which something is looked up.
    `whole` are the parts of the config that go out of sight.
    """

    words: frozenset[str]
    keys: frozenset[str]
    whole: frozenset[Path]

    def list_unread(self, config: Mapping[str, object]) -> tuple[Path, ...]:
        """The keys of a config, by their path, that nothing reads."""
        return tuple(self._list_unread(config, ()))

    def _list_unread(self, config: Mapping[str, object], parent: Path) -> Iterator[Path]:
        if any(parent[:length] in self.whole for length in range(len(parent) + 1)):
            return
        for key, value in config.items():
            if key not in self.words:
                yield (*parent, key)
            elif isinstance(value, dict):
                yield from self._list_unread(value, (*parent, key))


def read_config_use(modules: Iterable[SourceModule]) -> ConfigUse:
    """Read every module of model_code."""
    words, keys, whole = set[str](), set[str](), set[Path]()
    for tree in (module.tree for module in modules if module.tree is not None):
        words.update(text for text, _ in texts(tree))
        for node in ast.walk(tree):
            words.update(_names(node))
            keys.update(_find_lookups(node))
        whole.update(_find_hidden_uses(tree))
    return ConfigUse(frozenset(words), frozenset(keys), frozenset(whole))


def _names(node: ast.AST) -> Iterator[str]:
    """The names that one node of the source holds."""
    for attribute in ("id", "attr", "arg"):
        name = getattr(node, attribute, None)
        if isinstance(name, str):
            yield name


def _find_lookups(node: ast.AST) -> Iterator[str]:
    """The key of a look-up, and the parameters of a constructor, which are looked up as such."""
    step = _step(node)
    if step is not None:
        yield step[1]
    if isinstance(node, ast.FunctionDef) and node.name == "__init__":
        yield from (argument.arg for argument in (*node.args.args[1:], *node.args.kwonlyargs))


def _step(node: ast.AST) -> tuple[ast.AST, str] | None:
    """What is looked into, and for which key: `x["key"]` and `x.get("key")`."""
    if isinstance(node, ast.Subscript):
        inside, key = node.value, node.slice
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
        if node.func.attr not in _LOOK_UPS:
            return None
        inside, key = node.func.value, node.args[0]
    else:
        return None
    if isinstance(key, ast.Constant) and isinstance(key.value, str):
        return inside, key.value
    return None


def _part(node: ast.AST) -> Path | None:
    """Which part of the config an expression is; None where it is none."""
    step = _step(node)
    if step is not None:
        inside = _part(step[0])
        return None if inside is None else (*inside, step[1])
    if isinstance(node, ast.BoolOp):  # config or {}
        return _first_part(node.values)
    if isinstance(node, ast.IfExp):  # config if config else {}
        return _first_part((node.body, node.orelse))
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):  # defaults | config
        return _first_part((node.left, node.right))
    if isinstance(node, ast.Dict):  # {**defaults, **config}
        return _first_part(v for k, v in zip(node.keys, node.values, strict=True) if k is None)
    if isinstance(node, ast.Call) and _name(node.func) in _COPIES and len(node.args) == 1:
        return _part(node.args[0])
    return () if _NAMES_A_CONFIG.search(_name(node)) else None


def _first_part(nodes: Iterable[ast.expr]) -> Path | None:
    """The first of `nodes` that is a part; None where a call among them may read others."""
    parts = [(_part(node), isinstance(node, ast.Call)) for node in nodes]
    if any(is_call and part is None for part, is_call in parts):
        return None
    return next((part for part, _ in parts if part is not None), None)


def _name(node: ast.AST) -> str:
    return str(getattr(node, "attr", None) or getattr(node, "id", None) or "")


def _find_hidden_uses(node: ast.AST) -> Iterator[Path]:
    """The parts of the config that the code below `node` uses other than by looking one key up."""
    part = _part(node)
    if part is not None:
        yield part
        return
    for child in _watched(node):
        yield from _find_hidden_uses(child)


def _watched(node: ast.AST) -> Iterator[ast.AST]:
    """What is below a node, without the places where the config is in sight still."""
    if isinstance(node, (ast.Assign, ast.AnnAssign)):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        is_config = all(_part(target) == () for target in targets)
        if node.value is not None and not (is_config and _part(node.value) == ()):
            yield node.value
    elif isinstance(node, ast.FunctionDef) and node.name == "__init__" and node.args.kwarg:
        yield ast.Name("config")  # it takes every key there is
    else:
        looks = _looks_at(node)
        for child in ast.iter_child_nodes(node):
            if not (child in looks and _part(child) is not None):
                yield child


def _looks_at(node: ast.AST) -> Sequence[ast.AST]:
    """What below a node is only asked whether it is there, or shown."""
    if isinstance(node, _CONDITIONAL):
        return (node.test,)
    if isinstance(node, ast.Compare):
        return (node.left, *node.comparators)
    if isinstance(node, ast.UnaryOp):
        return (node.operand,)
    if isinstance(node, ast.FormattedValue):
        return (node.value,)
    if isinstance(node, ast.Call) and _name(node.func) in _LOOKS:
        return node.args
    return ()
