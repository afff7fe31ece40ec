"""Evaluator `meta`: repeatable and comparable scores, no access to hidden labels, and learning."""

import math
import pickle
import random
from dataclasses import replace

import pytest
import torch
from helpers.evaluators import CPU, NARROW, WIDE, Blobs, only
from helpers.learners import PRESETS
from helpers.meta import LEARNERS, NORMS, diverging, evaluator, meta_train, numbers

from nas import registry
from nas.errors import ConfigError, DataError, NasError, SpaceError
from nas.evaluators.learners import Anil, FineTune, Maml, ProtoNet
from nas.evaluators.meta_training.outer_loop import OuterLoop
from nas.evaluators.meta_training.scoring import task_values
from nas.evaluators.networks.weights import attach
from nas.evaluators.tasks.sinusoid import Sinusoid
from nas.search_spaces import Conv4, FewShotCell, Mlp
from nas.space import sample
from nas.testing import ToySpace, check_evaluator


def chance(accuracies, ways):
    """Whether the mean of accuracies is within four standard errors of guessing."""
    mean, stderr = accuracies.mean().item(), (accuracies.std() / len(accuracies) ** 0.5).item()
    return abs(mean - 1 / ways) < 4 * stderr + 1e-6


# --- the laws --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("learner", LEARNERS.values(), ids=LEARNERS)
def test_it_keeps_the_laws_of_evaluators(learner, norm):
    steps = 1 if learner.name in ("protonet", "ridge") else 2
    check_evaluator(evaluator(learner=learner, norm=norm), NARROW, 3, seed=1, inner_steps=steps, num_tasks=12)


@pytest.mark.parametrize("name", sorted(LEARNERS.keys() - {"protonet"}))
def test_it_keeps_them_in_regression(name):
    learner = LEARNERS[name]
    learner = replace(learner, inner_lr=0.01) if "inner_lr" in vars(learner) else learner
    chosen = evaluator(space=ToySpace(), tasks=Sinusoid(), learner=learner)
    check_evaluator(chosen, only(ToySpace()), 3, inner_steps=learner.steps, num_tasks=12)


def test_tasks_that_a_learner_cannot_treat_are_refused_before_a_search():
    with pytest.raises(ConfigError, match="protonet compares classes, but sinusoid is regression; use ridge or maml"):
        evaluator(space=ToySpace(), tasks=Sinusoid(), learner=ProtoNet()).check(only(ToySpace()))

    class Unnamed(Blobs):
        classes = None

    with pytest.raises(ConfigError, match="finetune trains on the classes of a family, but blobs does not name its"):
        evaluator(tasks=Unnamed(), learner=FineTune()).check(NARROW)


def test_every_learner_of_the_registry_is_tested_here():
    assert {learner.name for learner in LEARNERS.values()} == set(registry.names("learner")) - set(PRESETS)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("space", [Conv4(4), FewShotCell(widths=(4,), depths=(1,))], ids=lambda space: space.name)
@pytest.mark.parametrize("learner", LEARNERS.values(), ids=LEARNERS)
def test_all_learners_train_networks_of_images(learner, space, norm):
    architecture = sample(space, random.Random(4))
    score = evaluator(space=space, learner=learner, norm=norm).evaluate(architecture, 2, 0)
    assert 0 <= score.value <= 1
    assert {"parameters", "flops", "latency_ms", "outer_steps", "train_seconds", "seconds"} == set(score.metrics)
    assert score.metrics["train_seconds"] < score.metrics["seconds"]


@pytest.mark.parametrize("learner", LEARNERS.values(), ids=LEARNERS)
def test_the_same_seed_gives_the_same_score_whatever_came_before(learner):
    chosen = evaluator(learner=learner)
    first = numbers(chosen.evaluate(NARROW, 3, 7))
    torch.rand(3)
    chosen.evaluate(WIDE, 2, 1)
    assert numbers(chosen.evaluate(NARROW, 3, 7)) == first
    assert numbers(pickle.loads(pickle.dumps(chosen)).evaluate(NARROW, 3, 7)) == first


def test_seeds_give_other_scores_on_the_same_tasks():
    scores = [evaluator(validation_tasks=40).evaluate(NARROW, 3, seed) for seed in (0, 1)]
    assert scores[0].per_task != scores[1].per_task
    assert scores[0].protocol == scores[1].protocol


def test_evaluating_leaves_the_global_generator_as_it_is():
    before = torch.random.get_rng_state()
    evaluator().evaluate(NARROW, 2, 0)
    assert torch.equal(torch.random.get_rng_state(), before)


# --- learning, and not by cheating -----------------------------------------------------------------------------------


def test_training_makes_it_better_than_chance_and_than_no_training():
    """About .50 to .67 with these tasks; one standard error is near .012."""
    chosen = evaluator(learner=Anil(inner_lr=0.3, steps=3, outer_lr=0.02), tasks_per_step=16, validation_tasks=200)
    untrained, trained = (chosen.evaluate(WIDE, budget, 0) for budget in (0, 60))
    assert trained.value > untrained.value + 0.1
    assert trained.value > 1 / 3 + 0.2
    assert trained.curve[-1] > trained.curve[0] + 0.2


def test_meta_training_lowers_the_error_of_regression():
    chosen = evaluator(
        space=Mlp(), tasks=Sinusoid(shots=10), learner=Maml(inner_lr=0.01, outer_lr=0.01), validation_tasks=100
    )
    architecture = sample(Mlp(), random.Random(0))
    untrained, trained = (chosen.evaluate(architecture, budget, 0) for budget in (0, 60))
    assert untrained.value < trained.value < 0


def predictions(learner, batch, norm):
    """Accuracies of a network that was trained for a while, so that a leak would show."""
    chosen = evaluator(learner=learner, norm=norm)
    network = chosen.network(NARROW, 0)
    attach(network, learner.initial(network, chosen.tasks))
    meta_train(network, chosen.tasks, learner, OuterLoop(10, 5, 0, True), 0)
    weights = {name: p.detach() for name, p in network.named_parameters()}
    return learner.adapt(network, weights, batch, "classification", learner.steps)


@pytest.mark.parametrize("norm", ["group", "batch"])
@pytest.mark.parametrize("learner", LEARNERS.values(), ids=LEARNERS)
def test_nothing_is_known_before_adaptation(learner, norm):
    batch = Blobs().tasks("validation", range(400), CPU)
    assert chance(task_values(predictions(learner, batch, norm), batch.query_y, "classification")[0], 3)


@pytest.mark.parametrize("norm", ["group", "batch"])
@pytest.mark.parametrize("learner", LEARNERS.values(), ids=LEARNERS)
def test_nothing_is_learned_from_another_tasks_examples(learner, norm):
    """With the support sets of other tasks, any leak of the answers would show as accuracy above chance."""
    batch = Blobs().tasks("validation", range(400), CPU)
    batch = replace(batch, support_x=batch.support_x.roll(1, dims=0))
    values = task_values(predictions(learner, batch, norm), batch.query_y, "classification")
    assert chance(values[-1], 3)


# --- failures --------------------------------------------------------------------------------------------------------


def test_training_that_diverges_is_an_error_that_names_the_step():
    with pytest.raises(NasError, match=r"meta-training diverged: .* is not finite at outer step [1-9];"):
        diverging().evaluate(NARROW, 12, 0)


@pytest.mark.parametrize(
    "option, value, least",
    [("tasks_per_step", 0, 1), ("validation_tasks", 1, 2), ("chunk", 0, 1), ("train_queries", -1, 0)],
)
def test_options_out_of_range_are_refused(option, value, least):
    with pytest.raises(ConfigError, match=rf"evaluator {option} = {value}; it must be.* {least}\b"):
        evaluator(**{option: value})


def test_check_finds_what_a_search_could_not_do():
    evaluator().check(NARROW)
    with pytest.raises(ConfigError, match="device 'abacus' is not known"):
        evaluator(device="abacus").check(NARROW)
    with pytest.raises(SpaceError, match="this task's inputs"):
        evaluator(space=Conv4(), tasks=Sinusoid()).check(only(Conv4()))

    class Broken(Blobs):
        def check(self):
            raise DataError("the disk is gone")

    with pytest.raises(DataError, match="the disk is gone"):
        evaluator(tasks=Broken()).check(NARROW)


# --- a GPU -----------------------------------------------------------------------------------------------------------


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("learner", LEARNERS.values(), ids=LEARNERS)
def test_a_gpu_scores_as_the_cpu_does(learner, norm):
    here, there = (
        evaluator(learner=learner, norm=norm, device=device, validation_tasks=100).evaluate(WIDE, 5, 0)
        for device in ("cpu", "cuda")
    )
    assert there.protocol == here.protocol
    assert there.provenance["device"]["kind"] == "cuda"
    assert there.provenance["device"]["name"] == torch.cuda.get_device_name()
    assert math.isclose(here.value, there.value, abs_tol=0.03)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("learner", LEARNERS.values(), ids=LEARNERS)
def test_the_same_seed_gives_the_same_score_on_a_gpu(learner):
    chosen = evaluator(learner=learner, device="cuda")
    assert numbers(chosen.evaluate(NARROW, 5, 1)) == numbers(chosen.evaluate(NARROW, 5, 1))
