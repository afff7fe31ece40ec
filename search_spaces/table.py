"""Spaces of the form `table:FILE.csv`: the architectures of a table, for searches that only look scores up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from nas.errors import ConfigError, DataError, SpaceError, nearest
from nas.protocols import TaskShape
from nas.space import Choose
from nas.tables import read_table, stamp

if TYPE_CHECKING:
    from torch import nn

Row = tuple[str, ...]


@dataclass(frozen=True)
class TableSpace:
    """The rows of a .csv or .npz file, told apart by some of its columns: a choice each, between the texts in it.

    Combinations that are in no row are rejected. There are no networks: the evaluator is `tabular`.

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
        options, rows = _read(self.path, stamp(self.path), self.choices)
        row = tuple([choose(name, texts) for name, texts in zip(self.choices, options, strict=True)])
        if row not in rows:
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


@lru_cache(maxsize=4)
def _read(path: Path, found: tuple[int, int], choices: Row) -> tuple[tuple[Row, ...], frozenset[Row]]:
    """The options of each choice, in the order of the table, and all rows."""
    table = read_table(path, found)
    for name in choices:
        if name not in table.columns:
            raise DataError(f"{path} has no column {name!r}: {nearest(name, table.columns)}")
    columns = [[str(cell) for cell in table.columns[name].tolist()] for name in choices]
    return tuple(tuple(dict.fromkeys(column)) for column in columns), frozenset(zip(*columns, strict=True))
