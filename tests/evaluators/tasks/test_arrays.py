"""Tasks from tables: the laws in each mode, disjoint splits, statistics of the training split alone, and refusals."""

from __future__ import annotations

import csv
import logging

import numpy as np
import pytest
import torch
from helpers.tables import FEATURES, GROUPED_HEADER, class_rows, classes_file, grouped_file, grouped_rows, write

from nas.errors import ConfigError, DataError
from nas.evaluators.tasks.arrays import Arrays
from nas.task import TaskShape
from nas.testing import check_task_family

CPU = torch.device("cpu")
SPLITS = ("train", "validation", "test")


def by_class(folder, **options):
    return Arrays(**{"path": classes_file(folder), "label": "kind", "ways": 2, "shots": 2, "queries": 3, **options})


def by_group(folder, **options):
    usual = {"label": "state", "group": "site", "features": ("a", "b"), "ways": 2, "shots": 2, "queries": 3}
    return Arrays(**{"path": grouped_file(folder), **usual, **options})


def regression(folder, **options):
    usual = {"targets": ("dose",), "group": "site", "shots": 4, "queries": 5}
    return Arrays(**{"path": grouped_file(folder), **usual, **options})


MODES = {"class": by_class, "group": by_group, "regression": regression}


def cells_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("mode", MODES)
def test_a_family_of_each_mode_keeps_the_laws(tmp_path, mode):
    check_task_family(MODES[mode](tmp_path))


@pytest.mark.parametrize("mode", MODES)
def test_the_shape_is_that_of_the_data(tmp_path, mode):
    expected = {
        "class": TaskShape((3,), 2, "classification"),
        "group": TaskShape((2,), 2, "classification"),
        "regression": TaskShape((2,), 1, "regression"),
    }
    assert MODES[mode](tmp_path).shape == expected[mode]


@pytest.mark.parametrize("mode", MODES)
def test_the_description_is_of_the_rows_and_not_of_the_path(tmp_path, mode):
    (tmp_path / "other").mkdir()
    one, other = MODES[mode](tmp_path), MODES[mode](tmp_path / "other")
    assert one.describe() == other.describe()
    assert str(tmp_path) not in str(one.describe())
    text = other.path.read_text("utf-8")
    changed = other.path.with_name("changed.csv")
    changed.write_text(text[: text.rindex("1")] + "2" + text[text.rindex("1") + 1 :], "utf-8")
    assert MODES[mode](tmp_path, path=changed).describe() != one.describe()


def test_examples_of_a_task_are_the_standardised_rows_of_its_classes(tmp_path):
    family = by_class(tmp_path)
    rows = cells_of(family.path)
    preprocessing = family.preprocessing()
    training = [row for row in rows if row["kind"] in family.classes("train")]
    table = np.array([[float(row[name]) for name in FEATURES] for row in training])
    assert np.allclose(preprocessing.mean, table.mean(axis=0))
    assert np.allclose(preprocessing.deviation, table.std(axis=0))
    for split in SPLITS:
        batch = family.tasks(split, range(3), CPU)
        for x, y, classes in zip(batch.support_x, batch.support_y, batch.classes, strict=True):
            for example, label in zip(x, y, strict=True):
                name = family.classes(split)[classes[label]]
                own = np.array([[float(row[f]) for f in FEATURES] for row in rows if row["kind"] == name])
                standard = (own - preprocessing.mean) / preprocessing.deviation
                assert np.abs(standard - example.numpy()).sum(axis=1).min() < 1e-4


def test_a_task_of_a_group_has_rows_of_that_group_alone_and_labels_that_mean_the_same(tmp_path):
    family = by_group(tmp_path)
    rows, mean, deviation = cells_of(family.path), family.preprocessing().mean, family.preprocessing().deviation
    for split in SPLITS:
        batch = family.tasks(split, range(6), CPU)
        for task in range(6):
            names = [family.classes(split)[number] for number in batch.classes[task]]
            sites, states = zip(*(name.split("/") for name in names), strict=True)
            assert len(set(sites)) == 1
            assert states == ("ill", "well")
            of_site = [row for row in rows if row["site"] == sites[0]]
            values = (np.array([[float(row[f]) for f in "ab"] for row in of_site]) - mean) / deviation
            own = {tuple(x): row["state"] for x, row in zip(values.astype(np.float32), of_site, strict=True)}
            for x, y in ((batch.support_x, batch.support_y), (batch.query_x, batch.query_y)):
                assert [own[tuple(v.numpy())] for v in x[task]] == [states[label] for label in y[task]]


def test_targets_of_regression_are_those_of_the_rows_in_units_of_the_training_deviation(tmp_path):
    family = regression(tmp_path)
    rows, preprocessing = cells_of(family.path), family.preprocessing()
    training = [float(row["dose"]) for row in rows if row["site"] in family.classes("train")]
    assert np.allclose(preprocessing.target_mean, np.mean(training))
    assert np.allclose(preprocessing.target_deviation, np.std(training))
    batch = family.tasks("test", range(5), CPU)
    known = {np.float32((float(row["a"]) - preprocessing.mean[0]) / preprocessing.deviation[0]): row for row in rows}
    for task in range(5):
        of_task = [known[x[0].item()] for x in batch.support_x[task].numpy()]
        assert len({row["site"] for row in of_task}) == 1
        assert of_task[0]["site"] in family.classes("test")
        targets = batch.support_y[task, :, 0] * preprocessing.target_deviation[0] + preprocessing.target_mean[0]
        assert np.allclose(targets, [float(row["dose"]) for row in of_task], atol=1e-3)


@pytest.mark.parametrize("mode", MODES)
def test_splits_are_disjoint_and_units_are_classes_or_groups(tmp_path, mode):
    family = MODES[mode](tmp_path)
    names = [set(family.classes(split)) for split in SPLITS]
    assert not names[0] & names[1] | names[0] & names[2] | names[1] & names[2]
    unit, numbers = family.units("train")
    assert unit == ("classes" if mode == "class" else "groups")
    assert len(numbers) == len(family.classes("train"))
    if mode == "group":
        assert len(set(numbers)) == len(numbers) / 2


def test_a_column_gives_the_splits(tmp_path):
    rows = [[*row, ("train", "val", "Test")[int(row[-1][-2:]) % 3]] for row in class_rows()]
    path = write(tmp_path / "split.csv", rows, [*FEATURES, "kind", "part"])
    family = by_class(tmp_path, path=path, split="part")
    assert [len(family.classes(split)) for split in SPLITS] == [6, 6, 6]
    assert family.classes("validation") == [f"kind{n:02}" for n in range(1, 18, 3)]
    rows[0][-1] = "test"
    write(path.with_name("both.csv"), rows, [*FEATURES, "kind", "part"])
    with pytest.raises(DataError, match="class 'kind00' is in the splits test and train"):
        by_class(tmp_path, path=path.with_name("both.csv"), split="part").check()


def test_images_in_an_npz_keep_their_shape_and_are_scaled_by_channel(tmp_path):
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (90, 3, 6, 5)).astype(np.uint8), np.arange(90) % 9
    np.savez(tmp_path / "images.npz", images=images, labels=labels)
    family = Arrays(path=tmp_path / "images.npz", label="labels", ways=2, shots=1, queries=2)
    assert family.shape.input_shape == (3, 6, 5)
    assert len(family.preprocessing().mean) == 3
    check_task_family(family)
    assert Arrays(path=family.path, label="labels", ways=2, queries=2, input_shape=(9, 10)).shape.input_shape == (9, 10)
    np.savez(tmp_path / "last.npz", images=images.transpose(0, 2, 3, 1), labels=labels)
    with pytest.raises(ConfigError, match="channels last; move them to the front"):
        Arrays(path=tmp_path / "last.npz", label="labels", ways=2, queries=2).check()


def test_own_files_are_read_as_in_the_tasks(tmp_path):
    family = by_class(tmp_path)
    x, labels = family.read(family.path)
    assert labels == tuple(row[-1] for row in class_rows())
    unlabelled = write(tmp_path / "new.csv", [row[:-1] for row in class_rows()], list(FEATURES))
    again, unknown = family.read(unlabelled)
    assert torch.equal(x, again)
    assert set(unknown) == {"?"}
    numbers = regression(tmp_path)
    x, y = numbers.read_targets(numbers.path)
    assert y is not None
    assert x.shape == (144, 2)
    query = write(tmp_path / "query.csv", [row[1:3] for row in grouped_rows()], GROUPED_HEADER[1:3])
    assert torch.equal(numbers.read_targets(query)[0], x)
    assert numbers.read_targets(query)[1] is None
    with pytest.raises(DataError, match="no column 'weight'"):
        family.read(write(tmp_path / "few.csv", [["1", "2"]] * 3, ["width", "height"]))


def test_small_groups_and_copies_are_left_out_and_said(tmp_path, caplog):
    rows = [*grouped_rows(), ["small", "1", "2", "ill", "3"], grouped_rows()[0]]
    path = write(tmp_path / "more.csv", rows, GROUPED_HEADER)
    with caplog.at_level(logging.WARNING):
        regression(tmp_path, path=path).check()
    assert "1 rows repeat another" in caplog.text
    assert "1 of 13 groups have fewer than 9 rows and are left out: 'small'" in caplog.text


def test_missing_values_are_refused_by_line_or_dropped_and_counted(tmp_path, caplog):
    rows = class_rows()
    rows[4][1] = "NA"
    path = write(tmp_path / "gaps.csv", rows, [*FEATURES, "kind"])
    with pytest.raises(DataError, match=r"line 6, column 'height' has no value \(1 of 144 rows"):
        by_class(tmp_path, path=path).check()
    with caplog.at_level(logging.WARNING):
        by_class(tmp_path, path=path, missing="drop").check()
    assert "1 of 144 rows of gaps.csv lack a value" in caplog.text


@pytest.mark.parametrize(
    "options, message",
    [
        ({"label": None}, "needs label"),
        ({"label": "knd"}, "did you mean 'kind'"),
        ({"label": 9}, "has columns 0 to 3"),
        ({"targets": ("width",), "label": None}, "needs group"),
        ({"targets": ("width",)}, "label and targets"),
        ({"features": ("kind",)}, "two uses"),
        ({"ways": 9}, r"there are .* train, .* ways = \d fits"),
        ({"shots": 9}, "fewer than 12 different rows"),
        ({"input_shape": (2, 2)}, "has 4 values"),
        ({"path": None}, "needs path"),
        ({"input_shape": (1, 1, 1, 3)}, "1 to 3 whole numbers"),
        ({"group": "width"}, "set ways = 18"),
    ],
)
def test_what_does_not_fit_is_refused_with_a_remedy(tmp_path, options, message):
    with pytest.raises((ConfigError, DataError), match=message):
        by_class(tmp_path, **options).check()


def test_too_few_groups_are_refused_with_what_fits(tmp_path):
    path = write(tmp_path / "two.csv", grouped_rows(groups=2), GROUPED_HEADER)
    with pytest.raises(DataError, match=r"2 groups, 2 of them .* one is needed for each"):
        regression(tmp_path, path=path).check()
    with pytest.raises(DataError, match=r"shots \+ queries = 12 would fit"):
        regression(tmp_path, shots=40).check()
