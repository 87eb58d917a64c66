"""Which keys of the model config the code reads, told from the source alone.

The config is followed from `context.model_config`, from a constructor's parameter and from names
that speak of a config, through assignments and into functions of model_code. Where it leaves for a
library as a whole, or is gone through key by key, any key may be read: then none is said to be
unread.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pytest_vcp.config_flow import ConfigFlow, Path
from pytest_vcp.literals import texts
from pytest_vcp.package import SourceModule
from pytest_vcp.values import near_misses


@dataclass(frozen=True)
class ConfigUse:
    """What the code knows of the config.

    `words` are all texts and names under which a key could be read, `keys` those that are used
    to look something up. `whole` are the parts of the config, by their path, whose keys may all
    be read.
    """

    words: frozenset[str]
    keys: frozenset[str]
    whole: frozenset[Path]

    def unread(self, config: Mapping[str, object]) -> tuple[Path, ...]:
        """The keys of a config, by their path, that nothing reads for certain."""
        return tuple(self._unread(config, ()))

    def _unread(self, config: Mapping[str, object], parent: Path) -> Iterator[Path]:
        if any(parent[:length] in self.whole for length in range(len(parent) + 1)):
            return
        for key, value in config.items():
            if key not in self.words:
                yield (*parent, key)
            elif isinstance(value, dict):
                yield from self._unread(value, (*parent, key))


def read_config_use(modules: Sequence[SourceModule]) -> ConfigUse:
    """Read every module of model_code."""
    trees = [module.tree for module in modules if module.tree is not None]
    words, keys = set[str](), set[str]()
    for tree in trees:
        for text, _ in texts(tree):
            words.update([text, *text.replace("/", ".").split(".")])
        for node in ast.walk(tree):
            names = set(_names(node))
            words |= names
            keys |= names if not isinstance(node, ast.Attribute) else set()
            keys.update(_looked_up(node))
    return ConfigUse(frozenset(words), frozenset(keys), ConfigFlow(trees).whole)
