"""Fashion-MNIST (Xiao, Rasul & Vollgraf, arXiv 1708.07747), from the files of Debian's package or of the authors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nas.bounds import LARGEST_SEED, check_number
from nas.data.idx_files import read_idx
from nas.data.preprocessing import ImagePreprocessing, to_json
from nas.errors import ConfigError, DataError
from nas.task import Split, TaskShape

from .counter_hash import choose, task_keys
from .labelled_family import LEAST, LabelledData, LabelledFamily

FOLDER: Final = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's package dataset-fashion-mnist puts the files."""
INSTALL: Final = "install it with `apt-get install dataset-fashion-mnist`, or set path to a folder with its four files"
SIDE: Final = 28
TRAINING: Final = 60_000
"""Images of the authors' training set, which training and validation share."""
CLASSES: Final = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


@dataclass(frozen=True, kw_only=True)
class FashionMnist(LabelledFamily):
    """Fashion-MNIST: grey images of 28×28 pixels of ten kinds of clothing; 60,000 for training and 10,000 for the test.

    The authors' training images are put in a random order; the first `validation_examples` are the validation split,
    the next `train_examples` the training split.

    Attributes:
        train_examples: Images of the training split; 0 for all that validation leaves.
        validation_examples: Images of the validation split; half of them score candidates, half choose the winner.
        seed: Seed of the order.
        path: Folder of the four files, compressed or not.
    """

    name: ClassVar[str] = "fashion-mnist"
    licence: ClassVar[str] = "MIT licence"
    train_examples: int = 0
    validation_examples: int = 10_000
    seed: int = 0
    path: Path = FOLDER

    def __post_init__(self) -> None:
        check_number(self.name, "train_examples", self.train_examples, 0, TRAINING)
        check_number(self.name, "validation_examples", self.validation_examples, LEAST["validation"], TRAINING)
        check_number(self.name, "seed", self.seed, 0, LARGEST_SEED)

    @property
    def shape(self) -> TaskShape:
        return TaskShape((1, SIDE, SIDE), len(CLASSES), "classification")

    def load(self) -> LabelledData:
        """The data, read once in a process.

        Raises:
            ConfigError: There are fewer images than the options ask for.
            DataError: A file is missing or damaged, or the files do not fit together.
        """
        return _data(self)

    def preprocessing(self) -> ImagePreprocessing:
        return ImagePreprocessing(1, SIDE, SIDE)

    def describe(self) -> dict[str, Any]:
        """Identity of the tasks: the options, the preprocessing, and a digest of the images, labels and splits."""
        options = {key: value for key, value in asdict(self).items() if key != "path"}
        digest = self.load().digest
        return {"name": self.name, **options, "preprocessing": to_json(self.preprocessing()), "digest": digest}


@lru_cache(maxsize=2)
def _data(family: FashionMnist) -> LabelledData:
    images, labels = _read(family.path, "train")
    validation, count = family.validation_examples, len(labels)
    wanted = validation + (family.train_examples or LEAST["train"])
    if wanted > count:
        raise ConfigError(
            f"{family.name} has {count:,} images for training and validation, and {wanted:,} are asked for; lower "
            "train_examples or validation_examples"
        )
    key = task_keys(seed=family.seed, split="train", indices=[0], device=torch.device("cpu"))
    order = choose(key, population=count, count=count)[0]
    last = validation + family.train_examples if family.train_examples else count
    rows: Mapping[Split, Tensor] = {"train": order[validation:last], "validation": order[:validation]}
    test_images, test_labels = _read(family.path, "t10k")
    return LabelledData(
        {**{split: images[chosen] for split, chosen in rows.items()}, "test": test_images},
        {**{split: labels[chosen] for split, chosen in rows.items()}, "test": test_labels},
        CLASSES,
    )


def _read(folder: Path, prefix: str) -> tuple[Tensor, Tensor]:
    """Images (images, 1, 28, 28) uint8 and labels (images,) int64 of two files."""
    images, labels = _file(folder, f"{prefix}-images-idx3-ubyte"), _file(folder, f"{prefix}-labels-idx1-ubyte")
    if images.dtype != np.uint8 or images.ndim != 3 or images.shape[1:] != (SIDE, SIDE):
        raise DataError(
            f"{folder}: {prefix}-images are {images.dtype} of shape {images.shape}, not bytes of shape "
            f"(images, {SIDE}, {SIDE}); {INSTALL}"
        )
    if labels.dtype != np.uint8 or labels.shape != (len(images),) or labels.max(initial=0) >= len(CLASSES):
        raise DataError(
            f"{folder}: {prefix}-labels are not {len(images):,} numbers below {len(CLASSES)}, one for each image; "
            f"{INSTALL}"
        )
    return torch.from_numpy(images)[:, None], torch.from_numpy(labels.astype(np.int64))


def _file(folder: Path, name: str) -> NDArray[Any]:
    """The array of a file, compressed or not."""
    folder = folder.expanduser()
    for path in (folder / f"{name}.gz", folder / name):
        if path.is_file():
            return read_idx(path)
    raise DataError(f"Fashion-MNIST is not there: {folder} has no file {name}.gz; {INSTALL}")
