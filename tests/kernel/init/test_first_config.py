"""`nas init`: a config that fits the data, that a search accepts without edits."""

from __future__ import annotations

import tomllib

import pytest
from helpers.images import write_classes
from helpers.tables import classes_file, grouped_file
from PIL import Image

from nas.checks.task_report import report_of
from nas.config import reading
from nas.config.parts import build, tasks_of
from nas.errors import ConfigError, DataError
from nas.init import first_config, writing


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """A folder of its own, and no measurement, which takes seconds."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NAS_RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr(writing, "_measured", lambda text: (0.01, 0.001))


def written(path, **options):
    result = first_config(path, **options)
    text = result.path.read_text(encoding="utf-8")
    config = reading.load(str(result.path))
    build(config)
    report_of(tasks_of(config))
    return result, tomllib.loads(text), text


def test_a_folder_of_images_gives_tasks_that_it_has(tmp_path):
    folder = write_classes(tmp_path / "leaves", [f"kind {n}" for n in range(20)], images=8, shape=(40, 30, 3))
    result, config, text = written(folder)
    assert result.path.name == "leaves.toml"
    tasks = config["tasks"]
    assert (tasks["name"], tasks["size"], tasks["channels"]) == ("image-folder", 30, 3)
    assert tasks["shots"] + tasks["queries"] <= 8
    assert tasks["ways"] == 5
    assert "# an image of the 160 looked at has colour" in text
    assert config["space"]["name"] == "few-shot-cell"


def test_grey_groups_and_few_images_fit_too(tmp_path):
    names = [f"site{group}/part {n} é" for group in range(4) for n in range(6)]
    folder = write_classes(tmp_path / "parts", names, images=3)
    _, config, text = written(folder)
    assert config["tasks"]["channels"] == 1
    assert config["tasks"]["shots"] + config["tasks"]["queries"] <= 3
    assert "24 classes in 4 groups" in text


def test_tables_give_classes_groups_or_numbers(tmp_path):
    _, config, _ = written(classes_file(tmp_path))
    assert (config["tasks"]["name"], config["tasks"]["label"]) == ("arrays", "kind")
    assert config["space"]["name"] == "mlp"
    _, config, _ = written(grouped_file(tmp_path))
    assert config["tasks"]["group"] == "site"


def test_fewer_minutes_give_fewer_candidates(tmp_path, monkeypatch):
    folder = write_classes(tmp_path / "leaves", [f"kind {n}" for n in range(20)])
    monkeypatch.setattr(writing, "_measured", lambda text: (0.1, 0.01))
    many, *_ = written(folder, minutes=60.0)
    few, *_ = written(folder, out=tmp_path / "few.toml", minutes=1.0)
    assert (many.trials, few.trials) == (writing.TRIALS, writing.FEWEST_TRIALS)
    assert few.minutes < many.minutes


def test_what_gives_no_tasks_is_refused_in_one_line(tmp_path):
    one = write_classes(tmp_path / "one", ["only"], images=9)
    two = write_classes(tmp_path / "two", ["a", "b"], images=9)
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.docx").write_bytes(b"PK")
    (tmp_path / "words.csv").write_text("a,b\n1,2\n3,4\n")
    for path, error, message in [
        (one, DataError, "at least 6 classes"),
        (two, DataError, "at least 6 classes"),
        (tmp_path / "empty", DataError, "has no folders with images"),
        (tmp_path / "none", ConfigError, "does not exist"),
        (tmp_path / "notes.docx", ConfigError, "is no data that tasks can be made of"),
        (tmp_path / "words.csv", ConfigError, "has no column that looks like a label"),
    ]:
        with pytest.raises(error, match=message):
            first_config(path)
    assert not list(tmp_path.glob("*.toml"))


def test_nothing_is_overwritten(tmp_path):
    folder = write_classes(tmp_path / "leaves", [f"kind {n}" for n in range(20)])
    (tmp_path / "leaves.toml").write_text("mine")
    with pytest.raises(ConfigError, match="exists"):
        first_config(folder)
    assert (tmp_path / "leaves.toml").read_text() == "mine"


def test_odd_names_stay_text(tmp_path):
    folder = tmp_path / 'my "best" \\ leaves'
    for number in range(12):
        place = folder / f"{number:03}"
        place.mkdir(parents=True)
        for image in range(4):
            Image.new("L", (9, 9), 20 * number + image).save(place / f"{image}.png")
    _, config, _ = written(folder, out=tmp_path / "x.toml")
    assert config["tasks"]["path"] == str(folder)


@pytest.mark.parametrize("minutes", [0.0, -3.0, float("nan")])
def test_minutes_that_are_none_are_refused(tmp_path, minutes):
    with pytest.raises(ConfigError, match="nas init minutes = "):
        first_config(tmp_path, minutes=minutes)
