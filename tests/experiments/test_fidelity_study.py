"""Study of cheap scores: runs at toy size, resumption, and messages about mistakes."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import re
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from threading import Event

import numpy as np
import pytest

from nas import config as configs
from nas.errors import ConfigError, DataError, NasError
from nas.experiments.fidelity import __main__ as fidelity
from nas.experiments.fidelity import report, settings, train
from nas.space import sample

CHANGES = {
    "count": "3",
    "again": "2",
    "ways": "3",
    "queries": "2",
    "tasks_per_step": "2",
    "validation_tasks": "12",
    "parameters": "[10, 100000]",
    "flops": "[10, 100000000]",
    "widths": "[4]",
}
"""What makes the experiment end in seconds."""


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """The shipped settings with smaller numbers, in a file."""
    text = files("nas.experiments.fidelity").joinpath("fidelity.toml").read_text("utf-8")
    for key, value in CHANGES.items():
        text, found = re.subn(rf"^{key} = [^#\n]*", f"{key} = {value} ", text, flags=re.MULTILINE)
        assert found == 1, key
    text = re.sub(r"^rungs = .*, .*", "rungs = [1, 2]", text, flags=re.MULTILINE).replace("rungs = [27]", "rungs = [1]")
    path = tmp_path_factory.mktemp("toy") / "toy.toml"
    path.write_text(text.replace("[tasks]", f'[tasks]\npath = "{few_characters(path.parent)}"'), encoding="utf-8")
    return path


def few_characters(folder):
    """Omniglot as a packed file: four characters of an alphabet of each split, random images with noise on them."""
    rng, alphabets = np.random.default_rng(0), ("Latin", "Korean", "Atlantean")
    names = np.array([f"{alphabet}/character{i:02}" for alphabet in alphabets for i in range(4)])
    images = rng.integers(0, 150, (12, 1, 28, 28), np.uint8) + rng.integers(0, 106, (12, 4, 28, 28), np.uint8)
    np.savez(folder / "few.npz", images=images, names=names, evaluation=np.char.startswith(names, "Atlantean"))
    return folder / "few.npz"


def raising(error):
    """A function that raises it, whatever it is called with."""

    def call(*_, **__):
        raise error

    return call


class Here:
    """In place of a pool of processes: calls at once, and counts the calls."""

    calls = 0

    def __init__(self, *_, **__):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def submit(self, function, *arguments):
        from concurrent.futures import Future

        Here.calls += 1
        future = Future()
        future.set_result(function(*arguments))
        return future


# --- the shipped settings --------------------------------------------------------------------------------------------


def test_the_shipped_rungs_are_the_asked_parts_of_the_full_meta_training():
    loaded = settings.load(None)
    full = loaded.series[loaded.reference.series]
    assert {full.rungs[-1] / rung for rung in full.rungs} == {25, 9, 3, 1}
    assert loaded.cells.count >= 60
    assert (loaded.tasks["ways"], loaded.tasks["shots"], loaded.tasks["within_alphabet"]) == (20, 1, True)
    learners = {configs.build(settings.config(loaded, s, "x")).evaluator.learner.name for s in loaded.series.values()}
    assert learners == {"anil", "ridge", "protonet", "maml"}


def test_every_series_is_scored_on_the_same_tasks():
    loaded = settings.load(None)
    evaluators = [configs.build(settings.config(loaded, s, "x")).evaluator for s in loaded.series.values()]
    assert len({(e.tasks, e.validation_tasks, e.norm, e.head_norm) for e in evaluators}) == 1


# --- the run ---------------------------------------------------------------------------------------------------------


def test_it_runs_to_the_end_in_processes_and_again_from_what_is_finished(toy, tmp_path, capsys, monkeypatch):
    arguments = ["--settings", str(toy), "--work", str(tmp_path / "work")]
    out, plot = tmp_path / "out.txt", tmp_path / "out.png"
    fidelity.main([*arguments, "--workers", "1", "--out", str(out), "--plot", str(plot)])
    shown = capsys.readouterr().out
    assert out.read_text("utf-8").splitlines()[1:] == shown.splitlines()
    assert plot.read_bytes().startswith(b"\x89PNG")
    file = tmp_path / "work" / "trainings.jsonl"
    lines = file.read_text("utf-8").splitlines()
    assert len(lines) == 3 * 5 + 2

    # A kill in the middle of a line: that training, and no other, is done again, and all is as before.
    file.write_text("\n".join([*lines[:-1], lines[-1][:40]]), encoding="utf-8")
    monkeypatch.setattr(fidelity, "ProcessPoolExecutor", Here)
    monkeypatch.setattr(fidelity, "as_completed", list)
    fidelity.main([*arguments, "--json"])
    found = json.loads(capsys.readouterr().out)
    assert Here.calls == 1
    assert set(train.finished(file)) == {json.loads(line)["key"] for line in lines}
    for row in found["rows"]:
        assert f"{row['tau']:.2f}" in next(
            line for line in shown.splitlines() if line.startswith(row["title"].ljust(20) + f"{row['steps']:>6}")
        )
    _check(found)
    fidelity.main([*arguments, "--json"])
    assert Here.calls == 1
    assert json.loads(capsys.readouterr().out)["rows"] == found["rows"]


@dataclass(frozen=True)
class Long:
    """A job that is done at once, or that takes long and then leaves its mark."""

    key: str
    mark: Path | None
    steps: int = 1


def take(job):
    if job.mark:
        Event().wait(20)
        job.mark.touch()
    return {"key": job.key, "rungs": {}}


def test_broken_off_it_does_not_wait_for_what_is_being_trained(tmp_path, monkeypatch):
    monkeypatch.setattr(fidelity, "train", take)
    monkeypatch.setattr(fidelity, "show_progress", raising(KeyboardInterrupt()))
    mark, file = tmp_path / "mark", tmp_path / "lines"
    with pytest.raises(KeyboardInterrupt):
        fidelity.run([Long("first", None), Long("second", mark), Long("third", mark)], file, 1)
    for process in multiprocessing.active_children():
        process.join()
    assert not mark.exists()
    assert list(train.finished(file)) == ["first"]


def die(job):
    os._exit(1)


def test_a_worker_that_dies_is_explained_and_what_is_finished_stays(tmp_path, monkeypatch):
    file = tmp_path / "lines"
    monkeypatch.setattr(fidelity, "train", take)
    fidelity.run([Long("first", None)], file, 1)
    monkeypatch.setattr(fidelity, "train", die)
    with pytest.raises(NasError, match=r"a worker process was ended, .*; the same command goes on"):
        fidelity.run([Long("first", None), Long("second", None)], file, 1)
    assert list(train.finished(file)) == ["first"]


@pytest.mark.parametrize("line", ["{", "[]", '{"key": "b"}', '{"key": "b", "rungs": {"1": {}}}', "\xff"])
def test_damaged_lines_do_not_count(line, tmp_path):
    file = tmp_path / "lines"
    file.write_bytes(b'{"key": "a", "rungs": {}}\n' + line.encode("latin-1") + b'\n{"key": "c", "rungs": {}}\n')
    assert list(train.finished(file)) == ["a", "c"]


def _check(found):
    assert found["cells"] == 3
    rows = {(row["series"], row["steps"]): row for row in found["rows"]}
    assert set(rows) == {*((name, rung) for name in ("anil", "anil-own", "ridge", "protonet") for rung in (1, 2))} | {
        ("maml", 1)
    }
    agreement = ("tau", "low", "high", "partial", "over_size", "over_low", "over_high", "reached")
    assert tuple(found["sizes"][0]) == ("title", *agreement)
    assert tuple(found["rows"][0])[-len(agreement) :] == agreement
    full = rows["anil", 2]
    assert full["tau"] == pytest.approx(1)
    assert (full["cost"], full["steps_fraction"]) == (1, 1)
    assert full["reached"] == found["reference"]["best"]
    assert rows["anil", 1]["cost"] < 1
    # Both are annealed to step 2, so they are the same training.
    assert rows["anil-own", 2]["mean"] == full["mean"]
    assert found["reference"]["again"] == 2
    assert found["reference"]["seeds_tau"] == pytest.approx(round(found["reference"]["seeds_tau"]))
    assert [row["title"] for row in found["sizes"]] == ["parameters", "FLOPs"]
    assert all(row["low"] - 1e-9 <= row["tau"] <= row["high"] + 1e-9 for row in found["rows"])


def test_a_continued_training_is_the_unbroken_one_and_an_own_one_is_annealed_to_its_rung(toy):
    loaded = settings.load(toy)
    series = loaded.series["ridge"].model_copy(update={"rungs": [1, 3]})
    config = settings.config(loaded, series, "")
    [cell] = train.draw_cells(config, loaded.cells, 1)
    evaluator = configs.build(config).evaluator
    own, continued = (
        train.train(train.Job("ridge", cell.architecture, 0, config, (1, 3), own))["rungs"] for own in (True, False)
    )
    for rung in ("1", "3"):
        assert own[rung]["value"] == evaluator.evaluate(cell.architecture, int(rung), 0).value
    assert continued["3"]["value"] == own["3"]["value"]
    assert continued["3"]["seconds"] > continued["1"]["seconds"] > 0


def test_cells_are_different_within_the_limits_and_the_first_ones_stay(toy):
    loaded = settings.load(toy)
    config = settings.config(loaded, loaded.series["anil"], "")
    table = loaded.cells.model_copy(update={"parameters": [600, 1500]})
    cells = train.draw_cells(config, table, 6)
    assert train.draw_cells(config, table, 3) == cells[:3]
    assert len({cell.architecture for cell in cells}) == 6
    assert all(600 <= cell.parameters <= 1500 for cell in cells)
    evaluator = configs.build(config).evaluator
    network = evaluator.network(cells[0].architecture, 0)
    assert sum(p.numel() for p in network.parameters()) == cells[0].parameters


def test_cells_of_any_size_are_the_first_random_ones(toy):
    loaded = settings.load(toy)
    config = settings.config(loaded, loaded.series["anil"], "")
    table = loaded.cells.model_copy(update={"parameters": None, "flops": None})
    rng, space = random.Random(table.seed), configs.build(config).space
    assert [cell.architecture for cell in train.draw_cells(config, table, 4)] == [sample(space, rng) for _ in range(4)]


def test_any_size_sets_the_limits_aside(toy, tmp_path, capsys, monkeypatch):
    narrow = tmp_path / "narrow.toml"
    narrow.write_text(re.sub(r"parameters = .*", "parameters = [1, 2]", toy.read_text("utf-8")), "utf-8")
    monkeypatch.setattr(train, "MOST_DRAWS", 20)
    fidelity.main(["--settings", str(narrow), "--estimate", "--any-size"])
    assert "minutes" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        fidelity.main(["--settings", str(narrow), "--estimate"])


def test_limits_that_leave_nothing_are_explained(toy, monkeypatch):
    monkeypatch.setattr(train, "MOST_DRAWS", 20)
    loaded = settings.load(toy)
    table = loaded.cells.model_copy(update={"flops": [1, 2]})
    with pytest.raises(ConfigError, match=r"of 20 random cells only 0 are different and have .* \[1, 2\] FLOPs; widen"):
        train.draw_cells(settings.config(loaded, loaded.series["anil"], ""), table, 1)


def test_divergence_counts_as_guessing(toy):
    loaded = settings.load(toy)
    series = loaded.series["anil"].model_copy(
        update={"evaluator": {"learner": {"name": "anil", "inner_lr": 1e6, "outer_lr": 1e6}}}
    )
    config = settings.config(loaded, series, "")
    [cell] = train.draw_cells(config, loaded.cells, 1)
    line = train.train(train.Job("anil", cell.architecture, 0, config, (1, 2), False))
    assert line["rungs"]["2"]["value"] is None
    assert report._value(train.Rung(**line["rungs"]["2"]), 1 / 3) == 1 / 3


def test_a_job_is_known_by_all_that_its_result_depends_on(toy):
    loaded = settings.load(toy)
    config = settings.config(loaded, loaded.series["anil"], "")
    one, other = (cell.architecture for cell in train.draw_cells(config, loaded.cells, 2))
    ridge = settings.config(loaded, loaded.series["ridge"], "")
    elsewhere = config.model_copy(update={"tasks": config.tasks.model_copy(update={"ways": 4})})
    variants = [
        (one, 0, config, (1, 2), False),
        (other, 0, config, (1, 2), False),
        (one, 1, config, (1, 2), False),
        (one, 0, ridge, (1, 2), False),
        (one, 0, config, (1, 3), False),
        (one, 0, config, (1, 2), True),
    ]
    keys = [train.Job("anil", *variant).key for variant in variants]
    assert len(set(keys)) == len(keys)
    assert train.Job("again", *variants[0]).key == keys[0]
    assert elsewhere != config


def test_the_estimate_is_a_number_of_minutes(toy, capsys):
    fidelity.main(["--settings", str(toy), "--estimate", "--workers", "2"])
    assert re.fullmatch(r"about \d+ minutes\n", capsys.readouterr().out)


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["--cells", "2"], "'2' cannot be used; give a whole number from 3"),
        (["--workers", "0"], "'0' cannot be used; give a whole number from 1"),
        (["--plot", "no/such/folder/out.png"], "'no/such/folder/out.png' cannot be written"),
        (["--settings", "nowhere.toml"], "cannot be read"),
        (["--path", "nowhere"], "nowhere"),
    ],
)
def test_a_mistake_is_explained_and_nothing_begun(arguments, said, tmp_path, capsys):
    work = tmp_path / "work"
    with pytest.raises(SystemExit) as ended:
        fidelity.main(["--work", str(work), *arguments])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err.splitlines()[-1]
    assert not work.exists()


def test_data_that_is_lost_on_the_way_is_no_result_of_a_cell(toy, monkeypatch):
    loaded = settings.load(toy)
    found = settings.config(loaded, loaded.series["anil"], "")
    [cell] = train.draw_cells(found, loaded.cells, 1)
    monkeypatch.setattr(train.MetaTraining, "advance", raising(DataError("gone")))
    with pytest.raises(DataError, match="gone"):
        train.train(train.Job("anil", cell.architecture, 0, found, (1, 2), False))


@pytest.mark.parametrize(
    "old, new, said",
    [
        ('series = "anil"', 'series = "anli"', "did you mean 'anil'"),
        ("rungs = [1, 2]", "rungs = [2, 1]", "do not ascend"),
        ("again =", "agian =", "agian|again"),
        ("[cells]", "[cells", "cannot be read"),
        ("ways =", "# ways =", "tasks.ways"),
    ],
)
def test_a_mistake_in_the_settings_is_explained(old, new, said, toy, tmp_path):
    path = tmp_path / "wrong.toml"
    path.write_text(toy.read_text("utf-8").replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ConfigError, match=said):
        settings.load(path)
