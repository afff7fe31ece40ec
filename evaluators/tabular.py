"""Evaluator `tabular`: look-ups in a table of measured results, at one or several fidelities."""

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
    """Looks the score of an architecture up in a table of earlier results, a .npz or .csv file.

    Attributes:
        space: Space of the architectures.
        path: The file.
        dataset: Prefix of the columns' names: with 'cifar10', 'val_12' is the column 'cifar10_val_12'.
        score: Column of the scores. A column of this name, '_' and the budget comes first: with a budget of 12, 'val'
            is 'val_12'.
        report: Column of the value to report of a chosen architecture, found in the same way; '' takes the score's.
        cost: Column of the seconds of an evaluation; '' where they are unknown. Where the score's column ends in a
            number of epochs, it is the column that ends in the same number. Without one it is the column of the most
            epochs, in proportion: the 'seconds' of 'val_12' are 12 / 200 of 'seconds_200'.
        errors: Column of the score's standard errors, found in the same way; '' where they are unknown.
        metrics: Columns that become metrics of a score under their own names, such as parameters, FLOPs, latency.
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
        """Raises ConfigError without a path, DataError where the file is missing, damaged, or lacks a column or row."""
        self._table().row(self.space, architecture)

    def evaluate(self, architecture: Architecture, budget: int, seed: int) -> Score:
        """The score after `budget` epochs, where the table distinguishes epochs. `seed` has no effect.

        Raises:
            DataError: The table has no such entry.
        """
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
        """The protocol of the scores of `evaluate`: a digest of the table, and its column for the budget."""
        table = self._table()
        return {"table": table.digest, "column": self._column(table, self.score, budget)}

    def seconds(self, architecture: Architecture, budget: int) -> float:
        """Seconds that the evaluation took.

        Raises:
            ConfigError: The option `cost` is not set.
            DataError: The table has no such entry.
        """
        if not self.cost:
            raise ConfigError("evaluator cost is not set; name the table's column of seconds, or leave out the limit")
        table = self._table()
        column, share = self._cost_column(table, budget)
        return share * table.value(column, table.row(self.space, architecture), least=0)

    def reported(self, architecture: Architecture, budget: int) -> float:
        """The value to report, which no search has seen.

        Raises:
            DataError: The table has no such entry.
        """
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

    def _cost_column(self, table: Table, budget: int) -> tuple[str, float]:
        """The column of seconds, and the fraction of them that the evaluation took."""
        epochs = re.search(r"_(\d+)$", self._column(table, self.score, budget))
        cost = self._full(self.cost)
        if epochs is None or f"{cost}_{epochs[1]}" in table.columns:
            return self._column(table, self.cost, int(epochs[1]) if epochs else budget), 1.0
        of_epochs = [re.fullmatch(rf"{re.escape(cost)}_(\d+)", column) for column in table.columns]
        known = [int(match[1]) for match in of_epochs if match is not None and int(match[1]) > 0]
        if not known:
            return self._column(table, self.cost, budget), 1.0
        return f"{cost}_{max(known)}", int(epochs[1]) / max(known)

    def _full(self, name: str) -> str:
        return f"{self.dataset}_{name}" if self.dataset else name
