"""Protocols of augmentations of images, and of search spaces that choose them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from ..augmentation_policy import AugmentationPolicy

if TYPE_CHECKING:
    from torch import Tensor


class Augmentation(Protocol):
    """Random changes of images. An image's result depends on its own pixels and random numbers alone.

    Attributes:
        draws: Number of random numbers that one image takes.
    """

    @property
    def name(self) -> str: ...

    @property
    def draws(self) -> int: ...

    def check(self, channels: int) -> None:
        """Logs what leaves images with so many channels as they are.

        Raises:
            DataError: A file that the augmentation is read from is missing or damaged.
        """
        ...

    def describe(self) -> dict[str, Any]:
        """Identity as JSON values: name, options, and a digest of what is read from a file. Raises as `check`."""
        ...

    def __call__(self, images: Tensor, uniforms: Tensor) -> Tensor:
        """The changed images, on the same device.

        Args:
            images: (images, channels, height, width) uint8 with 1 or 3 channels.
            uniforms: (images, draws) float, random numbers in [0, 1).

        Returns:
            Images of the same shape, uint8.
        """
        ...


@runtime_checkable
class AugmentingSpace(Protocol):
    """Search space whose architectures choose the augmentation policy of the training, besides or instead of layers."""

    def augmentation(self, spec: Any) -> AugmentationPolicy:
        """The policy that a decided spec asks for."""
        ...
