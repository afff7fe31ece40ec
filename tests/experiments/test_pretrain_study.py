"""The study of pre-training and meta-learning at toy size: equal examples, one table, and a figure."""

from __future__ import annotations

import json
import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch

from nas import config as configs
from nas.errors import DataError
from nas.evaluators.meta_training import outer_loop
from nas.evaluators.networks.weights import attach
from nas.evaluators.tasks.drawing import draw
from nas.experiments.meta_evaluator import meta_evaluator
from nas.experiments.reproduce import pretrain_settings, pretrain_vs_meta
from nas.experiments.reproduce.measure import Result
from nas.space import sample
from nas.task import Bank

TOY = """
seeds = [0, 1, 2]
steps = 2
[learners]
pre-training = { name = "finetune" }
maml = { name = "maml", inner_lr = 0.01 }
maml-first-order = { name = "maml", order = 1, inner_lr = 0.01 }
reptile = { name = "reptile", inner_optimizer = "sgd", train_steps = 2, batch = 5, inner_lr = 0.01 }
anil = { name = "anil", inner_lr = 0.01 }
protonet = { name = "protonet" }
[problems.sines]
space = { name = "mlp40" }
tasks = { name = "sinusoid", shots = 5, queries = 7 }
evaluator = { norm = "none", head_norm = false, budget = 2, tasks_per_step = 3, train_queries = 5 }
test = { tasks = 4, queries = 5, validation_tasks = 2 }
rates = [0.001, 0.01]
learners = { pre-training = {}, maml = {}, maml-first-order = {}, reptile = {}, anil = {} }
[problems.characters]
space = { name = "conv4", width = 4 }
tasks = { name = "omniglot", ways = 3, shots = 1, queries = 4, rotations = "none" }
evaluator = { budget = 2, tasks_per_step = 3, train_queries = 2 }
test = { tasks = 4, queries = 2, validation_tasks = 2 }
rates = [0.1]
learners = { pre-training = {}, maml = {}, maml-first-order = {}, reptile = {}, anil = {}, protonet = {} }
"""


@pytest.fixture
def settings(tmp_path):
    path = tmp_path / "toy.toml"
    path.write_text(TOY)
    return path


@pytest.fixture
def characters(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (30, 8, 28, 28), np.uint8)
    alphabets = [("Latin", "Korean", "Tengwar")[number % 3] for number in range(30)]
    names = np.array([f"{alphabet}/character{number:02}" for number, alphabet in enumerate(alphabets)])
    path = tmp_path / "few.npz"
    np.savez(path, images=images, names=names, evaluation=np.array([name == "Tengwar" for name in alphabets]))
    return path


@pytest.fixture
def rows(settings, characters):
    """The problems, and an evaluator with its architecture for each of their rows."""
    found, left_out = pretrain_settings.problems(pretrain_settings.load(settings), {"omniglot": characters})
    assert left_out == {}
    return [
        (problem, row, meta_evaluator(row.config), sample(configs.build(row.config).space, random.Random(0)))
        for problem in found
        for row in problem.rows
    ]


def test_all_methods_train_on_the_same_tasks_and_so_on_equal_examples(rows, tmp_path, monkeypatch):
    drawn = []

    def recorded(family, split, indices, device, *, queries):
        batch = draw(family, split, indices, device, queries=queries)
        examples = batch.support_x.shape[:2].numel() + batch.query_x.shape[:2].numel()
        drawn.append((split, tuple(indices), examples))
        return batch

    monkeypatch.setattr(outer_loop, "draw", recorded)
    seen = {}
    for problem, row, evaluator, architecture in rows:
        drawn.clear()
        bank, weights = Bank("validation", 0, 2), tmp_path / f"{problem.name}-{row.name}"
        evaluator.measure(architecture, row.config.evaluator.budget, 1, bank=bank, weights=weights)
        assert {split for split, *_ in drawn} == {"train"}
        seen.setdefault(problem.name, []).append(list(drawn))
    assert {name: len(each) for name, each in seen.items()} == {"sines": 5, "characters": 6}
    assert all(each == of_problem[0] for of_problem in seen.values() for each in of_problem)
    assert {problem.name: problem.examples for problem, *_ in rows} == {"sines": 2 * 3 * 10, "characters": 2 * 3 * 9}
    for problem, *_ in rows:
        assert sum(count for *_, count in seen[problem.name][0]) == problem.examples


def test_every_example_of_a_task_counts_in_the_outer_step_of_every_method(rows):
    for problem, row, evaluator, architecture in rows:
        network, learner, family = evaluator.network(architecture, 0), evaluator.learner, evaluator.tasks
        attach(network, learner.initial(network, family))
        weights = {name: p.detach() for name, p in network.named_parameters()}
        batch = draw(family, "train", [0], torch.device("cpu"), queries=evaluator.train_queries)
        _, plain = learner.meta_gradient(network, weights, batch, family.shape.kind)
        for part in ("support_x", "query_x"):
            for example in range(getattr(batch, part).shape[1]):
                x = getattr(batch, part).clone()
                x[:, example] *= torch.rand(x.shape[2:], generator=torch.Generator().manual_seed(0))
                changed = replace(batch, **{part: x})
                _, gradient = learner.meta_gradient(network, weights, changed, family.shape.kind)
                assert any(not torch.equal(gradient[name], plain[name]) for name in plain), (problem.name, row.name)


def test_the_study_runs_to_the_end_and_goes_on_from_what_is_finished(
    settings, characters, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(pretrain_vs_meta, "worker_processes", ThreadPoolExecutor)  # processes would import torch anew
    work, out, figure = tmp_path / "work", tmp_path / "table.txt", tmp_path / "figure.png"
    settings.write_text(TOY.replace(", maml-first-order = {}, reptile = {}, anil = {}", ""))  # fewer trainings
    arguments = ["--settings", str(settings), "--work", str(work), "--workers", "1", "--omniglot", str(characters)]
    pretrain_vs_meta.main([*arguments, "--out", str(out), "--figure", str(figure)])
    table = out.read_text("utf-8")
    assert table.startswith("$ python -m nas.experiments.reproduce.pretrain_vs_meta --settings")
    for part in (
        "sines: mean squared error, 4 test tasks. 2 outer steps of 3 tasks of 10 examples: 60 examples seen",
        "characters: error in %, 4 test tasks. 2 outer steps of 3 tasks of 9 examples: 54 examples seen",
        "0.001 to 0.01",
        "Machine: ",
    ):
        assert part in table
    assert figure.read_bytes().startswith(b"\x89PNG")
    kept = {path: path.stat().st_mtime_ns for path in work.rglob("*")}
    assert sum(path.suffix == ".json" for path in kept) == 3 * (2 + 3)
    capsys.readouterr()
    pretrain_vs_meta.main([*arguments, "--json"])
    assert {path: path.stat().st_mtime_ns for path in work.rglob("*")} == kept
    sines, drawn = json.loads(capsys.readouterr().out)["panels"]
    for method in (*sines["methods"], *drawn["methods"]):
        assert len(method["curve"]) == len(method["losses"]) == 3
        assert method["curve"][-1] == pytest.approx(np.mean(method["final"]["values"]))
        assert len(method["rates"]) == (0 if method["name"] == "protonet" else 3)
        assert list(method["final"]["differences"]) == ([] if method["name"] == "pre-training" else ["pre-training"])
    assert all(method["losses"] == pytest.approx(method["curve"]) for method in sines["methods"])
    plain = drawn["methods"][0]
    assert plain["losses"][0] == pytest.approx(np.log(3))  # a head from zero guesses
    assert plain["curve"][0] == pytest.approx(100 * 2 / 3)


def test_differences_from_pre_training_are_paired_by_seed():
    def result(value):
        return Result({"0": [-9.0, -9.0], "1": [-value + 1, -value - 1]}, {"0": 9.0, "1": value}, 0.1, 2.0, 3.0)

    problem = pretrain_settings.Problem("sines", (), True, 1_200, "12 outer steps")
    results = {"pre-training": [result(3.0), result(5.0)], "maml": [result(1.0), result(3.5)]}
    plain, maml = pretrain_vs_meta.panel_of(problem, results).methods
    assert (plain.curve, plain.losses, maml.curve) == ((9.0, 4.0), (9.0, 4.0), (9.0, 2.25))
    less = maml.final.differences["pre-training"]
    # By hand: the standard error of -2 and -1.5 is 0.25, and Student's t with one degree of freedom is 12.706.
    assert (less.value, less.high - less.value) == (-1.75, pytest.approx(12.706 * 0.25, abs=1e-3))


def test_the_shipped_settings_can_be_used_and_problems_without_data_are_left_out():
    study = pretrain_settings.load(None)
    found, left_out = pretrain_settings.problems(study, {"omniglot": None, "sequences": None})
    assert {*(problem.name for problem in found), *left_out} == set(study.problems)
    assert left_out.keys() >= {"omniglot-5way", "omniglot-20way"}
    assert left_out["omniglot-5way"].startswith("give --omniglot: omniglot: path is not set")
    assert [problem.name for problem in found][:2] == ["sinusoid", "glyphs-5way"]
    assert [len(table.learners) for table in study.problems.values()] == [5, 6, 6, 6, 6]


@pytest.mark.parametrize(
    "old, new, said",
    [
        ('{ name = "anil"', '{ name = "anill"', "anil"),
        ("anil = {} }\n[problems.char", "anill = {} }\n[problems.char", "did you mean 'anil'"),
        ("learners = { pre-training = {}, maml", "learners = { maml", "has no method 'pre-training'"),
        ("batch = 5", "batch = 4", "takes 2 batches of 4 examples of a task, which has 10"),
        ("seeds = [0, 1, 2]", "seeds = [0, 1]", "key 'seeds'"),
        ("steps = 2\n", "steps = 2\nmore = 1\n", "key 'more'"),
        ("queries = 4", 'queries = 4, path = "nowhere.npz"', "nowhere.npz"),
    ],
)
def test_a_setting_that_cannot_be_used_ends_with_one_line(old, new, said, settings, tmp_path, capsys):
    assert TOY.count(old) >= 1
    settings.write_text(TOY.replace(old, new, 1))
    work = tmp_path / "work"
    with pytest.raises(SystemExit):
        pretrain_vs_meta.main(["--settings", str(settings), "--work", str(work), "--workers", "1"])
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert not work.exists()


def test_a_missing_file_is_an_error_and_leaves_nothing_out(settings, tmp_path):
    with pytest.raises(DataError, match="nowhere"):
        pretrain_settings.problems(pretrain_settings.load(settings), {"omniglot": tmp_path / "nowhere.npz"})
