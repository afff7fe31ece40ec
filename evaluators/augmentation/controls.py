"""Augmentations that nothing learns, to compare learned policies with."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from nas.augmentation_policy import MOST_SUB_POLICIES, OPERATIONS, AugmentationPolicy, AugmentationStep, SubPolicy
from nas.bounds import LARGEST_SEED, check_number

from .operations import MOST_DRAWS
from .policies import POLICY_DRAWS, PolicyAugmentation, apply_where, drawn_number

IDENTITY = -1
CHOICES = (
    IDENTITY,
    *(number for number, name in enumerate(OPERATIONS) if name not in {"Invert", "Cutout"}),
)
"""The 14 operations of RandAugment and TrivialAugment, as numbers: the identity, and all but Invert and Cutout."""
WEAKENING = {"Solarize", "Posterize"}
"""Operations that change an image less the higher their magnitude is."""


@dataclass(frozen=True)
class NoAugmentation:
    """No augmentation: images stay as they are."""

    name = "none"
    draws = 0

    def check(self, channels: int) -> None:
        """Accepts any images."""

    def describe(self) -> dict[str, Any]:
        return {"name": self.name}

    def __call__(self, images: Tensor, uniforms: Tensor) -> Tensor:
        return images


@dataclass(frozen=True)
class RandAugment:
    """RandAugment (Cubuk et al., arXiv 1909.13719): some operations, drawn uniformly for each image, at one strength.

    Attributes:
        operations: Number of operations applied to an image one after the other, the paper's N, from 1 to 10.
        strength: Strength of all of them in [0, 1], the paper's M over its largest value. Ranges are those of the
            operations' table, and the sign of two-sided operations is random. At 0 only AutoContrast and Equalize,
            which have no strength, change an image.
    """

    operations: int = 2
    strength: float = 0.3
    name = "rand-augment"

    def __post_init__(self) -> None:
        check_number(self.name, "operations", self.operations, 1, 10)
        check_number(self.name, "strength", self.strength, 0.0, 1.0)

    @property
    def draws(self) -> int:
        return self.operations * (2 + MOST_DRAWS)

    def check(self, channels: int) -> None:
        """Accepts any images."""

    def describe(self) -> dict[str, Any]:
        return {"name": self.name, **asdict(self)}

    def __call__(self, images: Tensor, uniforms: Tensor) -> Tensor:
        for part in uniforms.chunk(self.operations, dim=1):
            strengths = torch.full_like(part[:, 0], self.strength)
            images = _random_operation(images, strengths, part)
        return images


@dataclass(frozen=True)
class TrivialAugment:
    """TrivialAugment (Müller & Hutter, arXiv 2103.10158): one operation for each image at a strength, both uniform.

    The strength is one of 0, 1/30, …, 1 of the ranges of the operations' table, which are RandAugment's; the paper also
    has wider ones.
    """

    name = "trivial-augment"
    draws = 3 + MOST_DRAWS

    def check(self, channels: int) -> None:
        """Accepts any images."""

    def describe(self) -> dict[str, Any]:
        return {"name": self.name}

    def __call__(self, images: Tensor, uniforms: Tensor) -> Tensor:
        strengths = drawn_number(uniforms[:, 0], 31) / 30
        return _random_operation(images, strengths, uniforms[:, 1:])


@dataclass(frozen=True)
class RandomPolicy:
    """A random policy: pairs of operations, probabilities and magnitudes are uniform.

    Attributes:
        sub_policies: Number of sub-policies, from 1 to 1000.
        seed: Seed of the policy.
    """

    sub_policies: int = 25
    seed: int = 0
    name = "random-policy"
    draws = POLICY_DRAWS

    def __post_init__(self) -> None:
        check_number(self.name, "sub_policies", self.sub_policies, 1, MOST_SUB_POLICIES)
        check_number(self.name, "seed", self.seed, 0, LARGEST_SEED)

    def check(self, channels: int) -> None:
        """Accepts any images."""

    def describe(self) -> dict[str, Any]:
        return {"name": self.name, **asdict(self)}

    def __call__(self, images: Tensor, uniforms: Tensor) -> Tensor:
        return PolicyAugmentation(random_policy(self.sub_policies, self.seed))(images, uniforms)


@lru_cache(maxsize=64)
def random_policy(sub_policies: int, seed: int) -> AugmentationPolicy:
    """The policy of `RandomPolicy` with these options."""
    generator = torch.Generator().manual_seed(seed)

    def step(operation: int) -> AugmentationStep:
        probability, magnitude = torch.rand(2, generator=generator).tolist()
        return AugmentationStep(OPERATIONS[operation], probability, magnitude)

    pairs = [torch.randperm(len(OPERATIONS), generator=generator)[:2].tolist() for _ in range(sub_policies)]
    return AugmentationPolicy(tuple(SubPolicy(step(first), step(second)) for first, second in pairs))


def magnitudes_of(strengths: Tensor, numbers: Tensor, signs: Tensor) -> Tensor:
    """Magnitudes at which operations change images by a strength in [0, 1].

    Strength 0 changes nothing, except by AutoContrast and Equalize, which have no strength.

    Args:
        strengths: (images,) in [0, 1].
        numbers: (images,) int64, numbers of the operations.
        signs: (images,) 1 or -1: the direction of the two-sided operations, whose magnitude 0.5 changes nothing.

    Returns:
        (images,) in [0, 1].
    """
    weakening = torch.tensor([name in WEAKENING for name in OPERATIONS], device=numbers.device)[numbers]
    return torch.where(weakening, 1 - strengths, 0.5 + signs * strengths / 2)


def _random_operation(images: Tensor, strengths: Tensor, uniforms: Tensor) -> Tensor:
    """One operation for each image; uniforms (images, 2 + MOST_DRAWS) are for the operation, the sign and itself."""
    choices = torch.tensor(CHOICES, device=images.device)[drawn_number(uniforms[:, 0], len(CHOICES))]
    signs = torch.where(uniforms[:, 1] < 0.5, -1.0, 1.0)
    magnitudes = magnitudes_of(strengths, choices.clamp(min=0), signs)
    return apply_where(images, choices != IDENTITY, choices, magnitudes, uniforms[:, 2:])
