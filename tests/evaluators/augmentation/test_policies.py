"""Augmentation by policies: each image by itself, and as its two operations one after the other."""

import logging
from dataclasses import replace

import pytest
import torch
from scipy.stats import chisquare

from nas.augmentation_policy import OPERATIONS, AugmentationPolicy, AugmentationStep, SubPolicy
from nas.errors import ConfigError, DataError
from nas.evaluators.augmentation.controls import random_policy
from nas.evaluators.augmentation.operations import MOST_DRAWS, apply
from nas.evaluators.augmentation.policies import (
    POLICY_DRAWS,
    PolicyAugmentation,
    PolicyFile,
    apply_where,
    drawn_number,
    without_effect,
)


def given(number, channels=1, seed=0):
    """Images and uniform numbers for a policy."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (number, channels, 12, 10), dtype=torch.uint8, generator=generator)
    return images, torch.rand(number, POLICY_DRAWS, dtype=torch.float64, generator=generator)


def pair(first, second, probability=1.0, magnitudes=(0.3, 0.8)):
    steps = (AugmentationStep(name, probability, m) for name, m in zip((first, second), magnitudes, strict=True))
    return SubPolicy(*steps)


def slow(policy, image, uniforms):
    """One image (channels, height, width) after the sub-policy that its uniform numbers choose."""
    chosen = policy.sub_policies[int(uniforms[0] * len(policy.sub_policies))]
    for place, step in enumerate(chosen.steps):
        gate, *own = uniforms[1 + place * (1 + MOST_DRAWS) :][: 1 + MOST_DRAWS].tolist()
        if gate < step.probability:
            magnitude = torch.tensor([step.magnitude], dtype=torch.float64)
            image = apply(step.operation, image[None], magnitude, torch.tensor([own], dtype=torch.float64))[0]
    return image


@pytest.mark.parametrize("channels", [1, 3])
def test_each_image_is_augmented_as_if_it_were_alone(channels):
    policy = random_policy(40, 3)
    images, uniforms = given(300, channels)
    before, changed = images.clone(), PolicyAugmentation(policy)(images, uniforms)
    assert torch.equal(images, before)
    for number in range(300):
        assert torch.equal(changed[number], slow(policy, images[number], uniforms[number])), number
    assert not torch.equal(changed, images)


@pytest.mark.parametrize("first, second", [("Rotate", "Invert"), ("Cutout", "ShearX"), ("Solarize", "Solarize")])
def test_with_probability_1_both_operations_are_applied_in_their_order(first, second):
    images, uniforms = given(50, 3)
    changed = PolicyAugmentation(AugmentationPolicy((pair(first, second),)))(images, uniforms)
    magnitudes = torch.tensor([[0.3], [0.8]], dtype=torch.float64).expand(2, 50)
    by_hand = apply(first, images, magnitudes[0], uniforms[:, 2:4])
    by_hand = apply(second, by_hand, magnitudes[1], uniforms[:, 5:7])
    assert torch.equal(changed, by_hand)


def test_with_probability_0_nothing_changes_even_for_a_uniform_number_of_0():
    images, uniforms = given(60, 3)
    uniforms[0] = 0.0
    policy = AugmentationPolicy(tuple(pair(name, "Invert", 0.0) for name in OPERATIONS))
    assert torch.equal(PolicyAugmentation(policy)(images, uniforms), images)


def test_sub_policies_are_drawn_with_equal_probability_and_gates_by_theirs():
    """A black image shows its sub-policy where it is inverted, by the number of bits that Posterize leaves."""
    images, uniforms = torch.zeros(20_000, 1, 1, 1, dtype=torch.uint8), given(20_000, seed=1)[1]
    rows = tuple(
        SubPolicy(AugmentationStep("Invert", p, 0.5), AugmentationStep("Posterize", 1.0, m))
        for p, m in ((0.25, 0.0), (0.5, 0.5))
    )
    white = PolicyAugmentation(AugmentationPolicy(rows))(images, uniforms).flatten().tolist()
    counts = [white.count(level) for level in (240, 252, 0)]  # Posterize to 4 or to 6 bits
    assert sum(counts) == 20_000
    assert chisquare(counts, [2500, 5000, 12_500]).pvalue > 1e-3


def test_numbers_are_drawn_uniformly_and_never_beyond_the_last():
    uniforms = torch.tensor([0.0, 0.2499, 0.25, 0.999, 1 - 2.0**-53, 1 - 2.0**-24], dtype=torch.float64)
    assert drawn_number(uniforms, 4).tolist() == [0, 0, 1, 3, 3, 3]
    assert drawn_number(torch.tensor([1 - 2.0**-24]), 105).tolist() == [104]


def test_operations_are_applied_where_they_should_be():
    images, uniforms = given(4, 3)
    applied = torch.tensor([True, False, True, True])
    numbers = torch.tensor([OPERATIONS.index(name) for name in ("Invert", "Invert", "Equalize", "Invert")])
    changed = apply_where(images, applied, numbers, torch.full((4,), 0.5), uniforms[:, :MOST_DRAWS])
    half = torch.full((1,), 0.5)
    assert torch.equal(changed[[0, 3]], ~images[[0, 3]])
    assert torch.equal(changed[1], images[1])
    assert torch.equal(changed[2:3], apply("Equalize", images[2:3], half, uniforms[2:3, :MOST_DRAWS]))


def test_color_leaves_grey_images_as_they_are_and_a_warning_says_so_once(caplog):
    rows = (pair("Color", "Color"), pair("Color", "Color", magnitudes=(0.0, 1.0)))
    augmentation = PolicyAugmentation(AugmentationPolicy(rows))
    images, uniforms = given(30)
    assert torch.equal(augmentation(images, uniforms), images)
    with caplog.at_level(logging.WARNING):
        augmentation.check(3)
        assert not caplog.records
        augmentation.check(1)
    assert [record.getMessage() for record in caplog.records] == [
        "policy: Color needs images in colour and leaves grey ones as they are"
    ]
    assert without_effect(rows, 1) == ["Color"]
    assert without_effect(rows, 3) == []


def test_no_images_are_none_afterwards():
    images, uniforms = given(0, 3)
    assert PolicyAugmentation(random_policy(5, 0))(images, uniforms).shape == images.shape


def test_the_description_has_a_digest_of_every_number():
    policy = AugmentationPolicy((pair("Rotate", "Invert"), pair("Cutout", "Color")))
    description = PolicyAugmentation(policy).describe()
    assert description.keys() == {"name", "sub_policies", "digest"}
    assert description == PolicyAugmentation(replace(policy)).describe()
    others = [
        AugmentationPolicy(policy.sub_policies[::-1]),
        AugmentationPolicy((pair("Rotate", "Invert", 0.9), policy.sub_policies[1])),
        AugmentationPolicy((pair("Rotate", "Invert", magnitudes=(0.3, 0.81)), policy.sub_policies[1])),
        AugmentationPolicy((pair("Invert", "Rotate"), policy.sub_policies[1])),
    ]
    assert len({PolicyAugmentation(each).describe()["digest"] for each in (policy, *others)}) == 5


def test_a_saved_policy_augments_as_the_policy_itself(tmp_path):
    policy, path = random_policy(7, 1), tmp_path / "policy.json"
    policy.write(path)
    images, uniforms = given(100, 3)
    saved, itself = PolicyFile(path), PolicyAugmentation(policy)
    assert torch.equal(saved(images, uniforms), itself(images, uniforms))
    assert saved.describe() == itself.describe()
    assert (saved.name, saved.draws) == (itself.name, itself.draws)


def test_a_policy_file_that_is_not_given_or_missing_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="policy: path is not set; give the JSON file of a saved policy"):
        PolicyFile().check(1)
    missing = PolicyFile(tmp_path / "none.json")
    for use in (lambda: missing.check(1), missing.describe, lambda: missing(*given(1))):
        with pytest.raises(DataError, match=r"augmentation policy .*none\.json does not exist"):
            use()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("channels", [1, 3])
def test_policies_give_the_same_images_on_the_gpu(channels):
    images, uniforms = given(500, channels)
    augmentation = PolicyAugmentation(random_policy(40, 3))
    on_gpu = augmentation(images.cuda(), uniforms.cuda())
    assert on_gpu.is_cuda
    assert torch.equal(on_gpu.cpu(), augmentation(images, uniforms))
