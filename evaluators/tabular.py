"""The evaluator `tabular`: looks a candidate up in a table of what others trained, at several fidelities."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from nas.architecture import Architecture
from nas.errors import ConfigError, DataError, nearest
from nas.protocols import SearchSpace
from nas.space.tables import Table, read_table, stamp
from nas.trial import Score


@dataclass(frozen=True)
class Tabular:
    """Scores an architecture of `space` by its row in a file, .npz or .csv (`nas.space.tables`).

    path     the file
    dataset  what the names of the columns begin with: 'cifar10' finds 'cifar10_val_12' by 'val_12'
    score    the column of the scores. Where there is one of this name, '_' and the budget, it is that: with a budget
             of 12 'val' is 'val_12'
    report   the column of the value to report of a chosen architecture, found in the same way; '' is the score's
    cost     the column of an evaluation's seconds; '' where none are known. Where the score's column ends in a number
             of epochs it is the one that ends so too or, without one, that of the most epochs, in proportion: 'seconds'
             of 'val_12' are 12 / 200 of 'seconds_200'
    errors   the column of the score's standard errors, found in the same way; '' where none are known
    metrics  columns that a score carries along by their names: parameters, FLOPs, latency
    """

    space: SearchSpace
    path: Path | None = None
    dataset: str = ""
    score: str = "val"
    report: str = ""
    cost: str = ""
    errors: str = ""
    metrics: tuple[str, ...] = ()
    name: ClassVar[str] = "tabular"

    def check(self, architecture: Architecture) -> None:
        """Raises ConfigError without a path, DataError where the file is missing, damaged, or lacks what is asked."""
        self._table().row(self.space, architecture)

    def evaluate(self, architecture: Architecture, budget: int, seed: int) -> Score:
        """The score of `budget` epochs, as far as the table tells them apart; it knows of no `seed`.

        Raises DataError where the table has no such entry."""
        table = self._table()
        row, column = table.row(self.space, architecture), self._column(table, self.score, budget)
        value = table.value(column, row)
        metrics = {name: table.value(self._column(table, name, budget), row) for name in self.metrics}
        return Score(
            value=value,
            stderr=table.value(self._column(table, self.errors, budget), row, least=0) if self.errors else 0.0,
            curve=(value,),
            per_task=(value,),
            metrics=metrics,
            protocol={"table": table.digest, "column": column},
            cost_s=self.seconds(architecture, budget) if self.cost else None,
        )

    def search_protocol(self, budget: int, schedule: int) -> dict[str, Any]:
        """The protocol of what `evaluate` gives: the table's content, and its column for the budget."""
        table = self._table()
        return {"table": table.digest, "column": self._column(table, self.score, budget)}

    def seconds(self, architecture: Architecture, budget: int) -> float:
        """What the evaluation cost. Raises ConfigError without `cost`, DataError where the table has no such entry."""
        if not self.cost:
            raise ConfigError("evaluator cost is not set; name the table's column of seconds, or leave out the limit")
        table = self._table()
        column, share = self._price(table, budget)
        return share * table.value(column, table.row(self.space, architecture), least=0)

    def reported(self, architecture: Architecture, budget: int) -> float:
        """The value to report, which no search has seen. Raises DataError where the table has no such entry."""
        table = self._table()
        column = self._column(table, self.report or self.score, budget)
        return table.value(column, table.row(self.space, architecture))

    def _table(self) -> Table:
        if self.path is None:
            raise ConfigError("evaluator path is not set; give the .npz or .csv file of the table")
        return read_table(self.path, stamp(self.path))

    def _column(self, table: Table, name: str, budget: int) -> str:
        for column in (f"{self._full(name)}_{budget}", self._full(name), name):
            if column in table.columns:
                return column
        raise DataError(
            f"{self.path} has no column {self._full(name)!r}, nor one of budget {budget}: "
            f"{nearest(self._full(name), table.columns)}"
        )

    def _price(self, table: Table, budget: int) -> tuple[str, float]:
        """The column of seconds, and which part of them the evaluation took."""
        epochs = re.search(r"_(\d+)$", self._column(table, self.score, budget))
        cost = self._full(self.cost)
        if epochs is None or f"{cost}_{epochs[1]}" in table.columns:
            return self._column(table, self.cost, int(epochs[1]) if epochs else budget), 1.0
        of_epochs = [re.fullmatch(rf"{re.escape(cost)}_(\d+)", column) for column in table.columns]
        known = [int(found[1]) for found in of_epochs if found is not None and int(found[1]) > 0]
        if not known:
            return self._column(table, self.cost, budget), 1.0
        return f"{cost}_{max(known)}", int(epochs[1]) / max(known)

    def _full(self, name: str) -> str:
        return f"{self.dataset}_{name}" if self.dataset else name
