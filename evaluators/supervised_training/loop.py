"""Training loop of supervised learning: deterministic epochs over a data set that is in the device's memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nas.errors import DataError, NasError
from nas.protocols import Augmentation, Optimizer

from ..networks.normalisation import batch_statistics
from ..stages import STEP
from ..tasks.counter_hash import fold
from .crop_and_flip import DRAWS, crop_and_flip

STATE, SLOT = "state:", "optimizer:"
"""Prefixes of the names of a network's tensors, and of the optimizer's, in a training's state."""


@dataclass(frozen=True)
class Schedule:
    """Options of a training.

    Attributes:
        epochs: Epochs of the whole schedule, over which the rate falls to 0 along a cosine (Loshchilov & Hutter, arXiv
            1608.03983, without restarts); a training may stop before the end and go on later.
        batch: Largest number of examples of a step. An epoch is divided into steps as equally as possible.
        crop: Pixels of zeros around an image out of which it is cut at random.
        flip: Whether images are mirrored left to right at random.
    """

    epochs: int
    batch: int
    crop: int
    flip: bool


@dataclass(frozen=True, eq=False)
class TrainingData:
    """Examples on the device of the network.

    Attributes:
        examples: (examples, *input_shape) uint8 images, or float32.
        labels: (examples,) int64.
        inputs: Makes float32 inputs of examples.
        augmentation: Changes of images besides crops and flips; None for none. Other examples are left as they are.
    """

    examples: Tensor
    labels: Tensor
    inputs: Callable[[Tensor], Tensor]
    augmentation: Augmentation | None = None

    @property
    def images(self) -> bool:
        """Whether the examples are images that can be augmented."""
        return is_images(self.examples)


def is_images(examples: Tensor) -> bool:
    """Whether examples are images in bytes, (examples, channels, height, width)."""
    return examples.dtype == torch.uint8 and examples.dim() == 4


class SupervisedTraining:
    """Training of a network's weights by cross-entropy, in place, on the device where they are.

    After `restore` of its `state` it continues bit for bit as if it had not been interrupted.

    Args:
        network: The network.
        data: The training examples.
        optimizer: The optimizer.
        schedule: The rest of the options.
        seed: Chooses the order of the examples, the crops and the flips.

    Attributes:
        step: Number of epochs trained.
    """

    def __init__(
        self, network: nn.Module, data: TrainingData, optimizer: Optimizer, schedule: Schedule, seed: int
    ) -> None:
        self.step = 0
        self._network, self._data, self._schedule, self._seed = network, data, schedule, seed
        self._parameters = [p for p in network.parameters() if p.requires_grad]
        self._optimizer = optimizer(self._parameters)
        self._rates = [group.get("lr") for group in self._optimizer.param_groups]
        self._steps = math.ceil(len(data.labels) / schedule.batch)

    @property
    def budget(self) -> int:
        """Epochs of the whole schedule."""
        return self._schedule.epochs

    def advance(self, to: int) -> None:
        """Continues until `to` epochs are trained.

        Raises:
            NasError: The loss is not finite; the message names the first such epoch.
        """
        self._network.train()
        try:
            with batch_statistics(self._network):
                for epoch in range(self.step, to):
                    self._epoch(epoch)
                    self.step = epoch + 1
        finally:
            self._network.eval()
            self._optimizer.zero_grad()

    def state(self) -> dict[str, Tensor]:
        """The epochs trained, the network's tensors and the optimizer's, by name."""
        tensors = {STATE + name: value for name, value in self._network.state_dict().items()}
        slots = self._optimizer.state_dict()["state"]
        tensors |= {
            f"{SLOT}{number}:{slot}": value
            for number, values in slots.items()
            for slot, value in values.items()
            if isinstance(value, Tensor)
        }
        return {STEP: torch.tensor(self.step), **{name: value.detach().clone() for name, value in tensors.items()}}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Continues from a state.

        Raises:
            DataError: It is the state of another network's training; nothing is changed.
        """
        step, own = state.get(STEP), self._network.state_dict()
        weights = {name.removeprefix(STATE): value for name, value in state.items() if name.startswith(STATE)}
        if step is None or _shapes(weights) != _shapes(own):
            raise DataError("this is the state of another network's training; train this one from the start")
        slots: dict[int, dict[str, Tensor]] = {}
        for name, value in state.items():
            if name.startswith(SLOT):
                number, _, slot = name.removeprefix(SLOT).partition(":")
                slots.setdefault(int(number), {})[slot] = self._placed(int(number), value)
        self._network.load_state_dict(weights)
        groups = self._optimizer.state_dict()["param_groups"]
        self._optimizer.load_state_dict({"state": slots, "param_groups": groups})
        self.step = int(step)

    def _placed(self, number: int, value: Tensor) -> Tensor:
        """A value of the optimizer's state in the memory layout of its parameter, where it has its shape."""
        p = self._parameters[number] if number < len(self._parameters) else value
        return torch.empty_like(p, dtype=value.dtype).copy_(value) if p.shape == value.shape else value

    def _epoch(self, epoch: int) -> None:
        generator = generator_of(self._seed, epoch)
        device, count = self._data.labels.device, len(self._data.labels)
        order = torch.randperm(count, generator=generator).to(device)
        draws = DRAWS + (self._data.augmentation.draws if self._data.augmentation else 0)
        uniforms = torch.rand(count, draws, generator=generator).to(device) if self._data.images else None
        total = torch.zeros((), device=device)
        for step, rows in enumerate(order.tensor_split(self._steps)):
            self._set_rate((epoch * self._steps + step) / (self.budget * self._steps))
            inputs = self._inputs(rows, None if uniforms is None else uniforms[rows])
            loss = nn.functional.cross_entropy(self._network(inputs), self._data.labels[rows])
            self._optimizer.zero_grad()
            torch.autograd.backward(loss)
            self._optimizer.step()
            total += loss.detach()
        if not bool(total.isfinite()):  # Read once an epoch, because reading waits for the device.
            raise NasError(
                f"training diverged: the loss is not finite in epoch {epoch + 1}; lower the rate of the optimizer"
            )

    def _inputs(self, rows: Tensor, uniforms: Tensor | None) -> Tensor:
        """The augmented inputs of some examples."""
        examples = self._data.examples[rows]
        if uniforms is not None:
            schedule = self._schedule
            examples = crop_and_flip(examples, uniforms[:, :DRAWS], padding=schedule.crop, flip=schedule.flip)
            if self._data.augmentation is not None:
                examples = self._data.augmentation(examples, uniforms[:, DRAWS:])
        return laid_out(self._data.inputs(examples))

    def _set_rate(self, progress: float) -> None:
        """Scales the rates for a part of the schedule, in [0, 1)."""
        for group, rate in zip(self._optimizer.param_groups, self._rates, strict=True):
            if rate is not None:
                group["lr"] = rate * (1 + math.cos(math.pi * progress)) / 2


def generator_of(seed: int, epoch: int) -> torch.Generator:
    """The random numbers of one epoch, on the CPU, so that they are the same for every device.

    Its seed is a hash of both, because torch's generator on the CPU reads no more than 32 bits of a seed.
    """
    key = fold(fold(torch.tensor(seed), 0), epoch)
    return torch.Generator().manual_seed(int(key) & 0xFFFFFFFF)


def laid_out(x: Tensor) -> Tensor:
    """The tensor in the memory layout that suits its device: images have their channels last on a GPU.

    A CPU is no faster with channels last (measured on small networks), and oneDNN's gradient of a 1×1 convolution of
    stride 2 writes beyond its memory there (torch 2.13). So the strides are torch's usual ones, also of an image with
    one channel, for which both layouts are the same numbers in the same places.
    """
    if x.dim() != 4:
        return x
    if x.device.type == "cuda":
        return x.contiguous(memory_format=torch.channels_last)
    return torch.empty(x.shape, dtype=x.dtype).copy_(x)


def lay_out_weights(network: nn.Module) -> None:
    """Puts the weights of two-dimensional convolutions into channels-last memory, in place, on a GPU."""
    for p in network.parameters():
        if p.dim() == 4 and p.device.type == "cuda":
            p.data = p.data.contiguous(memory_format=torch.channels_last)


def _shapes(tensors: Mapping[str, Tensor]) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in tensors.items()}
