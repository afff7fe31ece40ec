"""Random quadratic functions (Andrychowicz et al., arXiv 1606.04474, section 3.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nas.bounds import check_number

from .problems import Problem, Split


@dataclass(frozen=True)
class Quadratics:
    """Functions ‖Wθ - y‖² with W, y and the initial θ of independent standard normal numbers.

    Attributes:
        dimension: Size of θ and y, at least 1.
    """

    dimension: int = 10
    name: ClassVar[str] = "quadratics"

    def __post_init__(self) -> None:
        check_number(self.name, "dimension", self.dimension, 1, 4096)

    def problem(self, generator: torch.Generator, functions: int, split: Split, device: torch.device) -> Problem:
        size = self.dimension
        w = torch.randn(functions, size, size, generator=generator).to(device)
        y = torch.randn(functions, size, 1, generator=generator).to(device)
        start = torch.randn(functions, size, generator=generator).to(device)

        def loss(parameters: Tensor, step: int) -> Tensor:
            return torch.baddbmm(y, w, parameters[:, :, None], beta=-1).square().sum(dim=(1, 2))

        return Problem(start, (size,), loss)
