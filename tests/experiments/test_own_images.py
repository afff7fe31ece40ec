"""The demonstration from a folder of images to a predictor, at toy size."""

import json
import sys
from contextlib import chdir

import numpy as np
import pytest
from helpers.cli import in_this_process as without_workers  # noqa: F401  # fixture
from PIL import Image
from typer.testing import CliRunner

from nas.cli.commands import app
from nas.experiments.own_images import __main__ as demonstration
from nas.experiments.own_images.folders import write_colour_glyphs, write_icons, write_omniglot
from nas.init import writing

AS_IT_IS = demonstration._print


def in_this_process(work, command, last=0):
    """Runs a command of `nas` without a process of its own, which would import torch anew; others as they are."""
    if command[1:3] != ["-m", "nas"]:
        AS_IT_IS(work, command, last)
        return
    with chdir(work):
        result = CliRunner().invoke(app, command[3:], catch_exceptions=False)
    sys.stdout.write(result.output)
    assert result.exit_code == 0


@pytest.mark.usefixtures("inline")
def test_every_command_runs_and_the_predictor_answers_without_nas(tmp_path, capfd, monkeypatch):
    monkeypatch.setattr(demonstration, "_print", in_this_process)
    monkeypatch.setattr(writing, "_measured", lambda text: (0.01, 0.001))
    monkeypatch.setenv("NAS_RUNS", str(tmp_path / "runs"))
    demonstration.main([str(tmp_path / "work"), "--glyphs", "20", "--toy"])
    printed = capfd.readouterr().out
    for command in ("init", "tasks", "search", "report", "export", "adapt", "predict"):
        assert f"$ nas {command}" in printed
    last = printed.strip().splitlines()[-1]
    assert last.startswith("('japanese")
    content = json.loads((tmp_path / "work" / "predictor" / "predictor.json").read_text())
    assert len(content["classes"]) == demonstration.CLASSES


def test_omniglot_is_written_by_alphabet_with_black_ink(tmp_path):
    images = np.zeros((3, 2, 28, 28), dtype=np.uint8)
    images[:, :, 10:12] = 255
    names = np.array(["A/character01", "A/character02", "B/character01"])
    np.savez(tmp_path / "packed.npz", images=images, names=names, evaluation=np.array([False, False, True]))
    write_omniglot(tmp_path / "packed.npz", tmp_path / "images", tmp_path / "kept", alphabets=1)
    with Image.open(tmp_path / "images" / "A" / "character01" / "01.png") as image:
        assert np.array_equal(np.asarray(image), 255 - images[0, 1])
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["B"]


def test_icons_are_classes_with_a_drawing_of_each_theme(tmp_path):
    for number, theme in enumerate(("one", "two", "three", "four")):
        for size in (16, 48):
            place = tmp_path / "icons" / theme / f"{size}x{size}" / "apps"
            place.mkdir(parents=True)
            shade = 40 * min(number, 2)  # the fourth theme has the drawings of the third
            for name in ("clock", "folder"):
                Image.new("RGB", (size, size), (shade, len(name), 0)).save(place / f"{name}.png")
    (tmp_path / "icons" / "one" / "48x48" / "apps" / "folder.png").unlink()
    (tmp_path / "icons" / "one" / "16x16" / "apps" / "folder.png").unlink()
    write_icons(tmp_path / "icons", tmp_path / "images", themes=3)
    images = sorted((tmp_path / "images").rglob("*.png"))
    assert [path.parent.name for path in images] == ["clock"] * 3
    assert len({path.name for path in images} & {"four.png", "three.png"}) == 1
    with Image.open(images[0]) as image:
        assert image.size == (48, 48)


def test_colour_glyphs_are_the_same_each_time(tmp_path):
    for name in ("one", "two"):
        write_colour_glyphs(tmp_path / name, classes=3, examples=2)
    first = sorted((tmp_path / "one").rglob("*.png"))
    assert len(first) == 6
    for path in first:
        with Image.open(path) as image, Image.open(tmp_path / "two" / path.relative_to(tmp_path / "one")) as again:
            assert image.mode == "RGB"
            assert np.array_equal(np.asarray(image), np.asarray(again))
