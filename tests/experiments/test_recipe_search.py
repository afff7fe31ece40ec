"""The study of recipes, at toy size and with few outer steps in place of seconds: it goes on from kept runs."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from helpers.cli import in_this_process  # noqa: F401  # the fixture `inline`

from nas.errors import ConfigError
from nas.experiments.reproduce import recipe_search

TOY = """
seeds = [0, 1]
control = "architecture"
[tables.tasks]
name = "glyphs"
ways = 3
queries = 2
[tables.evaluator]
name = "recipe"
unit = "outer steps"
budget = 2
tasks_per_step = 1
validation_tasks = 4
[tables.search]
trials = 2
seconds = 30
workers = 1
[tables.final]
top = 1
seeds = 1
budget = 1
validation_tasks = 4
tasks = 4
attribution = false
baseline = {{ name = "conv4", width = 4 }}
[arms.recipe]
space = {{ name = "recipe", learners = ["protonet"], architecture = {{ name = "conv4", width = 4 }} }}
controller = {{ name = "random" }}
[arms.{second}]
space = {{ name = "conv-chain", filters = [2], heights = [1], widths = [3], depths = [1] }}
controller = {{ name = "random" }}
"""


def written(path, second="architecture"):
    path.write_text(TOY.format(second=second))
    return path


def test_the_study_runs_to_the_end_and_goes_on_from_kept_runs(inline, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(recipe_search, "worker_processes", ThreadPoolExecutor)  # processes would import torch anew
    out, settings = tmp_path / "table.txt", written(tmp_path / "toy.toml")
    arguments = ["--settings", str(settings), "--work", str(tmp_path / "work"), "--workers", "1"]
    recipe_search.main([*arguments, "--out", str(out)])
    table = out.read_text()
    assert table.startswith("$ python -m nas.experiments.reproduce.recipe_search --settings")
    for part in ("recipe − architecture", "baseline", "glyphs 3-way", "2 seeds", "Machine: "):
        assert part in table
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.glob("work/*/trials.sqlite")}
    assert len(kept) == 4
    recipe_search.main([*arguments, "--json"])
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    study = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [(each["arm"], each["seed"]) for each in study["searches"]] == [
        ("recipe", 0),
        ("architecture", 0),
        ("recipe", 1),
        ("architecture", 1),
    ]
    errors = {each["name"]: each["values"] for each in study["errors"]}
    for each in study["searches"]:
        assert errors[each["arm"]][each["seed"]] == pytest.approx(100 - 100 * each["accuracy"])
        assert each["candidates"] == 2


def test_the_shipped_arms_differ_in_what_they_search_alone():
    settings = recipe_search.load(None)
    assert len(settings.seeds) >= 5
    configs = [settings.config(arm, 3, None).to_json() for arm in settings.arms]
    for config in configs[1:]:
        for table in ("tasks", "evaluator", "search", "final"):
            assert config[table] == configs[0][table]


def test_a_control_that_is_no_arm_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"control = 'architecture' is no arm; give one of recipe, network"):
        recipe_search.load(written(tmp_path / "toy.toml", second="network"))
