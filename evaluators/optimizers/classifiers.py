"""Small classifiers of images as functions to minimise (Andrychowicz et al., arXiv 1606.04474, section 3.2)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from nas.bounds import check_number
from nas.errors import ConfigError, shown

from .image_data import DEBIAN, Images
from .problems import Problem, Split
from .seeds import generator_of

Activation = Literal["sigmoid", "relu"]
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"sigmoid": torch.sigmoid, "relu": torch.relu}
Layers = Sequence[Tensor]
PIXELS, CLASSES = 784, 10


@dataclass(frozen=True)
class Mlp:
    """Fully connected networks on images, with cross-entropy on a new minibatch in each step.

    The paper's are of 20 sigmoid units on MNIST with initial weights normal; here the deviation of a layer's weights and
    biases is 1/√(3 * inputs), that of torch's own layers, so that an optimizer serves networks as torch makes them.

    Attributes:
        units: Units of a hidden layer, at least 1.
        layers: Hidden layers, at least 1.
        activation: Their nonlinearity.
        batch: Images of a minibatch, at least 1.
        path: Folder of the images' files.
    """

    units: int = 20
    layers: int = 1
    activation: Activation = "sigmoid"
    batch: int = 128
    path: Path = DEBIAN
    name: str = field(default="mlp", kw_only=True)

    def __post_init__(self) -> None:
        check_number(self.name, "units", self.units, 1, 4096)
        check_number(self.name, "layers", self.layers, 1, 8)
        _check(self.name, self.activation, self.batch)

    @cached_property
    def images(self) -> Images:
        """The data, read when they are first needed."""
        return Images(self.path)

    def problem(self, generator: torch.Generator, functions: int, split: Split, device: torch.device) -> Problem:
        widths = [PIXELS, *([self.units] * self.layers), CLASSES]
        shapes = [s for n, m in zip(widths, widths[1:], strict=False) for s in ((m, n), (m,))]
        activate = ACTIVATIONS[self.activation]

        def outputs(layers: Layers, images: Tensor) -> Tensor:
            signal = images.flatten(2)
            for number in range(0, len(layers), 2):
                signal = activate(signal) if number else signal
                signal = torch.baddbmm(layers[number + 1][:, None], signal, layers[number].transpose(1, 2))
            return signal

        fans = [n for n in widths[:-1] for _ in range(2)]
        return _classifiers(self.images, self.batch, shapes, fans, outputs, generator, functions, split, device)


@dataclass(frozen=True)
class ConvNet:
    """Networks of two convolutions of 3 x 3 with stride 2 and a linear layer, with cross-entropy as in `Mlp`.

    Attributes:
        channels: Channels of the first convolution, at least 1; the second has twice as many.
        activation: The nonlinearity.
        batch: Images of a minibatch, at least 1.
        path: Folder of the images' files.
    """

    channels: int = 8
    activation: Activation = "relu"
    batch: int = 128
    path: Path = DEBIAN
    name: str = field(default="convnet", kw_only=True)

    def __post_init__(self) -> None:
        check_number(self.name, "channels", self.channels, 1, 1024)
        _check(self.name, self.activation, self.batch)

    @cached_property
    def images(self) -> Images:
        """The data, read when they are first needed."""
        return Images(self.path)

    def problem(self, generator: torch.Generator, functions: int, split: Split, device: torch.device) -> Problem:
        first, second = self.channels, 2 * self.channels
        shapes = [(first, 1, 3, 3), (first,), (second, first, 3, 3), (second,), (CLASSES, second * 49), (CLASSES,)]
        activate = ACTIVATIONS[self.activation]

        def outputs(layers: Layers, images: Tensor) -> Tensor:
            count = len(images)
            signal = images.transpose(0, 1)  # the functions' channels side by side, one group for each
            for weight, bias in (layers[:2], layers[2:4]):
                kernel = weight.flatten(0, 1)
                signal = functional.conv2d(signal, kernel, bias.flatten(), stride=2, padding=1, groups=count)
                signal = activate(signal)
            features = signal.unflatten(1, (count, second)).transpose(0, 1).flatten(2)
            return torch.baddbmm(layers[5][:, None], features, layers[4].transpose(1, 2))

        fans = [9, 9, 9 * first, 9 * first, 49 * second, 49 * second]
        return _classifiers(self.images, self.batch, shapes, fans, outputs, generator, functions, split, device)


def _check(name: str, activation: str, batch: int) -> None:
    check_number(name, "batch", batch, 1, 10**5)
    if activation not in ACTIVATIONS:
        raise ConfigError(f"{name} activation = {shown(activation)}; it must be one of {', '.join(ACTIVATIONS)}")


def _classifiers(
    data: Images,
    batch: int,
    shapes: Sequence[tuple[int, ...]],
    fans: Sequence[int],
    outputs: Callable[[Layers, Tensor], Tensor],
    generator: torch.Generator,
    functions: int,
    split: Split,
    device: torch.device,
) -> Problem:
    images, labels = data.examples(split)
    seed = int(torch.randint(2**31, (), generator=generator))
    sizes = tuple(torch.Size(shape).numel() for shape in shapes)
    parts = [
        torch.randn(functions, size, generator=generator) * (3 * fan) ** -0.5
        for size, fan in zip(sizes, fans, strict=True)
    ]

    def loss(parameters: Tensor, step: int) -> Tensor:
        chosen = torch.randint(len(images), (functions, batch), generator=generator_of(seed, step))
        pixels = images[chosen].to(device).float() / 255
        layers = [p.unflatten(1, shape) for p, shape in zip(parameters.split(sizes, dim=1), shapes, strict=True)]
        scores = outputs(layers, pixels)
        each = functional.cross_entropy(scores.flatten(0, 1), labels[chosen].to(device).flatten(), reduction="none")
        return each.unflatten(0, (functions, batch)).mean(dim=1)

    return Problem(torch.cat(parts, dim=1).to(device), sizes, loss)
