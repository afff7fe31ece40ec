"""Evaluator `recipe`: each candidate is trained as it chose, all under one protocol, at a budget of computation."""

from dataclasses import replace

import pytest
from helpers.evaluators import NARROW, Blobs, TinyConv

from nas.architecture import Architecture
from nas.augmentation_policy import AugmentationPolicy, AugmentationStep, SubPolicy
from nas.config import build, from_json
from nas.errors import ConfigError
from nas.evaluators import MetaEvaluator, RecipeEvaluator
from nas.evaluators.augmentation.policies import PolicyAugmentation
from nas.evaluators.learners import Anil, Maml, ProtoNet
from nas.evaluators.meta_training import step_cost
from nas.evaluators.tasks.glyphs import Glyphs
from nas.evaluators.tasks.sinusoid import Sinusoid
from nas.protocols import RecipeMeasuring
from nas.search_spaces import Conv4, Mlp40, RecipeSpace
from nas.task import Bank
from nas.training_recipe import LearnerChoice, Normalisation, OuterOptimizer, TrainingRecipe

SPACE = RecipeSpace(architecture=TinyConv(), learners=("anil", "maml", "protonet"))
OPTIONS = {"tasks_per_step": 2, "validation_tasks": 8, "device": "cpu"}
DEFAULT = {"space": SPACE, "tasks": Blobs(), "learner": Anil(), "unit": "outer steps"}
MAML = {
    "width": 0,
    "learner": 1,
    "adapted_layers": 0,
    "inner_steps": 1,
    "inner_optimizer": 0,
    "inner_rate_sgd": 2,
    "order": 1,
    "learned_rate": 0,
    "outer_optimizer": 1,
    "outer_rate_sgd": 1,
    "augmentation": 0,
    "norm": 1,
    "head_norm": 0,
}
PROTONET = {
    "width": 1,
    "learner": 2,
    "temperature": 1,
    "outer_optimizer": 0,
    "outer_rate_adam": 2,
    "augmentation": 0,
    "norm": 0,
    "head_norm": 1,
}


def recipe(picks):
    return Architecture("recipe", picks)


def evaluator(**options):
    return RecipeEvaluator(**DEFAULT | OPTIONS | options)


def scores_equal(one, other):
    assert one.per_task == other.per_task
    assert one.curve == other.curve
    assert one.metrics["parameters"] == other.metrics["parameters"]


def test_a_recipe_scores_as_the_same_training_by_hand():
    by_hand = MetaEvaluator(
        space=TinyConv(),
        tasks=Blobs(),
        learner=Maml(inner_lr=0.1, steps=3, order=2),
        norm="none",
        head_norm=False,
        outer=OuterOptimizer("sgd", 0.03),
        **OPTIONS,
    )
    scores_equal(evaluator().evaluate(recipe(MAML), 3, 1), by_hand.evaluate(NARROW, 3, 1))


def test_a_network_alone_is_trained_by_the_default_recipe():
    plain = MetaEvaluator(space=TinyConv(), tasks=Blobs(), learner=Anil(), **OPTIONS)
    scores_equal(evaluator(space=TinyConv()).evaluate(NARROW, 3, 1), plain.evaluate(NARROW, 3, 1))


def test_one_protocol_serves_all_recipes_and_networks_alone():
    first, second = (evaluator().evaluate(recipe(picks), 2, 1).protocol for picks in (MAML, PROTONET))
    alone = evaluator(space=TinyConv()).evaluate(NARROW, 2, 1).protocol
    assert first == second == alone == evaluator().search_protocol(2, 2)


@pytest.mark.parametrize(
    "change",
    [{"unit": "GFLOPs"}, {"unit": "seconds"}, {"tasks_per_step": 3}, {"learner": ProtoNet()}, {"norm": "none"}],
)
def test_other_units_and_defaults_are_other_protocols(change):
    assert evaluator().search_protocol(2, 2) != evaluator(**change).search_protocol(2, 2)


def test_learner_and_weights_are_those_of_the_recipe(tmp_path):
    measurer, weights = evaluator(), tmp_path / "weights.safetensors"
    assert isinstance(measurer, RecipeMeasuring)
    assert measurer.learner_of(recipe(MAML)) == Maml(inner_lr=0.1, steps=3, order=2)
    assert measurer.learner_of(recipe(PROTONET)).name == "protonet"
    first = measurer.measure(recipe(MAML), 2, 1, bank=Bank("test", 0, 6), weights=weights)
    again = measurer.measure(recipe(MAML), 2, 1, bank=Bank("test", 0, 6), weights=weights)
    assert first.per_task == again.per_task
    assert again.outer_steps is None
    measurer.trained(recipe(MAML), 2, 1, weights)


def test_a_fixed_training_replaces_the_recipes_own():
    fixed = evaluator().with_training(TrainingRecipe())
    assert fixed.learner_of(recipe(MAML)) == Anil()
    plain = MetaEvaluator(space=TinyConv(), tasks=Blobs(), learner=Anil(), **OPTIONS)
    scores_equal(fixed.evaluate(recipe(MAML), 2, 1), plain.evaluate(NARROW, 2, 1))
    mixed = TrainingRecipe(
        LearnerChoice("protonet"), OuterOptimizer("adam", 0.01), normalisation=Normalisation("none", head_norm=False)
    )
    by_hand = replace(plain, learner=ProtoNet(), outer=mixed.outer, norm="none", head_norm=False)
    scores_equal(evaluator().with_training(mixed).evaluate(recipe(MAML), 2, 1), by_hand.evaluate(NARROW, 2, 1))


def test_an_augmentation_changes_training_tasks_alone():
    policy = AugmentationPolicy(
        (SubPolicy(AugmentationStep("Invert", 1.0, 0.0), AugmentationStep("Rotate", 1.0, 0.9)),)
    )
    tasks = Glyphs(ways=3, queries=3)
    default = RecipeEvaluator(space=Conv4(8), tasks=tasks, learner=ProtoNet(), unit="outer steps", **OPTIONS)
    architecture = Architecture("conv4", {})
    augmented = default.with_training(TrainingRecipe(augmentation=policy)).evaluate(architecture, 2, 1)
    by_hand = replace(default, tasks=replace(tasks, augmentation=PolicyAugmentation(policy)))
    assert augmented.per_task == by_hand.evaluate(architecture, 2, 1).per_task
    assert augmented.per_task != default.evaluate(architecture, 2, 1).per_task
    assert augmented.protocol["bank"] == default.search_protocol(2, 2)["bank"]


def test_parts_that_do_not_fit_the_tasks_are_errors_of_the_candidate():
    regression = RecipeEvaluator(space=Mlp40(), tasks=Sinusoid(), learner=Maml(), **OPTIONS)
    network = Architecture("mlp40", {})
    with pytest.raises(Exception, match="protonet"):
        regression.with_training(TrainingRecipe(LearnerChoice("protonet"))).evaluate(network, 1, 0)
    policy = AugmentationPolicy((SubPolicy(*[AugmentationStep("Rotate", 1.0, 0.5)] * 2),))
    with pytest.raises(ConfigError, match="'sinusoid' take no augmentation"):
        regression.with_training(TrainingRecipe(augmentation=policy)).evaluate(network, 1, 0)
    regression.check(network)


@pytest.mark.parametrize("unit", ["GFLOPs", "seconds"])
def test_a_budget_buys_as_many_steps_as_fit(unit, monkeypatch):
    asked = []

    def cost(network, family, learner, loop, asked_unit):
        asked.append(asked_unit)
        return 0.1 * learner.steps

    monkeypatch.setattr(step_cost, "step_cost", cost)
    for inner_steps, outer_steps in ((0, 20), (1, 6), (2, 4)):  # of 1, 3 and 5 inner steps
        score = evaluator(unit=unit).evaluate(recipe(MAML | {"inner_steps": inner_steps}), 2, 1)
        assert (score.outer_steps, score.protocol["budget"], score.protocol["budget_unit"]) == (outer_steps, 2, unit)
    assert set(asked) == {unit}


@pytest.mark.parametrize("name", ["meta", "zero-cost"])
def test_other_evaluators_refuse_recipes(name):
    config = from_json(
        {
            "space": {"name": "recipe", "architecture": {"name": "conv4", "width": 8}},
            "tasks": {"name": "glyphs"},
            "evaluator": {"name": name},
        }
    )
    with pytest.raises(ConfigError, match="take evaluator 'recipe'"):
        build(config)


def test_a_config_names_the_networks_of_a_recipe():
    def parts(architecture):
        space = {"name": "recipe", "architecture": architecture, "learners": ["anil"]}
        return build(from_json({"space": space, "tasks": {"name": "glyphs"}, "evaluator": {"name": "recipe"}}))

    assert parts("conv4").space.architecture == Conv4()
    assert parts({"name": "conv4", "width": 8}).space.architecture == Conv4(8)
    with pytest.raises(ConfigError, match="space 'conv4' has no option 'widht'"):
        parts({"name": "conv4", "widht": 8})
    with pytest.raises(ConfigError, match="'mlp' takes no architecture; leave it out"):
        build(from_json({"space": {"name": "mlp", "architecture": "conv4"}, "tasks": {"name": "glyphs"}}))
