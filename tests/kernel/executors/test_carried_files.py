"""Files for calls on other machines: what is unpacked is what was packed, and calls find it in its new place."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from nas.errors import DataError
from nas.executors.carried_files import Tree, dumps, loads, pack, tree_of, unpack


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "here" / "images"
    (folder / "a").mkdir(parents=True)
    (folder / "a" / "1.txt").write_text("one")
    (folder / "2.txt").write_text("two")
    (tmp_path / "here" / "images.csv").write_text("three")
    return tmp_path / "here"


def test_what_is_unpacked_is_what_was_packed(data, tmp_path):
    trees = [tree_of(data / "images"), tree_of(data / "images.csv")]
    places = unpack(pack(trees), [tree.root for tree in trees], tmp_path)
    folder, file = places[str(data / "images")], places[str(data / "images.csv")]
    assert (Path(folder) / "a" / "1.txt").read_text() == "one"
    assert (Path(folder) / "2.txt").read_text() == "two"
    assert Path(file).read_text() == "three"
    assert (Path(folder).name, Path(file).name) == ("images", "images.csv")


def test_they_are_unpacked_once_and_again_where_that_was_broken_off(data, tmp_path):
    tree = tree_of(data / "images")
    [place] = unpack(pack([tree]), [tree.root], tmp_path).values()
    (Path(place) / "2.txt").write_text("left alone")
    assert unpack(pack([tree]), [tree.root], tmp_path) == {str(tree.root): place}
    assert (Path(place) / "2.txt").read_text() == "left alone"
    (Path(place).parents[1] / "complete").unlink()
    unpack(pack([tree]), [tree.root], tmp_path)
    assert (Path(place) / "2.txt").read_text() == "two"


def test_only_the_files_of_a_tree_are_packed(data, tmp_path):
    tree = Tree(data, (data / "images.csv",))
    [place] = unpack(pack([tree]), [tree.root], tmp_path).values()
    assert [path.name for path in Path(place).rglob("*")] == ["images.csv"]


def test_what_does_not_exist_is_said(tmp_path):
    with pytest.raises(DataError, match="missing is no file or folder that could be sent to other machines; correct"):
        tree_of(tmp_path / "missing")


def test_paths_below_a_root_have_their_new_place_and_others_stay():
    root = Path("/data/mine")
    value = {
        "folder": "/data/mine",
        "path": Path("/data/mine/a/b.csv"),
        "class": "/data/mine:Ripples",
        "beside": "/data/mine2/a",
        "text": "see /data/mine",
    }
    moved = loads(dumps(value, [root]), {"/data/mine": "/tmp/x/mine"})
    assert moved == {
        "folder": "/tmp/x/mine",
        "path": Path("/tmp/x/mine/a/b.csv"),
        "class": "/tmp/x/mine:Ripples",
        "beside": "/data/mine2/a",
        "text": "see /data/mine",
    }


def test_the_innermost_root_counts():
    roots = [Path("/data"), Path("/data/mine")]
    assert loads(dumps("/data/mine/a", roots), {"/data": "/x", "/data/mine": "/y"}) == "/y/a"


def test_without_roots_it_is_an_ordinary_pickle():
    assert pickle.loads(dumps({"a": Path("/b")}, [])) == {"a": Path("/b")}
