"""Forms of exported networks: source, a program of torch, or weights alone, for every network that runs."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys

import pytest
import torch
from helpers.evaluators import weights_of
from helpers.learners import same
from helpers.networks import random_tasks
from helpers.own_networks import CLASSES, SHAPE, WRITTEN, Branch, made
from safetensors.torch import load_file
from torch import nn
from torch.func import functional_call

from nas.architecture import Architecture
from nas.errors import NasError
from nas.evaluators.learners import Anil, Maml
from nas.export import export, form_of, load, restore, source
from nas.export.program import program_bytes
from nas.protocols import LEARNER
from nas.task import TaskShape

TASK = TaskShape(SHAPE, 5)
BATCHES = (1, 2, 7)
ARCHITECTURE = Architecture("mine", {"depth": 1})


def exported(folder, network):
    return export(folder, network=network, architecture=ARCHITECTURE, shape=TASK, recipe={})


def written(network):
    """The `Network` of an export's model.py, with the weights of the network that was exported."""
    exported = source(network, input_shape=SHAPE)
    namespace = {}
    exec(compile(exported.text, "model.py", "exec"), namespace)
    again = namespace["Network"]()
    tensors = network.state_dict()
    again.load_state_dict({name: tensors[path] for name, path in exported.weights.items()})
    return again, exported.weights


def agree(one, other):
    for size in BATCHES:
        x = torch.randn(size, *SHAPE)
        for mode in (True, False):
            assert torch.allclose(one.train(mode)(x), other.train(mode)(x), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", WRITTEN)
def test_own_networks_have_a_source_that_computes_the_same_for_any_batch(name):
    network = made(name)
    again, names = written(network)
    agree(again, network)
    assert set(names.values()) == set(network.state_dict())


@pytest.mark.parametrize("name", ["Asserts", "Attention", "Encoder", "Loop"])
@pytest.mark.parametrize("learner", [Maml(inner_lr=0.1, steps=2), Anil(inner_lr=0.1, steps=2)], ids=["maml", "anil"])
def test_adaptation_of_the_source_is_that_of_the_network(name, learner):
    network = made(name)
    again, names = written(network)
    network, again = network.double(), again.double()
    weights, batch = weights_of(network), random_tasks(TASK)
    expected = learner.adapt(network, weights, batch, "classification", 2)
    initial = {flat: weights[path] for flat, path in names.items()}
    head = {flat: p for flat, p in initial.items() if names[flat].startswith("head.")}
    rates = head if isinstance(learner, Anil) else initial
    assert same(_descended(again, initial, rates, batch), expected)


def _descended(network, weights, moving, batch, rate=0.1, steps=2):
    """Predictions after each step of gradient descent on each task, one parameter and one task after the other."""
    curves = []
    for x, y, queries in zip(batch.support_x, batch.support_y, batch.query_x, strict=True):
        at = {name: p.detach().clone() for name, p in weights.items()}
        curve = [functional_call(network, at, (queries,))]
        for _ in range(steps):
            leaves = {name: p.requires_grad_(name in moving) for name, p in at.items()}
            loss = nn.functional.cross_entropy(functional_call(network, leaves, (x,)), y)
            gradients = torch.autograd.grad(loss, [leaves[name] for name in moving])
            moved = {n: (leaves[n] - rate * g).detach() for n, g in zip(moving, gradients, strict=True)}
            at = {**{n: p.detach() for n, p in at.items()}, **moved}
            curve.append(functional_call(network, at, (queries,)))
        curves.append(torch.stack(curve).detach())
    return torch.stack(curves, dim=1)


@pytest.mark.parametrize("name", ["Encoder", "Loop", "Branch"])
def test_a_program_takes_other_weights_and_adapts_as_the_network(name):
    from nas.export.program import program

    network = made(name)
    loaded = torch.export.load(io.BytesIO(program_bytes(program(network, SHAPE)))).module()
    other = {key: p.detach() + 0.05 * torch.randn_like(p) for key, p in network.named_parameters()}
    network.load_state_dict(other)
    loaded.load_state_dict(other)
    for size in BATCHES:
        x = torch.randn(size, *SHAPE)
        assert torch.allclose(loaded(x), network(x), rtol=1e-6, atol=1e-6)
    batch = random_tasks(TASK)
    batch = type(batch)(batch.support_x.float(), batch.support_y, batch.query_x.float(), batch.query_y)
    head = {key: p for key, p in other.items() if key.startswith("head.")}
    for moving in (other, head):
        one, two = (_descended(each, other, moving, batch) for each in (loaded, network))
        assert torch.allclose(one, two, rtol=1e-5, atol=1e-6)


READER = """
import sys
sys.modules["nas"] = None
import torch
from safetensors.torch import load_file
network = torch.export.load(sys.argv[1] + "/model.pt2").module()
network.load_state_dict(load_file(sys.argv[1] + "/weights.safetensors"))
print(network(torch.ones(3, 1, 6, 8)).tolist())
"""


def test_what_no_source_can_hold_is_a_program_that_torch_alone_loads(tmp_path, caplog):
    network = made("Branch")
    network.register_parameter(LEARNER + "rate", nn.Parameter(torch.ones(1)))
    names = [path.name for path in exported(tmp_path / "net", network)]
    assert names == ["SHA256SUMS", "architecture.json", "learner.safetensors", "model.pt2", "weights.safetensors"]
    assert "has no model.py: the network (Branch) cannot be exported" in caplog.text
    said = json.loads((tmp_path / "net" / "architecture.json").read_text())["model"]
    assert said["file"] == "model.pt2"
    assert "Branch" in said["why"]
    process = subprocess.run(
        [sys.executable, "-c", READER, tmp_path / "net"], capture_output=True, text=True, check=True, timeout=120
    )
    expected = network(torch.ones(3, *SHAPE))
    assert torch.allclose(torch.tensor(json.loads(process.stdout)), expected, rtol=1e-6, atol=1e-6)
    assert restore(Branch(), load(tmp_path / "net").weights).keys() == Branch().state_dict().keys()


def test_a_program_is_never_opened_by_this_project(tmp_path):
    exported(tmp_path / "net", made("Branch"))
    (tmp_path / "net" / "model.pt2").write_bytes(b"not a program")  # torch.export.load would unpickle what stands here
    network = Branch()
    tensors = restore(network, load(tmp_path / "net").weights)
    assert all(torch.equal(tensors[name], p) for name, p in made("Branch").named_parameters())


def test_a_network_with_neither_leaves_its_weights_with_a_warning(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        names = [path.name for path in exported(tmp_path / "net", made("Hidden"))]
    assert names == ["SHA256SUMS", "architecture.json", "weights.safetensors"]
    (said,) = (record.message for record in caplog.records if record.name.startswith("nas."))
    assert "has no model.py and no model.pt2" in said
    assert "own_networks.py:" in said
    assert load_file(tmp_path / "net" / "weights.safetensors").keys() == {"head.weight", "head.bias"}
    assert load(tmp_path / "net").architecture == ARCHITECTURE


@pytest.mark.parametrize("name", CLASSES)
def test_the_form_changes_neither_network_nor_random_state(name):
    network = made(name)
    before, drawn = {n: t.clone() for n, t in network.state_dict().items()}, torch.random.get_rng_state()
    form = form_of(network, SHAPE)
    assert form.file == {"Branch": "model.pt2", "Hidden": None}.get(name, "model.py")
    assert bool(form.why) == (form.source is None)
    assert "attempt.py" not in form.why
    assert torch.equal(torch.random.get_rng_state(), drawn)
    assert network.training
    assert all(torch.equal(before[n], t) for n, t in network.state_dict().items())


class Ungraded(nn.Module):
    """The body takes no part in the gradient."""

    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Linear(8, 8), nn.Linear(8, 5)

    def forward(self, x):
        with torch.no_grad():
            x = self.body(x[:, 0, 0])
        return self.head(x)


def test_what_has_no_gradient_in_the_network_has_none_in_what_is_exported():
    network = Ungraded()
    form = form_of(network, SHAPE)
    assert form.source is None  # torch.fx does not see no_grad, and would let the body adapt
    run = form.program.module()
    gradients = torch.autograd.grad(run(torch.ones(2, *SHAPE)).sum(), list(run.parameters()), allow_unused=True)
    learned = [n for (n, _), g in zip(run.named_parameters(), gradients, strict=True) if g is not None and g.any()]
    assert learned == ["head.weight", "head.bias"]


def test_a_network_that_does_not_run_is_refused():
    with pytest.raises(NasError, match=r"does not run on inputs of shape \(4, 3\)"):
        form_of(nn.Linear(2, 1), (3,))
