"""Series with groups, and with channels of unequal length: one content in every form, and tasks of one group."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from helpers.tables import SERIES_HEADER, series_file, series_rows, write

from nas.data.preprocessing import SeriesPreprocessing
from nas.errors import DataError
from nas.evaluators.tasks.sequence_sets import resampled
from nas.evaluators.tasks.sequences import Sequences
from nas.evaluators.tasks.series_files import read_series
from nas.testing import check_task_family

CPU = torch.device("cpu")
SPLITS = ("train", "validation", "test")
SERIES = [
    ("a", "one", [[1.0, 2.0], [3.0, 4.0, 5.0]]),
    ("b", "two", [[6.0, 7.0, 8.0, 9.0], [0.5, 1.5]]),
]


def small(path, **options):
    return Sequences(**{"path": path, "channels": 2, "ways": 3, "shots": 1, "queries": 2, "length": 8, **options})


def write_forms(folder):
    """The same series in three forms, with their groups where the form has any."""
    lines = [":".join([*(",".join(map(str, c)) for c in channels), label]) for label, _, channels in SERIES]
    ts = "\n".join(["@classLabel true a b", "@data", *lines])
    (folder / "a.ts").write_text(ts, "utf-8")
    lengths = np.array([[len(c) for c in channels] for _, _, channels in SERIES])
    values = np.full((2, 2, 5), 99.0)
    for row, (_, _, channels) in enumerate(SERIES):
        for number, channel in enumerate(channels):
            values[row, number, : len(channel)] = channel
    labels, groups = ([series[place] for series in SERIES] for place in (0, 1))
    np.savez(folder / "b.npz", series=values, lengths=lengths, labels=labels, groups=groups)
    rows = [
        [f"s{number}", f"c{place}", str(time), str(value), label, group]
        for number, (label, group, channels) in enumerate(SERIES)
        for place, channel in enumerate(channels)
        for time, value in enumerate(channel)
    ]
    first, rest = rows[0], rows[1:]
    random.Random(0).shuffle(rest)
    write(folder / "c.csv", [first, *rest], SERIES_HEADER)
    write(folder / "d.CSV", sorted(rows), [name.upper() for name in SERIES_HEADER], separator=";")


def test_every_form_has_the_same_channels(tmp_path):
    write_forms(tmp_path)
    for file in sorted(tmp_path.iterdir()):
        series = read_series(file)
        assert series.labels == ("a", "b")
        assert series.groups == (("", "") if file.suffix == ".ts" else ("one", "two"))
        for values, (_, _, channels) in zip(series.values, SERIES, strict=True):
            assert [row[~np.isnan(row)].tolist() for row in values] == channels


@pytest.mark.parametrize("length", [2, 3, 7, 40])
def test_each_channel_is_resampled_by_itself(length):
    rng = np.random.default_rng(0)
    short, long = rng.normal(size=6), rng.normal(size=11)
    series = np.stack([np.concatenate([short, np.full(5, np.nan)]), long])
    expected = np.concatenate([resampled(short[None], length), resampled(long[None], length)])
    assert np.array_equal(resampled(series, length), expected)


@pytest.mark.parametrize("groups", ["within", "tasks"])
def test_tasks_of_groups_keep_the_laws_and_are_of_one_group(tmp_path, groups):
    family = small(series_file(tmp_path), groups=groups)
    check_task_family(family)
    machines = []
    for split in SPLITS:
        names = family.classes(split)
        for classes in family.tasks(split, range(4), CPU).classes:
            owners, labels = zip(*(names[number].split("/") for number in classes), strict=True)
            assert len(set(owners)) == 1
            assert groups == "within" or labels == ("kind0", "kind1", "kind2")
        unit, numbers = family.units(split)
        assert unit == "groups"
        assert len(set(numbers)) == len({name.split("/")[0] for name in names})
        machines.append({name.split("/")[0] for name in names})
    assert sum(map(len, machines)) == len(set.union(*machines)) == 6


def test_options_are_part_of_the_description_but_groups_only_where_they_are_used(tmp_path):
    family = small(series_file(tmp_path, groups=2, classes=9), groups="none", ways=2)
    assert "groups" not in family.describe()
    grouped = small(series_file(tmp_path), groups="tasks")
    assert grouped.describe()["groups"] == "tasks"
    assert str(tmp_path) not in str(grouped.describe())


def test_preprocessing_inventory_and_read_are_of_the_file(tmp_path):
    family = small(series_file(tmp_path), groups="tasks", scale=2.0)
    assert family.preprocessing() == SeriesPreprocessing(2, 8, 2.0)
    assert sorted(family.inventory()) == [f"machine{g}/kind{k}" for g in range(6) for k in range(3)]
    x, labels = family.read(family.path)
    assert x.shape == (90, 2, 8)
    assert set(labels) == {"kind0", "kind1", "kind2"}


def changed(row, column, text):
    rows = series_rows()
    rows[row][column] = text
    return rows


@pytest.mark.parametrize(
    "rows, options, message",
    [
        (changed(3, 4, "kind2"), {}, "line 5, column 'label' is 'kind2', and 'kind0'"),
        (changed(3, 5, "other"), {}, "line 5, column 'group' is 'other'"),
        (changed(3, 3, "x"), {}, "line 5, column 'value' is 'x', not a finite number"),
        (changed(3, 3, ""), {}, "series 1: needs at least 2 values, all finite"),
        (series_rows(), {"groups": "tasks", "ways": 2}, "has 3 .* set ways = 3"),
        (series_rows(), {"groups": "within", "ways": 4}, "6 groups, 0 of them with 4 classes"),
        (series_rows(groups=2), {"groups": "tasks"}, "2 groups"),
        (series_rows(), {"groups": "tasks", "shots": 9}, r"shots \+ queries = 5 would fit"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, rows, options, message):
    path = write(tmp_path / "series.csv", rows, SERIES_HEADER)
    with pytest.raises(DataError, match=message):
        small(path, **{"groups": "tasks", **options}).check()


def test_series_without_groups_cannot_be_tasks(tmp_path):
    write_forms(tmp_path)
    with pytest.raises(DataError, match=r"2 of 2 series in .*a\.ts have no group"):
        small(tmp_path / "a.ts", groups="tasks").check()
