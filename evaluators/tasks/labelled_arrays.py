"""Own tables with labels, for ordinary supervised training: vectors, series or images in the rows of a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from nas.data.array_examples import read_examples, scaled
from nas.data.csv_files import Header
from nas.data.preprocessing import ArrayPreprocessing, to_json
from nas.data.tables import digest_of, read_table
from nas.errors import ConfigError, DataError, shown
from nas.task import Split

from .array_data import Column, ColumnOptions, Missing, check_columns, listed, preprocessing_of, rows_of
from .array_sets import without_copies
from .arrays import MOST_VALUES
from .counter_hash import SPLITS
from .labelled_family import LabelledData, LabelledFamily, in_order_of_content, split_by_content


@dataclass(frozen=True, kw_only=True)
class LabelledArrays(LabelledFamily):
    """Own tables: CSV, TSV, .npz, .npy or Parquet files with a labelled example in each row.

    The file is read as by `arrays`. Rows that repeat another of the same class are left out, which is said.

    Attributes:
        path: The file.
        label: Column of the class, by name or by number from 0, -1 being the last; in an .npz an array's name.
        features: Columns of the inputs; empty for all others that are numbers.
        input_shape: Shape of an input, such as [1, 28, 28] (channels first); empty for that of the data.
        standardise: Whether inputs are shifted and scaled by the mean and deviation of each feature, or channel, in the
            training split.
        split: Column that says train, validation or test for each row; without it the rows of each class are split 60,
            20 and 20 % by a hash of their inputs, so that a new one moves no other.
        missing: 'error' refuses a row that lacks a value by its line; 'drop' leaves such rows out and says how many.
        header: Whether the first line of a text file names the columns; 'auto' looks.
    """

    name: ClassVar[str] = "labelled-arrays"
    path: Path | None = None
    label: Column | None = None
    features: tuple[Column, ...] = ()
    input_shape: tuple[int, ...] = ()
    standardise: bool = True
    split: Column | None = None
    missing: Missing = "error"
    header: Header = "auto"

    def __post_init__(self) -> None:
        check_columns(self.name, label=self.label, split=self.split, features=self.features)
        sizes = self.input_shape
        if len(sizes) > 3 or not all(isinstance(size, int) and 1 <= size <= MOST_VALUES for size in sizes):
            raise ConfigError(
                f"{self.name} input_shape = {shown(list(sizes))}; give 1 to 3 whole numbers from 1 to {MOST_VALUES:,}"
            )
        if self.label is None:
            raise ConfigError(f"{self.name} needs label, the column of the class")

    def load(self) -> LabelledData:
        """The data, read once in a process.

        Raises:
            ConfigError: The option `path` is not set, or a column does not exist.
            DataError: The file cannot be used, or has too few classes or rows.
        """
        return _data(self).data

    def preprocessing(self) -> ArrayPreprocessing:
        """Shape, mean and deviation of the inputs. Raises what `load` raises."""
        return _data(self).preprocessing

    def inventory(self) -> Mapping[str, str]:
        """Digest of the rows of each class. Raises what `load` raises."""
        return _data(self).inventory

    def describe(self) -> dict[str, Any]:
        """Identity of the tasks: the options, the preprocessing, and a digest of the rows, labels and splits."""
        options = {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in asdict(self).items()
            if key != "path"
        }
        digest = self.load().digest
        return {"name": self.name, **options, "preprocessing": to_json(self.preprocessing()), "digest": digest}

    def read(self, path: Path) -> tuple[Tensor, tuple[str, ...]]:
        """Examples of a file with the same columns, (examples, *input_shape), and their labels; '?' where it has none.

        Raises:
            DataError: The file cannot be read, or lacks a feature.
        """
        examples = read_examples(path, self.preprocessing(), label=self.label, header=self.header)
        return torch.from_numpy(examples.x), examples.labels


@dataclass(frozen=True, eq=False)
class _Read:
    data: LabelledData
    preprocessing: ArrayPreprocessing
    inventory: Mapping[str, str]


@lru_cache(maxsize=2)
def _data(family: LabelledArrays) -> _Read:
    if family.path is None:
        raise ConfigError(f"{family.name} needs path, a .csv, .tsv, .npz, .npy or .parquet file")
    path = Path(family.path).expanduser().resolve()
    columns = ColumnOptions(
        label=family.label,
        features=family.features,
        split=family.split,
        shape=family.input_shape,
        missing=family.missing,
    )
    found = without_copies(rows_of(read_table(path, family.header), columns))
    classes = sorted(set(found.labels))
    labels = np.array([classes.index(label) for label in found.labels], dtype=np.int64)
    if len(classes) < 2:
        raise DataError(f"{path} has the one class {classes[0]!r} in column {family.label!r}; give two or more")
    if found.splits:
        given = {split: [row for row, of_row in enumerate(found.splits) if of_row == split] for split in SPLITS}
        rows: Mapping[Split, list[int]] = {split: in_order_of_content(found.x, given[split]) for split in SPLITS}
    else:
        rows, _ = split_by_content(found.x, labels.tolist())
    missing = sorted(set(range(len(classes))) - set(labels[rows["train"]].tolist()))
    if missing:
        raise DataError(
            f"{path}: the classes {listed(classes[i] for i in missing)} have no training rows; add some, or leave the "
            "classes out"
        )
    training = np.isin(np.arange(len(labels)), rows["train"])
    preprocessing = preprocessing_of(found, training, standardise=family.standardise)
    x = scaled(found.x, preprocessing)
    data = LabelledData(
        {split: torch.from_numpy(x[rows[split]]) for split in SPLITS},
        {split: torch.from_numpy(labels[rows[split]]) for split in SPLITS},
        tuple(classes),
    )
    inventory = {name: digest_of(found.x[labels == number]) for number, name in enumerate(classes)}
    return _Read(data, preprocessing, inventory)
