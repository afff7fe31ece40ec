"""Own images and tables as labelled data sets: splits without leaks, given splits, and what is refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.evaluators import Blobs
from helpers.images import write_classes

from nas.errors import ConfigError, DataError
from nas.evaluators import SupervisedEvaluator
from nas.evaluators.supervised_training.optimizers import Sgd
from nas.evaluators.tasks.labelled_arrays import LabelledArrays
from nas.evaluators.tasks.labelled_images import LabelledImages
from nas.protocols import Inventoried, Labelled, Preprocessed, Reader
from nas.search_spaces.plain.mlp import Mlp
from nas.space import enumerate_all
from nas.task import FRESH

CPU = torch.device("cpu")


def contents(family, split):
    x, y = family.examples(split, CPU)
    return {(row.numpy().tobytes(), int(label)) for row, label in zip(x, y, strict=True)}


@pytest.fixture
def images(tmp_path):
    return write_classes(tmp_path / "images", ["ant", "bee", "cat"], images=20)


def test_images_are_split_by_content_within_each_class(images):
    family = LabelledImages(path=images)
    splits = [contents(family, split) for split in ("train", "validation", "test")]
    assert sum(map(len, splits)) == len(set.union(*splits)) == 60
    assert all(min(family.sizes(split)) >= 1 for split in ("train", "validation", "test"))
    assert family.shape.num_outputs == 3
    assert family.shape.input_shape == (1, 8, 8)
    assert family.classes("train") == ("ant", "bee", "cat")
    assert sum(family.sizes("train")) > sum(family.sizes("validation"))
    for protocol in (Labelled, Inventoried, Preprocessed):
        assert isinstance(family, protocol)
    assert not isinstance(Blobs(), Labelled)


def test_a_new_image_moves_no_other(images):
    before = {split: contents(LabelledImages(path=images), split) for split in ("train", "validation", "test")}
    family = LabelledImages(path=write_classes(images.parent / "more", ["ant", "bee", "cat"], images=23))
    for split, members in before.items():
        assert members <= contents(family, split)


def test_the_same_image_twice_is_in_one_split_once(images):
    for number in range(5):
        shutil.copy(images / "bee" / f"{number:03d}.png", images / "bee" / f"copy{number}.png")
    family = LabelledImages(path=images)
    assert sum(len(contents(family, split)) for split in ("train", "validation", "test")) == 60
    assert sum(sum(family.sizes(split)) for split in ("train", "validation", "test")) == 60
    assert any("5 images are the same as another of their class" in line for line in family.faults())


def test_folders_of_splits_are_taken_as_they_are(tmp_path):
    counts = {"train": 6, "val": 4, "test": 3}
    for number, (split, count) in enumerate(counts.items()):
        write_classes(tmp_path / "all" / split, ["x", "y"][:: 1 - 2 * (number % 2)], images=count)
    family = LabelledImages(path=tmp_path / "all")
    assert [family.sizes(split) for split in ("train", "validation", "test")] == [[6, 6], [4, 4], [3, 3]]
    assert family.classes("test") == ("x", "y")
    shutil.copytree(tmp_path / "all", tmp_path / "two", ignore=shutil.ignore_patterns("val"))
    with pytest.raises(ConfigError, match="none for 'validation'"):
        LabelledImages(path=tmp_path / "two").check()


def test_image_folders_that_cannot_serve_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="path is not set"):
        LabelledImages().check()
    with pytest.raises(DataError, match="the one class 'a'"):
        LabelledImages(path=write_classes(tmp_path / "one", ["a"])).check()
    with pytest.raises(DataError, match="the validation split has 2 examples, and at least 4 are needed"):
        LabelledImages(path=write_classes(tmp_path / "few", ["a", "b"], images=3)).check()


def write_table(path: Path, rows: int = 60) -> Path:
    rng = np.random.default_rng(0)
    lines = ["size,weight,kind"]
    for row in range(rows):
        kind = row % 3
        lines.append(f"{rng.normal(3 * kind):.6f},{rng.normal(100 - 40 * kind, 10):.6f},{'abc'[kind]}")
    path.write_text("\n".join(lines) + "\n")
    return path


def test_rows_are_split_and_standardised_by_the_training_split(tmp_path):
    family = LabelledArrays(path=write_table(tmp_path / "table.csv"), label="kind")
    splits = [contents(family, split) for split in ("train", "validation", "test")]
    assert sum(map(len, splits)) == len(set.union(*splits)) == 60
    x, _ = family.examples("train", CPU)
    torch.testing.assert_close(x.mean(0), torch.zeros(2), atol=1e-5, rtol=0)
    torch.testing.assert_close(x.std(0, correction=0), torch.ones(2), atol=1e-5, rtol=0)
    for protocol in (Labelled, Inventoried, Preprocessed, Reader):
        assert isinstance(family, protocol)
    read, labels = family.read(tmp_path / "table.csv")
    assert read.shape == (60, 2)
    assert set(labels) == {"a", "b", "c"}


def test_a_column_may_give_the_splits(tmp_path):
    rng = np.random.default_rng(0)
    split = np.array(["train"] * 10 + ["validation"] * 6 + ["test"] * 4)
    path = tmp_path / "data.npz"
    np.savez(path, x=rng.normal(size=(20, 1, 4, 4)), y=np.arange(20) % 2, part=split)
    family = LabelledArrays(path=path, label="y", split="part")
    assert [sum(family.sizes(s)) for s in ("train", "validation", "test")] == [10, 6, 4]
    assert family.shape.input_shape == (1, 4, 4)
    batch = family.tasks("validation", [0, 2, FRESH, FRESH + 2], CPU)
    assert batch.query_x.dtype == torch.float32


def test_tables_that_cannot_serve_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="needs label"):
        LabelledArrays(path=tmp_path / "table.csv")
    with pytest.raises(ConfigError, match="needs path"):
        LabelledArrays(label="kind").check()
    with pytest.raises(ConfigError, match="input_shape"):
        LabelledArrays(label="kind", input_shape=(0,))
    table = write_table(tmp_path / "table.csv")
    table.write_text(table.read_text().replace(",b", ",a").replace(",c", ",a"))
    with pytest.raises(DataError, match="the one class 'a'"):
        LabelledArrays(path=table, label="kind").check()


def test_vectors_are_trained_on(tmp_path):
    family = LabelledArrays(path=write_table(tmp_path / "table.csv", 300), label="kind")
    space = Mlp(widths=(16,), max_depth=1)
    architecture = next(enumerate_all(space))
    evaluator = SupervisedEvaluator(space, family, optimizer=Sgd(rate=0.05), norm="none", batch=16, device="cpu")
    evaluator.check(architecture)
    assert evaluator.evaluate(architecture, 5, 0).value > 0.8


class Dark:
    name, draws = "dark", 1

    def __call__(self, images, uniforms):
        return images // 2


def test_an_augmentation_of_vectors_is_refused(tmp_path):
    family = LabelledArrays(path=write_table(tmp_path / "table.csv"), label="kind")
    space = Mlp(widths=(16,), max_depth=1)
    evaluator = SupervisedEvaluator(space, family, Dark(), norm="none", device="cpu")
    with pytest.raises(ConfigError, match="augmentation changes images, and 'labelled-arrays' has none"):
        evaluator.check(next(enumerate_all(space)))
