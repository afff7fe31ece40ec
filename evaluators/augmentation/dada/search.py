"""Search for an augmentation policy by gradient: DADA (Li et al., arXiv 2003.03780)."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from nas.augmentation_policy import OPERATIONS, AugmentationPolicy
from nas.bounds import LARGEST_RATE, LARGEST_SEED, check_number
from nas.errors import DataError, NasError, SpaceError
from nas.networks.batch_order import BATCH_NORMS

from ..operations import MOST_DRAWS
from ..policies import apply_where
from .bilevel import UnrolledStep, unrolled_step
from .distribution import PAIRS, Draw, PolicyParameters, draw
from .estimators import ControlVariate, relax

BETAS = (0.5, 0.999)
CONTROL_RATE = 1e-3
SCALE_DECAY = 0.95
"""Decay of the running mean square of the losses h, by whose root they are divided: they may be of any size."""
WHITE = 255.0


@dataclass(frozen=True, kw_only=True)
class DadaOptions:
    """Options of the search; the defaults are the paper's (section 4, on 4,000 images split in half).

    Attributes:
        epochs: Passes over the training half, at least 1.
        batch: Images of a training batch and of a validation batch, at least 2.
        rate: Learning rate of the weights, and size of the unrolled step; falls to zero by a cosine.
        momentum: Momentum of the weights, in [0, 1].
        policy_rate: Learning rate of Adam on the distribution's parameters.
        temperature: Temperature of the relaxed choices.
        sub_policies: Number of sub-policies of the policy that is kept, from 1 to 105.
        seed: Seed of batches and draws.
    """

    epochs: int = 20
    batch: int = 128
    rate: float = 0.1
    momentum: float = 0.9
    policy_rate: float = 5e-3
    temperature: float = 0.5
    sub_policies: int = 25
    seed: int = 0

    def __post_init__(self) -> None:
        check_number("dada", "epochs", self.epochs, 1, 10**6)
        check_number("dada", "batch", self.batch, 2, 10**6)
        check_number("dada", "momentum", self.momentum, 0.0, 1.0)
        check_number("dada", "temperature", self.temperature, 0.0, 1e3, above=True)
        check_number("dada", "sub_policies", self.sub_policies, 1, len(PAIRS))
        check_number("dada", "seed", self.seed, 0, LARGEST_SEED)
        for option in ("rate", "policy_rate"):
            check_number("dada", option, getattr(self, option), 0.0, LARGEST_RATE, above=True)


@dataclass(frozen=True, eq=False)
class Images:
    """Labelled images of one half of the data.

    Attributes:
        x: (images, channels, height, width) uint8.
        y: (images,) int64 labels.
    """

    x: Tensor
    y: Tensor

    def batch(self, rows: Tensor) -> Images:
        return Images(self.x[rows], self.y[rows])


@dataclass(frozen=True, eq=False)
class Epoch:
    """State of the search after an epoch.

    Attributes:
        parameters: Parameters of the distribution.
        train_loss: Mean loss of the epoch's training batches.
        validation_loss: Mean loss of its validation batches, after each unrolled step.
    """

    parameters: PolicyParameters
    train_loss: float
    validation_loss: float


@dataclass(frozen=True, eq=False)
class LearnedPolicy:
    """Result of a search.

    Attributes:
        policy: The sub-policies of largest weight, largest first.
        history: State at the start and after each epoch.
        seconds: Wall-clock seconds of the search.
    """

    policy: AugmentationPolicy
    history: tuple[Epoch, ...]
    seconds: float


@dataclass(eq=False)
class Dada:
    """State of a search: the network's weights, the distribution's parameters, the control variate, their optimizers.

    Attributes:
        network: Network to train. Its output for one image must not depend on the others of the batch.
        options: Options of the search.
        parameters: Parameters of the distribution, changed in place.
        device: Device of the network.
    """

    network: nn.Module
    options: DadaOptions
    parameters: PolicyParameters = field(init=False)
    device: torch.device = field(init=False)

    def __post_init__(self) -> None:
        weights = [p for p in self.network.parameters() if p.requires_grad]
        self.device = weights[0].device
        self.parameters = PolicyParameters.start(self.device)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(self.options.seed)
            self._control = ControlVariate(len(PAIRS), self.options.temperature).to(self.device)
        self._weights = weights
        self._generator = torch.Generator(self.device).manual_seed(self.options.seed)
        self._of_weights = torch.optim.SGD(weights, lr=self.options.rate, momentum=self.options.momentum)
        values = [self.parameters.logits, self.parameters.gates, self.parameters.magnitudes]
        self._of_policy = torch.optim.Adam(values, lr=self.options.policy_rate, betas=BETAS)
        self._of_control = torch.optim.Adam(self._control.parameters(), lr=CONTROL_RATE)
        self._square = torch.zeros((), device=self.device)

    def step(self, train: Images, validation: Images, rate: float) -> UnrolledStep:
        """One step of the weights on augmented training images, and one of the distribution's parameters.

        Args:
            train: Training batch.
            validation: Validation batch.
            rate: Learning rate of the weights.
        """
        drawn = draw(self.parameters, len(train.x), self._generator)
        augmented = _inputs(self._augmented(train.x, drawn))
        step = unrolled_step(self.network, (augmented, train.y), (_inputs(validation.x), validation.y), rate)
        self._move_policy(drawn, step)
        for weight, gradient in zip(self._weights, step.gradients, strict=True):
            weight.grad = gradient
        self._of_weights.param_groups[0]["lr"] = rate
        self._of_weights.step()
        return step

    def _augmented(self, images: Tensor, drawn: Draw) -> Tensor:
        """The images (images, channels, height, width) uint8 after the drawn sub-policies."""
        pairs = torch.tensor(PAIRS, device=images.device)[drawn.sub_policies]
        magnitudes = self.parameters.magnitudes[drawn.sub_policies]
        uniforms = torch.rand(2, len(images), MOST_DRAWS, generator=self._generator, device=images.device)
        for place in range(2):
            applied = drawn.applied[:, place] > 0
            images = apply_where(images, applied, pairs[:, place], magnitudes[:, place], uniforms[place])
        return images

    def _move_policy(self, drawn: Draw, step: UnrolledStep) -> None:
        """One step of Adam on the distribution's parameters, and one on the control variate's weights."""
        square = step.losses.square().mean()
        self._square = square if not self._square else SCALE_DECAY * self._square + (1 - SCALE_DECAY) * square
        estimates = relax(self.parameters, drawn, step.losses / self._square.sqrt().clamp(min=1e-12), self._control)
        control = list(self._control.parameters())
        by_control = torch.autograd.grad(estimates.mean_square(), control, materialize_grads=True)
        for weight, gradient in zip(control, by_control, strict=True):
            weight.grad = gradient
        self._of_control.step()
        with torch.no_grad():
            self.parameters.logits.grad, self.parameters.gates.grad = estimates.mean(drawn)
            # Straight-through: an image's pixels are taken to rise with the magnitude of each applied operation.
            by_magnitude = drawn.applied * step.by_pixels[:, None] / len(step.losses)
            zeros = torch.zeros_like(self.parameters.magnitudes)
            self.parameters.magnitudes.grad = zeros.index_add(0, drawn.sub_policies, by_magnitude)
            self._of_policy.step()
            self.parameters.magnitudes.clamp_(0, 1)


def learn_policy(
    network: nn.Module,
    train: Images,
    validation: Images,
    options: DadaOptions | None = None,
    progress: Callable[[int, Epoch], None] | None = None,
) -> LearnedPolicy:
    """Learns a policy for training a network on images like these.

    Args:
        network: Network with initial weights, which are trained in place.
        train: Half of the images, on which the weights are trained.
        validation: The other half, whose loss judges the augmentation.
        options: Options; None for the paper's.
        progress: Called after each epoch with its number, from 1.

    Returns:
        The policy, and how the distribution moved.

    Raises:
        DataError: A half has fewer images than a batch.
        SpaceError: The network has batch normalisation, through which images of a batch influence each other.
        NasError: The training diverges.
    """
    options = options or DadaOptions()
    if min(len(train.x), len(validation.x)) < options.batch:
        raise DataError(
            f"dada: batches of {options.batch} images need as many in each half; there are {len(train.x)} training and "
            f"{len(validation.x)} validation images: lower batch or give more"
        )
    if any(isinstance(module, BATCH_NORMS) for module in network.modules()):
        raise SpaceError(
            "dada: the network has batch normalisation, and each image's loss must depend on that image alone; use "
            "group normalisation"
        )
    started = time.perf_counter()
    search = Dada(network, options)
    generator = torch.Generator().manual_seed(options.seed)
    history = [Epoch(_copy(search.parameters), math.nan, math.nan)]
    batches = len(train.x) // options.batch
    for epoch in range(options.epochs):
        losses = []
        halves = (_batches(len(half.x), options.batch, batches, generator) for half in (train, validation))
        for number, (rows, other) in enumerate(zip(*halves, strict=True)):
            rate = options.rate * (1 + math.cos(math.pi * (epoch + number / batches) / options.epochs)) / 2
            step = search.step(train.batch(rows), validation.batch(other), rate)
            losses.append(torch.stack([step.train_loss, step.validation_loss]))
        means = torch.stack(losses).mean(dim=0).tolist()
        if not all(map(math.isfinite, means)):
            raise NasError(f"dada: a loss is not finite in epoch {epoch + 1}; lower the rate")
        history.append(Epoch(_copy(search.parameters), *means))
        if progress is not None:
            progress(epoch + 1, history[-1])
    policy = search.parameters.best(options.sub_policies)
    return LearnedPolicy(policy, tuple(history), time.perf_counter() - started)


def weights_by_operation(parameters: PolicyParameters) -> dict[str, float]:
    """Probability of each operation to be in the drawn sub-policy; they sum to 2."""
    weights = parameters.logits.softmax(dim=0).tolist()
    pairs = list(zip(PAIRS, weights, strict=True))
    return {name: sum(w for pair, w in pairs if number in pair) for number, name in enumerate(OPERATIONS)}


def _inputs(images: Tensor) -> Tensor:
    return images.to(torch.float32) / WHITE


def _batches(images: int, size: int, count: int, generator: torch.Generator) -> list[Tensor]:
    """`count` batches of different rows; begins anew where the images do not suffice."""
    orders = [torch.randperm(images, generator=generator) for _ in range(math.ceil(count / (images // size)))]
    return [order[first : first + size] for order in orders for first in range(0, images - size + 1, size)][:count]


def _copy(parameters: PolicyParameters) -> PolicyParameters:
    return PolicyParameters(*(p.detach().clone() for p in vars(parameters).values()))
