"""Listing of class folders, and what is left out."""

import os
from pathlib import Path

import pytest
from helpers.images import write_classes

from nas.data.image_folders import list_classes, list_images
from nas.errors import DataError


def names(folder):
    return [each.name for each in list_classes(folder).classes]


def test_names_are_texts_of_any_kind(tmp_path):
    classes = ["1", "007", "7", "with space", "größe", "漢字", "a,b", "1E2"]
    assert names(write_classes(tmp_path, classes, images=1)) == sorted(classes)


def test_names_are_the_same_in_both_normal_forms_of_unicode(tmp_path):
    assert names(write_classes(tmp_path, ["e\u0301te"], images=1)) == ["\u00e9te"]


def test_two_forms_of_one_name_are_refused(tmp_path):
    with pytest.raises(DataError, match="two forms of Unicode"):
        list_classes(write_classes(tmp_path, ["e\u0301te", "\u00e9te"], images=1))


def test_a_name_that_is_no_utf8_is_left_out(tmp_path):
    write_classes(tmp_path, ["a"], images=1)
    os.mkdir(os.fsencode(tmp_path) + b"/\xff\xfe")
    assert "no UTF-8" in "".join(list_classes(tmp_path).skipped)


def test_a_folder_of_folders_is_a_group(tmp_path):
    listing = list_classes(write_classes(tmp_path, ["north/a", "north/b", "south/a"], images=2))
    assert [(each.name, each.group, len(each.images)) for each in listing.classes] == [
        ("north/a", "north", 2),
        ("north/b", "north", 2),
        ("south/a", "south", 2),
    ]
    assert listing.grouped
    assert listing.skipped == ()


def test_system_files_are_passed_over_in_silence(tmp_path):
    write_classes(tmp_path, ["a", ".ipynb_checkpoints", "__MACOSX"], images=1)
    for name in (".DS_Store", "._000.png", "Thumbs.db", "desktop.ini"):
        (tmp_path / "a" / name).write_bytes(b"x")
        (tmp_path / name).write_bytes(b"x")
    listing = list_classes(tmp_path)
    assert [each.name for each in listing.classes] == ["a"]
    assert len(listing.classes[0].images) == 1
    assert listing.skipped == ()


def test_what_is_left_out_is_counted_and_named(tmp_path):
    write_classes(tmp_path, ["g/a", "g/b/deeper"], images=1)
    for number in range(5):
        (tmp_path / "g" / "a" / f"{number}.heic").write_bytes(b"x")
    (tmp_path / "loose.png").write_bytes(b"x")
    skipped = "\n".join(list_classes(tmp_path).skipped)
    assert "5 files that are no images" in skipped
    assert "and 2 more" in skipped
    assert "g/b/deeper" in skipped
    assert "loose.png" in skipped


def test_links_out_of_the_folder_are_not_followed(tmp_path):
    inside = write_classes(tmp_path / "in", ["a"], images=1)
    outside = write_classes(tmp_path / "out", ["b"], images=1)
    os.symlink(outside / "b", inside / "b")
    os.symlink(outside / "b" / "000.png", inside / "a" / "leak.png")
    os.symlink(inside, inside / "a" / "loop")
    os.symlink(inside / "nowhere", inside / "dangling")
    listing = list_classes(inside)
    assert [(each.name, len(each.images)) for each in listing.classes] == [("a", 1)]
    skipped = "\n".join(listing.skipped)
    for link in ("'b'", "a/leak.png", "a/loop"):
        assert link in skipped


def test_a_pipe_is_no_image(tmp_path):
    write_classes(tmp_path, ["a"], images=1)
    os.mkfifo(tmp_path / "a" / "pipe.png")
    listing = list_classes(tmp_path)
    assert len(listing.classes[0].images) == 1
    assert "pipe.png" in "".join(listing.skipped)


@pytest.mark.parametrize("kind", ["missing", "file", "empty", "only loose", "mixed"])
def test_folders_that_cannot_be_used(tmp_path, kind):
    folder = tmp_path / kind
    if kind == "file":
        folder.write_text("x")
    elif kind != "missing":
        write_classes(folder, {"only loose": ["."], "mixed": ["a", "g/b"]}.get(kind, []), images=1)
        folder.mkdir(exist_ok=True)
    with pytest.raises(DataError, match=kind) as refused:
        list_classes(folder)
    assert "\n" not in str(refused.value)


def test_images_of_a_relative_folder_are_listed_beside_a_link_out_of_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_classes(tmp_path / "images", ["."])
    (tmp_path / "images" / "out").symlink_to("/")
    names = [f"images/{number:03d}.png" for number in range(4)]
    assert [str(path) for path in list_images(Path("images"))] == names
