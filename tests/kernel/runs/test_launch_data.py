"""Data of a run: it is continued only with the data that it was started with, from any folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.cli import Said, command_here  # noqa: F401  # fixture
from helpers.launch import Crash, Quiet, crash_at, in_this_process, own_runs, result, toy  # noqa: F401  # fixtures

from nas import compare
from nas import config as configs
from nas.compare.one_search import entered, fingerprint
from nas.config.paths import absolute_paths, data_files, without_data_folders
from nas.errors import DataError, ProtocolError
from nas.evaluators.meta_training import bank_digest
from nas.evaluators.tasks import sequence_sets
from nas.runs import folder as runs
from nas.runs import launch
from nas.runs import summary as run_summary
from nas.runs.folder import RunFolder
from nas.runs.measurements import Measurement
from nas.store import Store
from nas.task import Bank
from nas.trial import Score

SERIES = {"name": "sequences", "ways": 2, "shots": 1, "queries": 1, "length": 8}
ANIL = {"learner": {"name": "anil", "inner_lr": 0.01, "steps": 1}, "norm": "none"}


def series(file: Path, seed: int = 0) -> Path:
    draw, labels = np.random.default_rng(seed), np.repeat([f"class{i}" for i in range(6)], 3)
    file.parent.mkdir(parents=True, exist_ok=True)
    np.savez(file, series=draw.normal(size=(18, 8)), labels=labels)
    forget()
    return file


def forget() -> None:
    """What a process keeps of data for its life: the tests' process stands for the workers of several runs."""
    sequence_sets.class_set.cache_clear()
    bank_digest._digest.cache_clear()


def table(file: Path, raised: int = 0) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    rows = [f"{a},{b},{a + b + raised},{a * b}" for a in range(4) for b in range(4)]
    file.write_text("\n".join(["a,b,val,test", *rows]))
    return file


def on_series(path: str, **tables: Any) -> configs.Config:
    config = toy(tasks=SERIES | {"path": path}, evaluator=ANIL, **tables)
    return config.model_copy(update={"tasks": config.tasks.model_copy(update={"name": "sequences"})})


def on_table(path: str, rows: str = "") -> configs.Config:
    space = {"name": f"table:{rows or path}", "choices": ["a", "b"]}
    evaluator = {"name": "tabular", "path": path, "report": "test"}
    return configs.from_json({"space": space, "controller": {"name": "random"}, "evaluator": evaluator})


def broken(config: configs.Config, event: int, name: str = "a") -> RunFolder:
    run = runs.new_run(name, "toy")
    with pytest.raises(Crash):
        launch.start(config, run, crash_at(event))
    return run


def content(run: RunFolder) -> tuple[Any, ...]:
    with Store.open(run.store_path, readonly=True) as store:
        return store.trials(), store.items("measured/"), store.get("final")


@pytest.mark.parametrize("event", [2, 5])
def test_a_run_whose_series_have_changed_is_not_continued(inline: None, tmp_path: Path, event: int) -> None:
    """Neither its search nor its finals."""
    file = series(tmp_path / "mine.npz")
    run = broken(on_series(str(file)), event)
    before = content(run)
    series(file, seed=1)
    with pytest.raises(ProtocolError) as caught:
        launch.resume(run, Quiet())
    assert str(caught.value).startswith(f"{file} has changed since this run was started (bank.hash was '")
    assert "tasks.digest was '" in str(caught.value)
    assert caught.value.exit_status == 2
    assert content(run) == before
    series(file)
    assert launch.resume(run, Quiet()).state == "done"
    series(file, seed=1)
    assert launch.resume(run, Quiet()).state == "done"


def test_a_resume_from_another_folder_reads_the_same_file(
    inline: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder, seed in (("here", 0), ("there", 1)):
        series(tmp_path / folder / "mine.npz", seed)
    monkeypatch.chdir(tmp_path / "here")
    whole = runs.new_run("whole", "toy")
    launch.start(on_series("mine.npz"), whole, Quiet())
    run = broken(on_series("mine.npz"), 2)
    monkeypatch.chdir(tmp_path / "there")
    assert launch.resume(run, Quiet()).state == "done"
    assert result(run) == result(whole)
    assert run_summary.summary(run).to_json()["config"]["tasks"]["path"] == str(tmp_path / "here" / "mine.npz")
    assert run_summary.summary(run).to_json()["mixed"] == []


def as_of_an_earlier_version(run: RunFolder, config: configs.Config) -> None:
    """The run as a version made it that kept no protocol, and the paths as they were written."""
    with Store.open(run.store_path) as store:
        store.put("meta", {"config": config.to_json(), "files": {}})


def test_a_run_of_an_earlier_version_is_compared_with_its_first_score(
    inline: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder, seed in (("here", 0), ("there", 1)):
        series(tmp_path / folder / "mine.npz", seed)
    monkeypatch.chdir(tmp_path / "here")
    run = broken(on_series("mine.npz"), 2)
    as_of_an_earlier_version(run, on_series("mine.npz"))
    monkeypatch.chdir(tmp_path / "there")
    forget()
    before = content(run)
    with pytest.raises(ProtocolError, match=r"there/mine\.npz has changed since this run was started \(bank\.hash was"):
        launch.resume(run, Quiet())
    assert content(run) == before
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"mine\.npz does not exist"):
        launch.resume(run, Quiet())
    monkeypatch.chdir(tmp_path / "here")
    forget()
    assert launch.resume(run, Quiet()).state == "done"


@pytest.mark.parametrize(("changed", "earlier"), [("scores", False), ("rows", False), ("scores", True)])
def test_a_run_on_a_table_that_has_changed_is_not_continued(tmp_path: Path, changed: str, earlier: bool) -> None:
    scores, rows = table(tmp_path / "scores.csv"), table(tmp_path / "rows.csv", raised=7)
    config = on_table(str(scores), str(rows))
    run = runs.new_run("a", "toy")

    class Stops(Quiet):
        def started(self, *_: Any) -> None:
            pass

        def trial(self, trial: Any, best: Any) -> None:
            if trial.number == 2:
                raise Crash

    with pytest.raises(Crash):
        launch.start(config, run, Stops())
    if earlier:
        as_of_an_earlier_version(run, config)
    table(tmp_path / f"{changed}.csv", raised=1)
    with pytest.raises(ProtocolError, match=r"scores\.csv or .*rows\.csv has changed since this run was started"):
        launch.resume(run, Stops())


def test_data_that_change_while_a_run_goes_on_are_refused_at_the_first_score(inline: None, tmp_path: Path) -> None:
    file = series(tmp_path / "mine.npz")

    def change(event: int) -> None:
        if event == 2:
            series(file, seed=1)

    run = runs.new_run("a", "toy")
    with pytest.raises(
        ProtocolError, match=r"the scores of trials 0 and 2, both of budget 2, would be of two protocols"
    ):
        launch.start(on_series(str(file)), run, Quiet(change))
    assert [trial.state for trial in content(run)[0]] == ["done", "done", "pending"]
    summary = run_summary.summary(run).to_json()
    assert (summary["state"], summary["mixed"]) == ("failed", [])


def two_protocols(run: RunFolder) -> None:
    """The run as an earlier version could leave it: some scores are of other data."""
    with Store.open(run.store_path) as store:
        trials = store.trials()
        keep = store._check_protocol
        store._check_protocol = lambda *_: None
        [more] = store.propose([trials[0].architecture], trials[0].budget, 0)
        data = trials[0].score.to_json()
        data["protocol"]["tasks"]["digest"] = "other"
        store.finish(replace(more, state="done", score=Score.from_json(data), seconds=1.0))
        store._check_protocol = keep


def test_a_store_of_two_protocols_is_named_and_not_continued(
    inline: None, tmp_path: Path, call: Callable[..., Said], monkeypatch: pytest.MonkeyPatch, runs_here: Path
) -> None:
    monkeypatch.setenv("NAS_RUNS", str(runs_here))
    run = broken(on_series(str(series(tmp_path / "mine.npz"))), 2)
    two_protocols(run)
    shown = call("show", "a")
    assert (shown.status, shown.err) == (0, "")
    assert "warning: the scores of trials of budget 2 are of 2 protocols" in shown.out
    document = json.loads(call("show", "a", "--json").out)
    [entry] = document["mixed"]
    assert (entry["budget"], entry["keys"]) == (2, ["tasks.digest"])
    assert entry["groups"][0][:2] == [0, 1]
    assert len(entry["groups"][1]) == 1
    before = content(run)
    ended = call("resume", "a")
    assert (ended.status, ended.out) == (2, "")
    assert ended.err.count("\n") == 1
    assert "are of 2 protocols and cannot be ranked: tasks.digest differ" in ended.err
    assert content(run) == before


def test_final_measurements_of_two_protocols_are_refused(inline: None, tmp_path: Path) -> None:
    run = broken(toy(), 6)
    with Store.open(run.store_path) as store:
        for key, record in store.items("measured/").items():
            record["score"]["protocol"]["tasks"]["phases"] = [0, 1]
            store.put(key, record)
    before = content(run)
    with pytest.raises(
        ProtocolError, match=r"the final validation measurements would be of two protocols \(tasks\.phases"
    ):
        launch.resume(run, Quiet())
    assert content(run) == before
    assert Measurement(before[0][0].architecture, 1, Bank("validation", 0, 1)).key.startswith("measured/validation/")


def test_a_comparison_does_not_take_results_on_other_data(inline: None, tmp_path: Path) -> None:
    file = series(tmp_path / "mine.npz")
    config = absolute_paths(on_series(str(file)))
    prints = []
    for seed in (0, 1, 0):
        series(file, seed)
        prints.append(fingerprint(entered(config, "random", 0)))
    assert prints[0] == prints[2] != prints[1]


class Heard(Quiet):
    """Calls `at` with the number of searches of a comparison that have ended."""

    def searched(self, done: int, of: int) -> None:
        self.at(done)

    def trial(self, trial: Any, best: Any) -> None:
        pass

    def measured(self, done: int, of: int) -> None:
        pass


def test_a_comparison_keeps_no_result_on_data_that_changed_meanwhile(tmp_path: Path) -> None:
    file = table(tmp_path / "scores.csv")
    config = on_table(str(file)).model_copy(update={"search": configs.SearchTable(workers=1, trials=5)})
    change = Heard(lambda done: table(file, raised=1) and None if done == 1 else None)
    with pytest.raises(ProtocolError, match=r"changed while the comparison went on; random with seed \d was not kept"):
        compare.compare(config, ["random"], 3, tmp_path / "kept", change)
    with Store.open(tmp_path / "kept" / "results.sqlite", readonly=True) as store:
        assert len(store.items("result/")) == 1
    done: list[int] = []
    assert compare.compare(config, ["random"], 3, tmp_path / "kept", Heard(done.append)) is not None
    assert done == [0, 1, 2, 3]


def test_a_comparison_takes_no_result_of_a_run_on_other_data(inline: None, tmp_path: Path) -> None:
    """A run that another version, or a change while it began, left under the name of this comparison's search."""
    config = absolute_paths(on_series(str(series(tmp_path / "mine.npz"))))
    results = compare.compare(config, ["random"], 1, tmp_path / "kept", Heard())
    [run] = [RunFolder(path.name, path) for path in (tmp_path / "kept" / "runs").iterdir()]
    with Store.open(run.store_path) as store:
        meta = store.meta
        meta["protocol"]["tasks"]["digest"] = "other"
        store.put("meta", meta)
    assert compare.compare(config, ["random"], 1, tmp_path / "kept", Heard()) == results
    (tmp_path / "kept" / "results.sqlite").unlink()
    with pytest.raises(
        ProtocolError, match=r"mine\.npz has changed since this run was started \(tasks\.digest was 'other'"
    ):
        compare.compare(config, ["random"], 1, tmp_path / "kept", Heard())


def test_a_protocol_of_another_version_does_not_blame_the_data(inline: None, tmp_path: Path) -> None:
    run = broken(on_series(str(series(tmp_path / "mine.npz"))), 2)
    with Store.open(run.store_path) as store:
        meta = store.meta
        meta["protocol"]["bank"]["hash"] = "of then"
        store.put("meta", meta)
    with pytest.raises(
        ProtocolError, match=r"^its tasks, or adaptnas itself, have changed .*\(bank\.hash was 'of then'"
    ):
        launch.resume(run, Quiet())


def test_an_export_tells_the_names_of_data_and_not_their_folders(tmp_path: Path) -> None:
    config = without_data_folders(on_series(str(tmp_path / "mine.npz")))
    assert config.tasks is not None
    assert config.tasks.options["path"] == "mine.npz"
    assert str(tmp_path) not in json.dumps(config.to_json())


def test_every_path_of_a_config_becomes_absolute_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    config = on_series("a/mine.npz").model_copy(update={"space": on_table("rows.csv").space})
    absolute = absolute_paths(config)
    assert absolute.tasks is not None
    assert absolute.tasks.options == {**config.tasks.options, "path": str(tmp_path / "a" / "mine.npz")}  # type: ignore[union-attr]
    assert absolute.space.name == f"table:{tmp_path / 'rows.csv'}"
    assert data_files(absolute) == [str(tmp_path / "a" / "mine.npz"), str(tmp_path / "rows.csv")]
    assert absolute_paths(absolute) == absolute
    home = absolute_paths(on_table("~/scores.csv", "rows.csv"))
    assert home.evaluator.options["path"] == str(tmp_path / "home" / "scores.csv")
    assert absolute_paths(on_table("~nobody-here/x.csv")).evaluator.options["path"] == f"{tmp_path}/~nobody-here/x.csv"
    unknown = toy(tasks={"name": "sinusoid", "path": "x"})
    assert absolute_paths(unknown) == unknown
