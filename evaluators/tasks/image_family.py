"""Few-shot classification of images of 28 × 28 pixels: what glyphs and Omniglot share."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from nas.task import TaskShape

from .class_family import ClassFamily

SIDE = 28


@dataclass(frozen=True, kw_only=True)
class ImageFamily(ClassFamily):
    """`load` gives images (rows, drawers, 28, 28) uint8 with ink = 255; the network sees (1, 28, 28) in [0, 1]."""

    @property
    def shape(self) -> TaskShape:
        return TaskShape((1, SIDE, SIDE), self.ways, "classification")

    def inputs(self, examples: Tensor) -> Tensor:
        # By a tensor: a GPU multiplies by the reciprocal of a number, which differs from a CPU's in the last bit.
        white = torch.full((), 255.0, device=examples.device)
        return examples.unsqueeze(3).to(torch.float32) / white
