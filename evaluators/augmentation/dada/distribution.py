"""Distribution over augmentations: a categorical over sub-policies, and a Bernoulli for each of their operations."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor

from nas.augmentation_policy import OPERATIONS, AugmentationPolicy, AugmentationStep, SubPolicy

PAIRS = tuple(combinations(range(len(OPERATIONS)), 2))
"""The sub-policies: all 105 pairs of two different operations, by their numbers."""
SMALLEST = 1e-6
"""Least distance of a uniform random number from 0 and 1, whose logarithms are not finite."""


@dataclass(frozen=True, eq=False)
class PolicyParameters:
    """Parameters φ of the distribution, float32.

    Attributes:
        logits: (sub-policies,) logits of the categorical.
        gates: (sub-policies, 2) logits of the probabilities with which the two operations are applied.
        magnitudes: (sub-policies, 2) magnitudes in [0, 1].
    """

    logits: Tensor
    gates: Tensor
    magnitudes: Tensor

    @classmethod
    def start(cls, device: torch.device, sub_policies: int = len(PAIRS)) -> PolicyParameters:
        """All sub-policies alike, with probability and magnitude 0.5, as in the paper's experiments."""
        pair = (sub_policies, 2)
        return cls(
            torch.zeros(sub_policies, device=device),
            torch.zeros(pair, device=device),
            torch.full(pair, 0.5, device=device),
        )

    def best(self, count: int) -> AugmentationPolicy:
        """The `count` sub-policies of largest weight, largest first."""
        order = self.logits.argsort(descending=True, stable=True)[:count].tolist()
        probabilities, magnitudes = self.gates.sigmoid().tolist(), self.magnitudes.tolist()

        def step(row: int, place: int) -> AugmentationStep:
            operation = OPERATIONS[PAIRS[row][place]]
            return AugmentationStep(operation, probabilities[row][place], magnitudes[row][place])

        return AugmentationPolicy(tuple(SubPolicy(step(row, 0), step(row, 1)) for row in order))


@dataclass(frozen=True, eq=False)
class Draw:
    """A sub-policy and two decisions for each image, and the uniform random numbers behind them.

    Attributes:
        sub_policies: (images,) int64.
        applied: (images, 2) float, 1 where the operation is applied.
        category: (images, sub-policies) uniform, of the categorical.
        gate: (images, 2) uniform, of the decisions.
        category_again: As `category`, independent of it: for the relaxation given the drawn sub-policy.
        gate_again: As `gate`, likewise.
    """

    sub_policies: Tensor
    applied: Tensor
    category: Tensor
    gate: Tensor
    category_again: Tensor
    gate_again: Tensor


def draw(parameters: PolicyParameters, images: int, generator: torch.Generator) -> Draw:
    """Independent draws for so many images, by the Gumbel-max trick."""

    def uniform(columns: int) -> Tensor:
        numbers = torch.rand(images, columns, generator=generator, device=generator.device)
        return numbers.to(parameters.logits.device).clamp(SMALLEST, 1 - SMALLEST)

    category, gate = uniform(len(parameters.logits)), uniform(2)
    chosen = relaxed_category(parameters.logits, category).argmax(dim=1)
    applied = (relaxed_gate(parameters.gates[chosen], gate) > 0).to(gate.dtype)
    return Draw(chosen, applied, category, gate, uniform(category.shape[1]), uniform(2))


def relaxed_category(logits: Tensor, uniform: Tensor) -> Tensor:
    """z = log π + Gumbel noise, (images, sub-policies), whose largest entry is a sample of the categorical π."""
    return logits.log_softmax(dim=-1) - (-uniform.log()).log()


def relaxed_gate(logits: Tensor, uniform: Tensor) -> Tensor:
    """z = logit β + logistic noise, (images, 2), which is positive with probability β."""
    return logits + uniform.logit()


def category_given(logits: Tensor, chosen: Tensor, uniform: Tensor) -> Tensor:
    """A sample of `relaxed_category` given that its largest entry is `chosen` (Grathwohl et al., arXiv 1711.00123,
    appendix B): (images, sub-policies)."""
    exponential = -uniform.log()
    largest = exponential.gather(1, chosen[:, None])
    others = exponential / logits.softmax(dim=-1) + largest
    is_chosen = torch.zeros_like(exponential, dtype=torch.bool).scatter(1, chosen[:, None], True)
    return -torch.where(is_chosen, largest, others).log()


def gate_given(logits: Tensor, applied: Tensor, uniform: Tensor) -> Tensor:
    """A sample of `relaxed_gate` given its sign (the same appendix): (images, 2)."""
    off = 1 - logits.sigmoid()
    within = torch.where(applied > 0, off + uniform * (1 - off), uniform * off)
    return relaxed_gate(logits, within.clamp(SMALLEST, 1 - SMALLEST))
