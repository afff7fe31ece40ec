"""Fashion-MNIST as a task family: its splits, its numbering of tasks, and what is said of missing or wrong files."""

from __future__ import annotations

import gzip
from collections import Counter
from pathlib import Path

import pytest
import torch
from helpers.labelled import TEST, toy_fashion_mnist, write_fashion_mnist

from nas.errors import ConfigError, DataError
from nas.evaluators.tasks.fashion_mnist import CLASSES, FOLDER, FashionMnist
from nas.protocols import ClassNames, Labelled, Licensed, Preprocessed, Sized
from nas.task import FRESH

CPU = torch.device("cpu")


def contents(family: FashionMnist, split: str) -> Counter[bytes]:
    return Counter(image.numpy().tobytes() for image in family.examples(split, CPU)[0])


def test_splits_share_no_image_and_lose_none(tmp_path: Path) -> None:
    family = toy_fashion_mnist(tmp_path)
    train, validation, test = (contents(family, split) for split in ("train", "validation", "test"))
    assert (train.total(), validation.total(), test.total()) == (100, 60, TEST)
    assert len(train | validation | test) == 200


def test_labels_stay_with_their_images(tmp_path: Path) -> None:
    family = toy_fashion_mnist(tmp_path)
    for split in ("train", "validation", "test"):
        x, y = family.examples(split, CPU)
        rows = x[:, 0, 4:24, 10].float().reshape(len(x), 10, 2).mean(2)
        assert torch.equal(rows.argmax(1), y)
        assert family.sizes(split) == torch.bincount(y, minlength=10).tolist()
        assert family.classes(split) == CLASSES


def test_fewer_training_images_leave_validation_alone(tmp_path: Path) -> None:
    family, fewer = toy_fashion_mnist(tmp_path), toy_fashion_mnist(tmp_path, train_examples=30)
    assert contents(fewer, "validation") == contents(family, "validation")
    assert contents(fewer, "train") < contents(family, "train")
    other = toy_fashion_mnist(tmp_path, seed=1)
    assert contents(other, "validation") != contents(family, "validation")
    digests = {each.describe()["digest"] for each in (family, fewer, other)}
    assert len(digests) == 3


def test_tasks_are_single_examples(tmp_path: Path) -> None:
    family = toy_fashion_mnist(tmp_path)
    x, y = family.examples("validation", CPU)
    batch = family.tasks("validation", [0, 29, FRESH, FRESH + 29], CPU)
    assert batch.support_x.shape == (4, 0, 1, 28, 28)
    assert torch.equal(batch.query_x[:, 0], x[[0, 29, 30, 59]].float() / 255)
    assert torch.equal(batch.query_y[:, 0], y[[0, 29, 30, 59]])


@pytest.mark.parametrize(
    "split, number, most",
    [("validation", 30, "30"), ("validation", FRESH + 30, "30"), ("test", TEST, "40"), ("train", 100, "100")],
)
def test_too_large_a_bank_is_refused_with_the_largest_number(tmp_path, split, number, most) -> None:
    family = toy_fashion_mnist(tmp_path)
    family.tasks(split, [number - 1], CPU)
    with pytest.raises(ConfigError, match=f"ask for {most} at most"):
        family.tasks(split, [number], CPU)


def test_it_offers_what_a_labelled_family_offers(tmp_path: Path) -> None:
    family = toy_fashion_mnist(tmp_path)
    for protocol in (Labelled, ClassNames, Sized, Licensed, Preprocessed):
        assert isinstance(family, protocol)
    assert hash(family) == hash(toy_fashion_mnist(tmp_path))


def test_an_absent_data_set_is_said_with_the_line_that_installs_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="apt-get install dataset-fashion-mnist"):
        FashionMnist(path=tmp_path).check()


def test_uncompressed_files_are_read(tmp_path: Path) -> None:
    family = toy_fashion_mnist(tmp_path / "packed")
    (tmp_path / "plain").mkdir()
    for file in (tmp_path / "packed").iterdir():
        (tmp_path / "plain" / file.stem).write_bytes(gzip.decompress(file.read_bytes()))
    plain = FashionMnist(validation_examples=60, path=tmp_path / "plain")
    assert plain.describe() == family.describe()


def test_files_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="160 images for training and validation, and 161 are asked for"):
        toy_fashion_mnist(tmp_path, train_examples=101).check()
    with pytest.raises(ConfigError, match="validation_examples = 3"):
        FashionMnist(validation_examples=3)
    write_fashion_mnist(tmp_path / "other", 150)
    (tmp_path / "other/train-labels-idx1-ubyte.gz").replace(tmp_path / "train-labels-idx1-ubyte.gz")
    with pytest.raises(DataError, match="train-labels are not 160 numbers below 10"):
        FashionMnist(validation_examples=60, path=tmp_path).check()
    swapped = write_fashion_mnist(tmp_path / "swapped")
    (swapped / "t10k-images-idx3-ubyte.gz").write_bytes((swapped / "t10k-labels-idx1-ubyte.gz").read_bytes())
    with pytest.raises(DataError, match="t10k-images are uint8 of shape"):
        FashionMnist(validation_examples=60, path=swapped).check()


@pytest.mark.skipif(not FOLDER.is_dir(), reason="needs Debian's package dataset-fashion-mnist")
def test_the_real_data_set_has_the_published_numbers() -> None:
    family = FashionMnist()
    counts = {split: family.sizes(split) for split in ("train", "validation", "test")}
    assert {split: sum(sizes) for split, sizes in counts.items()} == {
        "train": 50_000,
        "validation": 10_000,
        "test": 10_000,
    }
    assert counts["test"] == [1000] * 10
    assert [a + b for a, b in zip(counts["train"], counts["validation"], strict=True)] == [6000] * 10
