"""System identification: stable random systems of unit variance, and least squares identifies the linear ones."""

from __future__ import annotations

import json
import math
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import optimize, signal, stats

from nas.errors import ConfigError
from nas.evaluators.tasks.counter_hash import task_keys
from nas.evaluators.tasks.system_identification import GAINS, RADII, SystemIdentification, simulate, systems
from nas.task import TaskShape
from nas.testing import check_task_family

CPU = torch.device("cpu")
SPLITS = ("train", "validation", "test")
ORDERS = (1, 2, 3, 4)


def drawn(order, split="test", count=200):
    a, b = systems(task_keys(seed=0, split=split, indices=range(count), device=CPU), order)
    return a.numpy(), b.numpy()


def impulse(a, b, steps):
    """h(1), h(2), … of each system: its state space in controllable form, C A^(t-1) B."""
    order = a.shape[1]
    companion = np.zeros((len(a), order, order))
    companion[:, 0] = a
    companion[:, range(1, order), range(order - 1)] = 1
    state, actual = np.eye(order)[:1].repeat(len(a), axis=0)[..., None], []
    for _ in range(steps):
        actual.append((b[:, None] @ state)[:, 0, 0])
        state = companion @ state
    return np.stack(actual, axis=1)


def least_squares(x, y):
    """Weights (tasks, 2 * length) that give the targets y (tasks, windows, 1) of windows x."""
    flat = x.flatten(2).double().numpy()
    pairs = zip(flat, y.double().numpy(), strict=True)
    return np.stack([np.linalg.lstsq(windows, targets[:, 0], rcond=None)[0] for windows, targets in pairs])


def linear(order, **options):
    given = {"order": order, "length": order, "shots": 2 * order + 4, "nonlinearity": "none", "noise": 0.0}
    return SystemIdentification(**{**given, **options})


# --- systems ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ORDERS)
def test_poles_are_stable_in_range_and_evenly_spread(order):
    a, _ = drawn(order, count=1000)
    poles = np.array([np.roots([1, *-row]) for row in a])
    radii = np.abs(poles)
    assert radii.min() > RADII[0] - 1e-6
    assert radii.max() < RADII[1] + 1e-6
    if order == 1:
        assert 0.45 < (poles > 0).mean() < 0.55
    if order == 2:
        assert np.allclose(poles[:, 0], poles[:, 1].conj())
        assert stats.kstest(radii[:, 0], "uniform", (RADII[0], RADII[1] - RADII[0])).pvalue > 0.001
        assert stats.kstest(np.abs(np.angle(poles[:, 0])), "uniform", (0, math.pi)).pvalue > 0.001


@pytest.mark.parametrize("order", ORDERS)
def test_the_impulse_response_is_that_of_the_state_space_and_has_unit_energy(order):
    a, b = drawn(order)
    u = torch.zeros(len(a), 1, 40, dtype=torch.float64)
    u[..., 0] = 1
    actual = simulate(torch.from_numpy(a), torch.from_numpy(b), u)[:, 0].numpy()
    assert (actual[:, 0] == 0).all()  # an input acts from the next step on
    assert np.allclose(actual[:, 1:], impulse(a, b, 39), atol=1e-12)
    assert (impulse(a, b, 300) ** 2).sum(axis=1) == pytest.approx(np.ones(len(a)), abs=1e-5)


def test_a_simulation_is_scipys_filter():
    a, b = drawn(3, count=20)
    u = np.random.default_rng(0).normal(size=(20, 2, 100))
    actual = simulate(*map(torch.from_numpy, (a, b, u))).numpy()
    for system in range(20):
        expected = signal.lfilter([0, *b[system]], [1, *-a[system]], u[system])
        assert np.allclose(actual[system], expected, atol=1e-12)


def test_no_two_tasks_have_the_same_system_in_any_split():
    actual = np.concatenate([np.hstack(drawn(2, split, 1000)) for split in SPLITS])
    assert len(np.unique(actual.round(9), axis=0)) == 3000


# --- tasks -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"order": 3, "length": 1}, {"nonlinearity": "none", "noise": 0.0}])
def test_the_laws_hold(options):
    check_task_family(SystemIdentification(**options))


def test_shapes():
    family = SystemIdentification(shots=3, queries=7, length=5)
    batch = family.tasks("train", range(4), CPU)
    assert family.shape == TaskShape((2, 5), 1, "regression")
    assert (batch.support_x.shape, batch.support_y.shape) == ((4, 3, 2, 5), (4, 3, 1))
    assert (batch.query_x.shape, batch.query_y.shape) == ((4, 7, 2, 5), (4, 7, 1))
    assert batch.classes is None


def test_windows_follow_each_other_and_a_target_is_the_next_windows_last_output():
    batch = SystemIdentification(shots=6, length=4).tasks("train", range(5), CPU)
    for x, y in ((batch.support_x, batch.support_y), (batch.query_x, batch.query_y)):
        assert torch.equal(x[:, 1:, :, :-1], x[:, :-1, :, 1:])
        assert torch.equal(x[:, 1:, 1, -1], y[:, :-1, 0])
    assert not torch.isin(batch.support_x[:, :, 0], batch.query_x[:, :, 0]).any()


@pytest.mark.parametrize("order", ORDERS)
def test_least_squares_on_the_support_set_identifies_a_linear_system_exactly(order):
    family = linear(order)
    batch, (a, b) = family.tasks("test", range(200), CPU), drawn(order)
    weights = least_squares(batch.support_x, batch.support_y)
    # A window has u, then y, with the latest last: the coefficients in reverse.
    assert np.median(np.abs(weights - np.hstack([b[:, ::-1], a[:, ::-1]]))) < 1e-6
    predicted = batch.query_x.flatten(2).double().numpy() @ weights[..., None]
    assert np.abs(predicted - batch.query_y.numpy()).max() < 1e-4


def test_too_short_a_window_or_too_few_of_them_do_not_identify_it():
    for options in ({"length": 2, "shots": 40}, {"shots": 5}):
        batch = linear(3, **options).tasks("test", range(50), CPU)
        weights = least_squares(batch.support_x, batch.support_y)
        error = batch.query_x.flatten(2).double().numpy() @ weights[..., None] - batch.query_y.numpy()
        assert (error**2).mean() > 0.01


def test_input_is_white_and_output_has_unit_variance():
    batch = linear(2, queries=2000, shots=1).tasks("train", range(60), CPU)
    u = batch.query_x[:, :, 0, 0].numpy()
    assert stats.kstest(u.flatten()[:5000], "uniform", (-math.sqrt(3), 2 * math.sqrt(3))).pvalue > 0.001
    assert abs((u[:, 1:] * u[:, :-1]).mean()) < 0.02
    assert batch.query_y.var(dim=1).mean() == pytest.approx(1, abs=0.02)


def test_the_output_is_the_saturated_linear_one():
    """Both families draw the same systems and inputs, so one's outputs are a function of the other's."""
    family = SystemIdentification(noise=0.0, queries=200)
    y, v = (replace(family, nonlinearity=kind).tasks("test", range(40), CPU).query_y for kind in ("tanh", "none"))
    gains = []
    for outputs, linears in zip(y.double()[..., 0], v.double()[..., 0], strict=True):
        far = linears.abs().argmax()
        ends = linears[far].item(), outputs[far].item()
        gains.append(optimize.brentq(lambda g, v, y: math.tanh(g * v) / g - y, 0.4, 2.1, ends))
        assert torch.allclose(torch.tanh(gains[-1] * linears) / gains[-1], outputs, atol=1e-5)
    assert stats.kstest(gains, "uniform", (GAINS[0], GAINS[1] - GAINS[0])).pvalue > 0.001


def test_noise_is_normal_of_the_deviation_asked_for_and_nothing_else_changes():
    family = SystemIdentification(noise=0.0, queries=100)
    plain, noisy = (replace(family, noise=noise).tasks("train", range(100), CPU) for noise in (0.0, 0.3))
    assert torch.equal(plain.query_x[:, :, 0], noisy.query_x[:, :, 0])
    for one, other in ((plain.support_y, noisy.support_y), (plain.query_y, noisy.query_y)):
        noise = (other - one).flatten().numpy()
        assert stats.kstest(noise[:2000], "norm", (0, 0.3)).pvalue > 0.001
    assert torch.equal(noisy.query_x[:, 1:, 1, -1], noisy.query_y[:, :-1, 0])  # the windows have it too


def test_a_family_is_a_small_value_and_its_description_survives_json():
    family = SystemIdentification(order=3)
    assert pickle.loads(pickle.dumps(family)) == family
    assert family.check() is None
    assert json.loads(json.dumps(family.describe())) == family.describe()
    assert family.describe() != SystemIdentification().describe()


@pytest.mark.parametrize(
    "options, message",
    [
        ({"shots": 0}, "shots = 0; it must be a whole number from 1"),
        ({"length": 0}, "length = 0"),
        ({"order": 0}, "order = 0"),
        ({"seed": -1}, "seed = -1"),
        ({"noise": -0.1}, r"noise = -0\.1; it must be from 0"),
        ({"noise": math.nan}, "noise = nan"),
        ({"nonlinearity": "relu"}, "nonlinearity is 'relu'; it must be 'tanh' or 'none'"),
    ],
)
def test_options_out_of_range_are_config_errors(options, message):
    with pytest.raises(ConfigError, match=f"system-identification:? {message}"):
        SystemIdentification(**options)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_tasks_are_the_same_on_the_gpu():
    family = SystemIdentification()
    on_cpu, on_gpu = (family.tasks("test", range(50), torch.device(name)) for name in ("cpu", "cuda"))
    for name, tensor in vars(on_cpu).items():
        if tensor is not None:
            assert torch.allclose(getattr(on_gpu, name).cpu(), tensor, atol=1e-6)
