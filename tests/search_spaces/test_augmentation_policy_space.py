"""The space of augmentation policies: what is decided, one network for all, and which policies are the same."""

import itertools
import random
from dataclasses import replace

import pytest
import torch

from nas.augmentation_policy import OPERATIONS, AugmentationPolicy, AugmentationStep, SubPolicy
from nas.errors import ConfigError
from nas.protocols import GraphSpace
from nas.protocols.augmentations import AugmentingSpace
from nas.search_spaces import AugmentationPolicySpace, Conv4
from nas.search_spaces.augmentation_policy.spec import PAIRS, AugmentedNetwork
from nas.space import count, decide, enumerate_all, replay, sample
from nas.space.graph import canonical
from nas.task import TaskShape

IMAGES = TaskShape((1, 28, 28), 5)
SPACE = AugmentationPolicySpace()


def policies(number, seed=0, space=SPACE):
    rng = random.Random(seed)
    return [replay(space, sample(space, rng)).policy for _ in range(number)]


def key(*sub_policies):
    return canonical(SPACE.graph(AugmentedNetwork(AugmentationPolicy(sub_policies), 8)))


def sub_policy(first="Rotate", second="Color", probabilities=(0.5, 0.5), magnitudes=(0.2, 0.8)):
    steps = map(AugmentationStep, (first, second), probabilities, magnitudes)
    return SubPolicy(*steps)


def test_it_offers_policies_and_diagrams():
    assert isinstance(SPACE, AugmentingSpace)
    assert isinstance(SPACE, GraphSpace)
    assert not isinstance(Conv4(), AugmentingSpace)


def test_every_pair_level_and_place_is_decided():
    rows = [row for policy in policies(400) for row in policy.sub_policies]
    assert {tuple(step.operation for step in row.steps) for row in rows} == set(itertools.combinations(OPERATIONS, 2))
    for place in ("first", "second"):
        for value in ("probability", "magnitude"):
            assert {getattr(getattr(row, place), value) for row in rows} == {level / 10 for level in range(11)}
    assert {len(policy.sub_policies) for policy in policies(20)} == {5}


def test_a_decision_is_the_policy_of_its_choices():
    taken = {"0.operations": PAIRS.index("Rotate+Cutout"), "0.first_probability": 3, "0.second_magnitude": 4}
    spec, _ = decide(AugmentationPolicySpace(sub_policies=1, levels=5, width=3), lambda name, _: taken.get(name, 0))
    expected = SubPolicy(AugmentationStep("Rotate", 0.75, 0.0), AugmentationStep("Cutout", 0.0, 1.0))
    assert spec == AugmentedNetwork(AugmentationPolicy((expected,)), 3)
    assert SPACE.augmentation(spec) is spec.policy


def test_policies_are_written_and_read_exactly():
    for policy in policies(20):
        assert AugmentationPolicy.from_json(policy.to_json()) == policy


def test_there_are_as_many_as_the_pairs_and_levels_make():
    space = AugmentationPolicySpace(sub_policies=1, levels=2)
    assert sum(1 for _ in enumerate_all(space)) == 105 * 2**4
    low, high = count(SPACE, limit=100, samples=500).interval
    assert low <= (105 * 11**4) ** 5 <= high


def test_the_network_is_that_of_conv4_for_every_policy():
    for policy in policies(3):
        networks = []
        for space, spec in ((AugmentationPolicySpace(width=6), AugmentedNetwork(policy, 6)), (Conv4(6), 6)):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                networks.append(space.build(spec, IMAGES).state_dict())
        assert networks[0].keys() == networks[1].keys()
        assert all(torch.equal(networks[0][name], networks[1][name]) for name in networks[0])


def test_the_order_of_sub_policies_does_not_matter_and_all_else_does():
    rows = policies(1)[0].sub_policies
    assert len({key(*order) for order in itertools.permutations(rows)}) == 1
    one, other = sub_policy(), sub_policy("Cutout", "Invert")
    different = [
        key(one, other),
        key(one, one),
        key(one, one, other),
        key(other),
        key(one),
        key(sub_policy(second="Contrast")),
        key(sub_policy(probabilities=(0.5, 0.6))),
        key(sub_policy(magnitudes=(0.3, 0.8))),
        key(sub_policy(probabilities=(0.6, 0.5))),
    ]
    assert len(set(different)) == len(different)
    spec = AugmentedNetwork(AugmentationPolicy((one,)), 8)
    assert canonical(SPACE.graph(spec)) != canonical(SPACE.graph(replace(spec, width=16)))


def test_steps_of_two_sub_policies_are_not_exchanged():
    a, b, c, d = (AugmentationStep(name, 0.5, 0.5) for name in ("Rotate", "Color", "Cutout", "Contrast"))
    assert key(SubPolicy(a, b), SubPolicy(c, d)) != key(SubPolicy(a, d), SubPolicy(c, b))


def test_what_has_no_effect_does_not_matter():
    assert key(sub_policy("Invert", magnitudes=(0.0, 0.8))) == key(sub_policy("Invert", magnitudes=(1.0, 0.8)))
    never = [sub_policy(probabilities=(0.0, 0.5), magnitudes=(m, 0.8)) for m in (0.0, 1.0)]
    assert key(never[0]) == key(never[1]) == key(sub_policy("ShearX", probabilities=(0.0, 0.5)))
    first, second = AugmentationStep("Rotate", 0.0, 0.5), AugmentationStep("Color", 0.5, 0.5)
    assert key(SubPolicy(first, second)) == key(SubPolicy(second, first))
    nothing = sub_policy(probabilities=(0.0, 0.0))
    assert len({key(nothing), key(nothing, nothing), key(nothing, never[0]), key(never[0], never[0])}) == 4


def test_one_sub_policy_of_every_kind_has_a_diagram_of_its_own():
    keys = [key(sub_policy(*pair.split("+"))) for pair in PAIRS]
    assert len(set(keys)) == 105


@pytest.mark.parametrize("options", [{"sub_policies": 0}, {"sub_policies": 26}, {"levels": 1}, {"width": 0}])
def test_options_out_of_bounds_are_refused(options):
    ((option, value),) = options.items()
    with pytest.raises(ConfigError, match=f"augmentation-policy {option} = {value}; it must be a whole number from"):
        AugmentationPolicySpace(**options)
