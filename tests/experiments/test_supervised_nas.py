"""The study of architecture search with ordinary training, at toy size: it ends, and goes on from kept scores."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from helpers.labelled import write_fashion_mnist
from scipy import stats

from nas.errors import ConfigError
from nas.experiments.reproduce import supervised_nas
from nas.experiments.reproduce.paired_errors import mean_of

TOY = """
seeds = [0, 1]
[space]
name = "conv-chain"
heights = [1, 3]
widths = [3]
filters = [2, 4]
depths = [1]
[tasks]
name = "fashion-mnist"
path = "{data}"
train_examples = 40
validation_examples = 60
[evaluator]
name = "supervised"
budget = 1
batch = 16
[search]
trials = 3
[controllers.random]
[controllers.evolution]
population = 2
tournament = 2
[fresh]
budget = 1
seeds = 2
examples = 30
[test]
budget = 1
seeds = 2
examples = 40
train_examples = 80
baseline = "conv4"
"""


@pytest.fixture
def settings(tmp_path):
    path = tmp_path / "settings.toml"
    path.write_text(TOY.format(data=write_fashion_mnist(tmp_path / "data")))
    return path


def test_the_study_runs_to_the_end_and_goes_on_from_kept_scores(settings, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(supervised_nas, "worker_processes", ThreadPoolExecutor)  # processes would import torch anew
    work, out = tmp_path / "work", tmp_path / "table.txt"
    arguments = ["--settings", str(settings), "--work", str(work), "--workers", "1"]
    supervised_nas.main([*arguments, "--out", str(out)])
    table = out.read_text()
    assert table.startswith("$ python -m nas.experiments.reproduce.supervised_nas --settings")
    for part in ("random", "evolution", "best − baseline conv4", "Machine: ", "3 candidates a search, 2 seeds"):
        assert part in table
    kept = {path: path.stat().st_mtime_ns for path in work.iterdir()}
    assert {path.suffix for path in kept} == {".json"}
    supervised_nas.main([*arguments, "--json"])
    assert {path: path.stat().st_mtime_ns for path in work.iterdir()} == kept
    study = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert len(study["searches"]) == 4
    for each in study["searches"]:
        assert each["curve"] == sorted(each["curve"])
        assert each["curve"][-1] == each["value"]
        assert len(each["curve"]) == 3


def test_the_shipped_settings_can_be_used():
    settings = supervised_nas.load(None)
    assert list(settings.controllers) == ["random", "evolution", "reinforce"]
    assert len(settings.seeds) >= 5
    for name in settings.controllers:
        assert settings.config(name, 3).search.seed == 3


def test_settings_that_cannot_be_used_are_refused(settings):
    text = settings.read_text()
    settings.write_text(text.replace("[controllers.random]", "[controllers.reinforce]"))
    with pytest.raises(ConfigError, match="random and at least one other"):
        supervised_nas.load(settings)
    settings.write_text(text.replace("[fresh]", "[fresher]"))
    with pytest.raises(ConfigError, match="fresh"):
        supervised_nas.load(settings)


def test_the_interval_of_a_difference_is_that_of_a_paired_t_test():
    first, second = [0.5, 0.7, 0.61, 0.66], [0.45, 0.71, 0.5, 0.6]
    apart = mean_of(np.subtract(first, second))
    expected = stats.ttest_rel(first, second).confidence_interval(0.95)
    assert (apart.low, apart.high) == pytest.approx((expected.low, expected.high))
