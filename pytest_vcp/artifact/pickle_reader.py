"""A pickle simulated on a stack: the globals that it names and calls, without loading anything."""

from __future__ import annotations

import io
import pickletools
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

UNKNOWN = "?"


class Global(NamedTuple):
    """An object that is imported by name; `name` is empty for the module itself.

    An object that only loading would determine has the module `UNKNOWN`, and a description as name.
    """

    module: str
    name: str

    def __str__(self) -> str:
        if self.module == UNKNOWN:
            return self.name
        # The name by which an author would know it.
        module = "os" if self.module in ("posix", "nt") else self.module
        return f"{module}.{self.name}" if self.name else module


class Binary(NamedTuple):
    """A byte string on the stack, by its number in the pickle."""

    number: int


class _Mark:
    """The beginning of the items of a container on the stack."""


_MARK = _Mark()
_MADE_UP = Global(UNKNOWN, "a function whose name is put together while loading")
GETATTR = Global("builtins", "getattr")
_OLD_GETATTR = Global("__builtin__", "getattr")
_OPERATORS = ("operator", "_operator")

_TEXTS = (
    *("UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING"),
)
BINARIES = ("SHORT_BINBYTES", "BINBYTES", "BINBYTES8", "BYTEARRAY8")
_PUTS = ("PUT", "BINPUT", "LONG_BINPUT")
_GETS = ("GET", "BINGET", "LONG_BINGET")
_TUPLES = ("TUPLE", "TUPLE1", "TUPLE2", "TUPLE3")


class Machine:
    """Simulates the operations of a pickle, one after the other.

    `globals` are the names in their order, each occurrence; `called` those that loading calls.
    `arguments` are the arguments of the calls in `called`, by the same position. `paths` are
    absolute paths that are stored in parts, as pathlib does before Python 3.13. `has_unordered` is
    whether a set contains texts, whose order differs between processes. The only known values are
    texts, globals, tuples of them, and the numbers of byte strings; all others are None.
    """

    def __init__(self) -> None:
        self.globals: list[Global] = []
        self.called: list[Global] = []
        self.arguments: dict[int, Any] = {}
        self._binaries = 0
        self.paths: list[str] = []
        self.has_unordered = False
        self._stack: list[Any] = []
        self._memo: dict[object, Any] = {}

    def take(self, operation: Operation) -> None:
        """Change the stack as loading would. Raises ValueError if it has too few items."""
        name, argument = operation.name, operation.argument
        if name in _TEXTS:
            self._stack.append(argument)
        elif name in BINARIES:
            self._stack.append(Binary(self._binaries))
            self._binaries += 1
        elif name in _PUTS:
            self._memo[argument] = self._top()
        elif name == "MEMOIZE":
            self._memo[len(self._memo)] = self._top()
        elif name in _GETS:
            self._stack.append(self._recall(argument))
        elif name == "DUP":
            self._stack.append(self._top())
        elif name == "POP":
            self._pop()
        elif name == "MARK":
            self._stack.append(_MARK)
        elif name in ("GLOBAL", "STACK_GLOBAL", "INST", "EXT1", "EXT2", "EXT4"):
            self._name(name, argument)
        elif name in ("REDUCE", "NEWOBJ", "NEWOBJ_EX", "OBJ"):
            self._call(name)
        elif name in _TUPLES:
            self._stack.append(tuple(self._items(operation)))
        else:
            self._any_other(operation)

    def _any_other(self, operation: Operation) -> None:
        items = self._items(operation)
        if operation.name in ("ADDITEMS", "FROZENSET"):
            texts = sum(isinstance(item, str) for item in items)
            self.has_unordered |= texts > 1
        self._stack += [None] * len(operation.opcode.stack_after)

    def _items(self, operation: Operation) -> list[Any]:
        """Pop the items that the operation takes as data: all since the mark, or a fixed number."""
        before = operation.opcode.stack_before
        kinds = [kind.name for kind in before]
        if "mark" in kinds:
            items = self._pop_to_mark()
            for _ in kinds[: kinds.index("mark")]:
                self._pop()
        else:
            items = [self._pop() for _ in before][::-1]
        # If getattr is passed on, it may be called on anything.
        self.called += [GETATTR for item in items if item in (GETATTR, _OLD_GETATTR)]
        return items

    def _name(self, kind: str, argument: object) -> None:
        if kind == "STACK_GLOBAL":
            name, module = self._pop(), self._pop()
            known = isinstance(name, str) and isinstance(module, str)
            found = Global(module, name) if known else _MADE_UP
        elif kind.startswith("EXT"):
            found = _MADE_UP
        else:
            module, _, name = str(argument).partition(" ")
            found = Global(module, name)
        self.globals.append(found)
        if kind == "INST":
            self._pop_to_mark()
            self.called.append(found)
            self._stack.append(None)
        else:
            self._stack.append(found)

    def _call(self, kind: str) -> None:
        if kind == "OBJ":
            function, *items = self._pop_to_mark() or [None]
            arguments: Any = tuple(items)
        else:
            if kind == "NEWOBJ_EX":
                self._pop()
            arguments, function = self._pop(), self._pop()
        self._stack.append(self._result(function, arguments) if kind == "REDUCE" else None)
        if isinstance(function, Global) and function not in (GETATTR, _OLD_GETATTR):
            self.arguments[len(self.called)] = arguments
            self.called.append(function)
            if function.module.startswith("pathlib"):
                self._note_path(arguments)

    def _note_path(self, parts: object) -> None:
        if isinstance(parts, tuple) and parts[:1] == ("/",):
            self.paths.append("/" + "/".join(map(str, parts[1:])))

    def _result(self, function: object, arguments: object) -> Any:
        """Return the result of a call if it is a global again, else None."""
        if not isinstance(function, Global):
            return None
        if function in (GETATTR, _OLD_GETATTR):
            return self._attribute(arguments)
        if function.name == "subimport" and isinstance(arguments, tuple) and len(arguments) == 1:
            return Global(str(arguments[0]), "")
        if function.module in _OPERATORS and function.name in ("attrgetter", "methodcaller"):
            # As an attribute it is harmless; when called, it gets an attribute like getattr.
            return Global(UNKNOWN, f"what {function} returns")
        return None

    def _attribute(self, arguments: object) -> Global:
        """Return the result of a getattr call, the form in which bound methods are pickled."""
        owner, name = arguments if isinstance(arguments, tuple) and len(arguments) == 2 else (0, 0)
        if isinstance(owner, Global) and isinstance(name, str):
            found = Global(owner.module, f"{owner.name}.{name}".lstrip("."))
            self.globals.append(found)
            return found
        if owner is not None or not isinstance(name, str) or name.startswith("__"):
            self.called.append(GETATTR)
        # Storing a method does nothing; calling it is another matter.
        return Global(UNKNOWN, f"a method {name}")

    def _pop(self) -> Any:
        if not self._stack:
            raise ValueError("it takes more from its stack than was put there")
        return self._stack.pop()

    def _top(self) -> Any:
        if not self._stack:
            raise ValueError("it takes more from its stack than was put there")
        return self._stack[-1]

    def _recall(self, key: object) -> Any:
        if key not in self._memo:
            raise ValueError(f"it refers to the value {key}, which it has not stored")
        return self._memo[key]

    def _pop_to_mark(self) -> list[Any]:
        items = []
        while (item := self._pop()) is not _MARK:
            items.append(item)
        return items[::-1]


# --------------------------------------------------------------------------------------- opcodes
#
# The opcodes of a pickle, read from a stream: long data is skipped, and nothing is unpickled.

# A longer text is not a name, and a longer byte string not a flag.
LONGEST = 1 << 20
_MOST_IN_A_LINE = 1 << 20
# The number of bytes that encode the length of the data, and how the data is decoded.
_COUNTED = {
    "SHORT_BINBYTES": (1, "bytes"),
    "BINBYTES": (4, "bytes"),
    "BINBYTES8": (8, "bytes"),
    "BYTEARRAY8": (8, "bytes"),
    "SHORT_BINUNICODE": (1, "utf-8"),
    "BINUNICODE": (4, "utf-8"),
    "BINUNICODE8": (8, "utf-8"),
    "SHORT_BINSTRING": (1, "latin-1"),
    "BINSTRING": (4, "latin-1"),
    "LONG1": (1, "long"),
    "LONG4": (4, "long"),
}
_BY_CODE = {opcode.code: opcode for opcode in pickletools.opcodes}


class Operation(NamedTuple):
    """One opcode: its description by pickletools, its argument, the bytes of a counted argument.

    The argument is None if there is none, or if it was too long to be read.
    """

    opcode: pickletools.OpcodeInfo
    argument: object
    bytes: int = 0

    @property
    def name(self) -> str:
        return self.opcode.name


def operations(file: BinaryIO) -> Iterator[Operation]:
    """Yield the operations of the pickle that begins here, including STOP.

    Raises ValueError if it is not a pickle, and OSError.
    """
    stream = _Limited(file)
    while True:
        code = file.read(1)
        opcode = _BY_CODE.get(code.decode("latin-1"))
        if opcode is None:
            raise ValueError(f"{code!r} is no opcode" if code else "it ends before its last opcode")
        yield _operation(opcode, file, stream)
        if opcode.name == "STOP":
            return


def _operation(opcode: pickletools.OpcodeInfo, file: BinaryIO, stream: _Limited) -> Operation:
    if opcode.name in _COUNTED:
        width, kind = _COUNTED[opcode.name]
        length = int.from_bytes(_read_exactly(file, width), "little")
        if length > LONGEST:
            file.seek(length, io.SEEK_CUR)
            return Operation(opcode, None, length)
        return Operation(opcode, _decode(_read_exactly(file, length), kind), length)
    if opcode.arg is None:
        return Operation(opcode, None)
    return Operation(opcode, opcode.arg.reader(stream))  # type: ignore[arg-type]


def _read_exactly(file: BinaryIO, length: int) -> bytes:
    data = file.read(length)
    if len(data) < length:
        raise ValueError("it ends within an argument")
    return data


def _decode(data: bytes, kind: str) -> object:
    if kind == "bytes":
        return data
    if kind == "long":
        return int.from_bytes(data, "little", signed=True)
    return data.decode(kind, "surrogatepass" if kind == "utf-8" else "strict")


class _Limited:
    """The file in the form that pickletools reads, with a limit on the length of lines."""

    def __init__(self, file: BinaryIO) -> None:
        self.read = file.read
        self._file = file

    def readline(self) -> bytes:
        line = self._file.readline(_MOST_IN_A_LINE)
        if len(line) == _MOST_IN_A_LINE:
            raise ValueError("a line in it has no end")
        return line
