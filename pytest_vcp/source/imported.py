"""The imports from elsewhere in the author's modules, as far as the source shows them.

Imports that are optional, or that depend on the interpreter, are left out: the source can't show
whether they are executed on the hub.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pytest_vcp.rules.outcomes import Location
from pytest_vcp.source.package import CODE, ModelPackage, SourceModule

_IMPORT_ERRORS = {"ImportError", "ModuleNotFoundError", "Exception", "BaseException"}
# A condition that names one of these checks the interpreter, the platform, a type checker, whether
# the module exists, or whether this is run as a program.
_ASKED = {"version_info", "platform", "implementation", "find_spec", "TYPE_CHECKING", "__name__"}
_PATH_CHANGES = {"path", "addsitedir"}


@dataclass(frozen=True)
class Imported:
    """One import of a module from elsewhere: its dotted name, and the names imported from it.

    `sibling` is the module of model_code with this name, if any: perhaps meant, but not found under
    this name.
    """

    module: str
    attributes: tuple[str, ...]
    where: Location
    sibling: str | None = None

    @property
    def top(self) -> str:
        """The first part of the name."""
        return self.module.partition(".")[0]


def imported_by(package: ModelPackage) -> tuple[Imported, ...]:
    """Return the imports from elsewhere in model_code and model_spec.py, sorted by location."""
    root = package.pkg_dir
    modules = [module for module in (*package.modules, package.spec_module) if module is not None]
    own = {CODE, *(module.name.partition(".")[0] for module in modules)}
    siblings = {part: module.name for module in modules for part in module.name.split(".")}
    found = [
        Imported(name, attributes, module.locate(node), siblings.get(name.partition(".")[0]))
        for module in modules
        for node in _certain(module)
        for name, attributes in _list_names(node)
        if name.partition(".")[0] not in own
    ]
    if any(entry.sibling for entry in found) and any(map(_changes_the_path, modules)):
        found = [entry for entry in found if entry.sibling is None]
    beside = {top for top in {entry.top for entry in found} if _lies_in(root, top)}
    return tuple(
        sorted(
            (entry for entry in found if entry.top not in beside),
            key=lambda entry: (entry.where.path, entry.where.line or 0),
        )
    )


def _lies_in(root: Path, name: str) -> bool:
    """Return whether a module or a folder of modules beside model_code has this name."""
    if any((root / f"{name}{suffix}").is_file() for suffix in (".py", ".pyc", ".so", ".pyd")):
        return True
    return (root / name).is_dir() and any((root / name).glob("*.py"))


def _changes_the_path(module: SourceModule) -> bool:
    """Return whether a module uses `sys.path` or `site`: package folders can then be on it."""
    return module.tree is not None and any(
        isinstance(node, ast.Attribute)
        and node.attr in _PATH_CHANGES
        and isinstance(node.value, ast.Name)
        and node.value.id in ("sys", "site")
        for node in ast.walk(module.tree)
    )


def _list_names(node: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, tuple[str, ...]]]:
    if isinstance(node, ast.Import):
        yield from ((alias.name, ()) for alias in node.names)
    elif node.level == 0 and node.module:
        names = (alias.name for alias in node.names if alias.name != "*")
        yield node.module, tuple(names)


def _certain(module: SourceModule) -> Iterator[ast.Import | ast.ImportFrom]:
    """Yield the imports of a module that nothing makes optional, also within functions."""
    pending: list[ast.AST] = [module.tree] if module.tree is not None else []
    while pending:
        node = pending.pop()
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield node
        elif isinstance(node, ast.If) and _asks(node.test):
            continue
        elif isinstance(node, ast.Try) and any(map(_expects_none, node.handlers)):
            pending.extend(node.finalbody)
        elif isinstance(node, (ast.With, ast.AsyncWith)) and any(map(_suppresses, node.items)):
            continue
        elif not isinstance(node, ast.expr):
            pending.extend(ast.iter_child_nodes(node))


def _asks(test: ast.expr) -> bool:
    return any(_last_name(node) in _ASKED or _is_os_name(node) for node in ast.walk(test))


def _is_os_name(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Attribute) and node.attr == "name" and _last_name(node.value) == "os"
    )


def _expects_none(handler: ast.ExceptHandler) -> bool:
    """Return whether a handler catches the error of a missing module."""
    if handler.type is None:
        return True
    return any(_last_name(node) in _IMPORT_ERRORS for node in ast.walk(handler.type))


def _suppresses(item: ast.withitem) -> bool:
    call = item.context_expr
    if not isinstance(call, ast.Call) or _last_name(call.func) != "suppress":
        return False
    return any(_last_name(argument) in _IMPORT_ERRORS for argument in call.args)


def _last_name(node: ast.AST) -> str | None:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else None


# ---------------------------------------------------------------------------- distribution names
#
# The names under which distributions are imported, as far as they are known without them.

# Names that differ from that of the distribution, among the libraries used in models of cells.
_IMPORTED_AS: dict[str, tuple[str, ...]] = {
    "absl-py": ("absl",),
    "antlr4-python3-runtime": ("antlr4",),
    "attrs": ("attr", "attrs"),
    "beautifulsoup4": ("bs4",),
    "biopython": ("Bio", "BioSQL"),
    "databricks-sdk": ("databricks",),
    "faiss-cpu": ("faiss",),
    "faiss-gpu": ("faiss",),
    "fonttools": ("fontTools",),
    "gitpython": ("git",),
    "graphql-core": ("graphql",),
    "hydra-core": ("hydra",),
    "ipython": ("IPython",),
    "lightning": ("lightning", "lightning_fabric"),
    "mlflow-skinny": ("mlflow",),
    "mlflow-tracing": ("mlflow",),
    "msgpack-python": ("msgpack",),
    "opencv-contrib-python": ("cv2",),
    "opencv-contrib-python-headless": ("cv2",),
    "opencv-python": ("cv2",),
    "opencv-python-headless": ("cv2",),
    "pillow": ("PIL",),
    "protobuf": ("google",),
    "pygithub": ("github",),
    "pyjwt": ("jwt",),
    "pyopenssl": ("OpenSSL",),
    "pysocks": ("socks", "sockshandler"),
    "python-dateutil": ("dateutil",),
    "python-dotenv": ("dotenv",),
    "python-igraph": ("igraph",),
    "python-louvain": ("community",),
    "python-multipart": ("multipart", "python_multipart"),
    "pywavelets": ("pywt",),
    "pyyaml": ("yaml",),
    "pyzmq": ("zmq",),
    "ruamel-yaml": ("ruamel",),
    "scikit-image": ("skimage",),
    "scikit-learn": ("sklearn",),
    "scikit-misc": ("skmisc",),
    "scvi-tools": ("scvi",),
    "setuptools": ("setuptools", "pkg_resources"),
    "simpleitk": ("SimpleITK",),
    "tensorflow-cpu": ("tensorflow",),
    "umap-learn": ("umap",),
}
# Top-level packages that several distributions share.
_SHARED = ("google", "jaraco", "nvidia", "opentelemetry", "zope")


def import_names(distribution: str) -> tuple[str, ...]:
    """Return the usual top-level modules of a distribution, given by its canonical name."""
    if distribution in _IMPORTED_AS:
        return _IMPORTED_AS[distribution]
    shared = distribution.partition("-")[0]
    if shared in _SHARED:
        return (shared,)
    return (distribution.replace("-", "_"),)
