"""Reader of pickled dictionaries of numbers that imports, calls and executes nothing.

A pickle is a program for a stack machine. This interpreter knows only the instructions that build numbers, texts,
tuples and dictionaries, and those by which numpy writes a float64 scalar: it recognises their names and decodes the
bytes itself. It refuses any other instruction or name.
"""

from __future__ import annotations

import pickletools
import struct
from pathlib import Path
from typing import Any, Final

from nas.errors import DataError

MARK: Final = object()
SCALAR, DTYPE, FLOAT64 = "numpy.core.multiarray scalar", "numpy dtype", "float64"
VALUES = {"BININT", "BININT1", "BININT2", "BINFLOAT", "BINUNICODE", "SHORT_BINBYTES"}
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
SIZES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


def read_numbers(path: Path) -> dict[Any, Any]:
    """The dictionary in a file.

    Raises:
        DataError: The file is missing or damaged, or holds anything else.
    """
    try:
        numbers = _interpret(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, IndexError, KeyError, TypeError, struct.error) as error:
        raise DataError(f"{path} holds something other than numbers by name: {error}") from None
    if not isinstance(numbers, dict):
        raise DataError(f"{path} holds no dictionary; give a NAME.bench file")
    return numbers


def _interpret(data: bytes) -> Any:
    stack: list[Any] = []
    memo: dict[Any, Any] = {}
    for opcode, argument, _ in pickletools.genops(data):
        name = opcode.name
        if name in VALUES:
            stack.append(argument)
        elif name in CONSTANTS:
            stack.append(CONSTANTS[name])
        elif name == "EMPTY_DICT":
            stack.append({})
        elif name == "MARK":
            stack.append(MARK)
        elif name in SIZES:
            stack[-SIZES[name] :] = [tuple(stack[-SIZES[name] :])]
        elif name in ("BINPUT", "LONG_BINPUT"):
            memo[argument] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(memo[argument])
        elif name == "STOP":
            return stack.pop()
        elif name != "PROTO":
            _combine(name, argument, stack)
    raise ValueError("it has no end")


def _combine(name: str, argument: Any, stack: list[Any]) -> None:
    """The instructions that take several values from the stack."""
    if name == "TUPLE":
        items = _since_mark(stack)
        stack.append(tuple(items))
    elif name in ("SETITEM", "SETITEMS"):
        items = _since_mark(stack) if name == "SETITEMS" else [stack.pop(-2), stack.pop()]
        stack[-1].update(zip(items[::2], items[1::2], strict=True))
    elif name == "GLOBAL" and argument in (SCALAR, DTYPE):
        stack.append(argument)
    elif name == "REDUCE":
        arguments, function = stack.pop(), stack.pop()
        stack.append(_number(function, arguments))
    elif name == "BUILD":
        stack.pop()  # the byte order: `_number` takes it to be little-endian
    else:
        raise ValueError(f"it asks for {name} {argument or ''}".rstrip())


def _number(function: Any, arguments: tuple[Any, ...]) -> Any:
    """The result of a call that numpy writes: its float64 type, by name, or a number of that type, from its bytes."""
    if function == DTYPE and arguments[0] == "f8":
        return FLOAT64
    if function == SCALAR and arguments[0] == FLOAT64:
        return struct.unpack("<d", arguments[1])[0]
    raise ValueError(f"it calls {function} with {arguments}")


def _since_mark(stack: list[Any]) -> list[Any]:
    for index in reversed(range(len(stack))):
        if stack[index] is MARK:
            items = stack[index + 1 :]
            del stack[index:]
            return items
    raise ValueError("it is no pickle")
