"""Glyphs: enough classes, no leak between splits, and drawings that are neither trivial nor impossible to classify."""

import itertools
import subprocess
import sys

import numpy as np
import pytest
import torch
from HersheyFonts import HersheyFonts

from nas.errors import ConfigError, DataError
from nas.evaluators.tasks.glyphs import FACES, Glyphs
from nas.evaluators.tasks.handwriting import draw, plain

CPU = torch.device("cpu")
SPLITS = ("train", "validation", "test")
SQUARE = [np.array([[0.0, 0], [10, 0], [10, 10], [0, 10], [0, 0]])]
CROSS = [np.array([[0.0, 5], [10, 5]]), np.array([[5.0, 0], [5, 10]])]


def segments(strokes):
    """The lines of a glyph in a box of unit size, without order and direction, which two copies would share."""
    points = np.concatenate([np.array(stroke, float) for stroke in strokes if len(stroke) > 1])
    low, extent = points.min(axis=0), np.ptp(points, axis=0).max()
    lines = set()
    for stroke in strokes:
        places = [tuple(np.round((np.array(p) - low) / extent, 3)) for p in stroke]
        lines |= {(min(a, b), max(a, b)) for a, b in itertools.pairwise(places)}
    return frozenset(lines)


def character(label):
    return chr(int(label[2:], 16)) if label.startswith("U+") else label


def test_at_least_1000_classes_enough_in_every_split():
    counts = [len(Glyphs().classes(split)) for split in SPLITS]
    assert sum(counts) >= 1000
    assert min(counts) >= 100


def test_splits_share_neither_faces_nor_strokes():
    fonts = HersheyFonts()
    assert sorted(face for faces in FACES.values() for face in faces) == sorted(fonts.default_font_names)
    seen = {}
    for split in SPLITS:
        names = [name.split("/", 1) for name in Glyphs().classes(split)]
        assert {face for face, _ in names} <= set(FACES[split])
        for face in FACES[split]:
            fonts.load_default_font(face)
            glyphs = fonts.all_glyphs
            for label in (label for owner, label in names if owner == face):
                lines = segments(glyphs[character(label)].strokes)
                assert len(lines) > 1
                assert seen.setdefault(lines, (face, label)) == (face, label)
    assert len(seen) == sum(len(Glyphs().classes(split)) for split in SPLITS)


def test_images_are_white_on_black_clear_of_the_edge_and_all_different():
    data = Glyphs().load()
    images = data.examples.numpy()
    assert images.dtype == np.uint8
    assert images.shape[1:] == (20, 28, 28)
    assert sum(len(pool.names) for pool in data.pools.values()) == len(images)
    assert (images.max(axis=(2, 3)) >= 255 * 6 // 9).all()
    assert images.mean() < 0.25 * 255
    assert not images[:, :, [0, -1]].any()
    assert not images[:, :, :, [0, -1]].any()
    assert len(np.unique(images.reshape(-1, 784), axis=0)) == images.shape[0] * images.shape[1]


def test_another_process_draws_the_same_images():
    code = "from nas.evaluators.tasks.glyphs import Glyphs; print(Glyphs().describe()['digest'])"
    actual = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert actual == Glyphs().describe()["digest"]


def test_a_drawer_stays_the_same_when_there_are_more():
    few, many = draw(SQUARE, drawers=3, key="square"), draw(SQUARE, drawers=30, key="square")
    assert np.array_equal(few, many[:3])
    assert not np.array_equal(few, draw(SQUARE, drawers=3, key="other"))


def test_place_unit_and_size_of_a_glyph_do_not_matter():
    moved = [stroke * 3 + [100, -7] for stroke in SQUARE]
    assert np.array_equal(draw(moved, drawers=5, key="k"), draw(SQUARE, drawers=5, key="k"))


def test_ink_of_a_cross_is_the_area_of_its_two_bars():
    length, pen = 0.70 * 84 + 4, 5  # fine pixels: a line of 0.7 image sides drawn with a square pen of 5
    area = (2 * length * pen - pen**2) / 9  # in pixels
    assert plain(CROSS).sum() / 255 == pytest.approx(area, rel=0.03)


def test_a_glyph_is_drawn_the_right_way_up():
    corner = [np.array([[0.0, 0], [0, 10], [10, 10]])]  # an L: y points down
    images = [plain(corner), *draw(corner, drawers=20, key="L")]
    for image in images:
        left, right = image[:, :14].sum(), image[:, 14:].sum()
        top, bottom = image[:14].sum(), image[14:].sum()
        assert left > right
        assert bottom > top


@pytest.mark.parametrize("split", ["validation", "test"])
def test_nearest_pixels_get_about_half_of_the_queries(split):
    batch = Glyphs().tasks(split, range(300), CPU)
    support, query = batch.support_x.flatten(2), batch.query_x.flatten(2)
    accuracy = (torch.cdist(query, support).argmin(dim=-1) == batch.query_y).float().mean()
    assert 0.42 < accuracy < 0.65  # Omniglot: about 0.43; chance: 0.2


def test_more_drawings_than_drawers_and_too_few_drawers_are_errors():
    with pytest.raises(DataError, match=r"need 25 examples a class; '.*' has 20"):
        Glyphs(shots=10).check()
    with pytest.raises(ConfigError, match="glyphs drawers = 1"):
        Glyphs(drawers=1)


def test_description_names_drawers_and_digest():
    assert Glyphs().describe().keys() == {"name", "ways", "shots", "queries", "seed", "drawers", "digest"}
