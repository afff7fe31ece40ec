"""All images of a folder as one array: automatic options, what is left out, memory, and the cache."""

import hashlib
import os

import numpy as np
import pytest
from helpers.images import noise, write_classes
from PIL import Image
from safetensors.torch import load_file

from nas.data import image_set
from nas.data.image_files import read_image
from nas.data.image_folders import list_classes
from nas.data.image_set import ReadingOptions, faults, read_set
from nas.errors import ConfigError, DataError


@pytest.fixture(autouse=True, name="cache")
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("NAS_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs" / ".data"


@pytest.fixture(name="folder")
def two_classes(tmp_path):
    return write_classes(tmp_path / "images", ["a", "b"])


def read(folder, **options):
    return read_set(list_classes(folder), ReadingOptions(**options))


def test_images_stand_by_class_as_the_decoder_reads_each(folder):
    (folder / "b" / "003.png").unlink()
    images = read(folder, size=(4, 6))
    files = [*sorted((folder / "a").iterdir()), *sorted((folder / "b").iterdir())]
    assert images.counts == (4, 3)
    assert np.array_equal(images.images, np.stack([read_image(file, images.preprocessing) for file in files]))


def test_automatic_size_is_the_median_of_the_shorter_sides_up_to_a_limit(tmp_path):
    write_classes(tmp_path / "a", ["x"], images=3, shape=(20, 30))
    write_classes(tmp_path / "a", ["y"], images=2, shape=(50, 40))
    assert read(tmp_path / "a").preprocessing.input_shape == (1, 20, 20)
    write_classes(tmp_path / "b", ["x"], images=1, shape=(200, 300))
    assert read(tmp_path / "b").preprocessing.input_shape == (1, 84, 84)


def test_channels_are_one_where_all_images_are_grey(folder):
    assert read(folder).preprocessing.channels == 1
    grey = np.repeat(noise(1)[..., None], 3, axis=2)
    Image.fromarray(grey).save(folder / "b" / "grey.png")
    assert read(folder).preprocessing.channels == 1
    Image.fromarray(noise(2, (8, 8, 3))).save(folder / "b" / "last.png")
    assert read(folder).preprocessing.channels == 3
    assert read(folder, channels=1).preprocessing.channels == 1


@pytest.mark.parametrize("paper, polarity", [(255, "invert"), (0, "keep"), (150, "keep")])
def test_ink_on_white_paper_is_inverted(tmp_path, paper, polarity):
    for number in range(3):
        drawing = np.full((8, 8), paper, dtype=np.uint8)
        drawing[2, number] = 255 - paper
        (tmp_path / "a").mkdir(exist_ok=True)
        Image.fromarray(drawing).save(tmp_path / "a" / f"{number}.png")
    images = read(tmp_path)
    assert images.preprocessing.polarity == polarity
    file = tmp_path / "a" / "0.png"
    assert np.array_equal(images.images[0], read_image(file, images.preprocessing))


def test_unreadable_files_are_left_out_and_named(folder):
    (folder / "a" / "001.png").write_text("broken")
    images = read(folder)
    assert images.counts == (3, 4)
    assert len(images.images) == 7
    assert "001.png" in faults(images)[0]
    assert np.array_equal(images.images[1, 0], noise(2))


def test_without_any_readable_file_the_folder_is_refused(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.png").write_text("broken")
    with pytest.raises(DataError, match=r"none of the 1 images.*x\.png"):
        read(tmp_path)


def test_an_image_in_two_classes_is_said(folder):
    (folder / "b" / "copy.png").write_bytes((folder / "a" / "002.png").read_bytes())
    assert faults(read(folder)) == ["1 images stand in two classes: 'a/002.png = b/copy.png'"]


def test_too_much_memory_is_refused_with_a_size_that_fits(folder):
    with pytest.raises(ConfigError, match="set size to at most 5"):
        read(folder, size=(1000, 1000), max_memory_gb=8 * 25 / 2**30)
    assert read(folder, size=(5, 5), max_memory_gb=8 * 25 / 2**30).images.shape == (8, 1, 5, 5)


def test_digests_change_with_their_class_alone(folder):
    before = read(folder, size=(8, 8)).digests
    Image.fromarray(noise(77)).save(folder / "b" / "000.png")
    after = read(folder, size=(8, 8)).digests
    assert before[0] == after[0]
    assert before[1] != after[1]


def count_reads(monkeypatch):
    reads, original = [], image_set._read
    monkeypatch.setattr(image_set, "_read", lambda *args: reads.append(1) or original(*args))
    return reads


def equal(one, other):
    values = [(vars(each) | {"images": each.images.tolist()}) for each in (one, other)]
    return values[0] == values[1]


def test_a_second_reading_comes_from_the_cache(folder, cache, monkeypatch):
    reads = count_reads(monkeypatch)
    first, second = read(folder), read(folder)
    assert len(reads) == 1
    assert equal(first, second)
    assert [file.suffix for file in cache.iterdir()] == [".safetensors"]


@pytest.mark.parametrize("change", ["content", "name", "option", "damaged", "cut", "foreign"])
def test_what_changed_is_read_anew(folder, cache, monkeypatch, change, caplog):
    reads, first, options = count_reads(monkeypatch), read(folder), {}
    (file,) = cache.iterdir()
    content = file.read_bytes()
    if change == "content":
        os.utime(folder / "a" / "000.png", ns=(1, 1))
    elif change == "name":
        (folder / "a" / "000.png").rename(folder / "a" / "0000.png")
    elif change == "option":
        options = {"size": (4, 4)}
    elif change == "damaged":
        file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    elif change == "cut":
        file.write_bytes(content[:100])
    else:
        file.write_bytes(content.replace(b"counts", b"county"))
    second = read(folder, **options)
    assert len(reads) == 2
    assert equal(first, second) == (change != "option")


def test_a_folder_that_cannot_be_written_is_said(folder, tmp_path, monkeypatch, caplog):
    (tmp_path / "file").touch()
    monkeypatch.setenv("NAS_RUNS", str(tmp_path / "file"))
    assert read(folder).counts == (4, 4)
    assert "cannot be written" in caplog.text


def test_the_cache_is_a_safetensors_file_and_leaves_no_part(folder, cache):
    images = read(folder)
    (file,) = cache.iterdir()
    assert load_file(file)["examples"].equal(images.images)


def test_reading_does_not_depend_on_the_number_of_threads(folder, monkeypatch):
    digests = set()
    for workers in (1, 8):
        monkeypatch.setattr(image_set.os, "cpu_count", lambda workers=workers: workers)
        images, _ = image_set._read(
            list_classes(folder), [f for c in list_classes(folder).classes for f in c.images], ReadingOptions()
        )
        digests.add(hashlib.sha256(images.numpy().tobytes()).hexdigest())
    assert len(digests) == 1
