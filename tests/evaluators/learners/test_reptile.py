"""Reptile with one Adam for all tasks, against a plain version of the authors' training loop in float64."""

import copy
from dataclasses import replace

import pytest
import torch
from helpers.evaluators import CPU, NARROW, Blobs, TinyConv, doubled, weights_of
from helpers.learners import taking_turns

from nas import registry
from nas.errors import ConfigError
from nas.evaluators import MetaEvaluator
from nas.evaluators.learners import Reptile
from nas.evaluators.meta_training.microbatches import Chunk, Chunked
from nas.evaluators.meta_training.outer_loop import MetaTraining, OuterLoop
from nas.evaluators.networks.building import build
from nas.evaluators.networks.normalisation import Normalisation
from nas.evaluators.networks.profile import num_parameters
from nas.evaluators.networks.weights import attach
from nas.evaluators.tasks.drawing import draw
from nas.protocols import LEARNER
from nas.task import Bank

KEPT = Reptile(inner_lr=0.01, train_steps=3, batch=5, steps=4, optimizer_state="kept")
LOOP = OuterLoop(budget=6, tasks_per_step=4, train_queries=0, anneal=True)


class Doubled(Blobs):
    """Blobs in float64."""

    def tasks(self, split, indices, device):
        return doubled(super().tasks(split, indices, device))


def network_for(learner, family):
    network = build(TinyConv(), NARROW, family.shape, Normalisation(), learner=learner, seed=5)
    return attach(network, learner.initial(network, family)).double()


def trained(learner, family, seed=2):
    network = network_for(learner, family)
    MetaTraining(network, family, learner, LOOP, seed).advance(LOOP.budget)
    return network


class Authors:
    """Nichol et al.'s loop: weights are reset for each task; the optimizer is reset only if it is `fresh`."""

    def __init__(self, network, family, *, fresh):
        self.network, self.family, self.fresh = copy.deepcopy(network), family, fresh
        self.weights = {n: p for n, p in self.network.named_parameters() if not n.startswith(LEARNER)}
        self.optimizer = self.new()

    def new(self):
        return torch.optim.Adam(self.weights.values(), lr=KEPT.inner_lr, betas=(0.0, 0.999), eps=1e-8)

    def minimise(self, x, y):
        self.optimizer.zero_grad()
        torch.nn.functional.cross_entropy(self.network(x), y).backward()
        self.optimizer.step()

    def set_back(self, weights):
        with torch.no_grad():
            for name, p in self.weights.items():
                p.copy_(weights[name])

    def get(self):
        return {name: p.detach().clone() for name, p in self.weights.items()}

    def train(self, seed=2):
        for step in range(LOOP.budget):
            old, ends = self.get(), []
            for task in range(LOOP.tasks_per_step):
                batch = draw(self.family, "train", [seed * 2**32 + step * LOOP.tasks_per_step + task], CPU)
                x, y = (torch.cat([a[0], b[0]]) for a, b in zip(*parts(batch), strict=True))
                rows = taking_turns(y) * 2
                self.optimizer = self.new() if self.fresh else self.optimizer
                for at in range(0, KEPT.train_steps * KEPT.batch, KEPT.batch):
                    self.minimise(x[rows[at : at + KEPT.batch]], y[rows[at : at + KEPT.batch]])
                ends.append(self.get())
                self.set_back(old)
            rate = 1 - step / LOOP.budget
            self.set_back({n: p + rate * (sum(end[n] for end in ends) / len(ends) - p) for n, p in old.items()})

    def curve(self, batch):
        """The predictions for one task's queries after each step of adaptation, after which all is as it was."""
        weights, state = self.get(), copy.deepcopy(self.optimizer.state_dict())
        self.optimizer = self.new() if self.fresh else self.optimizer
        outputs = [self.network(batch.query_x[0]).detach()]
        for _ in range(KEPT.steps):
            self.minimise(batch.support_x[0], batch.support_y[0])
            outputs.append(self.network(batch.query_x[0]).detach())
        self.set_back(weights)
        self.optimizer.load_state_dict(state)
        return torch.stack(outputs)


def parts(batch):
    return (batch.support_x, batch.support_y), (batch.query_x, batch.query_y)


@pytest.mark.parametrize("learner", [KEPT, replace(KEPT, optimizer_state="fresh")], ids=["kept", "fresh"])
def test_training_and_adaptation_are_the_authors_loop(learner):
    family = Doubled(shots=2)
    slow = Authors(network_for(learner, family), family, fresh=learner.optimizer_state == "fresh")
    slow.train()
    network = trained(learner, family)
    for name, p in slow.get().items():
        assert torch.allclose(network.get_parameter(name), p, rtol=1e-12, atol=1e-12), name
    batch = family.tasks("validation", range(3), CPU)
    curves = learner.adapt(network, weights_of(network), batch, "classification", KEPT.steps)
    for task in range(3):
        expected = slow.curve(family.tasks("validation", [task], CPU))
        assert torch.allclose(curves[:, task], expected, rtol=1e-12, atol=1e-12)


def test_a_kept_state_changes_what_is_learned():
    family = Doubled(shots=2)
    one, other = (trained(learner, family) for learner in (KEPT, replace(KEPT, optimizer_state="fresh")))
    assert not torch.allclose(one.get_parameter("0.weight"), other.get_parameter("0.weight"), rtol=1e-3)


def test_the_state_goes_from_chunk_to_chunk():
    family = Doubled(shots=2)
    whole, chunked = trained(KEPT, family), trained(Chunked(KEPT, Chunk(3)), family)
    for name, p in weights_of(whole).items():
        assert torch.allclose(p, chunked.get_parameter(name), rtol=1e-12, atol=1e-12), name


def test_all_steps_are_counted_and_the_state_is_not_the_networks():
    network = trained(KEPT, Doubled())
    assert network.get_parameter("learner:state:taken").item() == LOOP.budget * LOOP.tasks_per_step * KEPT.train_steps
    assert num_parameters(network) == num_parameters(network_for(Reptile(), Blobs()))


def test_weights_without_a_state_adapt_from_a_fresh_state():
    family = Doubled(shots=2)
    fresh = replace(KEPT, optimizer_state="fresh")
    network, batch = trained(fresh, family), family.tasks("test", range(3), CPU)
    old, new = (each.adapt(network, weights_of(network), batch, "classification", 4) for each in (fresh, KEPT))
    assert torch.equal(old, new)


def test_sgd_has_no_state_to_keep():
    with pytest.raises(ConfigError, match="optimizer_state = 'kept' with inner_optimizer = 'sgd', which has no state"):
        Reptile(inner_optimizer="sgd", optimizer_state="kept")


def test_the_protocol_names_a_kept_state_and_is_unchanged_without():
    """Weights from before the option existed are still found, and those of published settings are kept apart."""

    def named(learner):
        evaluator = MetaEvaluator(TinyConv(), Blobs(), learner, device="cpu")
        return evaluator.protocol(1, Bank("validation", 0, 2))["learner"]

    assert "optimizer_state" not in named(Reptile())
    assert named(KEPT)["optimizer_state"] == "kept"
    for name in ("", "-transductive"):
        assert named(registry.create("learner", f"reptile-omniglot-5way{name}", {}))["optimizer_state"] == "kept"


def test_a_learner_that_is_no_dataclass_has_a_protocol_too():
    class Own:
        name = "own"

        def __init__(self):
            self.rate = 3

    evaluator = MetaEvaluator(TinyConv(), Blobs(), Own(), device="cpu")
    assert evaluator.protocol(1, Bank("validation", 0, 2))["learner"] == {"name": "own", "rate": 3}
