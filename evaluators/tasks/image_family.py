"""Few-shot classification of images of 28 × 28 pixels, the base of Glyphs and Omniglot."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from nas.data.preprocessing import ImagePreprocessing
from nas.protocols import Augmentation
from nas.task import Split, TaskShape

from ..protocol_options import BEFORE
from .augmented import augmented
from .class_family import ClassFamily

SIDE = 28


@dataclass(frozen=True, kw_only=True)
class ImageFamily(ClassFamily):
    """Class family whose `load` gives images (rows, drawers, 28, 28) uint8 with ink = 255.

    The inputs of the network are (1, 28, 28) float32 in [0, 1].

    Attributes:
        augmentation: Augmentation of the images of training tasks; None for none.
    """

    augmentation: Augmentation | None = field(default=None, metadata={BEFORE: None})

    @property
    def shape(self) -> TaskShape:
        return TaskShape((1, SIDE, SIDE), self.ways, "classification")

    def preprocessing(self) -> ImagePreprocessing:
        """Grey images of 28 × 28 pixels with ink = 1, whichever shade the ink of a file has."""
        return ImagePreprocessing(1, SIDE, SIDE, polarity="rarer")

    def check(self) -> None:
        """Loads the data, and logs what the augmentation leaves out. Raises DataError as `ClassFamily.check`."""
        super().check()
        if self.augmentation is not None:
            self.augmentation.check(self.shape.input_shape[0])

    def transformed(self, x: Tensor, keys: Tensor, split: Split) -> Tensor:
        return x if self.augmentation is None or split != "train" else augmented(x, keys, self.augmentation)

    def inputs(self, examples: Tensor) -> Tensor:
        # The divisor is a tensor, because a GPU multiplies by the reciprocal of a Python number, and the result then
        # differs from a CPU's in the last bit.
        white = torch.full((), 255.0, device=examples.device)
        return examples.unsqueeze(3).to(torch.float32) / white
