"""Omniglot: the same tasks from every form of the files, and one clear line about missing or damaged files."""

import hashlib
import io
import pickle
import zipfile

import numpy as np
import pytest
import torch
from helpers.project import ROOT
from PIL import Image

from nas.errors import ConfigError, DataError
from nas.evaluators.tasks import omniglot_files
from nas.evaluators.tasks.omniglot import VALIDATION_ALPHABETS, Omniglot
from nas.evaluators.tasks.omniglot_files import fetch, fetch_archives, read_characters

CPU = torch.device("cpu")
PACKED = ROOT.parent / "shared" / "data" / "omniglot_28.npz"
PARTS = {"images_background": {"Greek": 4, "Korean": 3, "Latin": 2}, "images_evaluation": {"Tengwar": 3, "Avesta": 2}}
DRAWERS = 4
SMALL = {"ways": 2, "queries": 3}


def png(seed, size=105, mode="1"):
    """Black ink on white: blocks of 15 × 15, which are 4 × 4 after shrinking, so that shrinking is exact."""
    ink = np.random.default_rng(seed).random((7, 7)) < 0.4
    pixels = np.where(np.kron(ink, np.ones((15, 15))) > 0, 0, 255).astype(np.uint8)[:size, :size]
    file = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(file, "PNG")
    return file.getvalue(), np.kron(ink, np.full((4, 4), 255)).astype(np.uint8)


def members(part):
    seed = 1000 * list(PARTS).index(part)
    for alphabet, characters in PARTS[part].items():
        for number in range(1, characters + 1):
            for drawer in range(1, DRAWERS + 1):
                seed += 1
                yield f"{part}/{alphabet}/character{number:02}/{seed:04}_{drawer:02}.png", png(seed)


@pytest.fixture
def zips(tmp_path):
    folder = tmp_path / "zips"
    folder.mkdir()
    for part in PARTS:
        with zipfile.ZipFile(folder / f"{part}.zip", "w") as archive:
            archive.writestr(f"{part}/", "")
            archive.writestr(f"__MACOSX/{part}/Greek/character01/._1_01.png", "not an image")
            for name, (data, _) in reversed(list(members(part))):
                archive.writestr(name, data)
    return folder


@pytest.fixture
def extracted(tmp_path):
    folder = tmp_path / "extracted"
    for part in PARTS:
        for name, (data, _) in members(part):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
    return folder


@pytest.fixture
def packed(tmp_path):
    images, names, evaluation = [], [], []
    for part in PARTS:
        drawn = {}
        for name, (_, small) in members(part):
            drawn.setdefault("/".join(name.split("/")[1:3]), []).append(small)
        for name in sorted(drawn):
            images.append(drawn[name])
            names.append(name)
            evaluation.append(part == "images_evaluation")
    path = tmp_path / "packed.npz"
    np.savez(path, images=np.array(images), names=np.array(names), evaluation=np.array(evaluation))
    return path


def small(path, **options):
    return Omniglot(path=path, **{**SMALL, **options})


def test_archives_folders_and_packed_file_hold_the_same(zips, extracted, packed):
    paths = [zips, extracted, packed, zips / "images_background.zip"]
    assert len({small(path).describe()["digest"] for path in paths}) == 1
    characters = read_characters(zips)
    expected = np.load(packed)
    assert np.array_equal(characters.images, expected["images"])
    assert characters.names == tuple(expected["names"])
    assert characters.evaluation == tuple(expected["evaluation"])


def test_splits_are_by_alphabet(packed):
    family = small(packed, rotations="none")
    alphabets = {
        split: {name.split("/")[0] for name in family.classes(split)} for split in ("train", "validation", "test")
    }
    assert alphabets == {"train": {"Greek", "Latin"}, "validation": {"Korean"}, "test": {"Avesta", "Tengwar"}}
    assert family.classes("validation") == [f"Korean/character{n:02}" for n in (1, 2, 3)]


def test_mixed_characters_are_split_at_random_whatever_their_order(packed, tmp_path):
    def upright(path, **options):
        family = small(path, rotations="as classes", **options)
        classes = (family.classes(split) for split in ("train", "validation", "test"))
        return [{name for name in names if "@" not in name} for names in classes]

    actual, arrays = upright(packed, mixed=True), dict(np.load(packed))
    assert [len(names) for names in actual] == [9, 1, 4]  # of 14 characters, as 1,100, 100 and 423 are of 1,623
    assert set.union(*actual) == set(arrays["names"])
    assert actual != upright(packed)
    assert any(name.startswith(("Tengwar", "Avesta")) for name in actual[0])
    np.savez(tmp_path / "turned.npz", **{key: array[::-1] for key, array in arrays.items()})
    assert upright(tmp_path / "turned.npz", mixed=True) == actual
    mixed, apart = (small(packed, mixed=mixed, rotations="as classes") for mixed in (True, False))
    assert mixed.describe() != apart.describe()


def test_rotated_characters_are_further_classes(packed):
    plain, turned = small(packed, rotations="none"), small(packed)
    for split in ("train", "validation", "test"):
        names = plain.classes(split)
        expected = [*names, *(f"{name}@{angle}" for angle in (90, 180, 270) for name in names)]
        assert turned.classes(split) == expected
    assert turned.describe()["digest"] != plain.describe()["digest"]


def test_rotated_drawings_are_those_of_the_files_turned(packed):
    images = np.load(packed)["images"]
    known = {np.rot90(image, turn).tobytes() for image in images.reshape(-1, 28, 28) for turn in range(4)}
    upright = {image.tobytes() for image in images.reshape(-1, 28, 28)}
    batch = small(packed).tasks("train", range(30), CPU)
    actual = {np.round(x.numpy() * 255).astype(np.uint8).tobytes() for x in batch.query_x.flatten(0, 2)}
    assert actual <= known
    assert not actual <= upright


@pytest.mark.parametrize("rotations", ["distinct", "as classes"])
def test_a_task_has_a_character_in_several_rotations_only_as_classes(packed, rotations):
    family = small(packed, rotations=rotations)
    names = [name.split("@")[0] for name in family.classes("train")]
    batch = family.tasks("train", range(100), CPU)
    distinct = [len({names[c] for c in task}) == family.ways for task in batch.classes.tolist()]
    assert all(distinct) == (rotations == "distinct")


def test_more_ways_than_characters_are_refused_where_rotations_are_no_classes(packed):
    with pytest.raises(DataError, match="ways = 4 classes a task, but the validation split has 3: lower ways"):
        small(packed, ways=4).check()
    small(packed, ways=4, rotations="as classes").check()


@pytest.mark.parametrize("rotations", [True, False, "all"])
def test_other_rotations_are_refused(rotations):
    with pytest.raises(ConfigError, match=f"rotations is {rotations!r}; it must be one of distinct, as classes, none"):
        Omniglot(rotations=rotations)


def test_within_alphabet_takes_all_classes_of_a_task_from_one_alphabet(packed):
    file = np.load(packed)
    owner = {
        np.rot90(image, turn).tobytes(): (name.split("/")[0], turn)
        for name, drawn in zip(file["names"], file["images"], strict=True)
        for image in drawn
        for turn in range(4)
    }
    actual = set()
    for x in small(packed, within_alphabet=True).tasks("train", range(60), CPU).support_x:
        owners = {owner[np.round(image.numpy() * 255).astype(np.uint8).tobytes()] for image in x[:, 0]}
        assert len(owners) == 1
        actual |= owners
    assert actual == {(alphabet, turn) for alphabet in ("Greek", "Latin") for turn in range(4)}


def test_within_alphabet_leaves_out_small_alphabets_and_says_when_none_is_left(packed):
    family = small(packed, ways=3, within_alphabet=True, rotations="none")
    assert {name.split("/")[0] for name in family.classes("train")} == {"Greek"}
    with pytest.raises(
        DataError, match="no validation alphabet has 4 characters, as within_alphabet needs: lower ways"
    ):
        small(packed, ways=4, within_alphabet=True).check()


def test_a_family_travels_by_value(packed):
    family = small(packed)
    assert pickle.loads(pickle.dumps(family)) == family
    assert len(pickle.dumps(family)) < 1000


def test_a_path_is_needed_but_only_when_data_are():
    family = Omniglot()
    assert family.shape.num_outputs == 5
    with pytest.raises(ConfigError, match="path is not set; set path to"):
        family.check()


def test_more_ways_than_classes_is_a_data_error(packed):
    with pytest.raises(DataError, match="ways = 13 classes a task, but the validation split has 12"):
        small(packed, ways=13, rotations="as classes").check()
    with pytest.raises(DataError, match=r"need 5 examples a class; '.*' has 4"):
        small(packed, queries=4).check()


def cut(path):
    path.write_bytes(path.read_bytes()[:-200])


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(bytes(data))


def empty(path):
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [cut, flip, empty])
def test_a_damaged_archive_is_one_line_with_the_right_md5(zips, damage):
    damage(zips / "images_evaluation.zip")
    with pytest.raises(
        DataError, match=r"images_evaluation\.zip is damaged .* 6b91aef0f799c5bb55b94e3f2daec811"
    ) as error:
        small(zips).check()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("damage", [cut, empty, lambda path: path.write_bytes(pickle.dumps({"images": 1}))])
def test_a_damaged_packed_file_is_a_data_error(packed, damage):
    damage(packed)
    with pytest.raises(DataError, match=r"packed\.npz cannot be read as packed Omniglot"):
        small(packed).check()


def test_missing_files_are_data_errors(tmp_path, zips):
    with pytest.raises(DataError, match=r"none\.npz does not exist; set path to"):
        small(tmp_path / "none.npz").check()
    with pytest.raises(DataError, match=r"none holds neither images_background\.zip nor the folder images_background"):
        small(tmp_path / "none").check()
    (zips / "images_evaluation.zip").unlink()
    with pytest.raises(DataError, match=r"holds neither images_evaluation\.zip"):
        small(zips).check()


@pytest.mark.parametrize(
    "change",
    [
        {"images": np.zeros((14, 4, 28, 28))},
        {"images": np.zeros((14, 4, 27, 28), np.uint8)},
        {"images": np.zeros((13, 4, 28, 28), np.uint8)},
        {"names": np.arange(14)},
        {"names": np.array("name")},
        {"evaluation": np.zeros(14, int)},
        {"evaluation": np.zeros((14, 1), bool)},
    ],
)
def test_a_packed_file_of_other_arrays_is_a_data_error(packed, change):
    np.savez(packed, **{**np.load(packed), **change})
    with pytest.raises(DataError, match="packed Omniglot has uint8"):
        small(packed).check()


def test_a_packed_file_without_an_array_or_with_objects_is_a_data_error(packed):
    arrays = dict(np.load(packed))
    np.savez(packed, **{**arrays, "names": arrays["names"].astype(object)})
    with pytest.raises(DataError, match="cannot be read"):
        small(packed).check()
    np.savez(packed, images=arrays["images"], names=arrays["names"])
    with pytest.raises(DataError, match="cannot be read"):
        small(packed).check()


def test_two_characters_of_one_name_are_a_data_error(packed):
    arrays = dict(np.load(packed))
    np.savez(packed, **{**arrays, "names": np.array(["Greek/character01"] * len(arrays["names"]))})
    with pytest.raises(DataError, match="two of the same name"):
        small(packed).check()


def test_a_drawing_of_another_size_and_a_missing_one_are_data_errors(extracted):
    drawing = next((extracted / "images_background" / "Latin").glob("*/*.png"))
    drawing.write_bytes(png(1, size=50)[0])
    with pytest.raises(DataError, match="50 × 50 pixels, not 105 × 105"):
        small(extracted).check()
    drawing.unlink()
    with pytest.raises(DataError, match=r"characters have \[3, 4\] drawings"):
        small(extracted).check()


def test_a_set_without_a_split_is_a_data_error(packed):
    arrays = dict(np.load(packed))
    np.savez(packed, **{key: array[[n[:6] != "Korean" for n in arrays["names"]]] for key, array in arrays.items()})
    with pytest.raises(DataError, match="has no validation characters"):
        small(packed).check()


def test_fetch_leaves_either_the_right_file_or_nothing(tmp_path):
    source, target = tmp_path / "source", tmp_path / "new" / "target"
    source.write_bytes(b"x" * 200_000)
    md5 = hashlib.md5(source.read_bytes()).hexdigest()
    with pytest.raises(DataError, match=f"arrived with md5 {md5}, not 0123; try again"):
        fetch(source.as_uri(), target, md5="0123")
    with pytest.raises(DataError, match=r"cannot download .* its md5 is"):
        fetch((tmp_path / "gone").as_uri(), target, md5=md5)
    assert list(target.parent.iterdir()) == []
    fetch(source.as_uri(), target, md5=md5)
    assert target.read_bytes() == source.read_bytes()
    assert list(target.parent.iterdir()) == [target]
    with pytest.raises(DataError, match="cannot download"):
        fetch(source.as_uri(), source / "below_a_file", md5=md5)


def test_download_fetches_what_is_missing_and_only_that(zips, tmp_path, monkeypatch):
    sums = {part: hashlib.md5((zips / f"{part}.zip").read_bytes()).hexdigest() for part in PARTS}
    monkeypatch.setattr(omniglot_files, "ARCHIVES", sums)
    monkeypatch.setattr(omniglot_files, "SOURCE", zips.as_uri() + "/")
    folder = tmp_path / "fetched"
    assert small(folder, download=True).describe() == small(zips).describe()
    (zips / "images_background.zip").unlink()
    fetch_archives(folder)
    (folder / "images_background.zip").unlink()
    with pytest.raises(DataError, match="cannot download"):
        fetch_archives(folder)


def test_download_into_a_file_is_a_config_error(packed):
    with pytest.raises(ConfigError, match="it must be a folder"):
        small(packed, download=True)


@pytest.mark.skipif(not PACKED.exists(), reason=f"{PACKED.name} is not there: real Omniglot cannot be tested")
class TestRealFile:
    def test_number_of_classes(self):
        counts = [len(Omniglot(path=PACKED).classes(split)) for split in ("train", "validation", "test")]
        assert counts == [4 * 783, 4 * 181, 4 * 659]
        mixed = Omniglot(path=PACKED, mixed=True)
        assert [len(mixed.classes(s)) for s in ("train", "validation", "test")] == [4 * 1100, 4 * 100, 4 * 423]

    def test_all_validation_alphabets_are_there(self):
        names = Omniglot(path=PACKED, rotations="none").classes("validation")
        assert {name.split("/")[0] for name in names} == set(VALIDATION_ALPHABETS)

    def test_nearest_pixels_get_some_queries_but_far_from_all(self):
        batch = Omniglot(path=PACKED, rotations="none").tasks("test", range(300), CPU)
        distances = torch.cdist(batch.query_x.flatten(2), batch.support_x.flatten(2))
        accuracy = (distances.argmin(dim=-1) == batch.query_y).float().mean()
        assert 0.38 < accuracy < 0.48

    def test_twenty_ways_within_an_alphabet_are_possible(self):
        batch = Omniglot(path=PACKED, ways=20, within_alphabet=True).tasks("test", range(3), CPU)
        assert batch.query_x.shape == (3, 300, 1, 28, 28)


@pytest.mark.parametrize("rotations", ["distinct", "none"])
@pytest.mark.parametrize("within", [True, False])
def test_the_units_of_its_intervals_are_alphabets_or_where_these_are_mixed_characters(packed, rotations, within):
    family = small(packed, rotations=rotations, within_alphabet=within)
    name, units = family.units("test")
    assert name == "alphabets"
    alphabets = [label.split("/")[0] for label in family.classes("test")]
    assert sorted(set(zip(alphabets, units, strict=True))) == [("Avesta", 0), ("Tengwar", 1)]
    mixed = small(packed, mixed=True, rotations="as classes")
    name, units = mixed.units("train")
    assert name == "characters"
    characters = [label.split("@")[0] for label in mixed.classes("train")]
    pairs = set(zip(characters, units, strict=True))
    assert len(pairs) == len(set(characters)) == len(set(units))
