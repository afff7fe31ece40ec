"""Outer steps recorded as CUDA graphs; without a GPU, proof that a step never waits for a number."""

from contextlib import nullcontext

import pytest
import torch
from helpers.evaluators import Blobs, TinyConv, only
from helpers.learners import PRESETS
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

from nas import registry
from nas.evaluators.learners import Anil
from nas.evaluators.meta import MetaEvaluator
from nas.evaluators.meta_training.cuda_graph import WARM_STEPS, Recorded
from nas.evaluators.meta_training.outer_loop import MetaTraining, OuterLoop
from nas.evaluators.networks.weights import attach
from nas.task import TaskBatch

CPU = torch.device("cpu")
LEARNERS = {
    name: registry.create("learner", name, {}) for name in sorted(set(registry.names("learner")) - set(PRESETS))
}


def network_for(learner):
    space = TinyConv()
    network = MetaEvaluator(space=space, tasks=Blobs(), learner=learner).network(only(space), seed=0)
    return attach(network, learner.initial(network, Blobs()))


def gradient_of_shapes(learner):
    """The meta-gradient with tensors that have a shape and no numbers."""
    network, batch, mode = network_for(learner), Blobs().tasks("train", range(3), CPU), FakeTensorMode()
    weights = {name: mode.from_tensor(p.detach()) for name, p in network.named_parameters()}
    tensors = {name: None if x is None else mode.from_tensor(x) for name, x in vars(batch).items()}
    with mode:
        return learner.meta_gradient(network, weights, TaskBatch(**tensors), "classification"), weights


@pytest.mark.parametrize("name", LEARNERS)
def test_a_step_asks_the_device_for_no_number(name):
    (value, gradients), weights = gradient_of_shapes(LEARNERS[name])
    assert value.shape == ()
    assert {n: g.shape for n, g in gradients.items()} == {n: w.shape for n, w in weights.items()}


def test_a_step_that_did_would_be_found(monkeypatch):
    monkeypatch.setattr("nas.evaluators.learners.anil.task_losses", lambda _kind, out, _y: out.sum() * out.max().item())
    with pytest.raises(DataDependentOutputException):
        gradient_of_shapes(Anil())


def test_without_a_gpu_every_call_runs_the_step_itself():
    calls = []
    step = Recorded(lambda batch, learner: calls.append((batch, learner)), CPU)
    batch = Blobs().tasks("train", range(3), CPU)
    for _ in range(WARM_STEPS + 3):
        step(batch, Anil())
    assert calls == [(batch, Anil())] * (WARM_STEPS + 3)


class Stream:
    """Fake CUDA stream that records what it waits for."""

    def __init__(self, device):
        self.device, self.waits = device, []

    def wait_stream(self, other):
        self.waits.append(other)


@pytest.fixture
def pretended(monkeypatch):
    """A step on a pretended second GPU: (the step, what happened, the streams that were current by their devices)."""
    happened, current = [], {}
    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "stream", lambda _stream: nullcontext())
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device=None: current.setdefault(device, Stream(device)))
    monkeypatch.setattr(Recorded, "_record", lambda self, batch, learner: happened.append(("recorded", learner)))
    second = torch.device("cuda:1")
    step = Recorded(lambda _batch, learner: happened.append(("run", learner)), second)
    return step, happened, current


def test_a_learner_is_recorded_only_when_it_has_been_run_itself(pretended):
    step, happened, _ = pretended
    batch = Blobs().tasks("train", range(3), CPU)
    for learner in [Anil(steps=1)] * (WARM_STEPS + 2) + [Anil(steps=2)] * (WARM_STEPS + 2):
        step(batch, learner)
    for learner in (Anil(steps=1), Anil(steps=2)):
        own = [what for what, which in happened if which == learner]
        assert own == ["run"] * WARM_STEPS + ["recorded"] + ["run"] * 2


def test_steps_wait_for_what_is_done_on_their_own_device(pretended):
    step, _, current = pretended
    step(Blobs().tasks("train", range(3), CPU), Anil())
    [(device, outside)] = current.items()
    assert device == torch.device("cuda:1")
    [inside] = outside.waits
    assert inside.waits == [outside]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", LEARNERS)
def test_a_recorded_training_is_the_plain_one(name, monkeypatch):
    def trained():
        network = network_for(LEARNERS[name]).cuda()
        loop = OuterLoop(budget=12, tasks_per_step=3, train_queries=0, anneal=True)
        MetaTraining(network, Blobs(), LEARNERS[name], loop, 0).advance(12)
        return [p.detach() for p in network.parameters()]

    recorded = trained()
    monkeypatch.setattr("nas.evaluators.meta_training.cuda_graph.WARM_STEPS", 100)
    assert all(torch.allclose(a, b, rtol=1e-4, atol=1e-6) for a, b in zip(recorded, trained(), strict=True))
