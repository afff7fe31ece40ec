"""Small classifiers of images as functions to minimise (Andrychowicz et al., arXiv 1606.04474, section 3.2)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
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
CLASSES = 10


@dataclass(frozen=True)
class Mlp:
    """Fully connected networks on images, with cross-entropy on a new minibatch in each step.

    The paper's are of 20 sigmoid units on MNIST with normal initial weights. Here the deviation of a layer's weights
    and biases is 1/√(3 * inputs), that of torch's own layers, because such networks are what an optimizer is used on.

    Attributes:
        units: Units of a hidden layer, at least 1.
        layers: Hidden layers, at least 1.
        activation: Their nonlinearity.
        batch: Images of a minibatch, at least 1.
        side: Side of the images, 28 or 14 pixels.
        path: Folder of the images' files.
    """

    units: int = 20
    layers: int = 1
    activation: Activation = "sigmoid"
    batch: int = 128
    side: Literal[14, 28] = 28
    path: Path = DEBIAN
    name: str = field(default="mlp", kw_only=True)

    def __post_init__(self) -> None:
        check_number(self.name, "units", self.units, 1, 4096)
        check_number(self.name, "layers", self.layers, 1, 8)
        _check(self.name, self.activation, self.batch, self.side)

    @cached_property
    def images(self) -> Images:
        """The data, read when they are first needed."""
        return Images(self.path, self.side)

    def problem(self, generator: torch.Generator, functions: int, split: Split, device: torch.device) -> Problem:
        widths = [self.side**2, *([self.units] * self.layers), CLASSES]
        shapes = [s for n, m in pairwise(widths) for s in ((m, n), (m,))]
        activate = ACTIVATIONS[self.activation]

        def outputs(layers: Layers, images: Tensor) -> Tensor:
            signal = images.flatten(2)
            for number in range(0, len(layers), 2):
                signal = activate(signal) if number else signal
                signal = torch.baddbmm(layers[number + 1][:, None], signal, layers[number].transpose(1, 2))
            return signal

        fans = [n for n in widths[:-1] for _ in range(2)]
        return _problem(self, _Networks(shapes, fans, outputs), generator, functions, split, device)


@dataclass(frozen=True)
class ConvNet:
    """Networks of two convolutions of 3 x 3 with stride 2 and a linear layer, with cross-entropy as in `Mlp`.

    Attributes:
        channels: Channels of the first convolution, at least 1; the second has twice as many.
        activation: The nonlinearity.
        batch: Images of a minibatch, at least 1.
        side: Side of the images, 28 or 14 pixels.
        path: Folder of the images' files.
    """

    channels: int = 8
    activation: Activation = "relu"
    batch: int = 128
    side: Literal[14, 28] = 28
    path: Path = DEBIAN
    name: str = field(default="convnet", kw_only=True)

    def __post_init__(self) -> None:
        check_number(self.name, "channels", self.channels, 1, 1024)
        _check(self.name, self.activation, self.batch, self.side)

    @cached_property
    def images(self) -> Images:
        """The data, read when they are first needed."""
        return Images(self.path, self.side)

    def problem(self, generator: torch.Generator, functions: int, split: Split, device: torch.device) -> Problem:
        first, second, area = self.channels, 2 * self.channels, ((self.side + 3) // 4) ** 2
        shapes = [(first, 1, 3, 3), (first,), (second, first, 3, 3), (second,), (CLASSES, second * area), (CLASSES,)]
        activate = ACTIVATIONS[self.activation]

        def outputs(layers: Layers, images: Tensor) -> Tensor:
            signal = images.flatten(0, 1)[:, None]
            for weight, bias in (layers[:2], layers[2:4]):
                signal = activate(_strided_convolution(signal, weight, bias))
            features = signal.reshape(len(weight), -1, second * area)
            return torch.baddbmm(layers[5][:, None], features, layers[4].transpose(1, 2))

        fans = [9, 9, 9 * first, 9 * first, area * second, area * second]
        return _problem(self, _Networks(shapes, fans, outputs), generator, functions, split, device)


def _strided_convolution(signal: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Convolutions of 3 x 3 with stride 2, one for each function, as a product of matrices: grouped ones are slower.

    Args:
        signal: Images of the functions one after the other, (functions * batch, channels, height, width).
        weight: Kernels (functions, outputs, channels, 3, 3).
        bias: Biases (functions, outputs).

    Returns:
        Images (functions * batch, outputs, height / 2, width / 2).
    """
    functions, outputs = bias.shape
    patches = functional.unfold(signal, 3, padding=1, stride=2).unflatten(0, (functions, -1))
    product = weight.reshape(functions, 1, outputs, -1) @ patches + bias[:, None, :, None]
    height = (signal.shape[2] + 1) // 2
    return product.flatten(0, 1).unflatten(2, (height, -1))


def _check(name: str, activation: str, batch: int, side: int) -> None:
    if side not in (14, 28):
        raise ConfigError(f"{name} side = {shown(side)}; it must be 14 or 28")
    check_number(name, "batch", batch, 1, 10**5)
    if activation not in ACTIVATIONS:
        raise ConfigError(f"{name} activation = {shown(activation)}; it must be one of {', '.join(ACTIVATIONS)}")


@dataclass(frozen=True)
class _Networks:
    """Networks of one form.

    Attributes:
        shapes: Shapes of a network's parameters.
        fans: Number of inputs of the layer that each belongs to.
        outputs: Scores (functions, batch, classes) of parameters (functions, *shape) and images (functions, batch, 28,
            28).
    """

    shapes: Sequence[tuple[int, ...]]
    fans: Sequence[int]
    outputs: Callable[[Layers, Tensor], Tensor]

    @property
    def sizes(self) -> tuple[int, ...]:
        return tuple(math.prod(shape) for shape in self.shapes)

    def start(self, functions: int, generator: torch.Generator) -> Tensor:
        """Initial parameters (functions, coordinates)."""
        pairs = zip(self.sizes, self.fans, strict=True)
        parts = [torch.randn(functions, size, generator=generator) * (3 * fan) ** -0.5 for size, fan in pairs]
        return torch.cat(parts, dim=1)

    def scores(self, parameters: Tensor, images: Tensor) -> Tensor:
        """Scores (functions, batch, classes) of parameters (functions, coordinates)."""
        parts = zip(parameters.split(self.sizes, dim=1), self.shapes, strict=True)
        return self.outputs([part.unflatten(1, shape) for part, shape in parts], images)


def _problem(
    optimizee: Mlp | ConvNet,
    networks: _Networks,
    generator: torch.Generator,
    functions: int,
    split: Split,
    device: torch.device,
) -> Problem:
    images, labels = optimizee.images.examples(split)
    batch, seed = optimizee.batch, int(torch.randint(2**31, (), generator=generator))

    def loss(parameters: Tensor, step: int) -> Tensor:
        chosen = torch.randint(len(images), (functions, batch), generator=generator_of(seed, step))
        scores = networks.scores(parameters, images[chosen].to(device).float() / 255)
        each = functional.cross_entropy(scores.flatten(0, 1), labels[chosen].to(device).flatten(), reduction="none")
        return each.unflatten(0, (functions, batch)).mean(dim=1)

    return Problem(networks.start(functions, generator).to(device), networks.sizes, loss)
