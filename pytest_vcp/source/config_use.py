"""The keys of the model config that the code reads, found in the source alone.

A key counts as read if it appears as a string or as a name anywhere in model_code. If the config,
or a part of it, is used as a whole (`**config`, a loop, a call, a variable without config in its
name), all keys of that part may be read, and none is reported as unread.
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
# Calls that inspect the config, or show it, without reading a key.
_LOOKS = ("isinstance", "len", "bool", "print", "debug", "info", "warning")
_CONDITIONAL = (ast.If, ast.IfExp, ast.While, ast.Assert)


@dataclass(frozen=True)
class ConfigUse:
    """The use of the config in the code.

    `words` are all strings and names in the code, `keys` those used in look-ups. `whole` are the
    parts of the config that are used as a whole, so that their keys can't be followed.
    """

    words: frozenset[str]
    keys: frozenset[str]
    whole: frozenset[Path]

    def list_unread(self, config: Mapping[str, object]) -> tuple[Path, ...]:
        """Return the keys of a config, by their path, that nothing reads."""
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
    """Read the use of the config in every module of model_code."""
    words, keys, whole = set[str](), set[str](), set[Path]()
    for tree in (module.tree for module in modules if module.tree is not None):
        words.update(text for text, _ in texts(tree))
        for node in ast.walk(tree):
            words.update(_names(node))
            keys.update(_find_lookups(node))
        whole.update(_find_hidden_uses(tree))
    return ConfigUse(frozenset(words), frozenset(keys), frozenset(whole))


def _names(node: ast.AST) -> Iterator[str]:
    """Yield the names in one node of the source."""
    for attribute in ("id", "attr", "arg"):
        name = getattr(node, attribute, None)
        if isinstance(name, str):
            yield name


def _find_lookups(node: ast.AST) -> Iterator[str]:
    """Yield the key of a look-up, and the parameters of a constructor, which count as keys."""
    step = _step(node)
    if step is not None:
        yield step[1]
    if isinstance(node, ast.FunctionDef) and node.name == "__init__":
        yield from (argument.arg for argument in (*node.args.args[1:], *node.args.kwonlyargs))


def _step(node: ast.AST) -> tuple[ast.AST, str] | None:
    """Return the object and the key of a look-up, `x["key"]` or `x.get("key")`, or None."""
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
    """Return the part of the config that an expression is; None if it is none."""
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
    """Return the first of `nodes` that is a part; None if a call among them may read others."""
    parts = [(_part(node), isinstance(node, ast.Call)) for node in nodes]
    if any(is_call and part is None for part, is_call in parts):
        return None
    return next((part for part, _ in parts if part is not None), None)


def _name(node: ast.AST) -> str:
    return str(getattr(node, "attr", None) or getattr(node, "id", None) or "")


def _find_hidden_uses(node: ast.AST) -> Iterator[Path]:
    """Yield the parts of the config used below `node` other than by looking up one key."""
    part = _part(node)
    if part is not None:
        yield part
        return
    for child in _watched(node):
        yield from _find_hidden_uses(child)


def _watched(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes below a node, except where the config can still be followed."""
    if isinstance(node, (ast.Assign, ast.AnnAssign)):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        is_config = all(_part(target) == () for target in targets)
        if node.value is not None and not (is_config and _part(node.value) == ()):
            yield node.value
    elif isinstance(node, ast.FunctionDef) and node.name == "__init__" and node.args.kwarg:
        yield ast.Name("config")  # it accepts every key
    else:
        looks = _looks_at(node)
        for child in ast.iter_child_nodes(node):
            if not (child in looks and _part(child) is not None):
                yield child


def _looks_at(node: ast.AST) -> Sequence[ast.AST]:
    """Return the nodes below a node that are only tested or shown."""
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
