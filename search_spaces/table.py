"""Spaces of the form `table:FILE.csv`: the architectures of a table, for searches that only look scores up."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from nas.errors import ConfigError, DataError, SpaceError, nearest
from nas.space import Choose
from nas.space.tables import read_table, stamp
from nas.task import TaskShape

if TYPE_CHECKING:
    from torch import nn

Row = tuple[str, ...]
FULL = 0.05
"""The part of all combinations from which on it is quick enough to draw until one is a row."""


@dataclass(frozen=True)
class TableSpace:
    """The rows of a .csv or .npz file, told apart by some of its columns: a choice each, between the texts in it.

    Combinations that are in no row are rejected; where hardly any is, a choice offers only what some row has after the
    choices before it, and nothing is rejected. There are no networks: the evaluator is `tabular`.

    path     the file
    choices  names of columns
    """

    path: Path
    choices: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.choices or len(set(self.choices)) < len(self.choices):
            raise ConfigError(f"choices are {list(self.choices)}; name the columns that tell architectures apart, once")

    @property
    def name(self) -> str:
        return f"table:{self.path.stem}"

    def decide(self, choose: Choose) -> Row:
        """Raises DataError where the file cannot be read or lacks a column."""
        read = _read(self.path, stamp(self.path), self.choices)
        row: Row = ()
        for name, options in zip(self.choices, read.options, strict=True):
            row += (choose(name, options if read.after is None else read.after[row]),)
        if row not in read.rows:
            choose.reject("the table has no such row")
        return row

    def build(self, spec: Row, task: TaskShape) -> nn.Module:
        """Raises SpaceError."""
        raise SpaceError(f"space {self.name!r} is a table without networks; search it with the evaluator 'tabular'")


def of_file(path: str) -> Callable[..., TableSpace]:
    """What makes the space of a file, given its choices."""

    def make(*, choices: tuple[str, ...] = ()) -> TableSpace:
        return TableSpace(Path(path), choices)

    make.__doc__ = TableSpace.__doc__
    return make


@dataclass(frozen=True, eq=False)
class _Rows:
    """What a table has of some columns.

    options  of each choice, in the order of the table
    rows     all of them
    after    the options that there are after the texts chosen so far; None where many combinations are rows
    """

    options: tuple[Row, ...]
    rows: frozenset[Row]
    after: Mapping[Row, Row] | None


@lru_cache(maxsize=4)
def _read(path: Path, found: tuple[int, int], choices: Row) -> _Rows:
    table = read_table(path, found)
    for name in choices:
        if name not in table.columns:
            raise DataError(f"{path} has no column {name!r}: {nearest(name, table.columns)}")
    columns = [[str(cell) for cell in table.columns[name].tolist()] for name in choices]
    options = tuple(tuple(dict.fromkeys(column)) for column in columns)
    rows = dict.fromkeys(zip(*columns, strict=True))
    sparse = len(rows) < FULL * math.prod(map(len, options))
    return _Rows(options, frozenset(rows), _after(rows) if sparse else None)


def _after(rows: Iterable[Row]) -> dict[Row, Row]:
    found: dict[Row, dict[str, None]] = {}
    for row in rows:
        for place, text in enumerate(row):
            found.setdefault(row[:place], {})[text] = None
    return {before: tuple(texts) for before, texts in found.items()}
