"""Meta-learning evaluators that are small enough for a test."""

from dataclasses import replace

from helpers.evaluators import Blobs, TinyConv

from nas.evaluators import MetaEvaluator
from nas.evaluators.learners import Anil, FineTune, Maml, MetaSgd, ProtoNet, Reptile, Ridge, Scratch
from nas.evaluators.meta_training.outer_loop import MetaTraining
from nas.task import Bank

NORMS = ["group", "batch", "support", "none"]
LEARNERS = {
    "maml, order 2": Maml(inner_lr=0.1, steps=2),
    "maml, order 1": Maml(order=1, inner_lr=0.1, steps=2),
    "anil": Anil(inner_lr=0.1, steps=2),
    "reptile": Reptile(inner_lr=0.03, steps=2, train_steps=2, batch=6),
    "maml, learned rate": Maml(inner_lr=0.1, steps=2, learn_lr=True),
    "meta-sgd": MetaSgd(inner_lr=0.1, steps=2),
    "protonet": ProtoNet(),
    "ridge": Ridge(),
    "finetune": FineTune(inner_lr=0.1, steps=2),
    "scratch": Scratch(inner_lr=0.1, steps=2),
}
TEST, FRESH = Bank("test", 0, 10), Bank("validation", 100, 10)


def evaluator(**options):
    usual = {"space": TinyConv(), "tasks": Blobs(), "learner": LEARNERS["anil"], "tasks_per_step": 5, "device": "cpu"}
    return MetaEvaluator(**{**usual, "validation_tasks": 12, "chunk": 5, **options})


def meta_train(network, family, learner, loop, seed):
    """Meta-trains the network in place for the whole budget of the outer loop."""
    MetaTraining(network, family, learner, loop, seed).advance(loop.budget)


def numbers(score):
    """All of a score but what depends on the clock, and on what was trained before."""
    passing = ("latency_ms", "outer_steps", "train_seconds", "seconds")
    metrics = {name: value for name, value in score.metrics.items() if name not in passing}
    return replace(score, metrics=metrics, cost_s=None, outer_steps=None)


class Unbounded(Reptile):
    """Of rates that no config may ask for."""

    def __post_init__(self) -> None:
        """Checks nothing."""


def diverging():
    return evaluator(learner=Unbounded(inner_lr=1e30, outer_lr=1e30, steps=2, train_steps=2, batch=6))
