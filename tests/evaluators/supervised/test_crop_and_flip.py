"""Crops and mirror images equal a loop over images, and cover all places."""

import pytest
import torch

from nas.evaluators.supervised_training.crop_and_flip import crop_and_flip


def slow(images, uniforms, padding, flip):
    results = []
    for image, (down, right, mirrored) in zip(images, uniforms.tolist(), strict=True):
        channels, height, width = image.shape
        canvas = torch.zeros(channels, height + 2 * padding, width + 2 * padding, dtype=image.dtype)
        canvas[:, padding : padding + height, padding : padding + width] = image
        top, left = int(down * (2 * padding + 1)), int(right * (2 * padding + 1))
        cut = canvas[:, top : top + height, left : left + width]
        results.append(torch.fliplr(cut.permute(1, 2, 0)).permute(2, 0, 1) if flip and mirrored < 0.5 else cut)
    return torch.stack(results)


@pytest.mark.parametrize("padding", [0, 1, 4])
@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("shape", [(1, 5, 5), (3, 4, 7)])
def test_it_equals_a_loop_over_images(padding, flip, shape):
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (40, *shape), generator=generator, dtype=torch.uint8)
    uniforms = torch.rand(40, 3, generator=generator)
    result = crop_and_flip(images, uniforms, padding=padding, flip=flip)
    assert result.dtype == torch.uint8
    assert torch.equal(result, slow(images, uniforms, padding, flip))


def test_the_ends_of_the_random_numbers_stay_inside():
    images = torch.arange(25, dtype=torch.uint8).reshape(1, 1, 5, 5).repeat(2, 1, 1, 1) + 1
    last = torch.nextafter(torch.tensor(1.0), torch.tensor(0.0))
    uniforms = torch.stack([torch.zeros(3), last.repeat(3)])
    result = crop_and_flip(images, uniforms, padding=2, flip=False)
    assert torch.equal(result[0, 0, 2:, 2:], images[0, 0, :3, :3])
    assert torch.equal(result[1, 0, :3, :3], images[0, 0, 2:, 2:])


def test_without_padding_and_mirrors_nothing_changes():
    images = torch.randint(256, (4, 3, 6, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    assert torch.equal(crop_and_flip(images, torch.rand(4, 3), padding=0, flip=False), images)
