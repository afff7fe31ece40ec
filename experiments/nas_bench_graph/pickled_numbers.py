"""Reads the numbers out of a pickled dictionary without unpickling it: nothing is imported, called or executed.

A pickle is a program for a small machine. This one knows the instructions that put numbers, texts, tuples and
dictionaries together, and one way of writing a number besides: numpy's float64 scalars, which are recognised by name
and taken apart as bytes. Any other instruction or name is refused.
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
    """The dictionary in a file. Raises DataError for a file that is missing, damaged, or holds anything else."""
    try:
        found = _value(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, IndexError, KeyError, TypeError, struct.error) as error:
        raise DataError(f"{path} holds something else than numbers by name: {error}") from None
    if not isinstance(found, dict):
        raise DataError(f"{path} holds no dictionary")
    return found


def _value(data: bytes) -> Any:
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
            _built(name, argument, stack)
    raise ValueError("it has no end")


def _built(name: str, argument: Any, stack: list[Any]) -> None:
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
        given, what = stack.pop(), stack.pop()
        stack.append(_number(what, given))
    elif name == "BUILD":
        stack.pop()  # the byte order, which `_number` knows
    else:
        raise ValueError(f"it asks for {name} {argument or ''}".rstrip())


def _number(what: Any, given: tuple[Any, ...]) -> Any:
    """numpy's float64 type, by its name, or a number of that type from its bytes."""
    if what == DTYPE and given[0] == "f8":
        return FLOAT64
    if what == SCALAR and given[0] == FLOAT64:
        return struct.unpack("<d", given[1])[0]
    raise ValueError(f"it calls {what} with {given}")


def _since_mark(stack: list[Any]) -> list[Any]:
    for at in reversed(range(len(stack))):
        if stack[at] is MARK:
            items = stack[at + 1 :]
            del stack[at:]
            return items
    raise ValueError("it is no pickle")
