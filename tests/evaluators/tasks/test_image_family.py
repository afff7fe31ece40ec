"""Laws of every image family, on a data set whose pixels identify the drawing."""

import pickle
from dataclasses import FrozenInstanceError, dataclass, replace
from functools import lru_cache
from typing import ClassVar

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from nas.errors import ConfigError, DataError
from nas.evaluators.tasks.class_family import ClassData, ClassPool, _choose_classes
from nas.evaluators.tasks.image_family import ImageFamily
from nas.task import TaskShape

CPU = torch.device("cpu")
ROWS, DRAWERS = 30, 20
BOUNDS = {"train": (0, 16), "validation": (16, 23), "test": (23, 30)}


def pools(bounds=BOUNDS, turns=1, groups=None):
    actual = {}
    for split, (first, end) in bounds.items():
        rows = torch.arange(first, end).repeat(turns)
        turned = torch.arange(turns).repeat_interleave(end - first)
        names = tuple(f"c{row}@{turn}" for row, turn in zip(rows.tolist(), turned.tolist(), strict=True))
        grouped = None if groups is None else torch.arange(len(rows)) % groups
        actual[split] = ClassPool(names, rows, turned if turns > 1 else None, grouped)
    return actual


def numbered_images():
    """Pixel (0, 0) is the row, (0, 1) the drawer, (0, 27) is 255: enough to recognise drawing and rotation."""
    images = torch.zeros(ROWS, DRAWERS, 28, 28, dtype=torch.uint8)
    images[:, :, 0, 0] = torch.arange(ROWS)[:, None]
    images[:, :, 0, 1] = torch.arange(DRAWERS)
    images[:, :, 0, 27] = 255
    return images


@lru_cache
def numbered(turns, groups):
    return ClassData(numbered_images(), pools(turns=turns, groups=groups))


@dataclass(frozen=True, kw_only=True)
class Numbered(ImageFamily):
    name: ClassVar[str] = "numbered"
    queries: int = 4
    turns: int = 1
    groups: int | None = None

    def load(self):
        return numbered(self.turns, self.groups)


def drawing(image):
    """Row, drawer and quarter turns of one input image (1, 28, 28)."""
    pixels = np.round(image[0].numpy() * 255).astype(int)
    for turn in range(4):
        upright = np.rot90(pixels, -turn)
        if upright[0, 27] == 255:
            return int(upright[0, 0]), int(upright[0, 1]), turn
    raise AssertionError("not a drawing of the data set")


def equal(one, other):
    return all(torch.equal(getattr(one, name), getattr(other, name)) for name in vars(one))


def test_shapes_types_and_range():
    batch = Numbered(ways=4, shots=2, queries=3).tasks("train", range(6), CPU)
    assert batch.support_x.shape == (6, 8, 1, 28, 28)
    assert batch.query_x.shape == (6, 12, 1, 28, 28)
    assert batch.support_x.dtype == batch.query_x.dtype == torch.float32
    assert batch.support_y.dtype == batch.query_y.dtype == torch.int64
    assert batch.support_y.tolist() == [[0, 0, 1, 1, 2, 2, 3, 3]] * 6
    assert batch.query_y.tolist() == [[0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]] * 6
    assert batch.support_x.min() == 0
    assert batch.support_x.max() == 1


def test_a_task_depends_on_its_number_alone():
    family = Numbered()
    both, one, other = (family.tasks("train", numbers, CPU) for numbers in ([3, 7], [3], [7]))
    assert torch.equal(both.support_x, torch.cat([one.support_x, other.support_x]))
    assert torch.equal(both.query_x, torch.cat([one.query_x, other.query_x]))
    assert torch.equal(both.query_y, torch.cat([one.query_y, other.query_y]))
    assert not torch.equal(one.support_x, other.support_x)


def test_tasks_differ_between_seeds_and_repeat_within_one():
    family = Numbered()
    assert equal(family.tasks("test", range(5), CPU), Numbered().tasks("test", range(5), CPU))
    assert not equal(family.tasks("test", range(5), CPU), replace(family, seed=1).tasks("test", range(5), CPU))


@pytest.mark.parametrize("split", BOUNDS)
def test_labels_tell_classes_apart_and_no_drawing_comes_twice(split):
    batch = Numbered(ways=5, shots=2, queries=6).tasks(split, range(40), CPU)
    for task in range(40):
        x = torch.cat([batch.support_x[task], batch.query_x[task]])
        y = torch.cat([batch.support_y[task], batch.query_y[task]]).tolist()
        actual = [drawing(image) for image in x]
        assert len(set(actual)) == len(actual)
        rows = [row for row, _, _ in actual]
        assert len(set(rows)) == len(set(zip(rows, y, strict=True))) == 5
        assert all(BOUNDS[split][0] <= row < BOUNDS[split][1] for row in rows)


@pytest.mark.parametrize("turns", [1, 4])
@pytest.mark.parametrize("split", BOUNDS)
def test_classes_are_the_numbers_of_the_labels_classes_in_the_split(split, turns):
    """Each image shows its row and its rotation, which must be those in the names of the split's classes."""
    family = Numbered(ways=4, shots=2, turns=turns)
    batch, names = family.tasks(split, range(20), CPU), family.classes(split)
    assert batch.classes.shape == (20, 4)
    assert batch.classes.dtype == torch.int64
    for xs, ys in ((batch.support_x, batch.support_y), (batch.query_x, batch.query_y)):
        for task, classes in enumerate(batch.classes):
            for x, y in zip(xs[task], ys[task], strict=True):
                row, _, turn = drawing(x)
                assert names[classes[y]] == f"c{row}@{turn}"


def test_every_class_gets_every_label_and_every_drawer():
    batch = Numbered(ways=3, queries=1).tasks("validation", range(3000), CPU)
    rows = (batch.support_x[:, :, 0, 0, 0] * 255).round().long() - BOUNDS["validation"][0]
    drawers = (batch.support_x[:, :, 0, 0, 1] * 255).round().long()
    for label in range(3):
        counts = np.bincount(rows[:, label].numpy(), minlength=7)
        assert ((counts - 3000 / 7) ** 2 / (3000 / 7)).sum() < 22.5  # the 99.9 % point with 6 degrees of freedom
    counts = np.bincount(drawers.flatten().numpy(), minlength=DRAWERS)
    assert ((counts - 450) ** 2 / 450).sum() < 43.8  # the 99.9 % point with 19 degrees of freedom


def test_all_drawings_can_be_used():
    batch = Numbered(ways=2, shots=DRAWERS - 1, queries=1).tasks("train", [0], CPU)
    actual = {drawing(image) for image in torch.cat([batch.support_x[0], batch.query_x[0]])}
    assert len(actual) == 2 * DRAWERS


def test_rotated_classes_are_turned_counter_clockwise_as_a_whole():
    batch = Numbered(ways=7, turns=4).tasks("validation", range(60), CPU)
    turns = set()
    for task in range(60):
        support = [drawing(image) for image in batch.support_x[task]]
        query = [drawing(image) for image in batch.query_x[task]]
        classes = [(row, turn) for row, _, turn in support]
        assert len(set(classes)) == 7
        for (row, _, turn), label in zip(query, batch.query_y[task].tolist(), strict=True):
            assert (row, turn) == classes[label]
        turns |= {turn for _, turn in classes}
    assert turns == {0, 1, 2, 3}


def test_classes_of_a_task_are_of_one_group_and_all_groups_come_up():
    batch = Numbered(ways=3, groups=4).tasks("train", range(100), CPU)
    groups = (batch.support_x[:, :, 0, 0, 0] * 255).round().long() % 4
    assert (groups == groups[:, :1]).all()
    assert set(groups[:, 0].tolist()) == {0, 1, 2, 3}


def test_a_task_has_one_rotation_of_a_character_and_all_come_up_as_often():
    first, end = BOUNDS["validation"]
    variants = torch.arange(4 * (end - first)).reshape(4, -1).T

    @dataclass(frozen=True, kw_only=True)
    class Distinct(Numbered):
        turns: int = 4

        def load(self):
            return ClassData(
                numbered_images(),
                {split: replace(pool, variants=variants) for split, pool in pools(turns=4).items() if split},
            )

    data = Distinct().load()
    pool = data.pools["validation"]
    assert pool.most_ways == end - first
    classes = _choose_classes(torch.arange(4000) * 7919, pool, ways=end - first)
    assert (pool.rows[classes].sort(dim=1).values == torch.arange(first, end)).all()
    counts = torch.bincount(classes.flatten(), minlength=len(pool.names))
    assert chisquare(counts).pvalue > 1e-4


def test_two_identical_examples_are_not_in_one_task_where_there_are_enough_others(caplog):
    images = numbered_images()
    images[3, 5], images[3, 8] = images[3, 1], images[3, 1]
    first = [True] * DRAWERS
    first[5] = first[8] = False

    class Twice(Numbered):
        def load(self):
            return data

    data = ClassData(images, pools())
    assert data.copies.nonzero().tolist() == [[3, 5], [3, 8]]
    assert data.usable(DRAWERS - 2)[3].tolist() == first
    assert bool(data.usable(DRAWERS - 1)[3].all())
    assert bool(data.usable(1)[4].all())
    with caplog.at_level("WARNING"):
        Twice().check()
    assert caplog.messages == [
        "numbered: 1 classes have an example twice, the first of them 'c3@0'; a task has one of the two, where the "
        "class has enough others"
    ]
    batch = Twice(ways=5, shots=1, queries=DRAWERS - 3).tasks("train", range(40), CPU)
    for task in range(40):
        actual = [drawing(image) for image in torch.cat([batch.support_x[task], batch.query_x[task]])]
        assert len(set(actual)) == len(actual)


def test_examples_that_are_padding_are_no_copies():
    examples = torch.zeros(2, 4, 3)
    examples[:, :2] = torch.arange(12.0).reshape(2, 2, 3)
    data = ClassData(examples, {"train": ClassPool(("a", "b"), torch.tensor([0, 1]))}, torch.tensor([2, 2]))
    assert not data.copies.any()
    assert data.usable(2).tolist() == [[True, True, False, False]] * 2


def test_shape_needs_no_data():
    class Unloadable(Numbered):
        def load(self):
            raise AssertionError("loaded")

    assert Unloadable(ways=7).shape == TaskShape((1, 28, 28), 7, "classification")


def test_a_family_is_a_small_value():
    family = Numbered(ways=3)
    assert pickle.loads(pickle.dumps(family)) == family
    assert hash(family) == hash(Numbered(ways=3))
    assert len(pickle.dumps(family)) < 500
    with pytest.raises(FrozenInstanceError):
        family.ways = 4


def test_description_holds_the_options_and_a_digest_of_the_data():
    family = Numbered()
    actual = family.describe()
    assert {key: actual[key] for key in ("name", "ways", "shots", "queries", "seed")} == {
        **{"name": "numbered", "ways": 5, "shots": 1, "queries": 4, "seed": 0}
    }
    assert len(actual["digest"]) == 16
    assert replace(family, ways=6, seed=3).describe()["digest"] == actual["digest"]


def test_digest_changes_with_a_pixel_and_with_a_split():
    images = numbered_images()
    original = ClassData(images, pools()).digest
    assert ClassData(numbered_images(), pools()).digest == original
    changed = images.clone()
    changed[3, 4, 5, 6] = 1
    moved = {**BOUNDS, "train": (0, 15), "validation": (15, 23)}
    assert len({original, ClassData(changed, pools()).digest, ClassData(images, pools(moved)).digest}) == 3


@pytest.mark.parametrize("names", [None, tuple(f"other{i}" for i in range(7))])
def test_a_class_in_two_splits_is_an_error(names):
    overlapping = pools({**BOUNDS, "test": (22, 29)})
    if names is not None:  # The same images under another name are noticed too.
        overlapping["test"] = replace(overlapping["test"], names=names)
    with pytest.raises(DataError, match="in both validation and test"):
        ClassData(numbered_images(), overlapping)


def test_unknown_split_and_negative_number_are_config_errors():
    with pytest.raises(ConfigError, match="did you mean 'test'"):
        Numbered().tasks("tests", [0], CPU)
    with pytest.raises(ConfigError, match="Known: test, train, validation"):
        Numbered().classes("all")
    with pytest.raises(ConfigError, match="-2 is negative"):
        Numbered().tasks("test", [-2], CPU)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"ways": 8}, "ways = 8 classes a task, but the validation split has 7: lower ways"),
        ({"shots": 6, "queries": 15}, "shots = 6 and queries = 15 need 21 examples a class; 'c0@0' has 20: lower"),
    ],
)
def test_impossible_tasks_are_data_errors_up_front_and_when_drawn(options, message):
    family = Numbered(**options)
    with pytest.raises(DataError, match=message):
        family.check()
    with pytest.raises(DataError, match=message):
        family.tasks("train", [0], CPU)


def test_possible_tasks_pass_the_check():
    Numbered(ways=7, shots=5, queries=15).check()


@pytest.mark.parametrize("options", [{"ways": 1}, {"shots": 0}, {"queries": 0}, {"seed": -1}, {"ways": 5.0}])
def test_options_out_of_range_are_config_errors(options):
    (option,) = options
    with pytest.raises(ConfigError, match=f"numbered {option} = .*; it must be a whole number from"):
        Numbered(**options)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("options", [{}, {"turns": 4}, {"groups": 3, "ways": 2}])
def test_tasks_are_the_same_on_the_gpu(options):
    on_cpu = Numbered(**options).tasks("test", range(50), CPU)
    on_gpu = Numbered(**options).tasks("test", range(50), torch.device("cuda"))
    assert all(torch.equal(getattr(on_gpu, name).cpu(), tensor) for name, tensor in vars(on_cpu).items())
