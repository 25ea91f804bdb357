"""Pickle files read as data: no class, function or method of the file's choosing ever runs.

``paddle.save`` and ``torch.save`` write pickles, and a pickle is a program. This reader is a small
machine of its own instead of Python's unpickler: it knows dicts, lists, tuples, numbers, text and
bytes, and a short table of names (NumPy arrays, ``OrderedDict``), each with a stand-in written
here. Trainers keep objects of their own beside the weights (a message hub, options): such a name
is never looked up, and what it would have made is a ``Skipped``, without content. Names of Python's
own library that can do anything, and persistent ids and opcodes of other kinds, are refused with a
UserError that says which.

What is refused for size: an array whose shape does not fit its bytes, copies that add up to more
than the file holds, more steps than ``LIMITS`` has, lengths beyond the end of the file.
"""

from __future__ import annotations

import pickletools
import struct
from collections.abc import Callable, Mapping
from typing import IO, Any

import numpy as np

from paddle_pose.errors import UserError
from paddle_pose.limits import LIMITS
from paddle_pose.weights.pickle_names import (
    PLAIN_NAMES,
    BlankArray,
    Global,
    Reduce,
    Skipped,
    array_of,
    is_dangerous,
)

_DAMAGED = (
    ValueError, TypeError, IndexError, KeyError, AttributeError,
    struct.error, OverflowError, MemoryError, RecursionError, EOFError,
)  # fmt: skip


class Window:
    """A file as ``pickletools`` wants it, whose reads never ask for more than there is."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self.file, self.size = file, size

    def tell(self) -> int:
        """Position in the file."""
        return self.file.tell()

    def read(self, count: int) -> bytes:
        """Up to ``count`` bytes."""
        return self.file.read(max(0, min(count, self.size - self.file.tell())))

    def readline(self) -> bytes:
        """Up to and including the next newline, 64 KiB at most."""
        return self.file.readline(1 << 16)


class _Machine:
    """One pickle, opcode by opcode."""

    def __init__(
        self,
        names: Mapping[str, Reduce],
        persistent: Callable[[Any], Any] | None,
        size: int,
    ) -> None:
        self.names, self.persistent = names, persistent
        self.bytes_left = size
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def run(self, window: Window) -> Any:
        operations = pickletools.genops(window)  # type: ignore[arg-type]
        for step_number, (opcode, argument, _) in enumerate(operations):
            if step_number > LIMITS["pickle_steps"].most:
                LIMITS["pickle_steps"].require(step_number, "the pickle")
            if opcode.name == "STOP":
                if len(self.stack) != 1 or self.marks:
                    raise ValueError("unbalanced pickle")
                return self.stack.pop()
            if opcode.name in _PUSH_ARGUMENT:
                self.stack.append(argument)
            elif opcode.name in _PUSH_CONSTANT:
                self.stack.append(_PUSH_CONSTANT[opcode.name]())
            elif opcode.name not in ("PROTO", "FRAME"):
                step = getattr(self, "do_" + opcode.name, None)
                if step is None:
                    raise UserError(f"pickle opcode {opcode.name}")
                step(argument)
        raise EOFError("no end of the pickle")

    def do_MARK(self, _: None) -> None:
        self.marks.append(len(self.stack))

    def _since_mark(self) -> list:
        mark = self.marks.pop()
        items = self.stack[mark:]
        del self.stack[mark:]
        return items

    def do_POP(self, _: None) -> None:
        self.stack.pop()

    def do_TUPLE(self, _: None) -> None:
        self.stack.append(tuple(self._since_mark()))

    def _tuple(self, count: int) -> None:
        items = tuple(self.stack[-count:])
        if len(items) != count:
            raise IndexError("stack underflow")
        self.stack[-count:] = [items]

    def do_TUPLE1(self, _: None) -> None:
        self._tuple(1)

    def do_TUPLE2(self, _: None) -> None:
        self._tuple(2)

    def do_TUPLE3(self, _: None) -> None:
        self._tuple(3)

    def do_LIST(self, _: None) -> None:
        self.stack.append(self._since_mark())

    def do_DICT(self, _: None) -> None:
        items = self._since_mark()
        self.stack.append({})
        self._fill(items)

    def do_APPEND(self, _: None) -> None:
        item = self.stack.pop()
        self._list().append(item)

    def do_APPENDS(self, _: None) -> None:
        items = self._since_mark()
        self._list().extend(items)

    def _list(self) -> list:
        if isinstance(self.stack[-1], Skipped):
            return []
        if not isinstance(self.stack[-1], list):
            raise TypeError("items for something that is no list")
        return self.stack[-1]

    def do_EMPTY_SET(self, _: None) -> None:
        self.stack.append(Skipped("set"))

    def do_ADDITEMS(self, _: None) -> None:
        self._since_mark()

    def do_FROZENSET(self, _: None) -> None:
        self._since_mark()
        self.stack.append(Skipped("frozenset"))

    def do_SETITEM(self, _: None) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._fill([key, value])

    def do_SETITEMS(self, _: None) -> None:
        self._fill(self._since_mark())

    def _fill(self, items: list) -> None:
        target = self.stack[-1]
        if isinstance(target, Skipped):
            return
        if not isinstance(target, dict):
            raise TypeError("items for something that is no dict")
        for key, value in zip(items[::2], items[1::2], strict=True):
            if isinstance(key, Skipped | Global):
                continue
            # A deep tuple as key would exhaust the C stack while it is hashed.
            if not isinstance(key, str | int | float | bytes | None):
                raise TypeError("a key that is neither text nor number")
            target[key] = value

    def do_PUT(self, key: int) -> None:
        if isinstance(self.stack[-1], BlankArray):
            self.stack[-1].memo_keys.append(key)
        self.memo[key] = self.stack[-1]

    do_BINPUT = do_LONG_BINPUT = do_PUT

    def do_MEMOIZE(self, _: None) -> None:
        self.do_PUT(len(self.memo))

    def do_GET(self, key: int) -> None:
        self.stack.append(self.memo[key])

    do_BINGET = do_LONG_BINGET = do_GET

    def do_GLOBAL(self, module_and_name: str) -> None:
        self._name(module_and_name.replace(" ", "."))

    def do_STACK_GLOBAL(self, _: None) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise TypeError("a name that is no text")
        self._name(f"{module}.{name}")

    def _name(self, name: str) -> None:
        if name not in self.names and is_dangerous(name):
            raise UserError(f"'{name}'")
        self.stack.append(Global(name))

    def do_REDUCE(self, _: None) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        if isinstance(function, Skipped):
            self.stack.append(function)
            return
        if not isinstance(function, Global) or not isinstance(arguments, tuple):
            raise TypeError("a call of something that is no name")
        if function.name == "_codecs.encode":
            if arguments[1] != "latin1":
                raise ValueError("bytes in an unknown encoding")
            self.stack.append(self._bytes(arguments[0]))
        elif function.name not in self.names:
            self.stack.append(Skipped(function.name))
        else:
            if function.name.endswith(("OrderedDict", ".tuple", ".Size")) and arguments:
                self._charge(len(arguments[0]))
            elif function.name.endswith(".scalar"):
                arguments = (arguments[0], self._bytes(arguments[1]))
            self.stack.append(self.names[function.name](arguments))

    def do_NEWOBJ(self, _: None) -> None:
        self.stack.pop()
        made = self.stack.pop()
        if not isinstance(made, Global | Skipped):
            raise TypeError("an object of something that is no name")
        self.stack.append(Skipped(made.name))

    def do_NEWOBJ_EX(self, _: None) -> None:
        self.stack.pop()
        self.do_NEWOBJ(None)

    def do_INST(self, module_and_name: str) -> None:
        self._since_mark()
        self._name(module_and_name.replace(" ", "."))
        self.stack.append(Skipped(self.stack.pop().name))

    def do_OBJ(self, _: None) -> None:
        made = self._since_mark()[0]
        if not isinstance(made, Global | Skipped):
            raise TypeError("an object of something that is no name")
        self.stack.append(Skipped(made.name))

    def _charge(self, count: int) -> None:
        """Count what is copied: in an honest file each item stands once."""
        self.bytes_left -= count
        if self.bytes_left < 0:
            raise ValueError("more bytes than the file can hold")

    def _bytes(self, data: bytes | str) -> bytes:
        """Bytes of an array; Python 2 pickles hold them as text."""
        if isinstance(data, str):
            self._charge(len(data))
            return data.encode("latin1")
        return data

    def do_BUILD(self, _: None) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        if isinstance(target, BlankArray):
            *head, data = state
            self.stack[-1] = array = array_of(*head[-3:], data=self._bytes(data))
            self.memo.update(dict.fromkeys(target.memo_keys, array))
        elif isinstance(target, np.dtype):
            if state[1] not in "<|=":
                raise ValueError("a big-endian array")
        elif not isinstance(
            target, dict | Skipped
        ):  # of an OrderedDict: torch's _metadata, not needed
            raise TypeError("a state for something that has none")

    def do_PERSID(self, key: Any) -> None:
        if self.persistent is None:
            raise UserError("a persistent id (as torch writes them)")
        self.stack.append(self.persistent(key))

    def do_BINPERSID(self, _: None) -> None:
        self.do_PERSID(self.stack.pop())


_PUSH_ARGUMENT = frozenset(
    {
        "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT",
        "STRING", "BINSTRING", "SHORT_BINSTRING",
        "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
        "BINBYTES", "SHORT_BINBYTES", "BINBYTES8",
    }
)  # fmt: skip
_PUSH_CONSTANT: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
}


def read_pickle(
    file: IO[bytes],
    size: int,
    source: str,
    names: Mapping[str, Reduce] = PLAIN_NAMES,
    persistent: Callable[[Any], Any] | None = None,
) -> Any:
    """One pickle from ``file``'s position on; the position is behind it afterwards.

    Args:
        file: binary and seekable.
        size: bytes in ``file``.
        source: what errors call the file.
        names: every name the pickle may mention, and what a call of it gives.
        persistent: turns a persistent id into an object; without it there may be none.

    Raises:
        UserError: a forbidden name, opcode or persistent id; a damaged file.
    """
    try:
        return _Machine(names, persistent, size).run(Window(file, size))
    except UserError as error:
        raise UserError(
            f"{source}: refused, it asks for {error}, which no weights file needs; nothing of the "
            "file was run. Use a file from its publisher"
        ) from error
    except _DAMAGED as error:
        raise UserError(
            f"{source}: damaged, cut short or not a weights file ({_short(error)}); "
            "fetch or write it again"
        ) from error


def _short(error: Exception) -> str:
    text = " ".join(str(error).split())
    return (text[:77] + "…" if len(text) > 78 else text) or type(error).__name__
