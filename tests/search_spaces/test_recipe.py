"""The space of recipes: choices open only what applies, equal recipes are equal, and what does not fit is refused."""

import random
from dataclasses import replace
from pathlib import Path

import pytest

from nas.augmentation_policy import AugmentationPolicy, AugmentationStep, SubPolicy
from nas.errors import ConfigError, Rejected, SpaceError
from nas.evaluators.optimizers.files import ExportedOptimizer
from nas.evaluators.optimizers.lstm import LstmSpec, initial_weights
from nas.evaluators.optimizers.seeds import generator_of
from nas.protocols import GraphSpace
from nas.protocols import RecipeSpace as Protocol
from nas.registry import components
from nas.search_spaces import Conv4, FewShotCell, Mlp, RecipeSpace
from nas.search_spaces.recipe.learners import LEARNERS
from nas.search_spaces.recipe.spec import training_text
from nas.space import options_taken, replay, sample
from nas.space.identity import network_key
from nas.training_recipe import TrainingRecipe
from nas.trial import Score, Trial

SPACE = RecipeSpace(architecture=Conv4(), learners=tuple(LEARNERS), sub_policies=1)
OWN = {
    "anil": {"inner_steps", "inner_optimizer", "learned_rate"},
    "finetune": {"inner_steps", "inner_optimizer"},
    "maml": {"inner_steps", "inner_optimizer", "learned_rate", "adapted_layers", "order"},
    "meta-sgd": {"inner_steps", "inner_rate"},
    "protonet": {"temperature"},
    "reptile": {"inner_steps", "inner_optimizer"},
    "ridge": {"penalty"},
}
COMMON = {"learner", "outer_optimizer", "augmentation", "norm", "head_norm"}


def recipes(number=300, space=SPACE):
    rng = random.Random(0)
    return [sample(space, rng) for _ in range(number)]


@pytest.fixture(name="optimizer_folder")
def exported_optimizer(tmp_path):
    spec = LstmSpec(hidden=2, layers=1)
    for name, content in ExportedOptimizer(spec, initial_weights(spec, generator_of(0))).contents().items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


def test_it_offers_recipes_and_graphs():
    assert isinstance(SPACE, Protocol)
    assert isinstance(SPACE, GraphSpace)
    assert not isinstance(Conv4(), Protocol)


def test_choices_open_only_what_applies():
    seen = set()
    for recipe in recipes():
        taken = options_taken(SPACE, recipe)
        learner, inner, outer = taken["learner"], taken.get("inner_optimizer"), taken["outer_optimizer"]
        rates = {f"inner_rate_{inner}"} if inner else set()
        policy = {name for name in taken if name.startswith("0.")}
        assert bool(policy) == (taken["augmentation"] == "chosen")
        assert taken.keys() == COMMON | OWN[learner] | rates | {f"outer_rate_{outer}"} | policy
        seen.add(learner)
    assert seen == set(LEARNERS)


def test_every_learner_can_be_made_with_its_options():
    for recipe in recipes():
        choice = SPACE.recipe_of(replay(SPACE, recipe)).learner
        learner = components.create("learner", choice.name, dict(choice.options))
        assert {option: getattr(learner, option) for option, _ in choice.options} == dict(choice.options)


def test_the_networks_of_a_recipe_are_those_of_its_space():
    space = RecipeSpace(architecture=FewShotCell())
    for recipe in recipes(20, space):
        spec = replay(space, recipe)
        assert replay(space.architecture, space.network_of(spec)) == spec.layers


def with_policy(*rows):
    return TrainingRecipe(augmentation=AugmentationPolicy(rows))


def step(operation, probability=0.5, magnitude=0.5):
    return AugmentationStep(operation, probability, magnitude)


def test_trainings_are_equal_where_no_difference_has_an_effect():
    one = SubPolicy(step("Rotate"), step("Invert", magnitude=0.1))
    other = SubPolicy(step("ShearX"), step("Color"))
    same = SubPolicy(step("Rotate"), step("Invert", magnitude=0.9))
    assert training_text(with_policy(one, other)) == training_text(with_policy(other, same))
    assert training_text(with_policy(one)) != training_text(with_policy(other))
    reversed_order = SubPolicy(one.second, one.first)
    assert training_text(with_policy(one)) != training_text(with_policy(reversed_order))


@pytest.mark.parametrize("network", [Conv4(), Mlp()], ids=["with a graph or not", "mlp"])
def test_recipes_of_different_choices_have_different_keys(network):
    space = replace(SPACE, architecture=network, sub_policies=0)
    architectures = recipes(100, space)
    specs = {repr(replay(space, recipe)): network_key(space, recipe) for recipe in architectures}
    assert len(set(specs.values())) == len(specs) > 50


def test_a_learned_optimizer_is_offered_to_maml_alone(optimizer_folder):
    space = RecipeSpace(architecture=Conv4(), learners=("anil", "maml"), learned_optimizer=optimizer_folder)
    learned = 0
    for recipe in recipes(200, space):
        learner = space.recipe_of(replay(space, recipe)).learner
        options = dict(learner.options)
        if options.get("inner_optimizer") == "learned":
            assert learner.name == "maml"
            assert options["order"] == 1
            assert "inner_lr" not in options
            components.create("learner", learner.name, options)
            learned += 1
    assert learned


def test_layers_that_are_missing_cannot_be_adapted():
    space = RecipeSpace(architecture=Conv4(), learners=("maml",), norms=("none",))
    found = recipes(50, space)
    assert {options_taken(space, recipe)["adapted_layers"] for recipe in found} == {"all"}
    norm = {**found[0].picks, "adapted_layers": 1}
    with pytest.raises(Rejected, match="no normalisation layers"):
        replay(space, replace(found[0], picks=norm))


class Clashing:
    """A space with a choice of the recipe's."""

    name = "clashing"

    def decide(self, choose):
        return choose("learner", (1, 2))

    def build(self, spec, task):
        raise NotImplementedError


def test_a_choice_of_both_levels_is_named_and_refused():
    with pytest.raises(SpaceError, match=r"'clashing' and the recipe both have a choice 'learner'; give that of the"):
        sample(RecipeSpace(architecture=Clashing()), random.Random(0))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"learners": ("mamal",)}, "learners: 'mamal'; did you mean 'maml'"),
        ({"learners": ()}, r"learners = \[\]; give at least one value"),
        ({"norms": ("group", "group")}, "give at least one value, each once"),
        ({"inner_rates": (0.1, 0.0)}, r"inner_rates = \[0.1, 0.0\]; give distinct numbers above 0"),
        ({"adam_rates": (-1.0,)}, r"adam_rates = \[-1.0\]; give distinct numbers above 0"),
        ({"inner_steps": (0,)}, r"inner_steps = \[0\]; give distinct whole numbers from 1"),
        ({"sub_policies": 26}, "sub_policies = 26; it must be"),
        (
            {"learned_optimizer": Path("nowhere")},
            "nowhere holds no optimizer.json; give the folder",
        ),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        RecipeSpace(architecture=Conv4(), **options)


def test_a_policy_that_is_missing_is_refused_before_the_search(tmp_path):
    with pytest.raises(Exception, match="does not exist"):
        RecipeSpace(architecture=Conv4(), policy=tmp_path / "none.json")


def test_a_saved_policy_is_read_once(tmp_path):
    policy = AugmentationPolicy((SubPolicy(step("Rotate"), step("Color")),))
    policy.write(tmp_path / "policy.json")
    space = RecipeSpace(architecture=Conv4(), policy=tmp_path / "policy.json")
    (tmp_path / "policy.json").unlink()
    augmentations = {space.recipe_of(replay(space, recipe)).augmentation for recipe in recipes(30, space)}
    assert augmentations == {None, policy}


@pytest.mark.parametrize("name", sorted(set(components.names("controller")) - {"reinforce-nas-bench-201"}))
def test_every_controller_proposes_recipes(name):
    controller = components.create("controller", name, {}, space=SPACE, seed=0)
    for number in range(3):
        (proposed,) = controller.ask(1)
        assert isinstance(replay(SPACE, proposed).training, TrainingRecipe)
        score = Score(value=0.1 * number, stderr=0.1, curve=(), per_task=())
        controller.tell([Trial(number, proposed, 1, 0, state="done", score=score)])
