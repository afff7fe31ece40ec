"""Odd configs: each key with each bad value, without it, twice; and files that are no TOML, or no files."""

from __future__ import annotations

import math
import os
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from nas.config import reading, toml

CONFIGS = Path(__file__).parent.parent / "configs"
BASES = ("quickstart", "sinusoid", "recipe")
"""Shipped configs whose keys are changed."""


class Raw(str):
    """Text of a TOML value that is written as it stands."""


VALUES: tuple[Any, ...] = (
    True, -1, 0, 1.5, Raw("nan"), Raw("-inf"), 1e308, 2**63 - 1, 2**63, Raw("9" * 30), Raw("9" * 5000), "", "1", "auto",
    "x" * 100_000, Raw('"\\u0000"'), "../../../etc/passwd", "/dev/zero", "nobody.py:Evil", "__class__", [], [[]],
    [1] * 100_000, [["a"], 1], Raw("{ a = 1 }"), Raw("{ name = 'mlp', name2 = 1 }"), Raw("1979-05-27"), Raw("07:32:00"),
    Raw("[" * 12 + "]" * 12),
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """An odd config.

    Attributes:
        name: What is odd about it.
        make: Makes it at a path.
    """

    name: str
    make: Callable[[Path], object]


def cases(count: int | None, rng: random.Random) -> list[Case]:
    """Odd configs: all that there are, or so many, drawn among those of keys; the odd files are always among them."""
    files = [Case(name, partial(_write, data)) for name, data in _files().items()]
    files += [Case(name, make) for name, make in _places().items()]
    keys = [Case(name, partial(_write_text, text)) for name, text in _of_keys()]
    return [*files, *(keys if count is None else rng.sample(keys, max(0, count - len(files))))]


def _write(data: bytes, path: Path) -> None:
    path.write_bytes(data)


def _write_text(text: Callable[[], str], path: Path) -> None:
    path.write_text(text(), "utf-8")


def text_of(data: Mapping[str, Any]) -> str:
    """Tables as TOML text."""
    lines: list[str] = []
    for name, table in data.items():
        lines += [f"[{name}]", *(f"{key} = {_value(value)}" for key, value in table.items())]
    return "\n".join(lines) + "\n"


def base(name: str) -> dict[str, Any]:
    """The tables of a shipped config."""
    return toml.parse(name, shipped_text(name))


def shipped_text(name: str) -> str:
    """The text of a shipped config."""
    return (CONFIGS / f"{name}.toml").read_text("utf-8")


def _value(value: Any) -> str:
    if isinstance(value, Raw):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_value(inner)}" for key, inner in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    return repr(value)


def _of_keys() -> Iterator[tuple[str, Callable[[], str]]]:
    """Each key of the shipped configs with each bad value, without it, twice, and with an unknown one beside it.

    The texts are made when they are needed: all of them together are some hundred MB.
    """
    for name in BASES:
        data = base(name)
        for table, entries in data.items():
            others = {each: entry for each, entry in data.items() if each != table}
            changed = partial(_with_table, data, table)
            yield f"{name} without [{table}]", partial(text_of, others)
            yield f"{name} with [{table}] twice", partial(_joined, text_of(data), f"[{table}]\n")
            yield f"{name} with {table} no table", partial(_joined, f"{table} = 1\n", text_of(others))
            yield f"{name} with {table}.unknown", partial(changed, {**entries, "unknown": 1})
            for key in entries:
                rest = {each: value for each, value in entries.items() if each != key}
                yield f"{name} without {table}.{key}", partial(changed, rest)
                yield f"{name} with {table}.{key} twice", partial(_twice, data, key)
                for i, value in enumerate(VALUES):
                    yield f"{name}, {table}.{key} = value {i}", partial(changed, {**rest, key: value})


def _with_table(data: Mapping[str, Any], table: str, entries: Mapping[str, Any]) -> str:
    return text_of({**data, table: entries})


def _joined(*texts: str) -> str:
    return "".join(texts)


def _twice(data: Mapping[str, Any], key: str) -> str:
    return text_of(data).replace(f"\n{key} =", f"\n{key} = 1\n{key} =", 1)


def _files() -> dict[str, bytes]:
    """Whole files of odd bytes; long ones are as long as a config may be, or longer than that."""
    good = text_of(base("quickstart"))
    data = good.encode()
    return {
        "byte order mark": b"\xef\xbb\xbf" + data,
        "UTF-16": good.encode("utf-16"),
        "UTF-32": good.encode("utf-32"),
        "Latin-1": data + "# Größe\n".encode("latin-1"),
        "a surrogate": data + b"# \xed\xa0\x80\n",
        "NUL bytes": data.replace(b"\n", b"\n\0"),
        "a NUL at the end": data + b"\0",
        "empty": b"",
        "newlines": _long(b"\n"),
        "CR alone": data.replace(b"\n", b"\r"),
        "CRLF": data.replace(b"\n", b"\r\n"),
        "no newline": data.rstrip(),
        "cut in the middle": data[: len(data) // 2],
        "a pickle": b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00\x8c\x02os\x94\x8c\x06system\x94\x93\x94.",
        "random bytes": random.Random(0).randbytes(100_000),
        "5 MB of comments": b"#" * 5_000_000,
        "1 MB of keys": data + b"".join(b"k%d = 1\n" % i for i in range(80_000)),
        "comments": data + _long(b"#"),
        "a long line": data + b"x = '" + _long(b"a") + b"'\n",
        "deep arrays": b"x = " + _long(b"[") + _long(b"]"),
        "deep arrays that are closed": b"x = " + b"[" * 90_000 + b"]" * 90_000,
        "deep inline tables": b"x = " + b"{a=" * 40_000 + b"1" + b"}" * 40_000,
        "a dotted key": b"a" + _long(b".a") + b" = 1\n",
        "a header of many parts": b"[a" + _long(b".a") + b"]\n",
        "headers of 15 parts": b"".join(b"[a%d.b.c.d.e.f.g.h.i.j.k.l.m.n]\n" % i for i in range(5_500)),
        "keys of 15 parts": b"".join(b"a%d.b.c.d.e.f.g.h.i.j.k.l.m.n=1\n" % i for i in range(5_000)),
        "keys": data + b"".join(b"k%d=1\n" % i for i in range(20_000)),
        "tables": b"".join(b"[t%d]\n" % i for i in range(20_000)),
        "arrays of tables": _long(b"[[space]]\n"),
        "a huge number": data + b"x = " + _long(b"9") + b"\n",
        "a huge number with underscores": data + b"x = 1" + _long(b"_1") + b"\n",
        "a huge exponent": data + b"x = 1e" + b"9" * 3_000 + b"\n",
        "a huge hexadecimal number": data + b"x = 0x" + _long(b"f") + b"\n",
        "a huge binary number": data + b"x = 0b" + _long(b"1") + b"\n",
        "an array of numbers": data + b"x = [" + _long(b"1,") + b"]\n",
        "an array of arrays": data + b"x = [" + _long(b"[],") + b"]\n",
        "an unterminated string": data + b'x = "' + _long(b"a"),
        "an unterminated string of several lines": data + b'x = """' + _long(b"a\n"),
        "quotes": data + _long(b'"""'),
        "backslashes": data + b'x = "' + _long(b"\\"),
        "escapes": data + b'x = "' + _long(b"\\u00e9") + b'"\n',
        "curly quotes": good.replace('"', "“").encode(),
        "control characters": data + b"x = '\x1b[31m\x07'\n",
        "YAML": b"space: !!python/object/apply:os.system ['touch canary']\n",
        "JSON": b'{"space": {"name": "mlp"}}',
    }  # fmt: skip


def _long(piece: bytes) -> bytes:
    """A piece repeated so often that a config of it and little else is just short enough to be read."""
    return piece * ((reading.LONGEST - 5_000) // len(piece))


def _places() -> dict[str, Callable[[Path], object]]:
    """What is no file, or none that can be read."""
    return {
        "nothing": lambda path: None,
        "a folder": lambda path: path.mkdir(),
        "a pipe": os.mkfifo,
        "an endless device": lambda path: path.symlink_to("/dev/zero"),
        "an empty device": lambda path: path.symlink_to("/dev/null"),
        "a link to itself": lambda path: path.symlink_to(path),
        "a dangling link": lambda path: path.symlink_to(path.with_name("nowhere")),
    }
