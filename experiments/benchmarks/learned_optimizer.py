"""Benchmark of the learned optimizer: a step on 100,000 parameters, and unrolled training beside a plain loop.

    python -m nas.experiments.benchmarks.learned_optimizer [--parameters 100000] [--functions 16] [--json] [--out TXT]

The plain loop holds a network for each coordinate of each function, one after the other, as the algorithm is written
down: torch's LSTM cells with autograd through the functions. Its gradient is compared with the project's first.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nas.evaluators.optimizers.files import ExportedOptimizer
from nas.evaluators.optimizers.fused_step import FusedLstm
from nas.evaluators.optimizers.learned import LearnedOptimizer
from nas.evaluators.optimizers.lstm import LstmSpec, Weights, initial_state, initial_weights, preprocess
from nas.evaluators.optimizers.problems import Problem
from nas.evaluators.optimizers.quadratics import Quadratics
from nas.evaluators.optimizers.seeds import generator_of
from nas.evaluators.optimizers.training import unrolled_gradient

from ..command_line import add_output_options, explained, machine, machine_line, print_benchmark, whole

STEP_MS, TIMES = 10.0, 5.0
"""Targets: ms of a step, and how many times as fast as the plain loop unrolled training is."""
UNROLL, ROUNDS = 20, 20
SPEC = LstmSpec()


@dataclass(frozen=True)
class Measured:
    """Times of the benchmark.

    Attributes:
        parameters: Number of parameters of the step.
        step_ms: Its least time in ms, without the gradient of the network.
        adam_ms: That of torch's Adam (foreach) on the same parameters.
        functions: Functions of the unrolled training.
        unrolled_ms: Least time of the gradient through UNROLL steps, in ms.
        plain_ms: That of the plain loop.
        deviation: Largest difference of their gradients, relative to the largest entry.
        threads: Threads of torch.
    """

    parameters: int
    step_ms: float
    adam_ms: float
    functions: int
    unrolled_ms: float
    plain_ms: float
    deviation: float
    threads: int

    @property
    def times(self) -> float:
        """How many times as fast as the plain loop."""
        return self.plain_ms / self.unrolled_ms


def step_times(parameters: int) -> tuple[float, float]:
    """Least times in ms of a step of the learned optimizer and of Adam on a network of four parameter tensors."""
    quarter, rest = divmod(parameters, 4)
    sizes = [quarter, quarter, quarter, quarter + rest]
    tensors = [nn.Parameter(torch.randn(size, generator=generator_of(0, size))) for size in sizes]
    for p in tensors:
        p.grad = torch.randn(p.shape, generator=generator_of(1, len(p)))
    weights = initial_weights(SPEC, generator_of(0))
    learned = LearnedOptimizer(tensors, ExportedOptimizer(SPEC, weights))
    return _least(learned.step, ROUNDS), _least(torch.optim.Adam(tensors, foreach=True).step, ROUNDS)


def gradient(weights: Weights, problem: Problem) -> dict[str, Tensor]:
    """The project's gradient through the first UNROLL steps, with the steps themselves."""
    functions, coordinates = problem.start.shape
    state = initial_state(SPEC, functions * coordinates, problem.start)
    network = FusedLstm(SPEC, weights)
    signals, cell = network.start(functions * coordinates)
    parameters, inner = problem.start, [problem.loss_and_gradient(problem.start, 0)[1].flatten()]
    for number in range(UNROLL):
        parameters = parameters + network.step_(inner[-1], signals, cell).view_as(parameters)
        inner.append(problem.loss_and_gradient(parameters, number + 1)[1].flatten())
    inputs = torch.stack([preprocess(each, SPEC.preprocessing) for each in inner[:-1]])
    shares = torch.full_like(inner[0], 1 / functions)
    return unrolled_gradient(SPEC, weights, inputs, torch.stack(inner[1:]), shares, state)


def plain_gradient(weights: Weights, problem: Problem) -> dict[str, Tensor]:
    """The same gradient by torch's cells, one coordinate after the other, and autograd through the functions."""
    leaves = {name: weight.detach().requires_grad_() for name, weight in weights.items()}
    functions, coordinates = problem.start.shape
    zero = torch.zeros(1, SPEC.hidden)
    states = [[(zero, zero)] * SPEC.layers for _ in range(functions * coordinates)]
    parameters, total = problem.start, torch.zeros(())
    for number in range(UNROLL):
        inner = problem.loss_and_gradient(parameters, number)[1].flatten()
        inputs = preprocess(inner, SPEC.preprocessing)
        updates = []
        for coordinate in range(len(inner)):
            signal = inputs[:, coordinate][None]
            for layer in range(SPEC.layers):
                states[coordinate][layer] = _cell(leaves, layer, signal, states[coordinate][layer])
                signal = states[coordinate][layer][0]
            updates.append(SPEC.output_scale * (signal @ leaves["weight_output"].T + leaves["bias_output"]))
        parameters = parameters + torch.cat(updates).view(functions, coordinates)
        total = total + problem.loss(parameters, number + 1).mean()
    return dict(zip(leaves, torch.autograd.grad(total, list(leaves.values())), strict=True))


def _cell(leaves: Weights, layer: int, signal: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    bias = leaves[f"bias_l{layer}"]
    weight_ih, weight_hh = leaves[f"weight_ih_l{layer}"], leaves[f"weight_hh_l{layer}"]
    hidden, cell = torch.lstm_cell(signal, state, weight_ih, weight_hh, bias, torch.zeros_like(bias))
    return hidden, cell


def measure(parameters: int, functions: int) -> Measured:
    """All times."""
    weights = initial_weights(SPEC, generator_of(0))
    problem = Quadratics().problem(generator_of(1), functions, "train", torch.device("cpu"))
    ours, theirs = gradient(weights, problem), plain_gradient(weights, problem)
    largest = max(g.abs().max().item() for g in theirs.values())
    deviation = max((ours[name] - theirs[name]).abs().max().item() for name in ours) / largest
    step_ms, adam_ms = step_times(parameters)
    unrolled = _least(lambda: gradient(weights, problem), ROUNDS)
    plain = _least(lambda: plain_gradient(weights, problem), 1)
    return Measured(parameters, step_ms, adam_ms, functions, unrolled, plain, deviation, torch.get_num_threads())


def _least(call: Callable[[], object], rounds: int) -> float:
    """The least time of a call in ms; the least, since others share the machine."""
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return 1e3 * min(times)


def table(measured: Measured) -> str:
    """The table for people."""
    return "\n".join(
        [
            f"A step on {measured.parameters:,} parameters: {measured.step_ms:.1f} ms (target: below {STEP_MS:g}); "
            f"torch's Adam {measured.adam_ms:.2f} ms.",
            f"The gradient through {UNROLL} steps of {measured.functions} quadratic functions of dimension 10: "
            f"{measured.unrolled_ms:.0f} ms; plain loop over coordinates {measured.plain_ms:,.0f} ms, "
            f"{measured.times:.0f} times as long (target: {TIMES:g}); the gradients differ by {measured.deviation:.1e} "
            "of the largest entry.",
            f"Least times, {measured.threads} threads.",
            "",
            f"Machine: {machine_line(machine())}",
        ]
    )


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m nas.experiments.benchmarks.learned_optimizer", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--parameters", type=whole(8), default=100_000, help="parameters of the step")
    parser.add_argument("--functions", type=whole(1), default=16, help="functions of the unrolled training")
    add_output_options(parser)
    options = parser.parse_args(arguments)
    with explained("learned_optimizer"):
        measured = measure(options.parameters, options.functions)
        document = {**vars(measured), "times": measured.times, "machine": machine()}
        print_benchmark(options, table(measured), document)


if __name__ == "__main__":
    main()
