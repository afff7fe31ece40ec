"""Report on a task family: its classes, examples, time to draw a task, and what is wrong."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from statistics import median
from typing import Final

from ..errors import ConfigError
from ..protocols.tasks import ClassNames, Faulty, FewShot, Grouped, Preprocessed, Sized, TaskFamily
from ..task import Split

SPLITS: Final[tuple[Split, ...]] = ("train", "validation", "test")
DRAWN: Final = 20  # Tasks that are drawn for the time.


@dataclass(frozen=True)
class SplitReport:
    """Classes of a split.

    Attributes:
        split: The split.
        classes: Number of classes; None where the family has none.
        units: Number of the units that results generalise over, such as groups.
        fewest: Fewest examples of a class; None where they are not known.
        median: Median number of examples of a class.
        most: Most examples of a class.
    """

    split: Split
    classes: int | None = None
    units: int | None = None
    fewest: int | None = None
    median: float | None = None
    most: int | None = None


@dataclass(frozen=True)
class TaskReport:
    """What a task family is.

    Attributes:
        name: Its name.
        kind: Kind of its tasks.
        input_shape: Shape of an input.
        outputs: Ways, or size of the targets.
        shots: Support examples of each class (of each task in regression); None where the family does not say.
        queries: Queries likewise.
        unit: Name of the units in the plural; empty where there are none.
        splits: The splits.
        task_ms: Median milliseconds to draw one task on the CPU.
        preprocessing: How data become inputs, in words; empty where the family does not say.
        faults: What is wrong, one line each.
    """

    name: str
    kind: str
    input_shape: tuple[int, ...]
    outputs: int
    shots: int | None
    queries: int | None
    unit: str
    splits: tuple[SplitReport, ...]
    task_ms: float
    preprocessing: str
    faults: tuple[str, ...]

    def text(self) -> str:
        """The report for a terminal."""
        few = f", {self.shots} support and {self.queries} query examples" if self.shots is not None else ""
        each = " of each class" if self.kind == "classification" else " a task"
        ways = f"{self.outputs}-way " if self.kind == "classification" else ""
        lines = [
            f"{self.name}: {ways}{self.kind}{few}{each if few else ''}",
            f"input {' × '.join(map(str, self.input_shape))}"
            + (f"; {self.preprocessing}" if self.preprocessing else ""),
        ]
        lines += [_split_text(split, self.unit) for split in self.splits]
        lines.append(f"a task is drawn in {self.task_ms:.2f} ms")
        return "\n".join([*lines, *(f"warning: {fault}" for fault in self.faults)])


def report_of(family: TaskFamily) -> TaskReport:
    """The report of a family.

    Raises:
        ConfigError, DataError: Its data cannot be used.
    """
    family.check()
    shape = family.shape
    unit = family.units("train")[0] if isinstance(family, Grouped) else ""
    return TaskReport(
        name=family.name,
        kind=shape.kind,
        input_shape=shape.input_shape,
        outputs=shape.num_outputs,
        shots=family.shots if isinstance(family, FewShot) else None,
        queries=family.queries if isinstance(family, FewShot) else None,
        unit=unit,
        splits=tuple(_split(family, split) for split in SPLITS),
        task_ms=_task_ms(family),
        preprocessing=_preprocessing(family),
        faults=tuple(family.faults()) if isinstance(family, Faulty) else (),
    )


def _split(family: TaskFamily, split: Split) -> SplitReport:
    units = len(Counter(family.units(split)[1])) if isinstance(family, Grouped) else None
    classes, sizes = None, list[int]()
    with suppress(ConfigError):  # what families say whose tasks are groups, with the same classes in all
        classes = len(family.classes(split)) if isinstance(family, ClassNames) else None
        sizes = sorted(family.sizes(split)) if isinstance(family, Sized) else []
    if not sizes:
        return SplitReport(split, classes, units)
    return SplitReport(split, classes, units, sizes[0], float(median(sizes)), sizes[-1])


def _task_ms(family: TaskFamily) -> float:
    import torch

    times = []
    for index in range(DRAWN):
        start = time.perf_counter()
        family.tasks("train", [index], torch.device("cpu"))
        times.append(time.perf_counter() - start)
    return 1000 * median(times)


def _preprocessing(family: TaskFamily) -> str:
    if not isinstance(family, Preprocessed):
        return ""
    values = vars(family.preprocessing())
    shown = {key: value for key, value in values.items() if not isinstance(value, tuple)}
    return ", ".join(f"{key} {value}" for key, value in shown.items())


def _split_text(split: SplitReport, unit: str) -> str:
    if split.classes is None:
        tasks = "tasks by number" if split.units is None else f"{split.units:,} {unit}, each of them a task"
        return f"{split.split:<10}  {tasks}"
    text = f"{split.split:<10}  {split.classes:,} classes"
    if split.units is not None and unit not in ("", "classes"):
        text += f" in {split.units:,} {unit}"
    if split.fewest is not None:
        text += f", {split.fewest} to {split.most} examples each (median {split.median:g})"
    return text
