"""LSTM policy of Zoph & Le on torch's LSTM and Adam."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from nas.architecture import Architecture
from nas.protocols import SearchSpace
from nas.space import decide

from .likelihood import Array, Gradient, GroupedSteps, Likelihood, Trajectory
from .policy import cumulative_weights, derived_seed, first_allowed

INIT_RANGE = 0.08
"""Initial parameters are uniform in [-INIT_RANGE, INIT_RANGE]."""


class LstmPolicy:
    """Zoph & Le, "Neural Architecture Search with Reinforcement Learning" (arXiv 1611.01578), section 3.2.

    The LSTM reads an embedding of the option taken last, and a linear head for each choice turns its output into logits
    of the options. All parameters start uniform in [-0.08, 0.08]. All computation is on one thread: results do not
    depend on the number of threads, and no second thread spins on a core that a worker process needs.

    Args:
        seed: Seed of the initial parameters; torch's global generator is left alone.
        lr: Learning rate of Adam, above 0.
        hidden: Width of the LSTM and of the embeddings, from 1.
        layers: Number of layers of the LSTM, from 1.
        dtype: Precision; an update in torch.float64 takes twice the time.
    """

    def __init__(self, *, seed: int, lr: float, hidden: int, layers: int, dtype: torch.dtype = torch.float32) -> None:
        self._seed, self._hidden, self._dtype = seed, hidden, dtype
        # Made on the meta device, as torch would else draw initial weights from its global generator.
        self._lstm = nn.LSTM(hidden, hidden, layers, dtype=dtype, device="meta").to_empty(device="cpu")
        self._start = nn.Parameter(torch.empty(1, hidden, dtype=dtype))
        self.parameters: dict[str, nn.Parameter] = {"start": self._start}
        self.parameters |= {f"lstm {name}": parameter for name, parameter in self._lstm.named_parameters()}
        self._initialise(self.parameters)
        self._always = tuple(self.parameters)
        self._adam = torch.optim.Adam(self.parameters.values(), lr, fused=True)

    def sample(self, space: SearchSpace, rng: random.Random) -> Architecture:
        """See `Policy.sample`."""
        with _one_thread(), torch.inference_mode():
            return first_allowed(space, lambda: self._draw(space, rng), rng)

    def likelihood(self, trajectories: Sequence[Trajectory]) -> Likelihood:
        """See `Policy.likelihood`."""
        steps = GroupedSteps.of(trajectories)
        names = [*self._always, *(name for choice in steps.choices for name in _names(*choice))]
        with _one_thread(), torch.enable_grad():
            logits = self._logits(steps)

        def backward(grad_logits: Array) -> Gradient:
            parameters = [self.parameters[name] for name in names]
            with _one_thread():
                grad_outputs = torch.from_numpy(grad_logits).to(self._dtype)
                grads = torch.autograd.grad(logits, parameters, grad_outputs, retain_graph=True)
            return {name: grad.numpy() for name, grad in zip(names, grads, strict=True)}

        return steps.likelihood(logits.detach().double().numpy(), backward)

    def step(self, gradient: Gradient) -> None:
        """See `Policy.step`."""
        for name, parameter in self.parameters.items():
            parameter.grad = torch.from_numpy(gradient[name]) if name in gradient else None
        with _one_thread():
            self._adam.step()

    def _logits(self, steps: GroupedSteps) -> Tensor:
        """Logits of all steps in one row, (logits,).

        The parameters of all choices are concatenated, as operations for each choice would take most of the time.
        """
        embeddings, weights, biases = zip(*(self._choice(*choice) for choice in steps.choices), strict=True)
        inputs = functional.embedding(torch.from_numpy(steps.previous_options()), torch.cat([self._start, *embeddings]))
        outputs, _ = self._lstm(inputs)  # (longest trajectory, trajectories, hidden)
        outputs_read = np.repeat(steps.position * steps.num_trajectories + steps.trajectory, steps.sizes)
        read = functional.embedding(torch.from_numpy(outputs_read), outputs.flatten(0, 1))
        options = torch.from_numpy(steps.options_of_logits())
        products = (read * functional.embedding(options, torch.cat(weights))).sum(1)
        return products + torch.cat(biases).index_select(0, options)

    def _draw(self, space: SearchSpace, rng: random.Random) -> Architecture:
        zeros = self._start.new_zeros(1, self._hidden)
        states = [(zeros, zeros)] * self._lstm.num_layers  # output h and cell c of each layer, (1, hidden) each
        all_weights = self._lstm.all_weights
        read: Tensor = self._start

        def pick(name: str, options: int) -> int:
            nonlocal read
            for layer, weights in enumerate(all_weights):
                # Calling the module for a single step would take twice the time.
                states[layer] = torch.lstm_cell(read, states[layer], *weights)
                read, _ = states[layer]
            embedding, weight, bias = self._choice(name, options)
            logits: Array = functional.linear(read, weight, bias).double().numpy()[0]
            index = rng.choices(range(options), cum_weights=cumulative_weights(logits))[0]
            read = embedding.narrow(0, index, 1)
            return index

        return decide(space, pick)[1]

    def _choice(self, name: str, options: int) -> tuple[nn.Parameter, nn.Parameter, nn.Parameter]:
        """Embedding (options, hidden) of a choice, and weight (options, hidden) and bias (options,) of its head."""
        embedding, weight, bias = _names(name, options)
        if embedding not in self.parameters:
            shapes = {embedding: (options, self._hidden), weight: (options, self._hidden), bias: (options,)}
            with torch.inference_mode(False):  # parameters made in this mode could not be trained
                made = {name: nn.Parameter(torch.empty(shape, dtype=self._dtype)) for name, shape in shapes.items()}
            self._initialise(made)
            self.parameters |= made
            self._adam.add_param_group({"params": list(made.values())})
        return self.parameters[embedding], self.parameters[weight], self.parameters[bias]

    def _initialise(self, parameters: dict[str, nn.Parameter]) -> None:
        for name, parameter in parameters.items():
            generator = torch.Generator().manual_seed(derived_seed(self._seed, name))
            nn.init.uniform_(parameter, -INIT_RANGE, INIT_RANGE, generator=generator)


def _names(name: str, options: int) -> tuple[str, str, str]:
    return f"embedding {options} {name}", f"weight {options} {name}", f"bias {options} {name}"


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    if threads > 1:  # setting the number takes as long as a step of the LSTM
        torch.set_num_threads(1)
    try:
        yield
    finally:
        if threads > 1:
            torch.set_num_threads(threads)
