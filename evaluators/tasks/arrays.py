"""Few-shot tasks from a person's own tables: vectors or images with a label, a group, or targets for each row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from nas.bounds import LARGEST_SEED, check_number
from nas.data.array_examples import read_examples
from nas.data.csv_files import Header
from nas.data.preprocessing import ArrayPreprocessing, to_json
from nas.errors import ConfigError, nearest, shown
from nas.task import Split, TaskBatch, TaskShape

from .array_data import Column, ColumnOptions, Missing, check_columns
from .array_sets import ArraySet, SetOptions, array_set
from .class_family import MOST_EXAMPLES, ClassData, ClassFamily
from .counter_hash import SPLITS
from .group_tasks import Draw, draw_tasks

MOST_VALUES = 1_000_000
"""Maximum of each size of an input."""


@dataclass(frozen=True, kw_only=True)
class Arrays(ClassFamily):
    """Own tables: CSV, TSV, .npz, .npy or Parquet files with an example in each row.

    - With `label`: N-way K-shot tasks; the classes are split.
    - With `label` and `group`: a task is one group, such as a patient. All groups have the same classes, whose labels
      mean the same in every task; `ways` is their number. The groups are split.
    - With `targets` and `group`: regression. A task is one group, with `shots` + `queries` of its rows. The groups are
      split. Targets are standardised with the training groups' mean and deviation, so that errors are in units of the
      latter.

    Classes or groups with too few rows are left out, and so are rows that repeat another of the same class or group;
    both are said.

    Attributes:
        path: The file (`nas.data.tables.read_table`).
        label: Column of the class, by name or by number from 0, -1 being the last; in an .npz an array's name.
        group: Column of the group.
        targets: Columns of the numbers to be predicted.
        features: Columns of the inputs; empty for all others that are numbers.
        input_shape: Shape of an input, such as [1, 28, 28] (channels first); empty for that of the data.
        standardise: Whether inputs are shifted and scaled by the mean and deviation of each feature, or channel, in the
            training split.
        split: Column that says train, validation or test for each class or group; without it they are split 60, 20 and
            20 % by a hash of their names, so that a new one moves no other.
        missing: 'error' refuses a row that lacks a value by its line; 'drop' leaves such rows out and says how many.
        header: Whether the first line of a text file names the columns; 'auto' looks.
    """

    name: ClassVar[str] = "arrays"
    path: Path | None = None
    label: Column | None = None
    group: Column | None = None
    targets: tuple[Column, ...] = ()
    features: tuple[Column, ...] = ()
    input_shape: tuple[int, ...] = ()
    standardise: bool = True
    split: Column | None = None
    missing: Missing = "error"
    header: Header = "auto"

    def __post_init__(self) -> None:
        if self.targets:
            check_number(self.name, "shots", self.shots, 1, MOST_EXAMPLES)
            check_number(self.name, "queries", self.queries, 1, MOST_EXAMPLES)
            check_number(self.name, "seed", self.seed, 0, LARGEST_SEED)
        else:
            super().__post_init__()
        check_columns(self.name, label=self.label, group=self.group, split=self.split)
        check_columns(self.name, targets=self.targets, features=self.features)
        sizes = self.input_shape
        if len(sizes) > 3 or not all(isinstance(size, int) and 1 <= size <= MOST_VALUES for size in sizes):
            raise ConfigError(
                f"arrays input_shape = {shown(list(sizes))}; give 1 to 3 whole numbers from 1 to {MOST_VALUES:,}"
            )
        if self.targets and self.label is not None:
            raise ConfigError("arrays has label and targets; label is for classification, targets are for regression")
        if self.targets and self.group is None:
            raise ConfigError(
                "arrays with targets needs group, the column whose values are the tasks (one patient, machine or site "
                "a task)"
            )
        if not self.targets and self.label is None:
            raise ConfigError("arrays needs label, the column of the class, or targets and group for regression")

    @property
    def shape(self) -> TaskShape:
        shape = self.input_shape or self.preprocessing().shape
        return TaskShape(shape, *((len(self.targets), "regression") if self.targets else (self.ways, "classification")))

    def load(self) -> ClassData:
        """The classes, where these are split.

        Raises:
            DataError: The file cannot be used.
        """
        data = self._set().data
        if not isinstance(data, ClassData):
            raise ConfigError("arrays: with group the tasks are given by the data; there are no classes that are split")
        return data

    def check(self) -> None:
        """Reads the file.

        Raises:
            ConfigError: A column does not exist.
            DataError: The file is missing or damaged, or has too few rows, classes or groups for these tasks.
        """
        self._set()

    def classes(self, split: Split) -> list[str]:
        """Names of the classes of a split: with `group` GROUP/CLASS; in regression the groups' names."""
        data = self._set().data
        if isinstance(data, ClassData):
            return super().classes(split)
        groups = [data.names[number] for number in data.groups[_known(split)].tolist()]
        return [f"{group}/{name}" for group in groups for name in data.classes] if data.classes else groups

    def units(self, split: Split) -> tuple[str, tuple[int, ...]]:
        """Unit of each class: the class itself, or its group."""
        data = self._set().data
        if isinstance(data, ClassData):
            return super().units(split)
        classes = max(1, len(data.classes))
        return "groups", tuple(number for number in range(len(data.groups[_known(split)])) for _ in range(classes))

    def describe(self) -> dict[str, Any]:
        """Identity of the tasks: the options, and a digest of the rows and splits."""
        options = {key: value for key, value in asdict(self).items() if key not in {"path", "header"}}
        if self.targets:
            del options["ways"]
        preprocessing = to_json(self.preprocessing())
        return {"name": self.name, **options, "preprocessing": preprocessing, "digest": self._set().digest}

    def tasks(self, split: Split, indices: Sequence[int], device: torch.device) -> TaskBatch:
        """Tasks by number, the same on every device and in any batch.

        Returns:
            The tasks. With `label` alone they are those of `ClassFamily.tasks`; with `group` see `draw_tasks`.

        Raises:
            ConfigError: The split is unknown.
            DataError: As `check`.
        """
        data = self._set().data
        if isinstance(data, ClassData):
            return super().tasks(split, indices, device)
        return draw_tasks(data, Draw(self.seed, _known(split), indices, self.shots, self.queries), device)

    def preprocessing(self) -> ArrayPreprocessing:
        """Shape, mean and deviation of the inputs and targets. Raises what `check` raises."""
        return self._set().preprocessing

    def inventory(self) -> Mapping[str, str]:
        """Digest of the rows of each class or group. Raises what `check` raises."""
        return self._set().inventory

    def read(self, path: Path) -> tuple[Tensor, tuple[str, ...]]:
        """Examples `(examples, *input_shape)` of a file with the same columns, and their labels, '?' where it has none.

        Raises:
            DataError: The file cannot be read, or lacks a feature.
        """
        examples = read_examples(path, self.preprocessing(), label=self.label, header=self.header)
        return torch.from_numpy(examples.x), examples.labels

    def read_targets(self, path: Path) -> tuple[Tensor, Tensor | None]:
        """Examples of a file with the same columns, and their targets (examples, targets), standardised as in training.

        Returns:
            The targets are None where the file has none.

        Raises:
            DataError: The file cannot be read, or lacks a feature.
        """
        examples = read_examples(path, self.preprocessing(), header=self.header)
        return torch.from_numpy(examples.x), None if examples.y is None else torch.from_numpy(examples.y)

    def _set(self) -> ArraySet:
        if self.path is None:
            raise ConfigError("arrays needs path, a .csv, .tsv, .npz, .npy or .parquet file")
        columns = ColumnOptions(
            label=self.label,
            group=self.group,
            targets=self.targets,
            features=self.features,
            split=self.split,
            shape=self.input_shape,
            missing=self.missing,
        )
        options = SetOptions(
            family=self.name,
            columns=columns,
            ways=1 if self.targets else self.ways,
            needed=self.shots + self.queries,
            standardise=self.standardise,
            header=self.header,
        )
        return array_set(Path(self.path).expanduser().resolve(), options)


def _known(split: Split) -> Split:
    if split not in SPLITS:
        raise ConfigError(f"there is no split {split!r} of the tasks; {nearest(str(split), SPLITS)}")
    return split
