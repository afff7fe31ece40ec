"""Augmentations without learning: strengths, numbers of operations, and random policies."""

import itertools
import math
from collections import Counter

import pytest
import torch
from scipy.stats import chisquare

from nas.augmentation_policy import OPERATIONS
from nas.errors import ConfigError
from nas.evaluators.augmentation import controls
from nas.evaluators.augmentation.controls import (
    CHOICES,
    IDENTITY,
    NoAugmentation,
    RandAugment,
    RandomPolicy,
    TrivialAugment,
    magnitudes_of,
    random_policy,
)
from nas.evaluators.augmentation.operations import MOST_DRAWS, apply
from nas.evaluators.augmentation.policies import POLICY_DRAWS, PolicyAugmentation

ALL = [NoAugmentation(), RandAugment(), RandAugment(operations=3, strength=1.0), TrivialAugment(), RandomPolicy()]
WITHOUT_STRENGTH = {"AutoContrast", "Equalize", "Invert"}


def given(number, draws, channels=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (number, channels, 20, 21), dtype=torch.uint8, generator=generator)
    return images, torch.rand(number, draws, dtype=torch.float64, generator=generator)


@pytest.mark.parametrize("augmentation", ALL, ids=str)
@pytest.mark.parametrize("channels", [1, 3])
def test_an_image_is_augmented_alike_in_any_batch(augmentation, channels):
    images, uniforms = given(60, augmentation.draws, channels)
    before, together = images.clone(), augmentation(images, uniforms)
    assert (together.shape, together.dtype) == (images.shape, torch.uint8)
    assert torch.equal(images, before)
    alone = [augmentation(images[i : i + 1], uniforms[i : i + 1]) for i in range(60)]
    assert torch.equal(together, torch.cat(alone))
    augmentation.check(channels)
    assert augmentation.describe()["name"] == augmentation.name


def test_no_augmentation_changes_nothing():
    images, uniforms = given(5, 0)
    assert torch.equal(NoAugmentation()(images, uniforms), images)


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("name", [name for name in OPERATIONS if name not in WITHOUT_STRENGTH | {"Cutout"}])
def test_strength_0_changes_nothing_and_strength_1_does(name, sign):
    images, uniforms = given(200, MOST_DRAWS)
    numbers, signs = torch.full((200,), OPERATIONS.index(name)), torch.full((200,), sign)

    def difference(strength):
        magnitudes = magnitudes_of(torch.full((200,), strength, dtype=torch.float64), numbers, signs)
        assert ((magnitudes >= 0) & (magnitudes <= 1)).all()
        return (apply(name, images, magnitudes, uniforms).float() - images).abs().mean().item()

    assert difference(0.0) == 0
    assert difference(1.0) > 0


def test_the_choices_are_the_identity_and_13_operations():
    assert len(set(CHOICES)) == len(CHOICES) == 14
    assert set(OPERATIONS) - {OPERATIONS[number] for number in CHOICES if number != IDENTITY} == {"Invert", "Cutout"}


def test_rand_augment_of_strength_0_changes_only_by_what_has_no_strength():
    augmentation = RandAugment(operations=1, strength=0.0)
    images, uniforms = given(2000, augmentation.draws)
    changed = augmentation(images, uniforms)
    different = (changed != images).flatten(1).any(dim=1)
    names = [OPERATIONS[CHOICES[int(u * 14)]] for u in uniforms[different, 0].tolist()]
    assert set(names) == {"AutoContrast", "Equalize"}


def record_operations(monkeypatch):
    """Numbers of images whose operation was drawn, for each call of `apply_where`."""
    calls = []

    def recorded(images, applied, numbers, magnitudes, uniforms):
        calls.append((applied, numbers, magnitudes))
        return images

    monkeypatch.setattr(controls, "apply_where", recorded)
    return calls


@pytest.mark.parametrize("operations", [1, 2, 10])
def test_rand_augment_applies_so_many_operations_each_uniform_over_14(monkeypatch, operations):
    calls = record_operations(monkeypatch)
    augmentation = RandAugment(operations=operations, strength=0.4)
    augmentation(*given(7000, augmentation.draws))
    assert len(calls) == operations
    for applied, numbers, magnitudes in calls:
        counts = Counter(numbers.tolist())
        assert counts.keys() == set(CHOICES)
        assert chisquare(list(counts.values())).pvalue > 1e-4
        assert torch.equal(applied, numbers != IDENTITY)
        weakening = [OPERATIONS.index(name) for name in ("Solarize", "Posterize")]
        is_weakening = torch.isin(numbers, torch.tensor(weakening))
        assert {round(m, 6) for m in magnitudes[is_weakening].tolist()} == {0.6}
        assert {round(m, 6) for m in magnitudes[~is_weakening].tolist()} == {0.3, 0.7}


def test_operations_of_rand_augment_are_independent(monkeypatch):
    calls = record_operations(monkeypatch)
    augmentation = RandAugment(operations=2)
    augmentation(*given(20_000, augmentation.draws))
    pairs = Counter(zip(calls[0][1].tolist(), calls[1][1].tolist(), strict=True))
    counts = [pairs[pair] for pair in itertools.product(CHOICES, CHOICES)]
    assert chisquare(counts).pvalue > 1e-4


def test_trivial_augment_applies_one_operation_at_one_of_31_strengths(monkeypatch):
    calls = record_operations(monkeypatch)
    augmentation = TrivialAugment()
    augmentation(*given(31_000, augmentation.draws))
    ((_, numbers, magnitudes),) = calls
    assert chisquare(list(Counter(numbers.tolist()).values())).pvalue > 1e-4
    solarize = magnitudes[numbers == OPERATIONS.index("Solarize")]
    strengths = Counter((30 * (1 - solarize)).round().int().tolist())
    assert strengths.keys() == set(range(31))
    assert chisquare(list(strengths.values())).pvalue > 1e-4


def test_random_policies_differ_by_seed_and_repeat_within_one():
    assert random_policy(25, 0) == random_policy.__wrapped__(25, 0)
    assert len({random_policy(25, seed) for seed in range(20)}) == 20
    images, uniforms = given(40, POLICY_DRAWS)
    by_policy = PolicyAugmentation(random_policy(25, 4))(images, uniforms)
    assert torch.equal(RandomPolicy(seed=4)(images, uniforms), by_policy)
    assert not torch.equal(RandomPolicy(seed=5)(images, uniforms), by_policy)
    assert RandomPolicy(seed=4).describe() == {"name": "random-policy", "sub_policies": 25, "seed": 4}


def test_random_policies_are_uniform_over_pairs_probabilities_and_magnitudes():
    rows = [row for seed in range(20) for row in random_policy(1000, seed).sub_policies]
    counts = Counter(frozenset(step.operation for step in row.steps) for row in rows)
    assert len(counts) == math.comb(15, 2)
    assert chisquare(list(counts.values())).pvalue > 1e-4
    for key in ("probability", "magnitude"):
        values = torch.tensor([getattr(step, key) for row in rows for step in row.steps])
        assert chisquare(torch.histc(values, 20, 0, 1).tolist()).pvalue > 1e-4


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: RandAugment(operations=0), "rand-augment operations = 0; it must be a whole number from 1 to 10"),
        (lambda: RandAugment(strength=1.5), r"rand-augment strength = 1\.5; it must be from 0"),
        (lambda: RandAugment(strength=math.nan), "rand-augment strength = nan"),
        (lambda: RandomPolicy(sub_policies=1001), "random-policy sub_policies = 1001"),
        (lambda: RandomPolicy(seed=-1), "random-policy seed = -1"),
    ],
)
def test_options_out_of_bounds_are_refused(make, message):
    with pytest.raises(ConfigError, match=message):
        make()
