"""Protocols of task families."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from ..data.preprocessing import Preprocessing
from ..task import Split, TaskBatch, TaskShape

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class TaskFamily(Protocol):
    """Source of tasks, deterministic in (family, split, index, seed). Splits are disjoint in classes.

    A family is a frozen value: equal families draw equal tasks. `FewShot`, `Labelled`, `ClassNames`, `Grouped` and
    `Reader` are what a family may offer besides.
    """

    def __hash__(self) -> int: ...

    @property
    def name(self) -> str: ...

    @property
    def shape(self) -> TaskShape: ...

    def tasks(self, split: Split, indices: Sequence[int], device: torch.device) -> TaskBatch: ...

    def check(self) -> None:
        """Raises DataError where the data is missing, damaged, or too small for the ways and shots."""
        ...

    def describe(self) -> dict[str, Any]:
        """Identity of the tasks as JSON values: name, options, and a digest of the data."""
        ...


@runtime_checkable
class FewShot(Protocol):
    """Task family whose tasks all have the same numbers of examples.

    Attributes:
        shots: Support examples of each class; of each task in regression.
        queries: Query examples of each class; of each task in regression.
    """

    @property
    def shots(self) -> int: ...

    @property
    def queries(self) -> int: ...


@runtime_checkable
class Labelled(Protocol):
    """One data set with labelled examples, for ordinary supervised training. All splits have the same classes.

    As a task family, its tasks are single examples: task i of a split has no support set, and example i as its only
    query. The finals' fresh validation tasks (`nas.task.FRESH`) are the second half of the validation split, and the
    others its first half, so that no example both scores candidates and chooses among finalists.
    """

    def examples(self, split: Split, device: torch.device) -> tuple[Tensor, Tensor]:
        """All examples of a split: `(examples, *input_shape)` uint8 or float32, and their labels (examples,) int64."""
        ...

    def inputs(self, examples: Tensor) -> Tensor:
        """Examples as the float32 inputs of a network, of the same shape: bytes become numbers in [0, 1]."""
        ...

    def rows(self, split: Split, indices: Sequence[int]) -> Sequence[int]:
        """The places in `examples` of the tasks of these numbers.

        Raises:
            ConfigError: The split has no such task; the message has the largest number of tasks.
        """
        ...


@runtime_checkable
class ClassNames(Protocol):
    """Task family whose tasks are made of named classes."""

    def classes(self, split: Split) -> Sequence[str]:
        """Names of the classes of a split, in the order of the numbers in `TaskBatch.classes`."""
        ...


@runtime_checkable
class Grouped(Protocol):
    """Task family whose classes belong to larger units, and whose results generalise over the units.

    The rotations of one character are such a unit, and so are the characters of an alphabet. Intervals take units as
    the random sample; for other families they take classes.
    """

    def units(self, split: Split) -> tuple[str, tuple[int, ...]]:
        """The name of the units in the plural, and for each class of the split the number of its unit."""
        ...


@runtime_checkable
class Reader(Protocol):
    """Task family that reads a user's own examples for `nas adapt`, where they are neither images nor numbers."""

    def read(self, path: Path) -> tuple[Tensor, tuple[str, ...]]:
        """Labelled examples from a file.

        Returns:
            Examples `(examples, *input_shape)` float32 as in the tasks, and the class of each, '?' where it is unknown.

        Raises:
            DataError: The file is missing, damaged or of another form.
        """
        ...


@runtime_checkable
class TargetReader(Protocol):
    """Regression family that reads a user's own examples for `nas adapt`."""

    def read_targets(self, path: Path) -> tuple[Tensor, Tensor | None]:
        """Examples from a file.

        Returns:
            Examples `(examples, *input_shape)` float32 and targets (examples, num_outputs) float32 as in the tasks;
            None where the file has no targets.

        Raises:
            DataError: The file is missing, damaged or of another form.
        """
        ...


@runtime_checkable
class Preprocessed(Protocol):
    """Task family that says how a user's own data become inputs of its tasks, so that an export can repeat it."""

    def preprocessing(self) -> Preprocessing: ...


@runtime_checkable
class Sized(Protocol):
    """Task family that knows how many examples its classes have."""

    def sizes(self, split: Split) -> Sequence[int]:
        """Number of examples of each class of a split, in the order of `ClassNames.classes`."""
        ...


@runtime_checkable
class Faulty(Protocol):
    """Task family of a user's own files that says what was left out or looks wrong."""

    def faults(self) -> Sequence[str]: ...


@runtime_checkable
class Licensed(Protocol):
    """Task family whose data have a known licence.

    Attributes:
        licence: The licence, in words.
    """

    @property
    def licence(self) -> str: ...


@runtime_checkable
class Inventoried(Protocol):
    """Task family of a user's own files. A run keeps the inventory, so that a resume can say what has changed."""

    def inventory(self) -> Mapping[str, str]:
        """A digest of the examples of each class or group, by its name."""
        ...
