"""Sinusoid tasks: each is one sine of MAML's family, the same in every draw."""

import json
import math
import pickle

import numpy as np
import pytest
import torch

from nas.errors import ConfigError
from nas.evaluators.tasks.sinusoid import Sinusoid
from nas.task import TaskShape

CPU = torch.device("cpu")


def waves(batch):
    """Amplitude and phase of each task, fitted to its support set: A sin(x − φ) = a sin x + b cos x."""
    actual = []
    for x, y in zip(batch.support_x.double().numpy(), batch.support_y.double().numpy(), strict=True):
        a, b = np.linalg.lstsq(np.hstack([np.sin(x), np.cos(x)]), y[:, 0], rcond=None)[0]
        actual.append((math.hypot(a, b), math.atan2(-b, a)))
    return np.array(actual)


def test_shapes_and_types():
    family = Sinusoid(shots=3, queries=7)
    batch = family.tasks("train", range(4), CPU)
    assert family.shape == TaskShape((1,), 1, "regression")
    assert batch.support_x.shape == batch.support_y.shape == (4, 3, 1)
    assert batch.query_x.shape == batch.query_y.shape == (4, 7, 1)
    assert batch.classes is None
    assert all(x.dtype == torch.float32 for x in (batch.support_x, batch.support_y, batch.query_x, batch.query_y))


def test_one_sine_in_range_goes_through_all_points_of_a_task():
    batch = Sinusoid(shots=10).tasks("test", range(300), CPU)
    amplitude, phase = waves(batch).T
    assert ((amplitude > 0.0999) & (amplitude < 5.0001)).all()
    assert ((phase > -1e-4) & (phase < math.pi + 1e-4)).all()
    predicted = amplitude[:, None] * np.sin(batch.query_x[..., 0].numpy() - phase[:, None])
    assert np.abs(predicted - batch.query_y[..., 0].numpy()).max() < 1e-4


def test_inputs_amplitudes_and_phases_fill_their_ranges_evenly():
    batch = Sinusoid(shots=10).tasks("train", range(5000), CPU)
    amplitude, phase = waves(batch).T
    for values, low, high in ((amplitude, 0.1, 5), (phase, 0, math.pi), (batch.query_x[:, :2].flatten(), -5, 5)):
        counts = np.histogram(np.asarray(values), bins=10, range=(low, high))[0]
        expected = counts.sum() / 10
        assert ((counts - expected) ** 2 / expected).sum() < 27.9  # the 99.9 % point with 9 degrees of freedom


def test_a_task_depends_on_its_number_alone_and_each_split_is_its_own_stream():
    family = Sinusoid()
    both, one, other = (family.tasks("train", numbers, CPU) for numbers in ([3, 10**20], [3], [10**20]))
    assert torch.equal(both.query_y, torch.cat([one.query_y, other.query_y]))
    firsts = [
        Sinusoid(seed=seed).tasks(split, range(50), CPU).support_x
        for seed in (0, 1)
        for split in ("train", "validation", "test")
    ]
    assert len(torch.cat(firsts).unique()) > 0.99 * 6 * 50 * 5


def test_a_family_is_a_small_value_and_its_description_survives_json():
    family = Sinusoid(shots=10)
    assert pickle.loads(pickle.dumps(family)) == family
    assert family.check() is None
    assert json.loads(json.dumps(family.describe())) == family.describe()
    assert family.describe() != Sinusoid().describe()


def test_an_oracles_inputs_are_the_same_points_with_amplitude_and_phase():
    plain, informed = (Sinusoid(oracle=oracle).tasks("train", range(30), CPU) for oracle in (False, True))
    assert Sinusoid(oracle=True).shape == TaskShape((3,), 1, "regression")
    assert torch.equal(informed.query_x[..., :1], plain.query_x)
    for x, y, y_plain in (
        (informed.support_x, informed.support_y, plain.support_y),
        (informed.query_x, informed.query_y, plain.query_y),
    ):
        assert torch.equal(y, y_plain)
        point, amplitude, phase = x.unbind(dim=-1)
        assert torch.allclose(amplitude * torch.sin(point - phase), y[..., 0], atol=1e-5)
    assert Sinusoid(oracle=True).describe() != Sinusoid().describe()


@pytest.mark.parametrize("options", [{"shots": 0}, {"queries": 0}, {"seed": -1}, {"shots": True}])
def test_options_out_of_range_are_config_errors(options):
    with pytest.raises(ConfigError, match=r"sinusoid .* must be a whole number"):
        Sinusoid(**options)


def test_an_unknown_split_is_a_config_error():
    with pytest.raises(ConfigError, match="no split 'dev'"):
        Sinusoid().tasks("dev", [0], CPU)
