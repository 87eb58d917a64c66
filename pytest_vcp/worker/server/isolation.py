"""The conditions under which a model runs, put in force before any of its code is imported."""

from __future__ import annotations

import importlib
import os
import site
import sys
import sysconfig
from collections.abc import Iterable
from typing import Any

from . import audit, namespaces

_monitor = audit.Monitor()


def apply(conditions: dict[str, Any]) -> dict[str, Any]:
    """Put `conditions` in force; return how each is enforced.

    Must run while the process has one thread and none of the model's code is loaded.
    """
    hidden = _spellings(conditions["hidden"])
    visible = _spellings(conditions["visible"])
    read_only = _spellings(conditions["read_only"])
    writable = conditions["writable"]
    own = (conditions["cwd"], conditions["home"], conditions["tmp"])
    off = conditions["network"] == "off"
    needed = _spellings(_needed(conditions))
    wanted = namespaces.Wanted(
        network=off,
        # An empty directory can only be mounted over a directory; the audit hook handles files.
        hidden=tuple(
            root
            for root in _real(conditions["hidden"])
            if root not in needed and os.path.isdir(root)
        ),
        # Both spellings of an input, since it may be a link within the hidden tree.
        visible=(
            *_real(_needed(conditions)),
            *(path for path in sorted(visible) if os.path.exists(path)),
        ),
        read_only=tuple(_real(conditions["read_only"])),
        writable=None if writable is None else tuple(_real(writable)),
        private=tuple(_real(conditions["private"])),
        public=tuple(_real((*conditions["public"], *own))),
    )
    entered = namespaces.enter(wanted)
    os.chdir(conditions["cwd"])
    _clean_path(conditions["path"])
    _monitor.watch(
        audit.Limits(
            hidden=hidden,
            visible=visible | needed,
            read_only=read_only,
            refuse_network=off and not entered.network,
            writable=None if writable is None else _spellings(writable),
            refuse_writing=not entered.files,
            shared=_spellings(conditions["shared"]),
            own=_spellings(own),
        )
    )
    return {
        "network": _network_in_force(off, entered.network),
        "hidden": _files_in_force(hidden, entered.files),
        "read_only": _files_in_force(read_only, entered.files),
        "writable": "all" if writable is None else _name_means(entered.files),
        "private": list(entered.private),
        "user_namespace": entered.user,
    }


def observations() -> dict[str, Any]:
    """Return what the audit hook has observed so far."""
    return _monitor.observations()


def _network_in_force(off: bool, by_namespace: bool) -> str:
    if not off:
        return "on"
    return "off (network namespace)" if by_namespace else "off (audit hook)"


def _files_in_force(roots: Iterable[str], by_namespace: bool) -> str:
    if not roots:
        return "none"
    return _name_means(by_namespace)


def _name_means(namespace: bool) -> str:
    return "mount namespace" if namespace else "audit hook"


def _needed(conditions: dict[str, Any]) -> list[str]:
    """List paths that must never be hidden: the interpreter, this code, the own directories."""
    return [
        sys.prefix,
        sys.exec_prefix,
        sys.base_prefix,
        sys.base_exec_prefix,
        os.path.dirname(os.path.abspath(__file__)),
        conditions["cwd"],
        conditions["home"],
        conditions["tmp"],
        *conditions["path"],
    ]


def _real(paths: Iterable[str]) -> list[str]:
    """Resolve symbolic links, and drop duplicates and paths that do not exist."""
    resolved = (os.path.realpath(path) for path in paths)
    return list(dict.fromkeys(path for path in resolved if os.path.exists(path)))


def _spellings(paths: Iterable[str]) -> frozenset[str]:
    """Return each path as given and without symbolic links, since a program may use either."""
    return frozenset(
        spelling for path in paths for spelling in (os.path.abspath(path), os.path.realpath(path))
    )


def _clean_path(first: Iterable[str]) -> None:
    """Reduce `sys.path` to entries of the environment, after `first`.

    An editable install adds other directories by a .pth file, or its own finder on
    `sys.meta_path`; the consumer's environment has neither.
    """
    sys.path[:] = [*first, *(entry for entry in sys.path if _of_environment(entry))]
    sys.meta_path[:] = [finder for finder in sys.meta_path if not _is_editable(finder)]
    sys.path_importer_cache.clear()
    importlib.invalidate_caches()


def _of_environment(entry: str) -> bool:
    roots = {
        sysconfig.get_path("stdlib"),
        sysconfig.get_path("platstdlib"),
        sysconfig.get_path("purelib"),
        sysconfig.get_path("platlib"),
        *site.getsitepackages(),
    }
    if os.path.basename(entry) == f"python{sys.version_info[0]}{sys.version_info[1]}.zip":
        return True
    path = os.path.realpath(entry)
    return any(audit.is_within(path, os.path.realpath(root)) for root in roots)


def _is_editable(finder: object) -> bool:
    module = getattr(finder, "__module__", None) or type(finder).__module__
    return module.startswith("__editable__")
