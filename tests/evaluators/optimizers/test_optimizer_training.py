"""Training by truncated backpropagation against slow autograd, and what a training goes on from."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from nas.errors import ConfigError
from nas.evaluators.optimizers import lstm, training
from nas.evaluators.optimizers.lstm import LstmSpec, LstmState, initial_state, initial_weights, preprocess
from nas.evaluators.optimizers.quadratics import Quadratics
from nas.evaluators.optimizers.seeds import generator_of
from nas.evaluators.optimizers.training import TrainingSettings, start, train, unrolled_gradient

CPU = torch.device("cpu")
SPEC = LstmSpec(hidden=4)
SMALL = TrainingSettings(
    iterations=4, steps=6, unroll=3, functions=5, rate=0.01, validate_every=2, validation_functions=7, seed=1
)


def double(weights):
    return {name: weight.double() for name, weight in weights.items()}


def slow_gradient(spec, weights, problem, steps, state):
    """The gradient of the summed losses by autograd through the functions, with inner gradients detached."""
    leaves = {name: weight.detach().requires_grad_() for name, weight in weights.items()}
    parameters, total = problem.start, 0.0
    for number in range(steps):
        leaf = parameters.detach().requires_grad_()
        [inner] = torch.autograd.grad(problem.loss(leaf, number).sum(), leaf)
        update, state = lstm.step(spec, leaves, preprocess(inner.flatten(), spec.preprocessing), state)
        parameters = parameters + update.view_as(parameters)
        total = total + problem.loss(parameters, number + 1).mean()
    return dict(zip(leaves, torch.autograd.grad(total, list(leaves.values())), strict=True))


def inner_gradients(spec, weights, problem, steps, state):
    parameters, gradients = problem.start, [problem.loss_and_gradient(problem.start, 0)[1]]
    for number in range(steps):
        update, state = lstm.step(spec, weights, preprocess(gradients[-1].flatten(), spec.preprocessing), state)
        parameters = parameters + update.view_as(parameters)
        gradients.append(problem.loss_and_gradient(parameters, number + 1)[1])
    return torch.stack(gradients).flatten(1)


def doubled(problem):
    w = problem.start.new_tensor(torch.randn(3, 4, 4, generator=torch.Generator().manual_seed(2)).tolist()).double()
    return replace(problem, start=problem.start.double(), loss=lambda p, _: (w @ p[..., None]).square().sum((1, 2)))


def test_the_gradient_without_second_differentiation_is_that_of_autograd():
    problem = doubled(Quadratics(4).problem(generator_of(0), 3, "train", CPU))
    weights = double(initial_weights(SPEC, generator_of(1)))
    state = LstmState(*(torch.randn(2, 4, 12, dtype=torch.float64, generator=generator_of(2, i)) for i in range(2)))
    inner = inner_gradients(SPEC, weights, problem, 5, state)
    inputs = torch.stack([preprocess(each, SPEC.preprocessing) for each in inner[:-1]])
    shares = torch.full((12,), 1 / 3, dtype=torch.float64)
    found = unrolled_gradient(SPEC, weights, inputs, inner[1:], shares, state)
    expected = slow_gradient(SPEC, weights, problem, 5, state)
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, atol=1e-12, rtol=1e-9)


def test_drawn_coordinates_estimate_the_gradient_without_bias():
    problem = Quadratics(4).problem(generator_of(0), 3, "train", CPU)
    problem = replace(problem, sizes=(3, 1))
    counts, generator = torch.zeros(12), torch.Generator().manual_seed(0)
    for _ in range(2000):
        chosen, shares = training._drawn(problem, 2, generator)
        assert len(set(chosen.tolist())) == 3 * (2 + 1)
        counts[chosen] += shares
    torch.testing.assert_close(counts / 2000, torch.ones(12), atol=0.05, rtol=0)
    everything, shares = training._drawn(problem, 0, generator)
    assert everything.tolist() == list(range(12))
    assert shares.tolist() == [1.0] * 12


def test_an_outer_step_is_one_of_torchs_adam():
    state = start(SPEC, SMALL, CPU)
    weights = [weight.clone().requires_grad_() for weight in state.weights.values()]
    adam = torch.optim.Adam(weights, lr=0.01)
    for number in range(1, 4):
        for index, weight in enumerate(weights):
            weight.grad = torch.randn(weight.shape, generator=generator_of(number, index))
        gradients = {name: weight.grad for name, weight in zip(state.weights, weights, strict=True)}
        state = training._adam(state, gradients, number, 0.01)
        adam.step()
    for found, expected in zip(state.weights.values(), weights, strict=True):
        torch.testing.assert_close(found, expected.detach(), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("settings", [SMALL, replace(SMALL, coordinates=2, anneal=True)])
def test_a_resumed_training_is_the_same_bit_for_bit(settings):
    *_, whole = train(SPEC, settings, Quadratics(3), start(SPEC, settings, CPU))
    states = train(SPEC, settings, Quadratics(3), start(SPEC, settings, CPU))
    next(states)
    *_, resumed = train(SPEC, settings, Quadratics(3), next(states))
    assert resumed.history == whole.history
    assert [iteration for iteration, _ in whole.history] == [2, 4]
    assert whole.best_loss == min(loss for _, loss in whole.history)
    for name, weight in whole.weights.items():
        assert torch.equal(resumed.weights[name], weight)
        assert torch.equal(resumed.best[name], whole.best[name])


def test_training_lowers_the_loss_of_unseen_functions():
    settings = replace(SMALL, iterations=60, steps=20, unroll=10, functions=16, validate_every=60)
    first = start(SPEC, settings, CPU)
    *_, last = train(SPEC, settings, Quadratics(3), first)
    problem = Quadratics(3).problem(generator_of(99), 64, "test", CPU)
    before, after = (training.losses_of(SPEC, s.weights, problem, 20)[-1].mean() for s in (first, last))
    assert after < 0.5 * before


def test_losses_are_those_before_each_step_and_after_the_last():
    problem = Quadratics(3).problem(generator_of(0), 2, "test", CPU)
    losses = training.losses_of(SPEC, initial_weights(SPEC, generator_of(0)), problem, 4)
    assert losses.shape == (5, 2)
    torch.testing.assert_close(losses[0], problem.loss(problem.start, 0))
    assert initial_state(SPEC, 2, losses).hidden.shape == (2, 4, 2)


def test_losses_that_are_no_numbers_count_as_large():
    limited = training.limited(torch.tensor([1.0, float("nan"), float("inf"), 1e35]))
    torch.testing.assert_close(limited, torch.tensor([1.0, 1e30, 1e30, 1e30]))


def test_an_unrolling_that_does_not_divide_the_steps_is_refused():
    with pytest.raises(ConfigError, match=r"unroll = 7 does not divide steps = 100; give a divisor of 100"):
        TrainingSettings(unroll=7)
    with pytest.raises(ConfigError, match="rate = -1"):
        TrainingSettings(rate=-1.0)


def test_the_forget_bias_is_added_to_the_forget_gates_alone():
    plain, biased = (start(SPEC, replace(SMALL, forget_bias=bias), CPU).weights for bias in (0.0, 2.5))
    for name, weight in plain.items():
        added = torch.zeros_like(weight)
        if name.startswith("bias_l"):
            added[SPEC.hidden : 2 * SPEC.hidden] = 2.5  # rows: input, forget, cell, output
        torch.testing.assert_close(biased[name], weight + added)
    with pytest.raises(ConfigError, match="forget_bias = nan"):
        replace(SMALL, forget_bias=float("nan"))
