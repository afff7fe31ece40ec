"""Omniglot: 1,623 hand-written characters of 50 alphabets, each drawn by 20 people."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import ClassVar, Final, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from nas.errors import ConfigError, DataError
from nas.task import Split

from .class_family import ClassData, ClassPool
from .image_family import ImageFamily
from .omniglot_files import HINT, Characters, fetch_archives, read_characters

# Whole alphabets of the background set, no close relatives of the training alphabets: 181 of 964 characters.
VALIDATION_ALPHABETS: Final = ("Armenian", "Balinese", "Grantha", "Korean", "N_Ko")
MIXED_PARTS: Final = (1100, 100, 423)
"""Numbers of train, validation and test characters where alphabets are mixed: all 1,623, as in MAML."""
_QUARTERS: Final = 4
Rotations = Literal["distinct", "as classes", "none"]
ROTATIONS: Final[tuple[Rotations, ...]] = get_args(Rotations)


@dataclass(frozen=True, kw_only=True)
class Omniglot(ImageFamily):
    """Lake et al., "Human-level concept learning through probabilistic program induction" (2015), at 28 × 28.

    The test split is the evaluation set (20 alphabets). The validation split is five whole alphabets of the background
    set (Armenian, Balinese, Grantha, Korean, N_Ko), and the training split its other 25.

    Attributes:
        path: A packed .npz (`omniglot_files`), or the folder with images_background and images_evaluation, each as the
            official .zip or extracted.
        download: Whether missing official archives are downloaded into the folder `path`.
        rotations: Whether each character turned by 90, 180 and 270° is a further class, in every split. 'distinct': the
            classes of a task are different characters, each in one of its rotations, as in MAML's code. 'as classes': a
            task may have one character in several rotations. 'none': no character is turned.
        within_alphabet: Whether all classes of a task are of one alphabet, in one rotation, drawn uniformly over
            alphabets. Alphabets with fewer than `ways` characters are left out.
        mixed: Whether characters are split at random without regard to alphabets: 1,100 train, 100 validation and 423
            test characters, as in MAML. This is easier, because test characters have relatives in the training split.
    """

    name: ClassVar[str] = "omniglot"
    licence: ClassVar[str] = "MIT (github.com/brendenlake/omniglot)"
    path: Path | None = None
    download: bool = False
    rotations: Rotations = "distinct"
    within_alphabet: bool = False
    mixed: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rotations not in ROTATIONS:
            raise ConfigError(f"omniglot: rotations is {self.rotations!r}; it must be one of {', '.join(ROTATIONS)}")
        if self.download and self.path is not None and self.path.suffix in {".npz", ".zip"}:
            raise ConfigError(f"omniglot: path is {self.path}; with download = true it must be a folder")

    def units(self, split: Split) -> tuple[str, tuple[int, ...]]:
        """Alphabet of each class, as the splits are of whole alphabets; its character where alphabets are mixed."""
        if self.mixed:
            return "characters", super().units(split)[1]
        alphabets = [_alphabet(name) for name in self.classes(split)]
        numbers = {name: number for number, name in enumerate(sorted(set(alphabets)))}
        return "alphabets", tuple(numbers[name] for name in alphabets)

    def load(self) -> ClassData:
        """Reads the files, once in a process.

        Raises:
            ConfigError: The option `path` is not set.
            DataError: A file is missing or damaged.
        """
        if self.path is None:
            raise ConfigError(f"omniglot: path is not set; {HINT}")
        path = Path(self.path).expanduser().resolve()
        if self.download:
            fetch_archives(path)
        least = self.ways if self.within_alphabet else None
        return _data(path, rotations=self.rotations, least=least, mixed=self.mixed)


@lru_cache(maxsize=4)
def _data(path: Path, *, rotations: Rotations, least: int | None, mixed: bool) -> ClassData:
    characters, images = _characters(path)
    owners = _mixed(characters.names) if mixed else _by_alphabet(characters)
    splits: tuple[Split, ...] = ("train", "validation", "test")
    pools: dict[Split, ClassPool] = {}
    for split in splits:
        rows = np.flatnonzero(owners == split)
        pools[split] = _pool(characters.names, rows, rotations=rotations, least=least)
        if not pools[split].names:
            if least is None:
                raise DataError(f"omniglot: {path} has no {split} characters; {HINT}")
            raise DataError(
                f"omniglot: no {split} alphabet has {least} characters, as within_alphabet needs: lower ways"
            )
    return ClassData(images, pools)


@lru_cache(maxsize=1)
def _characters(path: Path) -> tuple[Characters, torch.Tensor]:
    """One tensor for all families that read the same files, with any rotations."""
    characters = read_characters(path)
    return characters, torch.from_numpy(characters.images)


def _by_alphabet(characters: Characters) -> NDArray[np.str_]:
    """The split of each character."""
    owned = zip(characters.names, characters.evaluation, strict=True)
    return np.array([_split(name, evaluation) for name, evaluation in owned])


def _mixed(names: tuple[str, ...]) -> NDArray[np.str_]:
    """The split of each character, drawn at random; the same in whatever order the characters come."""
    shares = np.cumsum(MIXED_PARTS) / sum(MIXED_PARTS)
    train, validation, _ = (shares * len(names)).round().astype(int)
    place = np.empty(len(names), dtype=int)
    place[np.argsort(names)] = np.random.default_rng(0).permutation(len(names))
    return np.where(place < train, "train", np.where(place < validation, "validation", "test"))


def _split(name: str, evaluation: bool) -> Split:
    if evaluation:
        return "test"
    return "validation" if _alphabet(name) in VALIDATION_ALPHABETS else "train"


def _alphabet(name: str) -> str:
    return name.split("/")[0]


def _pool(names: tuple[str, ...], rows: NDArray[np.intp], *, rotations: Rotations, least: int | None) -> ClassPool:
    """Each character of these rows in each rotation; grouped by alphabet and rotation where `least` is set."""
    turns = 1 if rotations == "none" else _QUARTERS
    alphabets = np.array([_alphabet(names[row]) for row in rows])
    if least is not None:
        rows = rows[[(alphabets == alphabet).sum() >= least for alphabet in alphabets]]
        alphabets = np.array([_alphabet(names[row]) for row in rows])
    turned = np.repeat(np.arange(turns), len(rows))
    labels = tuple(names[row] + (f"@{90 * turn}" if turn else "") for turn in range(turns) for row in rows)
    variants = torch.arange(turns * len(rows)).reshape(turns, len(rows)).T.contiguous()
    groups = None
    if least is not None:
        distinct, number = np.unique(alphabets, return_inverse=True)
        groups = torch.from_numpy(np.tile(number, turns) + len(distinct) * turned)
    return ClassPool(
        labels,
        rows=torch.from_numpy(np.tile(rows, turns)),
        turns=torch.from_numpy(turned) if turns > 1 else None,
        groups=groups,
        variants=variants if rotations == "distinct" and groups is None else None,
    )
