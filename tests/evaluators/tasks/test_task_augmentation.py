"""Augmentation of image tasks, against one image at a time."""

import numpy as np
import pytest
import torch

from nas.evaluators.tasks.counter_hash import fold, task_keys, uniform
from nas.evaluators.tasks.task_augmentation import STREAM, TaskAugmentation

SHAPE = (3, 2, 4, 3, 6, 8)


def inputs():
    x = torch.rand(SHAPE, generator=torch.Generator().manual_seed(0))
    return x, task_keys(seed=0, split="train", indices=range(3), device=x.device)


def slow_axis(image, numbers, axis, flips, augmentation):
    """One image (channels, height, width) resampled along an axis, pixel by pixel."""
    flip, shift, start, scale = (float(number) for number in numbers)
    side = image.shape[axis]
    fraction = augmentation.crop + (1 - augmentation.crop) * scale
    moved = int(np.floor(shift * (2 * augmentation.shift + 1))) - augmentation.shift
    result = np.empty_like(image)
    for pixel in range(side):
        source = side - 1 - pixel if flips and flip >= 0.5 else pixel
        place = start * side * (1 - fraction) + (source + 0.5) * fraction - 0.5 + moved
        place = min(max(place, 0), side - 1)
        low = int(np.floor(place))
        high = min(low + 1, side - 1)
        part = place - low
        values = image.take(low, axis) * (1 - part) + image.take(high, axis) * part
        result[(slice(None),) * axis + (pixel,)] = values
    return result


@pytest.mark.parametrize(
    "augmentation",
    [
        TaskAugmentation(flip=True),
        TaskAugmentation(flip_vertical=True),
        TaskAugmentation(shift=3),
        TaskAugmentation(crop=0.5),
        TaskAugmentation(flip=True, flip_vertical=True, shift=2, crop=0.7),
    ],
)
def test_it_equals_one_image_at_a_time(augmentation):
    x, keys = inputs()
    changed = augmentation(x, keys)
    for task in range(3):
        numbers = uniform(fold(fold(keys[task], STREAM), torch.arange(8)), 7)
        for place in range(8):
            way, example = divmod(place, 4)
            drawn = numbers[place]
            image = x[task, way, example].double().numpy()
            image = slow_axis(image, drawn[[0, 2, 4, 6]], 1, augmentation.flip_vertical, augmentation)
            image = slow_axis(image, drawn[[1, 3, 5, 6]], 2, augmentation.flip, augmentation)
            assert np.allclose(changed[task, way, example], image, atol=1e-6)


def test_flips_and_shifts_move_pixels_without_changing_them():
    x, keys = inputs()
    changed = TaskAugmentation(flip=True, flip_vertical=True, shift=2)(x, keys)
    assert torch.isin(changed, x).all()
    assert not torch.equal(changed, x)


def test_a_task_is_the_same_in_any_batch():
    x, keys = inputs()
    augmentation = TaskAugmentation(flip=True, shift=1, crop=0.6)
    assert torch.equal(augmentation(x, keys)[1:2], augmentation(x[1:2], keys[1:2]))


def test_without_options_nothing_changes():
    assert not TaskAugmentation().active
    x, keys = inputs()
    assert torch.equal(TaskAugmentation()(x, keys), x)
