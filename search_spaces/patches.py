"""Patches of images and series: the time steps of a recurrent network, the tokens of a transformer."""

from __future__ import annotations

import itertools
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Patches(nn.Module):
    """Layer that cuts inputs into at most `most` equal patches, in order, and flattens each.

    Patches are as small as `most` allows, and equally long in every dimension (but no longer than the input). Where
    they do not fit, the input is padded with zeros in front, so that the last patch has no zeros.

    Args:
        input_shape: (channels, length) of series or (channels, height, width) of images.
        most: Largest number of patches, from 1.

    Attributes:
        count: Number of patches.
        numbers: Numbers in a patch, over all channels.
    """

    def __init__(self, input_shape: tuple[int, ...], most: int) -> None:
        super().__init__()
        channels, *sizes = input_shape
        side = next(side for side in itertools.count(1) if math.prod(-(-size // side) for size in sizes) <= most)
        self.sides = [min(side, size) for size in sizes]
        self.grid = [-(-size // side) for size, side in zip(sizes, self.sides, strict=True)]
        self.count = math.prod(self.grid)
        self.numbers = channels * math.prod(self.sides)
        missing = [side * patches - size for side, patches, size in zip(self.sides, self.grid, sizes, strict=True)]
        self.padding = [zeros for before in reversed(missing) for zeros in (before, 0)]

    def forward(self, x: Tensor) -> Tensor:
        """(examples, channels, *sizes) to (examples, count, numbers)."""
        if any(self.padding):
            x = F.pad(x, self.padding)
        dims = len(self.grid)
        for dim in range(dims, 0, -1):
            x = torch.unflatten(x, 1 + dim, (self.grid[dim - 1], self.sides[dim - 1]))
        patch_dims, inner_dims = range(2, 2 + 2 * dims, 2), range(3, 3 + 2 * dims, 2)
        return x.permute(0, *patch_dims, 1, *inner_dims).flatten(1 + dims).flatten(1, dims)
