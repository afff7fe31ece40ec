"""Images that optimizees are trained on: Fashion-MNIST (Xiao et al., arXiv 1708.07747)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from nas.data.idx_files import read_idx
from nas.errors import DataError

from .problems import Split

DEBIAN = Path("/usr/share/datasets/fashion-mnist")
"""Where the Debian package dataset-fashion-mnist puts the files."""
FILES = {"train": "train", "validation": "train", "test": "t10k"}
VALIDATION = 10_000
"""Training images, the last of the file, that are kept for validation."""


@dataclass(frozen=True)
class Images:
    """Images of 28 x 28 pixels in ten classes.

    Attributes:
        path: Folder of the four files, which are those of MNIST and of Fashion-MNIST, with or without .gz.
        side: Side of the images that are given: 28, or 14 for the means of 2 x 2 pixels.
    """

    path: Path = DEBIAN
    side: int = 28

    def examples(self, split: Split) -> tuple[Tensor, Tensor]:
        """Images (examples, side, side) uint8 and classes (examples,) int64. Raises DataError."""
        images, labels = self._test if split == "test" else self._train
        if split == "test":
            return images, labels
        kept = len(images) - min(VALIDATION, len(images) // 2)
        return (images[:kept], labels[:kept]) if split == "train" else (images[kept:], labels[kept:])

    @cached_property
    def _train(self) -> tuple[Tensor, Tensor]:
        return self._read("train")

    @cached_property
    def _test(self) -> tuple[Tensor, Tensor]:
        return self._read("t10k")

    def _read(self, stem: str) -> tuple[Tensor, Tensor]:
        images = torch.from_numpy(read_idx(self._file(f"{stem}-images-idx3-ubyte")))
        labels = torch.from_numpy(read_idx(self._file(f"{stem}-labels-idx1-ubyte"))).to(torch.int64)
        fit = images.dtype == torch.uint8 and images.shape[1:] == (28, 28) and labels.shape == images.shape[:1]
        if not fit or not len(labels) or not 0 <= int(labels.min()) <= int(labels.max()) < 10:
            raise DataError(
                f"{self.path}: the {stem} files do not hold images of 28 x 28 pixels and their classes 0 to 9; "
                "install dataset-fashion-mnist again"
            )
        if self.side == 14:
            quarters = images.unflatten(1, (14, 2)).unflatten(3, (14, 2)).to(torch.int32)
            images = ((quarters.sum(dim=(2, 4)) + 2) // 4).to(torch.uint8)
        return images, labels

    def _file(self, name: str) -> Path:
        for file in (self.path / f"{name}.gz", self.path / name):
            if file.is_file():
                return file
        raise DataError(
            f"{self.path / name}.gz is missing; apt install dataset-fashion-mnist, or give the folder as path"
        )
