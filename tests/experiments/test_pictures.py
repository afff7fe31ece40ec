"""The page of search spaces: all are there, with as many architectures as they have, and pictures that can be drawn."""

import io
import re

import pytest
from helpers.project import ROOT, needs_checkout
from PIL import Image

from nas import registry
from nas.errors import ConfigError
from nas.experiments.pictures import main, picture
from nas.space import count

ROW = re.compile(r"^\| \[?`([\w-]+)`.*\| ([\d,]+) \|$", re.MULTILINE)
PICTURE = re.compile(r"!\[[^\]]+\]\((pictures/[^)]+)\)")
LARGEST = 40_000  # bytes
SPACES = {name: registry.create("space", name, {}) for name in registry.names("space")}
DRAWN = [name for name, space in SPACES.items() if hasattr(space, "graph")]


def page():
    return (ROOT / "docs" / "reference" / "spaces.md").read_text("utf-8")


@needs_checkout
def test_every_space_is_listed():
    listed = [name for name, _ in ROW.findall(page())]
    assert sorted(listed) == registry.names("space")


@needs_checkout
@pytest.mark.parametrize("name", SPACES)
def test_it_has_as_many_architectures_as_the_page_says(name):
    said = int(dict(ROW.findall(page()))[name].replace(",", ""))
    counted = count(SPACES[name], limit=2000, samples=4000)
    low, high = counted.interval
    assert low <= said
    assert high is None or said <= high


@needs_checkout
def test_every_space_with_a_diagram_has_a_small_picture():
    assert sorted(PICTURE.findall(page())) == sorted(f"pictures/{name}.png" for name in DRAWN)
    for name in DRAWN:
        path = ROOT / "docs" / "pictures" / f"{name}.png"
        assert path.stat().st_size < LARGEST, "draw it again with nas.experiments.pictures"
        with Image.open(path) as image:
            assert image.format == "PNG"


@pytest.mark.parametrize("name", DRAWN)
def test_pictures_are_drawn_the_same_each_time_and_small(name):
    files = [io.BytesIO(), io.BytesIO()]
    for file in files:
        picture(SPACES[name]).save(file, "PNG", optimize=True)
    assert len(files[0].getvalue()) < LARGEST
    assert files[0].getvalue() == files[1].getvalue()


def test_spaces_are_drawn_by_name(tmp_path):
    folder = tmp_path / "a" / "b"
    main([str(folder), "mobile"])
    assert [path.name for path in folder.iterdir()] == ["mobile.png"]


@pytest.mark.parametrize("name, said", [("mlp", "no diagram"), ("dart", "did you mean 'darts'")])
def test_what_cannot_be_drawn_is_said(name, said, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        main([str(tmp_path), name])
    assert ended.value.code == ConfigError.exit_status
    assert said in capsys.readouterr().err
