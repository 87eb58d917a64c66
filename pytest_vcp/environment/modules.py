"""Which modules an environment has, and which distributions they came with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property


@dataclass(frozen=True)
class Modules:
    """What can be imported in an environment, as far as names tell.

    `standard` are the top-level modules of its Python. `provided` maps the name of a module, or of
    a package with all that is in it, to the canonical names of the distributions that installed
    it. What lies in a namespace package is named in full: `google.protobuf`.
    """

    standard: frozenset[str] = frozenset()
    provided: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)

    def is_standard(self, module: str) -> bool:
        """Whether a module, by its dotted name, is part of Python."""
        return module.partition(".")[0] in self.standard

    def providers(self, module: str, attributes: Iterable[str] = ()) -> frozenset[str]:
        """The distributions that provide a module, or `attributes` taken from it.

        A namespace package has no attributes but the modules in it, so each has to be provided;
        without attributes, whoever has something in it provides it. Empty where none does.
        """
        parts = module.split(".")
        for end in range(1, len(parts) + 1):
            found = self.provided.get(".".join(parts[:end]))
            if found:
                return frozenset(found)
        if module not in self._namespaces:
            return frozenset()
        within = [self.providers(f"{module}.{attribute}") for attribute in attributes]
        if not within:
            return self._namespaces[module]
        return frozenset().union(*within) if all(within) else frozenset()

    @cached_property
    def _namespaces(self) -> dict[str, frozenset[str]]:
        found: dict[str, set[str]] = {}
        for module, distributions in self.provided.items():
            parts = module.split(".")
            for end in range(1, len(parts)):
                found.setdefault(".".join(parts[:end]), set()).update(distributions)
        return {name: frozenset(entries) for name, entries in found.items()}
