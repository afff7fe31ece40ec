"""Fuzzed configs: shipped ones with bytes and pieces changed at random, read as a command reads them."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from datetime import date
from typing import Any

from nas.config import reading, toml
from nas.config.parts import build
from nas.config.schema import Config
from nas.errors import DataError, NasError
from nas.failures import attempt, reason

from .hostile_configs import BASES, shipped_text

PIECES = (
    b"=", b"\n", b"[", b"]", b"[[", b"]]", b"{", b"}", b'"', b"'", b'"""', b"'''", b"\\", b"\\u0000", b"#", b".", b",",
    b"-", b"+", b"_", b"0x", b"1e", b"nan", b"inf", b"true", b"false", b"99999999999999999999", b"1979-05-27T07:32:00Z",
    b"\0", b"\xff", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"name", b"space", b"tasks", b"search", b"trials", b"evaluator",
    b"table:", b".py:X", b"../", b"/dev/zero", b"%s", b"{0}", b"__class__",
)  # fmt: skip
BUILT_EVERY = 5
"""Of how many fuzzed configs that can be read one also has its components made."""
MOST_CHANGES = 8
MOST_FAULTS = 20


@dataclass(frozen=True)
class Fuzzed:
    """What became of fuzzed configs.

    Attributes:
        count: Number of configs.
        legal: Number of them that can be read.
        slowest_s: Seconds of the slowest.
        faults: Errors that are not the project's own, one line each.
    """

    count: int
    legal: int
    slowest_s: float
    faults: tuple[str, ...]


def fuzz(count: int, seed: int, limit_s: float) -> Fuzzed:
    """Reads fuzzed configs in this process.

    Args:
        count: Number of configs.
        seed: Seed of the changes.
        limit_s: Seconds after which no other config is tried.
    """
    rng, end = random.Random(seed), time.monotonic() + limit_s
    corpus = [shipped_text(name).encode() for name in BASES]
    parsed = [toml.parse(name, shipped_text(name)) for name in BASES]
    done = legal = 0
    slowest, faults = 0.0, list[str]()
    while done < count and time.monotonic() < end:
        data = changed(rng.choice(corpus), corpus, rng)
        tables = changed_tables(rng.choice(parsed), rng) if done % 2 else None
        began = time.perf_counter()
        read = attempt(_read, tables, data)
        error: BaseException | None = read.error
        if read.error is None:
            legal += 1
            error = attempt(build, read.value).error if legal % BUILT_EVERY == 0 else None
        if error is not None and not isinstance(error, NasError):
            faults.append(f"{reason(error)[:150]} for {str(tables or data)[:200]}")
        slowest = max(slowest, time.perf_counter() - began)
        done += 1
    return Fuzzed(done, legal, slowest, tuple(faults[:MOST_FAULTS]))


def _read(tables: dict[str, Any] | None, data: bytes) -> Config:
    """The config of some tables, or else of a text."""
    return reading.from_json(tables or _parsed(data))


def _parsed(data: bytes) -> dict[str, Any]:
    """The tables of a text. Bytes that are no UTF-8 are refused before it is parsed."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(str(error)) from None
    return toml.parse("fuzzed", text)


def changed(data: bytes, corpus: list[bytes], rng: random.Random) -> bytes:
    """A text with some of its bytes, pieces and lines changed."""
    text = bytearray(data)
    for _ in range(rng.randint(1, MOST_CHANGES)):
        place = rng.randrange(len(text) + 1)
        length = rng.choice((1, 1, 2, 8, 40, 200))
        kind = rng.randrange(6)
        if kind == 0 and place < len(text):
            text[place] = rng.randrange(256)
        elif kind == 1:
            del text[place : place + length]
        elif kind == 2:
            text[place:place] = rng.choice(PIECES)
        elif kind == 3:
            text[place : place + length] = rng.choice(PIECES)
        elif kind == 4:
            text[place:place] = text[place : place + length] * rng.choice((1, 2, 30))
        else:
            other = rng.choice(corpus)
            start = rng.randrange(len(other))
            text[place:place] = other[start : start + length]
    return bytes(text)


def changed_tables(data: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    """Tables with some of their values changed, removed or added."""
    result = {name: dict(table) for name, table in data.items()}
    for _ in range(rng.randint(1, 3)):
        table = result[rng.choice(list(result))]
        key = rng.choice([*table, "name", "budget", "learner", "fidelity", "constraints"])
        value = _value(rng)
        inner = table.get(key)
        if isinstance(inner, dict) and inner and rng.random() < 0.7:
            table[key] = {**inner, rng.choice(list(inner)): value}
        elif rng.random() < 0.1:
            table.pop(key, None)
        else:
            table[key] = value
    return result


def _value(rng: random.Random, depth: int = 0) -> Any:
    """A random TOML value."""
    kind = rng.randrange(9 if depth < 3 else 6)
    if kind == 0:
        return rng.choice((-1, 0, 1, 2, 7, 10**3, 10**9, 2**31, 2**63 - 1, -(2**63), 2**64, 10**40))
    if kind == 1:
        return rng.choice((0.0, -0.0, 0.5, -1.5, 1e-320, 1e308, float("nan"), float("inf")))
    if kind == 2:
        return rng.choice((True, False, date(1979, 5, 27)))
    if kind in (3, 4):
        return rng.choice(("", "1", "auto", "cpu", "mlp", "anil", "a.py:B", "table:x.csv", "../x", "\0", "é" * 300))
    if kind == 5:
        return "".join(chr(rng.randrange(1, 0x250)) for _ in range(rng.randrange(20)))
    if kind == 6:
        return {rng.choice(("name", "steps", "rungs", "eta", "x")): _value(rng, depth + 1) for _ in range(2)}
    return [_value(rng, depth + 1) for _ in range(rng.choice((0, 1, 2, 50)))]
