"""The studies of learned augmentation at toy size: every arm ends, and a second call goes on from what is finished."""

from __future__ import annotations

import json

import pytest
from helpers.labelled import write_fashion_mnist

from nas.augmentation_policy import read_policy
from nas.experiments.reproduce import augmentation, task_augmentation
from nas.experiments.reproduce.paired_errors import mean_of, p_text, paired_errors

SUPERVISED = """
seeds = [0, 1]
network_width = 4
[training]
epochs = 1
batch = 32
rate = 0.1
momentum = 0.9
weight_decay = 5e-4
crop = 0
flip = false
[data]
path = "{data}"
train_examples = 80
test_examples = 40
[dada]
epochs = 1
batch = 16
sub_policies = 3
[search]
trials = 2
epochs = 1
sub_policies = 1
validation_examples = 10
"""
FEW_SHOT = """
seeds = [0, 1]
network_width = 4
learners = ["anil"]
[tasks]
ways = 2
shots = 1
queries = 2
[evaluator]
budget = 1
tasks_per_step = 1
[test]
tasks = 3
[dada]
classes = 4
epochs = 1
batch = 16
sub_policies = 2
"""


def test_the_arms_on_one_data_set_end_and_are_kept(tmp_path, capsys):
    settings, work = tmp_path / "toy.toml", tmp_path / "work"
    settings.write_text(SUPERVISED.format(data=write_fashion_mnist(tmp_path / "data")))
    arguments = ["--settings", str(settings), "--work", str(work)]
    augmentation.main([*arguments, "--json"])
    said = json.loads(capsys.readouterr().out)
    assert [arm["name"] for arm in said["arms"]] == list(augmentation.ARMS)
    assert all(0 <= error <= 100 for arm in said["arms"] for error in arm["values"])
    assert said["search_seconds"]["dada"] > 0 == said["search_seconds"]["none"]
    assert len(read_policy(work / "policy-dada-1.json").sub_policies) == 3
    assert len(read_policy(work / "policy-evolution-0.json").sub_policies) == 1
    assert (work / "dada-0.png").read_bytes().startswith(b"\x89PNG")
    finished = {file: file.stat().st_mtime_ns for file in work.iterdir()}
    augmentation.main(arguments)
    assert "DADA less trivial-augment" in capsys.readouterr().out
    assert {file: file.stat().st_mtime_ns for file in work.iterdir()} == finished


def test_the_arms_on_few_shot_tasks_end_and_are_kept(tmp_path, capsys):
    settings, work = tmp_path / "toy.toml", tmp_path / "work"
    settings.write_text(FEW_SHOT)
    arguments = ["--settings", str(settings), "--work", str(work)]
    task_augmentation.main([*arguments, "--json"])
    said = json.loads(capsys.readouterr().out)
    (comparison,) = said["comparisons"]
    assert [arm["name"] for arm in comparison["arms"]] == list(task_augmentation.ARMS)
    assert comparison["arms"][2]["differences"].keys() == {"none", "rotations"}
    finished = {file: file.stat().st_mtime_ns for file in work.iterdir()}
    task_augmentation.main(arguments)
    assert "glyphs" in capsys.readouterr().out
    assert {file: file.stat().st_mtime_ns for file in work.iterdir()} == finished


def test_a_setting_that_is_unknown_ends_with_one_line(tmp_path, capsys):
    settings = tmp_path / "toy.toml"
    settings.write_text(FEW_SHOT + "\n[more]\n")
    with pytest.raises(SystemExit):
        task_augmentation.main(["--settings", str(settings), "--work", str(tmp_path / "work")])
    assert "key 'more'" in capsys.readouterr().err


def test_means_and_differences_are_paired():
    first, second = paired_errors({"a": [3.0, 5.0], "b": [1.0, 3.5]}, ["a"])
    assert (first.error.value, second.error.value, first.differences) == (4.0, 2.25, {})
    difference = second.differences["a"]
    assert difference.value == -1.75
    # By hand: the standard error of -2 and -1.5 is 0.25, and Student's t with one degree of freedom is 12.706.
    assert difference.high - difference.value == pytest.approx(12.706 * 0.25, abs=1e-3)
    assert difference.p_value == pytest.approx(0.0903, abs=1e-4)
    assert mean_of([2.0, 2.0]).p_value == 0.0
    assert (p_text(0.0004), p_text(0.04)) == ("<.001", "0.040")
