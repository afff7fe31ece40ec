"""The augmentation operations against Pillow's own, and laws of batches."""

import math

import numpy as np
import pytest
import torch
from PIL import Image

from nas.augmentation_policy import OPERATIONS as NAMES
from nas.errors import ConfigError
from nas.evaluators.augmentation.operations import MOST_DRAWS, OPERATIONS, apply
from nas.experiments.benchmarks.augmentation import PILLOW, pillow_apply, signed_values

SIZES = [(28, 28), (1, 1), (7, 5), (32, 32), (2, 9), (3, 3), (1, 28), (41, 13), (84, 84)]
KINDS = ["noise", "dark", "constant", "binary", "picture"]


def make_images(kind, number, channels, height, width, generator):
    """Images (number, channels, height, width) uint8 of one kind."""
    shape = (number, channels, height, width)
    noise = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    if kind == "dark":
        return noise // 3 + 40
    if kind == "constant":
        return noise[..., :1, :1].expand(shape).contiguous()
    if kind == "binary":
        return (noise > 200).to(torch.uint8) * 255
    if kind == "picture":  # a smooth background, a disc and some noise
        y, x = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
        place = torch.rand(number, channels, 2, 1, 1, generator=generator) - 0.5
        disc = ((x - place[:, :, 0]) ** 2 + (y - place[:, :, 1]) ** 2 < 0.3) * 90.0
        return (80 + 50 * x + 20 * y + disc + noise / 16).clamp(0, 255).to(torch.uint8)
    return noise


def make_draws(number, generator):
    """Magnitudes with both ends and the middle, and uniform numbers with 0 among them."""
    magnitudes = torch.rand(number, dtype=torch.float64, generator=generator)
    magnitudes[:8] = torch.tensor([0.0, 1.0, 0.5, 0.0, 1.0, 0.25, 0.75, 0.125])
    uniforms = torch.rand(number, MOST_DRAWS, generator=generator)
    uniforms[3] = 0.0
    return magnitudes, uniforms


def by_pillow(name, images, magnitudes, uniforms):
    """What Pillow makes of each image (n, channels, height, width)."""
    arrays = images[:, 0].numpy() if images.shape[1] == 1 else images.permute(0, 2, 3, 1).contiguous().numpy()
    changed = torch.from_numpy(pillow_apply(name, arrays, signed_values(name, magnitudes, uniforms), uniforms))
    return changed[:, None] if images.shape[1] == 1 else changed.permute(0, 3, 1, 2)


def test_the_operations_are_those_of_policies_in_their_order():
    assert tuple(OPERATIONS) == NAMES == tuple(PILLOW)
    assert all(name == operation.name for name, operation in OPERATIONS.items())
    assert max(operation.draws for operation in OPERATIONS.values()) == MOST_DRAWS
    assert [name for name, operation in OPERATIONS.items() if operation.channels == (3,)] == ["Color"]
    mirrored = ["ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate"]
    assert [name for name, operation in OPERATIONS.items() if operation.mirrored] == mirrored


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", NAMES)
def test_every_image_is_as_pillow_makes_it(name, channels):
    generator = torch.Generator().manual_seed(NAMES.index(name))
    for height, width in SIZES:
        for kind in KINDS:
            images = make_images(kind, 40, channels, height, width, generator)
            magnitudes, uniforms = make_draws(len(images), generator)
            expected = by_pillow(name, images, magnitudes, uniforms)
            different = (apply(name, images, magnitudes, uniforms) != expected).flatten(1).any(1)
            assert not different.any(), (height, width, kind, magnitudes[different])


@pytest.mark.parametrize("name", NAMES)
def test_fine_steps_of_the_magnitude(name):
    generator = torch.Generator().manual_seed(0)
    images = make_images("picture", 1, 3, 28, 28, generator).expand(501, -1, -1, -1)
    magnitudes, uniforms = torch.linspace(0, 1, 501), torch.rand(501, MOST_DRAWS, generator=generator)
    expected = by_pillow(name, images, magnitudes, uniforms)
    assert torch.equal(apply(name, images, magnitudes, uniforms), expected)


@pytest.mark.parametrize("name", NAMES)
def test_an_image_alone_is_as_in_any_batch(name):
    generator = torch.Generator().manual_seed(1)
    images = make_images("picture", 700, 1, 32, 32, generator)  # more than are computed at once
    magnitudes, uniforms = make_draws(len(images), generator)
    changed = apply(name, images, magnitudes, uniforms)
    order = torch.randperm(len(images), generator=generator)
    assert torch.equal(apply(name, images[order], magnitudes[order], uniforms[order]), changed[order])
    for number in (0, 3, 255, 256, 699):
        part = slice(number, number + 1)
        assert torch.equal(apply(name, images[part], magnitudes[part], uniforms[part]), changed[part])


@pytest.mark.parametrize("name", NAMES)
def test_arguments_stay_and_the_result_is_new(name):
    generator = torch.Generator().manual_seed(2)
    for channels in (1, 3):
        images = make_images("noise", 8, channels, 9, 10, generator)
        given = (images, *make_draws(8, generator))
        before = [tensor.clone() for tensor in given]
        apply(name, *given).zero_()
        assert all(torch.equal(*pair) for pair in zip(given, before, strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_batch(name):
    empty = apply(name, torch.empty(0, 3, 8, 9, dtype=torch.uint8), torch.empty(0), torch.empty(0, MOST_DRAWS))
    assert empty.shape == (0, 3, 8, 9)
    assert empty.dtype == torch.uint8


@pytest.mark.parametrize("name", NAMES)
def test_layouts_in_memory_do_not_matter(name):
    generator = torch.Generator().manual_seed(3)
    images = make_images("noise", 10, 3, 12, 9, generator)
    magnitudes, uniforms = make_draws(10, generator)
    expected = apply(name, images, magnitudes, uniforms)
    turned = images.permute(3, 2, 1, 0).contiguous().permute(3, 2, 1, 0)
    last = images.contiguous(memory_format=torch.channels_last)
    for same in (turned, last):
        assert torch.equal(apply(name, same, magnitudes, uniforms), expected)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("name", NAMES)
def test_images_are_the_same_on_the_gpu(name):
    generator = torch.Generator().manual_seed(4)
    for channels in (1, 3):
        images = make_images("picture", 500, channels, 28, 28, generator)
        given = (images, *make_draws(500, generator))
        on_gpu = apply(name, *(tensor.cuda() for tensor in given))
        assert torch.equal(on_gpu.cpu(), apply(name, *given))


def test_color_leaves_grey_images_as_they_are():
    images = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    assert torch.equal(apply("Color", images, torch.ones(1), torch.zeros(1, MOST_DRAWS)), images)


@pytest.mark.parametrize("name", [name for name, operation in OPERATIONS.items() if operation.mirrored])
def test_the_first_uniform_number_chooses_the_sign(name):
    generator = torch.Generator().manual_seed(5)
    images = make_images("noise", 20, 1, 28, 28, generator)
    magnitudes = torch.rand(20, generator=generator, dtype=torch.float64)
    low, high = (torch.full((20, MOST_DRAWS), number) for number in (0.4999, 0.5))
    assert torch.equal(apply(name, images, magnitudes, low), apply(name, images, 1 - magnitudes, high))
    assert not torch.equal(apply(name, images, magnitudes, low), apply(name, images, magnitudes, high))


def test_translations_shift_whole_columns_where_pillow_loses_one():
    """Pillow adds 1 to a place again and again; where rounding makes it whole, it skips a column of its image."""
    row = torch.arange(10, 20, dtype=torch.uint8)
    value = -0.15000000000000002  # times 10 is -1.5000000000000002
    pillow = PILLOW["TranslateX"](Image.fromarray(row[None].numpy()), value, (0.0, 0.0))
    ours = OPERATIONS["TranslateX"].apply(
        row.view(1, 1, 1, 10), torch.tensor([value], dtype=torch.float64), torch.empty(1, 1)
    )
    shift = math.floor(value * 10 + 0.5)
    assert ours.flatten().tolist() == [0] * -shift + row[:shift].tolist()
    assert np.asarray(pillow)[0].tolist() != ours.flatten().tolist()


def test_what_is_outside_and_in_the_square_of_cutout_is_background():
    white = torch.full((1, 3, 20, 20), 255, dtype=torch.uint8)
    centre = torch.tensor([[0.5, 0.5]])
    for name in ("ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate", "Cutout"):
        assert apply(name, white, torch.ones(1), centre).unique().tolist() == [0, 255], name
    square = apply("Cutout", white, torch.ones(1), centre)[0, 0] == 0
    assert square.nonzero().aminmax(dim=0).min.tolist() == [8, 8]  # a side of 4 about 10, and the closing line
    assert square.nonzero().aminmax(dim=0).max.tolist() == [12, 12]


def test_refusals():
    images, numbers, uniforms = torch.zeros(1, 1, 4, 4, dtype=torch.uint8), torch.zeros(1), torch.zeros(1, MOST_DRAWS)
    with pytest.raises(ConfigError, match="Rotate"):
        apply("Rotat", images, numbers, uniforms)
    with pytest.raises(ConfigError, match="uint8"):
        apply("Rotate", images.float(), numbers, uniforms)
    with pytest.raises(ConfigError, match="1 or 3 channels"):
        apply("Rotate", images.expand(1, 2, 4, 4), numbers, uniforms)
