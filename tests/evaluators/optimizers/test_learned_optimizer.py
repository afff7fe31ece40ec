"""The learned optimizer as one of torch's, its export folder, and everything that is refused."""

from __future__ import annotations

import hashlib
import json

import pytest
import torch
from torch import nn

from nas import optimizers
from nas.errors import ConfigError, DataError
from nas.evaluators.optimizers import files
from nas.evaluators.optimizers.files import ExportedOptimizer, read
from nas.evaluators.optimizers.learned import LearnedOptimizer
from nas.evaluators.optimizers.lstm import LstmSpec, initial_state, initial_weights, preprocess, step
from nas.evaluators.optimizers.seeds import generator_of
from nas.export.tensor_file import tensor_file

SPEC = LstmSpec(hidden=4)
EXPORTED = ExportedOptimizer(SPEC, initial_weights(SPEC, generator_of(0)), {"optimizee": "quadratics"})


@pytest.fixture
def folder(tmp_path):
    for name, content in EXPORTED.contents().items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


def network_of(seed=0):
    network = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    for index, p in enumerate(network.parameters()):
        p.data = torch.randn(p.shape, generator=generator_of(seed, index))
    return network


def losses(network, optimizer, steps):
    x = torch.randn(5, 3, generator=generator_of(9))
    found = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = network(x).square().mean()
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    return found


def test_a_step_is_that_of_the_lstm_on_each_parameter():
    network, slow = network_of(), network_of()
    optimizer = LearnedOptimizer(network.parameters(), EXPORTED, lr=2.0)
    states = [initial_state(SPEC, p.numel(), p) for p in slow.parameters()]
    x = torch.randn(5, 3, generator=generator_of(9))
    losses_of_slow = []
    for _ in range(4):
        loss = slow(x).square().mean()
        losses_of_slow.append(loss.item())
        gradients = torch.autograd.grad(loss, list(slow.parameters()))
        for index, (p, gradient) in enumerate(zip(slow.parameters(), gradients, strict=True)):
            inputs = preprocess(gradient.flatten(), SPEC.preprocessing)
            update, states[index] = step(SPEC, EXPORTED.weights, inputs, states[index])
            p.data += 2.0 * update.view_as(p)
    assert losses(network, optimizer, 4) == pytest.approx(losses_of_slow, rel=1e-5)


def test_an_optimizer_that_was_loaded_again_goes_on_in_the_same_way():
    network = network_of()
    optimizer = LearnedOptimizer(network.parameters(), EXPORTED)
    losses(network, optimizer, 3)
    other = network_of(1)
    other.load_state_dict(network.state_dict())
    again = LearnedOptimizer(other.parameters(), EXPORTED)
    again.load_state_dict(optimizer.state_dict())
    assert losses(other, again, 3) == losses(network, optimizer, 3)


def test_the_state_of_a_step_is_replaced_by_one_that_is_loaded():
    network = network_of()
    optimizer = LearnedOptimizer(network.parameters(), EXPORTED)
    start, fresh = {n: p.clone() for n, p in network.state_dict().items()}, optimizer.state_dict()
    first = losses(network, optimizer, 3)
    network.load_state_dict(start)
    optimizer.load_state_dict(fresh)
    assert losses(network, optimizer, 3) == first


def test_parameters_without_a_gradient_stay_and_keep_their_state():
    network = network_of()
    optimizer = LearnedOptimizer(network.parameters(), EXPORTED)
    losses(network, optimizer, 2)
    bias = network[0].bias
    before, cell = bias.detach().clone(), optimizer.state[bias]["cell"].clone()
    network[0].bias.requires_grad_(False)
    losses(network, optimizer, 2)
    assert torch.equal(bias, before)
    assert torch.equal(optimizer.state[bias]["cell"], cell)
    network[0].bias.requires_grad_(True)
    losses(network, optimizer, 1)
    assert not torch.equal(bias, before)


def test_a_closure_and_groups_with_their_own_factor_work():
    network = network_of()
    groups = [{"params": network[0].parameters()}, {"params": network[2].parameters(), "lr": 1e-30}]
    optimizer = LearnedOptimizer(groups, EXPORTED)
    before = network[2].weight.detach().clone()

    def closure():
        optimizer.zero_grad()
        loss = network(torch.ones(1, 3)).sum()
        loss.backward()
        return loss

    assert optimizer.step(closure) is not None
    assert torch.equal(network[2].weight, before)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    optimizer.step()
    schedule.step()
    assert optimizer.param_groups[0]["lr"] == 0.5


def test_parameters_in_half_precision_have_a_state_in_single_precision():
    p = nn.Parameter(torch.ones(3, dtype=torch.bfloat16))
    optimizer = LearnedOptimizer([p], EXPORTED)
    p.sum().backward()
    optimizer.step()
    assert p.dtype == torch.bfloat16
    assert optimizer.state[p]["cell"].dtype == torch.float32


def test_sparse_gradients_and_none_are_refused():
    embedding = nn.Embedding(4, 2, sparse=True)
    optimizer = LearnedOptimizer(embedding.parameters(), EXPORTED)
    with pytest.raises(ConfigError, match="no parameter has a gradient; call "):
        optimizer.step()
    embedding(torch.tensor([1])).sum().backward()
    with pytest.raises(ConfigError, match=r"shape \(4, 2\) has a sparse gradient; .*sparse=False"):
        optimizer.step()


@pytest.mark.parametrize("dtype", [torch.complex64])
def test_other_numbers_are_refused(dtype):
    with pytest.raises(ConfigError, match="takes real parameters"):
        LearnedOptimizer([nn.Parameter(torch.ones(2, dtype=dtype))], EXPORTED)
    with pytest.raises(ConfigError, match="lr = 0"):
        LearnedOptimizer([nn.Parameter(torch.ones(2))], EXPORTED, lr=0.0)


# --- the folder ------------------------------------------------------------------------------------------------------


def test_a_folder_gives_back_what_was_exported(folder):
    found = read(folder)
    assert (found.spec, dict(found.trained), found.digest) == (SPEC, dict(EXPORTED.trained), EXPORTED.digest)
    assert all(torch.equal(found.weights[name], weight) for name, weight in EXPORTED.weights.items())


def test_a_loaded_optimizer_steps_as_the_exported_one(folder):
    one, other = network_of(), network_of()
    make = optimizers.load(folder)
    expected = losses(other, LearnedOptimizer(other.parameters(), EXPORTED), 3)
    assert losses(one, make(one.parameters()), 3) == expected


def test_digests_tell_optimizers_apart():
    other = ExportedOptimizer(SPEC, {**EXPORTED.weights, "bias_output": torch.ones(1)})
    scaled = ExportedOptimizer(LstmSpec(hidden=4, output_scale=0.2), EXPORTED.weights)
    assert len({EXPORTED.digest, other.digest, scaled.digest}) == 3


def changed(**keys):
    def change(folder):
        path = folder / files.DESCRIPTION
        description = json.loads(path.read_text("utf-8"))
        path.write_text(json.dumps({**description, **keys}), encoding="utf-8")

    return change


def with_weights(weights):
    def change(folder):
        content = weights if isinstance(weights, bytes) else tensor_file(weights)
        (folder / files.WEIGHTS).write_bytes(content)
        changed(weights_sha256=hashlib.sha256(content).hexdigest())(folder)

    return change


@pytest.mark.parametrize(
    "change, message",
    [
        (changed(version=2), "has version 2; this adaptnas reads version 1"),
        (changed(version=True), "has version True"),
        (changed(format="other"), "is no learned optimizer: its format is 'other'"),
        (changed(netwrok={}), "unknown key 'netwrok': did you mean 'network'"),
        (changed(network=[]), r"has network = \[\]"),
        (changed(network={"hidden": 4}), "has network.layers = None"),
        (changed(network={"hidden": 4, "hiden": 4}), "unknown key network.hiden: did you mean 'hidden'"),
        (changed(network={"hidden": 0, "layers": 2, "preprocessing": 1.0, "output_scale": 0.1}), "hidden = 0"),
        (changed(network={"hidden": 5, "layers": 2, "preprocessing": 1.0, "output_scale": 0.1}), "does not fit"),
        (changed(weights_sha256="0" * 64), "has changed since it was written"),
        (lambda f: (f / files.DESCRIPTION).write_text("{", "utf-8"), "is damaged: it is no JSON object"),
        (lambda f: (f / files.DESCRIPTION).write_bytes(b"\xff{}"), "is damaged: it is no JSON object"),
        (
            lambda f: (f / files.DESCRIPTION).write_bytes(b" " * (files.MOST_DESCRIPTION + 1)),
            "is the most that is read",
        ),
        (lambda f: (f / files.DESCRIPTION).unlink(), "does not exist"),
        (lambda f: (f / files.WEIGHTS).unlink(), "does not exist"),
        (with_weights(b"nothing"), "is damaged"),
        (with_weights({"other": torch.ones(1)}), "does not fit the network"),
        (with_weights({n: w.double() for n, w in EXPORTED.weights.items()}), "not finite numbers of 32 bits"),
        (with_weights({**EXPORTED.weights, "bias_output": torch.tensor([float("nan")])}), "not finite numbers"),
    ],
)
def test_a_damaged_folder_is_refused_in_one_line(folder, change, message):
    change(folder)
    with pytest.raises(DataError, match=message) as refused:
        optimizers.load(folder)
    assert "\n" not in str(refused.value)


def test_a_folder_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(DataError, match="is no folder of a learned optimizer"):
        optimizers.load(tmp_path / "none")
