"""Task family of a folder of images: tasks, splits, groups, what is left out, and bad folders."""

import hashlib
import shutil

import numpy as np
import pytest
import torch
from helpers.images import noise, write_classes
from PIL import Image

from nas.data.preprocessing import ImagePreprocessing
from nas.errors import ConfigError, DataError
from nas.evaluators.tasks import folder_classes, image_folder
from nas.evaluators.tasks.image_folder import ImageFolder
from nas.evaluators.tasks.splits import split_by_hash
from nas.protocols import ClassNames, FewShot, Grouped
from nas.protocols.tasks import Inventoried, Preprocessed
from nas.testing import check_task_family

CPU = torch.device("cpu")
NAMES = [f"c{number}" for number in range(12)]


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("NAS_RUNS", str(tmp_path / "runs"))


def forget():
    folder_classes.folder_images.cache_clear()
    image_folder._data.cache_clear()


def family(folder, **options):
    forget()
    return ImageFolder(**({"path": folder, "ways": 2, "shots": 1, "queries": 2} | options))


@pytest.fixture(name="folder")
def twelve_classes(tmp_path):
    return write_classes(tmp_path / "images", NAMES)


@pytest.fixture(name="grouped")
def five_groups(tmp_path):
    return write_classes(tmp_path / "images", [f"{g}/{c}" for g in "vwxyz" for c in "abc"])


def splits_of(tasks):
    return {split: tasks.classes(split) for split in ("train", "validation", "test")}


@pytest.mark.parametrize(
    "options",
    [{}, {"rotations": True}, {"flip": True, "flip_vertical": True, "shift": 2, "crop": 0.5}, {"channels": 3}],
)
def test_laws_of_task_families(folder, options):
    tasks = family(folder, **options)
    check_task_family(tasks)
    for protocol in (FewShot, ClassNames, Grouped, Preprocessed, Inventoried):
        assert isinstance(tasks, protocol)


def test_laws_hold_for_groups_and_classes_of_unequal_sizes(grouped):
    Image.fromarray(noise(9000)).save(grouped / "v" / "a" / "more.png")
    check_task_family(family(grouped, within_group=True, rotations=True))


def test_each_task_holds_images_of_its_classes(folder):
    """Against the files: each example is an image of the class that `classes` names, and no example comes twice."""
    for number in range(5):
        Image.fromarray(noise(90_000 + number)).save(folder / "c3" / f"more{number}.png")
    tasks = family(folder, polarity="keep")
    owner = {np.array(Image.open(file)).tobytes(): file.parent.name for file in folder.rglob("*.png")}
    for split, names in splits_of(tasks).items():
        batch = tasks.tasks(split, range(10), CPU)
        for x, y, classes in zip(batch.query_x, batch.query_y, batch.classes, strict=True):
            images = [(image[0] * 255).round().byte().numpy().tobytes() for image in x]
            assert len(set(images)) == 4
            assert [owner[image] for image in images] == [names[classes[label]] for label in y]


def test_the_identity_depends_on_the_content_and_not_on_the_place(folder, tmp_path):
    before = family(folder).describe()
    shutil.copytree(folder, tmp_path / "elsewhere")
    assert family(tmp_path / "elsewhere").describe() == before
    Image.fromarray(noise(9)).save(folder / "c0" / "000.png")
    assert family(folder).describe() != before


def test_preprocessing_and_inventory(folder):
    tasks = family(folder)
    assert tasks.preprocessing() == ImagePreprocessing(1, 8, 8)
    assert sorted(tasks.inventory()) == sorted(NAMES)
    assert tasks.shape.input_shape == (1, 8, 8)


# --- splits ----------------------------------------------------------------------------------------------------------


def test_the_hash_splits_three_to_one_to_one():
    splits = split_by_hash([f"class {number}" for number in range(10_000)], 5)
    shares = [len(splits[split]) / 10_000 for split in ("train", "validation", "test")]
    assert shares == pytest.approx([0.6, 0.2, 0.2], abs=0.02)


def test_a_new_name_moves_no_other():
    names = [f"class {number}" for number in range(60)]
    before = split_by_hash(names, 5)
    assert min(map(len, before.values())) > 5
    for new in range(50):
        after = split_by_hash([*names, f"new {new}"], 5)
        assert all(set(before[split]) <= set(after[split]) for split in before)


@pytest.mark.parametrize("number", range(6, 25))
def test_each_split_has_enough_names_where_there_are_enough(number):
    names = [f"c{key}" for key in range(number)]
    splits = split_by_hash(names, number // 3)
    assert sorted(name for split in splits.values() for name in split) == sorted(names)
    assert min(map(len, splits.values())) >= number // 3


def test_the_split_is_that_of_the_hash_of_the_name():
    names = [f"class {number}" for number in range(300)]
    train = split_by_hash(names, 2)["train"]
    for name in names:
        place = int(hashlib.sha256(name.encode()).hexdigest()[:12], 16) / 16**12
        assert (name in train) == (place < 0.6)


def test_splits_by_folders(tmp_path):
    for split, names in {"train": ["a", "b"], "val": ["c", "d"], "test": ["e", "f"]}.items():
        write_classes(tmp_path / split, names)
    tasks = family(tmp_path)
    assert splits_of(tasks) == {"train": ["a", "b"], "validation": ["c", "d"], "test": ["e", "f"]}
    shutil.copytree(tmp_path / "train" / "a", tmp_path / "test" / "a")
    with pytest.raises(DataError, match="'a' are classes in two splits"):
        family(tmp_path).check()


def test_splits_by_a_file(folder, tmp_path):
    file = tmp_path / "splits.csv"
    rows = ["class,split", "c0,train", "c1,train", "c2,val", "", "c3,validation", '"c4",test', "c5,Test"]
    file.write_text("\ufeff" + "\n".join(rows), "utf-8")
    tasks = family(folder, split_file=file)
    assert splits_of(tasks) == {"train": ["c0", "c1"], "validation": ["c2", "c3"], "test": ["c4", "c5"]}


@pytest.mark.parametrize(
    "text, message",
    [("c0;train", ":1:.*CLASS,SPLIT"), ("c0,train\nc0,test", ":2:.*two splits"), ("zz,train", ":1:.*no class 'zz'"),
     ("c0,traine", ":1:"), (None, "does not exist; write a text file")],
)  # fmt: skip
def test_a_file_of_splits_that_cannot_be_used(folder, tmp_path, text, message):
    file = tmp_path / "splits.csv"
    if text is not None:
        file.write_text(text)
    with pytest.raises(DataError, match=message):
        family(folder, split_file=file).check()


def test_whole_groups_are_split_and_are_the_units(grouped):
    tasks = family(grouped)
    groups = {split: {name[0] for name in names} for split, names in splits_of(tasks).items()}
    assert sorted(group for each in groups.values() for group in each) == list("vwxyz")
    kind, numbers = tasks.units("train")
    assert kind == "groups"
    assert len(set(numbers)) == len(groups["train"])


def test_tasks_within_a_group(grouped):
    tasks = family(grouped, within_group=True, ways=3)
    for split, names in splits_of(tasks).items():
        for row in tasks.tasks(split, range(20), CPU).classes.tolist():
            assert len({names[number][0] for number in row}) == 1


def test_rotations_are_classes_of_the_training_split_alone(folder):
    plain, turned = splits_of(family(folder)), splits_of(family(folder, rotations=True))
    assert len(turned["train"]) == 4 * len(plain["train"])
    assert turned["test"] == plain["test"]
    tasks = family(folder, rotations=True, polarity="keep")
    batch, names = tasks.tasks("train", range(20), CPU), tasks.classes("train")
    for x, y, row in zip(batch.support_x, batch.support_y, batch.classes.tolist(), strict=True):
        for image, label in zip(x, y, strict=True):
            name, _, degrees = names[row[label]].partition("@")
            originals = [np.array(Image.open(file)) for file in (folder / name).iterdir()]
            pixels = np.rot90((image[0] * 255).round().byte().numpy(), -int(degrees or 0) // 90)
            assert any(np.array_equal(pixels, each) for each in originals)
        assert len({names[number].partition("@")[0] for number in row}) == 2


# --- what is left out, and what cannot be used -----------------------------------------------------------------------


def test_what_is_left_out_is_said(folder, caplog):
    (folder / "c0" / "000.png").write_text("broken")
    for file in list((folder / "c1").iterdir())[:2]:
        file.unlink()
    (folder / "c2" / "copy.png").write_bytes((folder / "c3" / "000.png").read_bytes())
    (folder / "c4" / "photo.HEIC").touch()
    write_classes(folder, ["C5"], shape=(8, 8))
    Image.fromarray(noise(31337)).save(folder / "C5" / "own.png")
    family(folder).check()
    for words in ("c0/000.png", "fewer than 3 images and are left out: 'c1'", "in two classes", "HEIC", "case alone"):
        assert words in caplog.text
    assert all("c1" not in names for names in splits_of(family(folder)).values())


@pytest.mark.parametrize(
    "options, message",
    [
        ({"ways": 5}, r"has 12 classes; ways = 5 needs as many .*: ways = 4 fits"),
        ({"shots": 3}, r"12 have fewer than 5 images.*lower shots or queries"),
        ({"path": None}, "path is not set"),
        ({"size": 2000}, "size"),
        ({"crop": 0.0}, "crop"),
        ({"splits": "groups"}, "at least 3 groups"),
        ({"splits": "folders"}, "has no train"),
        ({"rotations": True, "size": (8, 4)}, "rotations"),
        ({"max_memory_gb": 1e-9}, "max_memory_gb is 1e-09"),
    ],
)
def test_options_that_do_not_fit(folder, options, message):
    with pytest.raises((ConfigError, DataError), match=message) as refused:
        family(folder, **options).check()
    assert "\n" not in str(refused.value)


def test_too_small_groups_are_refused_with_ways_that_fit(grouped):
    with pytest.raises(DataError, match="in groups that are large enough: ways = 3 fits"):
        family(grouped, within_group=True, ways=4).check()
    family(grouped, within_group=True, ways=3).check()


@pytest.mark.parametrize("ways", [2, 3, 4])
def test_ways_that_are_said_to_fit_do_fit(folder, ways):
    for number in range(3 * ways, 12):
        shutil.rmtree(folder / f"c{number}")
    with pytest.raises(DataError, match=f"ways = {ways} fits"):
        family(folder, ways=ways + 1).check()
    family(folder, ways=ways).check()


def test_one_class_is_too_few(tmp_path):
    with pytest.raises(DataError, match=r"has 1 classes.*at least 6 classes"):
        family(write_classes(tmp_path / "images", ["a"])).check()


@pytest.mark.parametrize("splits", ["auto", "ratio"])
def test_train_and_test_folders_of_the_same_classes_are_no_groups(tmp_path, splits):
    """Otherwise one class would be trained on as train/c0 and tested as test/c0."""
    for split in ("train", "test"):
        write_classes(tmp_path / split, NAMES)
    with pytest.raises(ConfigError, match="the folders test, train, which are splits, no groups"):
        family(tmp_path, splits=splits).check()
    family(tmp_path / "train").check()
