"""Augmentation of a batch of images by a policy: each image has its own sub-policy and its own magnitudes."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nas.augmentation_policy import OPERATIONS, AugmentationPolicy, SubPolicy, read_policy
from nas.errors import ConfigError

from . import operations
from .operations import MOST_DRAWS

POLICY_DRAWS = 1 + 2 * (1 + MOST_DRAWS)
"""Random numbers of an image: for its sub-policy, and for each of the two operations one gate and its own."""
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PolicyAugmentation:
    """Augmentation by a policy. Each image is given one of the sub-policies, all with equal probability.

    Attributes:
        policy: The policy. Its operations that need colour leave grey images as they are.
        name: Name in protocols.
    """

    policy: AugmentationPolicy
    name: str = "policy"

    @property
    def draws(self) -> int:
        return POLICY_DRAWS

    def check(self, channels: int) -> None:
        """Logs a warning where operations leave images with so many channels as they are."""
        idle = without_effect(self.policy.sub_policies, channels)
        if idle:
            log.warning("%s: %s needs images in colour and leaves grey ones as they are", self.name, ", ".join(idle))

    def describe(self) -> dict[str, Any]:
        """Name, number of sub-policies and a digest of them, as JSON values."""
        text = json.dumps(self.policy.to_json(), sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        return {"name": self.name, "sub_policies": len(self.policy.sub_policies), "digest": digest}

    def __call__(self, images: Tensor, uniforms: Tensor) -> Tensor:
        rows = self.policy.sub_policies
        numbers = torch.tensor([[OPERATIONS.index(step.operation) for step in row.steps] for row in rows])
        pairs = [[(step.probability, step.magnitude) for step in row.steps] for row in rows]
        values = torch.tensor(pairs, dtype=torch.float64)
        chosen = drawn_number(uniforms[:, 0], len(rows))
        number, value = numbers.to(images.device)[chosen], values.to(images.device)[chosen]
        for step in range(2):
            first = 1 + step * (1 + MOST_DRAWS)
            gate, own = uniforms[:, first], uniforms[:, first + 1 : first + 1 + MOST_DRAWS]
            applied = gate < value[:, step, 0]
            images = apply_where(images, applied, number[:, step], value[:, step, 1], own)
        return images


@dataclass(frozen=True)
class PolicyFile:
    """A saved policy: a JSON file as `nas.augmentation_policy` describes it.

    Attributes:
        path: The file, which is read when it is first needed.
    """

    path: Path | None = None
    name = "policy"
    draws = POLICY_DRAWS

    def check(self, channels: int) -> None:
        """Logs what leaves images as they are.

        Raises:
            ConfigError: The option `path` is not set.
            DataError: The file is missing or damaged.
        """
        self._read().check(channels)

    def describe(self) -> dict[str, Any]:
        return self._read().describe()

    def __call__(self, images: Tensor, uniforms: Tensor) -> Tensor:
        return self._read()(images, uniforms)

    def _read(self) -> PolicyAugmentation:
        if self.path is None:
            raise ConfigError("policy: path is not set; give the JSON file of a saved policy")
        return _read(self.path)


@lru_cache(maxsize=8)
def _read(path: Path) -> PolicyAugmentation:
    return PolicyAugmentation(read_policy(path))


def apply_where(images: Tensor, applied: Tensor, numbers: Tensor, magnitudes: Tensor, uniforms: Tensor) -> Tensor:
    """Images after one operation each, where it is applied.

    Args:
        images: (images, channels, height, width) uint8.
        applied: (images,) bool.
        numbers: (images,) int64: the number of the operation in `nas.augmentation_policy.OPERATIONS`.
        magnitudes: (images,) in [0, 1].
        uniforms: (images, MOST_DRAWS) random numbers in [0, 1).

    Returns:
        New images of the same shape, uint8.
    """
    changed = images.clone()
    active = torch.where(applied, numbers, -1)
    for number in torch.unique(active).tolist():
        if number >= 0:
            rows = (active == number).nonzero()[:, 0]
            changed[rows] = operations.apply(OPERATIONS[number], images[rows], magnitudes[rows], uniforms[rows])
    return changed


def drawn_number(uniforms: Tensor, count: int) -> Tensor:
    """Numbers in [0, count), int64, from random numbers in [0, 1)."""
    return (uniforms * count).long().clamp(max=count - 1)


def without_effect(sub_policies: Sequence[SubPolicy], channels: int) -> list[str]:
    """The operations of a policy that leave images with so many channels as they are, each once."""
    used = dict.fromkeys(step.operation for row in sub_policies for step in row.steps)
    return [name for name in used if channels not in operations.OPERATIONS[name].channels]
