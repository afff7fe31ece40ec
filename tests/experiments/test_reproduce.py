"""The reproductions: their settings are the published ones, and each runs to the end at toy size."""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import dataclass, replace
from importlib.resources import files

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from nas import config as configs
from nas.errors import ConfigError
from nas.evaluators.tasks.drawing import draw
from nas.evaluators.tasks.sinusoid import Sinusoid
from nas.experiments.reproduce import measure, settings, table
from nas.task import Bank

SMALLER = {
    "budget": 2,
    "tasks": 4,
    "validation_tasks": 4,
    "queries": 3,
    "chunk": 3,
}
"""What makes any reproduction end in seconds."""


def toy(name, folder):
    """The shipped settings of a reproduction with smaller numbers, in a file."""
    text = files("nas.experiments.reproduce").joinpath(f"{name}.toml").read_text("utf-8")
    for key, value in SMALLER.items():
        text = re.sub(rf"^{key} = \d+", f"{key} = {value}", text, flags=re.MULTILINE)
    path = folder / f"{name}-toy.toml"
    path.write_text(re.sub(r"^seeds = .*", "seeds = [0, 1]", text, flags=re.MULTILINE), encoding="utf-8")
    return path


def raising(error):
    """A function that raises it, whatever it is called with."""

    def call(*_, **__):
        raise error

    return call


def parts_of(name, schedule, **task_options):
    found = settings.rows(settings.load(name, None), schedule, methods=(), device="cpu", task_options=task_options)
    return {row.name: (row, configs.build(row.config)) for row in found}


# --- sinusoids -------------------------------------------------------------------------------------------------------


def test_sinusoid_has_mamls_settings():
    rows = parts_of("sinusoid", "full")
    for row, parts in rows.values():
        evaluator = parts.evaluator
        assert (row.config.evaluator.budget, evaluator.tasks_per_step, evaluator.anneal) == (70_000, 25, False)
        assert (evaluator.norm, evaluator.head_norm, evaluator.train_queries) == ("none", False, 0)
        assert (evaluator.tasks.shots, evaluator.tasks.queries) == (5, 5)
        assert evaluator.learner.outer_optimizer == "adam"
        assert evaluator.learner.outer_lr == 1e-3
        assert parts.space.init_std == 0.01
        assert row.test.tasks >= 600
        assert row.table.steps == ([0] if row.name == "oracle" else [0, 1, 5, 10])
    maml = rows["maml"][1].evaluator.learner
    assert (maml.order, maml.inner_lr, maml.train_steps, maml.learn_lr, maml.adapted) == (2, 0.01, 1, False, "all")
    plain, tuned = rows["pretrained"][1].evaluator, rows["pretrained-tuned"][1].evaluator
    assert plain == tuned
    assert plain.learner.inner_lr == maml.inner_lr
    assert len(rows["pretrained-tuned"][0].table.rates) > 5
    assert [name for name, (_, parts) in rows.items() if parts.evaluator.tasks.oracle] == ["oracle"]


def test_sinusoid_runs_to_the_end_and_keeps_what_is_finished(tmp_path, capsys, monkeypatch):
    out, work = tmp_path / "out.txt", tmp_path / "work"
    arguments = ["--settings", str(toy("sinusoid", tmp_path)), "--work", str(work), "--device", "cpu"]
    table.main("sinusoid", "Sines", [*arguments, "--json", "--methods", "maml,oracle", "--only-seed", "1"])
    first = json.loads(capsys.readouterr().out)
    assert [(line["method"], line["steps"]) for line in first["lines"]] == [
        *(("maml", steps) for steps in (0, 1, 5, 10)),
        ("oracle", 0),
    ]
    assert [line["published"] for line in first["lines"][:4]] == [None, 0.67, 0.38, 0.35]
    assert {"cpu", "torch", "device"} <= first["machine"].keys()

    trained = []
    real = measure._measure
    monkeypatch.setattr(measure, "_measure", lambda row, *rest: trained.append(row.name) or real(row, *rest))
    table.main("sinusoid", "Sines", [*arguments, "--out", str(out)])
    shown = capsys.readouterr().out
    assert trained == ["maml", *["pretrained"] * 2, *["pretrained-tuned"] * 2, "oracle"]
    assert out.read_text("utf-8").splitlines()[0].startswith("$ python -m nas.experiments.reproduce.sinusoid --set")
    assert out.read_text("utf-8").splitlines()[1:] == shown.splitlines()
    body = [line for line in shown.splitlines() if " – " in line]
    assert len(body) == 3 * 4 + 1
    assert sum("2.19" in line for line in body) == 2
    assert "tuned inner rate" in shown
    assert "2 outer steps of 25 tasks, seeds 0 1" in shown

    table.main("sinusoid", "Sines", [*arguments, "--json", "--methods", "maml,oracle", "--only-seed", "1"])
    assert json.loads(capsys.readouterr().out)["lines"] == first["lines"]
    assert len(trained) == 6


def test_other_settings_are_measured_anew(tmp_path):
    loaded = settings.load("sinusoid", toy("sinusoid", tmp_path))
    [row] = settings.rows(loaded, "full", methods=["maml"], device="cpu", task_options={})
    one = measure.measured(row, 0, tmp_path)
    assert measure.measured(row, 0, tmp_path) == one
    longer = replace(row, table=row.table.model_copy(update={"steps": [0, 2]}))
    assert list(measure.measured(longer, 0, tmp_path).values) == ["0", "2"]
    assert measure.measured(longer, 0, tmp_path).train_seconds == 0.0  # its weights were there
    assert measure.measured(row, 1, tmp_path).values != one.values
    for damaged in ("{", "[]", '{"settings": 1}'):
        (tmp_path / "maml-0.json").write_text(damaged, "utf-8")
        assert measure.measured(row, 0, tmp_path).values == one.values


# --- Omniglot --------------------------------------------------------------------------------------------------------


def test_omniglot_has_the_published_settings():
    rows = parts_of("omniglot", "full", path="x.npz")
    for row, parts in rows.values():
        evaluator = parts.evaluator
        assert (evaluator.norm, evaluator.head_norm, parts.space.width) == ("batch", False, 64)
        family = evaluator.tasks
        assert (family.ways, family.shots, family.mixed, family.rotations) == (5, 1, True, "distinct")
        assert (row.test.tasks, row.test.queries) == (600, 15)
        assert evaluator.learner.outer_lr == (1.0 if row.name.startswith("reptile") else 1e-3)
    settled = {
        name: (row.config.evaluator.budget, parts.evaluator.tasks_per_step) for name, (row, parts) in rows.items()
    }
    assert settled["maml"] == settled["maml-first-order"] == (60_000, 32)
    assert settled["reptile"] == (100_000, 10)
    maml, first, reptile = (rows[name][1].evaluator.learner for name in ("maml", "maml-first-order", "reptile"))
    assert (maml.order, maml.inner_lr, maml.train_steps, maml.steps) == (2, 5 * 0.4, 1, 10)
    assert (first.order, first.inner_lr, first.train_steps, first.steps) == (1, 5 * 0.4, 1, 10)
    examples = rows["reptile"][1].evaluator.tasks
    assert examples.shots + examples.queries == 15
    assert (reptile.train_steps, reptile.batch, reptile.inner_lr, reptile.optimizer_state) == (3, 25, 1e-3, "kept")
    assert rows["reptile-fresh"][1].evaluator.learner == replace(reptile, optimizer_state="fresh")


def test_the_schedules_differ_in_the_outer_loop_alone():
    full, cpu = (parts_of("omniglot", schedule, path="x.npz") for schedule in ("full", "cpu"))
    assert list(full) == list(cpu)
    for name, (_, parts) in full.items():
        one, other = (
            replace(e, tasks_per_step=1, anneal=True, learner=replace(e.learner, outer_lr=1.0))
            for e in (parts.evaluator, cpu[name][1].evaluator)
        )
        assert one == other


def test_omniglot_runs_to_the_end(tmp_path, capsys):
    """On few random characters, with a narrow network."""
    rng = np.random.default_rng(0)
    names = np.array([f"Latin/character{i:02}" for i in range(100)])
    images = rng.integers(0, 256, (100, 20, 28, 28), np.uint8)
    np.savez(tmp_path / "few.npz", images=images, names=names, evaluation=np.arange(100) > 70)
    path = toy("omniglot", tmp_path)
    text = path.read_text("utf-8").replace("width = 64", "width = 4").replace("steps = 100,", "steps = 10,")
    path.write_text(re.sub(r"budget = \d+", "budget = 1", text.replace("10, 100]", "10]")), encoding="utf-8")
    arguments = ["--settings", str(path), "--work", str(tmp_path / "work"), "--only-seed", "0", "--json"]
    arguments += ["--path", str(tmp_path / "few.npz"), "--device", "cpu"]
    table.main("omniglot", "Characters", arguments, data=True)
    found = json.loads(capsys.readouterr().out)
    assert found["measure"] == "accuracy in %"
    assert "SHORTENED" in found["note"]
    assert {line["method"] for line in found["lines"]} == set(settings.load("omniglot", None).rows)
    assert all(line["low"] <= line["value"] <= line["high"] for line in found["lines"])
    assert all(0 <= line["value"] <= 100 for line in found["lines"])
    published = {(line["method"], line["steps"]): line["published"] for line in found["lines"] if line["published"]}
    assert published == {
        ("maml", 10): 98.7,
        ("maml-first-order", 10): 98.3,
        ("reptile", 5): 97.68,
        ("protonet", 1): 98.8,
    }


# --- what they share -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Wrong:
    """A learner that is wrong by a number that depends on the rate, the step and the task."""

    inner_lr: float = 0.1

    def adapt(self, network, parameters, batch, kind, steps):
        x, amplitude, phase = batch.query_x.split(1, dim=-1)
        targets, task = amplitude * torch.sin(x - phase), x[:, :1] * 0.01
        return torch.stack([targets + (self.inner_lr - 0.3) * step + task for step in range(steps + 1)])


def test_the_tuned_rate_is_the_best_on_the_bank_and_never_one_that_diverges():
    network, family, bank = torch.nn.Linear(1, 1), Sinusoid(queries=7, oracle=True), Bank("validation", 0, 9)
    adaptation = measure.Adaptation(network, family, steps=3, chunk=4)
    chosen = measure.tuned(adaptation, Wrong(), bank, (float("nan"), 0.1, 0.25, 0.9, float("inf")))
    assert chosen == 0.25


def test_curves_are_each_tasks_value_after_each_step_whatever_the_chunk():
    network, family, bank = torch.nn.Linear(1, 1), Sinusoid(queries=7, oracle=True), Bank("test", 3, 9)
    found = measure.curves(measure.Adaptation(network, family, steps=2, chunk=4), Wrong(), bank)
    x = draw(family, "test", range(3, 12), torch.device("cpu")).query_x[..., :1]
    for step in range(3):
        expected = -((((0.1 - 0.3) * step + 0.01 * x[:, :1]) ** 2).mean(dim=(1, 2)))
        assert torch.allclose(found.values[step], expected.double(), atol=1e-5)
    assert torch.allclose(found.losses, -found.values, atol=1e-6)  # in regression


def test_a_line_is_the_mean_with_its_interval_in_the_tables_unit(tmp_path):
    loaded = settings.load("sinusoid", None)
    [row] = settings.rows(loaded, "full", methods=["maml"], device="cpu", task_options={})
    values = {str(step): [-1.0, -2.0, -6.0] for step in row.table.steps}
    results = {0: measure.Result(values, {}, None, 1.0, 2.0)}
    [first, *_] = table.lines(row, results, regression=True)
    margin = 4.302653 * 7**0.5 / 3**0.5  # Student's t with 2 degrees of freedom; the variance is 7
    assert first.value == pytest.approx(3)
    assert (first.low, first.high) == (pytest.approx(3 - margin), pytest.approx(3 + margin))
    assert table.lines(row, results, regression=False)[0].value == pytest.approx(-300)


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["--methods", "mmal"], "did you mean 'maml'"),
        (["--schedule", "fulll"], "did you mean 'full'"),
        (["--settings", "nowhere.toml"], "cannot be read"),
        (["--only-seed", "-1"], "'-1' cannot be used; give a whole number from 0"),
        (["--out", "no/such/folder/out.txt"], "'no/such/folder/out.txt' cannot be written"),
    ],
)
def test_a_mistake_is_explained_and_nothing_begun(arguments, said, tmp_path, capsys):
    work = tmp_path / "work"
    with pytest.raises(SystemExit) as ended:
        table.main("sinusoid", "Sines", ["--work", str(work), *arguments])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err.splitlines()[-1]
    assert not work.exists()


def test_data_that_is_missing_is_said_before_anything_is_begun(tmp_path, capsys):
    work = tmp_path / "work"
    with pytest.raises(SystemExit) as ended:
        table.main("omniglot", "Omniglot", ["--work", str(work), "--path", str(tmp_path / "nowhere")], data=True)
    assert ended.value.code == 2
    assert "nowhere" in capsys.readouterr().err
    assert not work.exists()


@pytest.mark.parametrize("error, status", [(KeyboardInterrupt(), 130), (OSError(28, "No space left"), 1)])
def test_an_end_without_a_table_is_one_line(error, status, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(table, "measured", raising(error))
    with pytest.raises(SystemExit) as ended:
        table.main("sinusoid", "Sines", ["--work", str(tmp_path)])
    assert ended.value.code == status
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize("name", ["schedules", "rows"])
def test_settings_without_rows_or_schedules_are_refused(name, tmp_path):
    tables = tomllib.loads(toy("sinusoid", tmp_path).read_text("utf-8")) | {name: {}}
    with pytest.raises(ValidationError, match=name):
        settings.Settings.model_validate(tables)


def test_an_unknown_key_is_refused(tmp_path):
    path = tmp_path / "wrong.toml"
    path.write_text(toy("sinusoid", tmp_path).read_text("utf-8").replace("rates =", "rate =", 1), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"pretrained-tuned\.rate'"):
        settings.load("sinusoid", path)
