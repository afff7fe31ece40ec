"""Every learner with its options varied, each with a small network and tasks."""

import pytest
import torch
from helpers.evaluators import CPU, NARROW, Blobs, TinyConv, doubled, only

from nas.evaluators.learners import Anil, FineTune, Maml, MetaSgd, ProtoNet, Reptile, Ridge, Scratch
from nas.evaluators.networks.building import build
from nas.evaluators.networks.normalisation import Normalisation
from nas.evaluators.networks.weights import attach
from nas.evaluators.tasks.sinusoid import Sinusoid
from nas.protocols import CARRIED
from nas.testing import ToySpace

# More inner steps than one, of sizes that make second-order terms count.
VARIANTS = {
    "maml, order 2": Maml(order=2, inner_lr=0.3, steps=3),
    "maml, order 1": Maml(order=1, inner_lr=0.3, steps=3),
    "maml, learned rate": Maml(inner_lr=0.3, steps=3, learn_lr=True),
    "maml, order 1, learned rate": Maml(order=1, inner_lr=0.3, steps=3, learn_lr=True),
    "maml, head": Maml(inner_lr=0.3, steps=3, adapted="head"),
    "maml, fewer steps in training": Maml(inner_lr=0.3, steps=3, train_steps=2),
    "maml, inner Adam": Maml(inner_lr=0.03, steps=3, inner_optimizer="adam"),
    "maml, sum": Maml(inner_lr=0.05, steps=3, reduction="sum"),
    "meta-sgd": MetaSgd(inner_lr=0.3, steps=3),
    "meta-sgd, sum": MetaSgd(inner_lr=0.05, steps=3, reduction="sum"),
    "anil": Anil(inner_lr=0.3, steps=3),
    "anil, learned rate": Anil(inner_lr=0.3, steps=3, learn_lr=True),
    "anil, inner Adam, sum": Anil(inner_lr=0.03, steps=3, inner_optimizer="adam", reduction="sum"),
    "reptile": Reptile(inner_lr=0.02, train_steps=4, batch=7, steps=6),
    "reptile, inner SGD, sum": Reptile(0.02, train_steps=4, batch=7, steps=6, inner_optimizer="sgd", reduction="sum"),
    "reptile, one Adam for all tasks": Reptile(0.02, train_steps=4, batch=7, steps=6, optimizer_state="kept"),
    "protonet": ProtoNet(),
    "protonet, by dimension": ProtoNet(temperature=0),
    "ridge": Ridge(penalty=0.5),
    "finetune": FineTune(inner_lr=0.3, steps=3),
    "finetune, inner Adam, sum": FineTune(inner_lr=0.03, steps=3, inner_optimizer="adam", reduction="sum"),
    "scratch": Scratch(inner_lr=0.3, steps=3),
    "scratch, inner Adam, sum": Scratch(inner_lr=0.03, steps=3, inner_optimizer="adam", reduction="sum"),
}
NORMS = ["group", "batch", "support", "none"]

# One of each method, for what takes long.
METHOD_VARIANTS = {learner.name: variant for variant, learner in reversed(VARIANTS.items())}


@pytest.fixture(params=METHOD_VARIANTS.values(), ids=str, name="method")
def each_method(request):
    return VARIANTS[request.param]


@pytest.fixture(params=VARIANTS, ids=str, name="learner")
def each_learner(request):
    return VARIANTS[request.param]


def shaken(network, seed=0):
    """The network in float64, its parameters, the learner's own too, all away from where they start.

    What a learner carries on counts steps or squares, which are never below zero."""
    generator = torch.Generator().manual_seed(seed)
    for name, p in network.double().named_parameters():
        p.data = p.data + 0.1 * torch.randn(p.shape, generator=generator, dtype=p.dtype)
        if name.startswith(CARRIED):
            p.data = 10 * p.data.abs()
    return network


def prepared(learner, network, family):
    return shaken(attach(network, learner.initial(network, family)))


def classification(learner, norm="group", head_norm=True):
    """A network for the learner, tasks, and their kind."""
    family = Blobs(shots=2)
    network = build(TinyConv(), NARROW, family.shape, Normalisation(norm, head_norm), learner=learner, seed=3)
    return prepared(learner, network, family), doubled(family.tasks("train", range(3), CPU)), "classification"


def regression(learner):
    family = Sinusoid()
    network = build(ToySpace(), only(ToySpace()), family.shape, Normalisation(), learner=learner, seed=3)
    return prepared(learner, network, family), doubled(family.tasks("train", range(3), CPU)), "regression"
