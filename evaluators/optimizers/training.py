"""Meta-training of a learned optimizer by truncated backpropagation through its steps."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from nas.bounds import LARGEST_RATE, LARGEST_SEED, check_number
from nas.errors import ConfigError

from .fused_step import FusedLstm, state_of
from .lstm import LstmSpec, LstmState, Weights, initial_weights, preprocess, step
from .problems import Optimizee, Problem
from .seeds import generator_of

OWNER = "[training]"
BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8
LOSS_LIMIT = 1e30
"""Losses above it, or not numbers, count as this: an optimizer that diverges must not look good."""


@dataclass(frozen=True)
class TrainingSettings:
    """How an optimizer is trained (Andrychowicz et al., arXiv 1606.04474, sections 2.1 and 3).

    Attributes:
        iterations: Batches of functions, each minimised from its start for `steps` steps.
        steps: Steps on a function.
        unroll: Steps through which the loss is differentiated at once, which divides `steps`.
        functions: Functions of a batch.
        rate: Learning rate of Adam on the optimizer's weights.
        anneal: Whether the learning rate falls to zero along a half cosine; the paper's is constant.
        clip: Largest norm of the outer gradient, to which longer ones are scaled down; 0 for none, as in the paper. A
            long gradient is one of a few functions on which the optimizer is about to diverge.
        coordinates: Number of coordinates of a parameter tensor, drawn anew for each unrolled part, whose updates are
            differentiated; 0 takes all. The outer gradient is a sum over coordinates because inner gradients are
            detached, so that a drawn part, weighted by its share, estimates it without bias.
        forget_bias: Added to the initial biases of the forget gates. Above 0 the network remembers earlier gradients
            from the start (Jozefowicz et al., "An empirical exploration of recurrent network architectures", 2015).
        validate_every: Iterations between measurements on the validation functions.
        validation_functions: Number of validation functions; the weights with the least mean loss after the last step
            are the result.
        seed: Seed of all random numbers.
    """

    iterations: int = 1000
    steps: int = 100
    unroll: int = 20
    functions: int = 128
    rate: float = 1e-3
    anneal: bool = False
    clip: float = 0.0
    coordinates: int = 0
    forget_bias: float = 0.0
    validate_every: int = 50
    validation_functions: int = 256
    seed: int = 0

    def __post_init__(self) -> None:
        for option, most in (("iterations", 10**7), ("steps", 10**5), ("functions", 10**6), ("validate_every", 10**7)):
            check_number(OWNER, option, getattr(self, option), 1, most)
        check_number(OWNER, "unroll", self.unroll, 1, self.steps)
        check_number(OWNER, "clip", self.clip, 0.0, 1e12)
        check_number(OWNER, "forget_bias", self.forget_bias, -100.0, 100.0)
        check_number(OWNER, "coordinates", self.coordinates, 0, 10**9)
        check_number(OWNER, "validation_functions", self.validation_functions, 1, 10**6)
        check_number(OWNER, "rate", self.rate, 0.0, LARGEST_RATE, above=True)
        check_number(OWNER, "seed", self.seed, 0, LARGEST_SEED)
        if self.steps % self.unroll:
            raise ConfigError(
                f"{OWNER} unroll = {self.unroll} does not divide steps = {self.steps}; give a divisor of {self.steps}"
            )


@dataclass(frozen=True)
class TrainingState:
    """Everything that training goes on from.

    Attributes:
        iteration: Finished iterations.
        weights: Weights of the optimizer.
        first: Adam's running means of the gradients by the weights' names.
        second: Its running means of the squared gradients.
        best: Weights with the least validation loss.
        best_loss: That loss; infinite before the first measurement.
        history: Pairs of an iteration and its validation loss.
    """

    iteration: int
    weights: Weights
    first: Weights
    second: Weights
    best: Weights
    best_loss: float = float("inf")
    history: tuple[tuple[int, float], ...] = field(default=())


def start(
    spec: LstmSpec, settings: TrainingSettings, device: torch.device, weights: Weights | None = None
) -> TrainingState:
    """The state before the first iteration, with random weights where none are given."""
    if weights is None:
        weights = initial_weights(spec, generator_of(settings.seed, "weights"), settings.forget_bias)
    weights = {name: weight.to(device) for name, weight in weights.items()}
    zeros = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    return TrainingState(0, weights, zeros, zeros, weights)


def train(
    spec: LstmSpec, settings: TrainingSettings, optimizee: Optimizee, state: TrainingState
) -> Iterator[TrainingState]:
    """The states after each further iteration, which depend on `state` alone: a resumed training is the same.

    Args:
        spec: Size of the optimizer's network.
        settings: How it is trained.
        optimizee: The functions.
        state: State to go on from, of `start` or of an earlier training.
    """
    device = next(iter(state.weights.values())).device
    while state.iteration < settings.iterations:
        generator = generator_of(settings.seed, "train", state.iteration)
        problem = optimizee.problem(generator, settings.functions, "train", device)
        state = _iteration(spec, settings, problem, generator, state)
        if state.iteration % settings.validate_every == 0 or state.iteration == settings.iterations:
            state = validated(spec, settings, optimizee, state, device)
        yield state


def losses_of(spec: LstmSpec, weights: Weights, problem: Problem, steps: int) -> Tensor:
    """Losses (steps + 1, functions) before each step and after the last, of an optimizer that starts afresh."""
    functions, coordinates = problem.start.shape
    network = FusedLstm(spec, weights)
    signals, cell = network.start(functions * coordinates)
    parameters, losses = problem.start, []
    for number in range(steps + 1):
        loss, gradient = problem.loss_and_gradient(parameters, number)
        losses.append(loss)
        if number < steps:
            parameters = parameters + network.step_(gradient.reshape(-1), signals, cell).view_as(parameters)
    return torch.stack(losses)


def limited(losses: Tensor) -> Tensor:
    """The losses, with LOSS_LIMIT for those that are larger or not numbers."""
    return losses.nan_to_num(nan=LOSS_LIMIT, posinf=LOSS_LIMIT).clamp(max=LOSS_LIMIT)


def unrolled_gradient(
    spec: LstmSpec, weights: Weights, inputs: Tensor, slopes: Tensor, shares: Tensor, state: LstmState
) -> dict[str, Tensor]:
    """Gradient of the losses after each of some steps with respect to the optimizer's weights.

    A parameter after step t is the one before the first step plus the updates up to t. As inner gradients are detached,
    the derivative of the sum of the losses with respect to update s is the sum of the inner gradients after the steps
    s, s + 1, …, which are known: no function is differentiated a second time.

    Args:
        spec: Size of the network.
        weights: Its weights.
        inputs: Preprocessed inner gradients before each step, (steps, 2, coordinates).
        slopes: Inner gradients after each step, (steps, coordinates).
        shares: Weight of each coordinate in the sum, (coordinates,).
        state: State before the first step.

    Returns:
        The gradient by the weights' names.
    """
    leaves = {name: weight.detach().requires_grad_() for name, weight in weights.items()}
    onward = slopes.flip(0).cumsum(0).flip(0) * shares
    updates = []
    with torch.enable_grad():
        for each in inputs:
            update, state = step(spec, leaves, each, state)
            updates.append(update)
        surrogate = (torch.stack(updates) * onward).sum()
    return dict(zip(leaves, torch.autograd.grad(surrogate, list(leaves.values())), strict=True))


def _iteration(
    spec: LstmSpec, settings: TrainingSettings, problem: Problem, generator: torch.Generator, state: TrainingState
) -> TrainingState:
    """One batch of functions, minimised from the start, with an outer step after each unrolled part."""
    functions, coordinates = problem.start.shape
    network = FusedLstm(spec, state.weights)
    signals, cell = network.start(functions * coordinates)
    parameters, outer = problem.start, state.iteration * (settings.steps // settings.unroll)
    _, gradient = problem.loss_and_gradient(parameters, 0)
    for first in range(0, settings.steps, settings.unroll):
        chosen, shares = _drawn(problem, settings.coordinates, generator)
        before = LstmState(*(s[:, :, chosen] for s in state_of(spec, signals, cell)))
        inner = [gradient.reshape(-1)[chosen]]
        for number in range(first, first + settings.unroll):
            parameters = parameters + network.step_(gradient.reshape(-1), signals, cell).view_as(parameters)
            _, gradient = problem.loss_and_gradient(parameters, number + 1)
            inner.append(gradient.reshape(-1)[chosen])
        inputs = torch.stack([preprocess(each, spec.preprocessing) for each in inner[:-1]])
        gradients = unrolled_gradient(spec, state.weights, inputs, torch.stack(inner[1:]), shares / functions, before)
        outer += 1
        state = _adam(state, _clipped(gradients, settings.clip), outer, _rate(settings, state.iteration))
        network = FusedLstm(spec, state.weights)
    return replace(state, iteration=state.iteration + 1)


def _drawn(problem: Problem, most: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Numbers of the coordinates, among those of all functions, whose updates are differentiated, and their weights."""
    functions, coordinates = problem.start.shape
    device = problem.start.device
    if not most:
        everything = torch.arange(functions * coordinates, device=device)
        return everything, torch.ones_like(everything, dtype=problem.start.dtype)
    numbers, shares, first = [], [], 0
    for size in problem.sizes:
        count = min(size, most)
        ranks = torch.rand(functions, size, generator=generator)
        within = ranks.argsort(dim=1)[:, :count] if count < size else torch.arange(size).expand(functions, size)
        numbers.append((torch.arange(functions)[:, None] * coordinates + first + within).flatten())
        shares.append(torch.full((functions * count,), size / count, dtype=problem.start.dtype))
        first += size
    return torch.cat(numbers).to(device), torch.cat(shares).to(device)


def _clipped(gradients: Weights, most: float) -> Weights:
    """The gradients scaled to the norm `most` where theirs together is larger; zero where it is no number."""
    if not most:
        return gradients
    norm = torch.stack([gradient.square().sum() for gradient in gradients.values()]).sum().sqrt()
    factor = (most / norm).clamp(max=1.0) if norm.isfinite() else norm.new_zeros(())
    return {name: factor * gradient.nan_to_num() for name, gradient in gradients.items()}


def _rate(settings: TrainingSettings, iteration: int) -> float:
    """Adam's learning rate in an iteration."""
    if not settings.anneal:
        return settings.rate
    return settings.rate * 0.5 * (1 + math.cos(math.pi * iteration / settings.iterations))


def _adam(state: TrainingState, gradients: Weights, number: int, rate: float) -> TrainingState:
    """A step of Adam (Kingma & Ba, arXiv 1412.6980) with its usual constants; the first step has number 1."""
    first, second, weights = {}, {}, {}
    for name, gradient in gradients.items():
        first[name] = BETA1 * state.first[name] + (1 - BETA1) * gradient
        second[name] = BETA2 * state.second[name] + (1 - BETA2) * gradient.square()
        root = (second[name] / (1 - BETA2**number)).sqrt() + EPSILON
        weights[name] = state.weights[name] - rate / (1 - BETA1**number) * first[name] / root
    return replace(state, weights=weights, first=first, second=second)


def validated(
    spec: LstmSpec, settings: TrainingSettings, optimizee: Optimizee, state: TrainingState, device: torch.device
) -> TrainingState:
    """The state with the weights measured on the validation functions, which are always the same."""
    generator = generator_of(settings.seed, "validation")
    problem = optimizee.problem(generator, settings.validation_functions, "validation", device)
    loss = limited(losses_of(spec, state.weights, problem, settings.steps)[-1]).mean().item()
    state = replace(state, history=(*state.history, (state.iteration, loss)))
    return replace(state, best=state.weights, best_loss=loss) if loss < state.best_loss else state
