"""Course of a run: errors come before anything is written, and a resumed run equals an unbroken one.

As a script: a run that kills itself, `test_launch.py NAME EVENT`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from functools import cache
from typing import Any

import pytest
import torch
from helpers.launch import EVENTS, TRIALS, Crash, Quiet, crash_at, in_this_process, own_runs, result, toy  # noqa: F401  # fixtures
from safetensors import SafetensorError

from nas.config import from_json
from nas.errors import ConfigError, NasError, RunError, SearchError, SpaceError
from nas.evaluators.networks import weights
from nas.report.terminal import progress_text
from nas.runs import folder, launch, machine_faults, resume_checks
from nas.runs import summary as run_summary
from nas.runs.exporting import export_network
from nas.runs.launch import Outcome
from nas.search_spaces import Mlp
from nas.store import Store

EVENTS_OF_EACH_PHASE = (2, TRIALS, TRIALS + 3, TRIALS + 4, EVENTS)
"""In the search and at its end, in the measurements on fresh tasks and at their end, and at the end of the run."""


@cache
def unbroken() -> tuple[Any, ...]:
    """The result of the run that is not broken, which is the same in every test."""
    progress = Quiet()
    run = folder.new_run("whole", "toy")
    outcome = launch.start(toy(), run, progress)
    assert (outcome.state, progress.events) == ("done", EVENTS)
    assert outcome.final == run_summary.summary(run).final
    return result(run)


@pytest.mark.parametrize(
    "events", [EVENTS_OF_EACH_PHASE, pytest.param(range(1, EVENTS + 1), marks=pytest.mark.slow)], ids=["some", "all"]
)
def test_a_run_broken_at_any_event_and_resumed_is_bit_for_bit_the_unbroken_one(inline, events):
    whole = unbroken()
    assert len(whole[0]) == TRIALS
    for event in events:
        run = folder.new_run(f"broken{event}", "toy")
        with pytest.raises(Crash):
            launch.start(toy(), run, crash_at(event))
        assert run_summary.summary(run).state == "interrupted"
        progress = Quiet()
        launch.resume(run, progress)
        assert result(run) == whole
        assert event + progress.events >= EVENTS


def test_a_run_in_a_thread_is_the_one_in_the_main_thread(inline):
    """As in a web application or a notebook server, where Python lets no thread but the main one handle signals."""
    whole, errors = unbroken(), []
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]

    def search() -> None:
        try:
            launch.start(toy(), folder.new_run("threaded", "toy"), Quiet())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=search)
    thread.start()
    thread.join()
    assert errors == []
    assert result(folder.existing_run("threaded")) == whole
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers


def test_a_search_whose_automatic_name_was_taken_meanwhile_takes_the_next_number(inline):
    first, second = (folder.new_run(None, "toy.toml") for _ in range(2))
    assert first == second
    names = [launch.start(toy(), run, Quiet()).run.name for run in (first, second)]
    assert names == ["toy-1", "toy-2"]
    assert result(folder.existing_run("toy-1")) == result(folder.existing_run("toy-2"))


def test_a_run_broken_again_and_again_is_the_unbroken_one(inline):
    whole = unbroken()
    run = folder.new_run("again", "toy")
    with pytest.raises(Crash):
        launch.start(toy(), run, crash_at(1))
    for _ in range(3 * EVENTS):
        try:
            launch.resume(run, crash_at(1))
            break
        except Crash:
            continue
    assert result(run) == whole


def test_a_search_of_fewer_networks_than_trials_ends_and_says_so_and_has_distinct_finalists(inline, monkeypatch):
    few = toy(space={"max_depth": 1}, search={"trials": 30}, final={"top": 30, "seeds": 1})
    repeating = {"name": "regularized-evolution", "population": 30, "tournament": 1}
    few = from_json({**few.to_json(), "controller": repeating})
    heard: list[str] = []
    progress = Quiet()
    monkeypatch.setattr(progress, "exhausted", lambda: heard.append("exhausted"), raising=False)
    run = folder.new_run("few", "toy")
    assert launch.start(few, run, progress).state == "done"
    summary = run_summary.summary(run).to_json()
    new = [trial for trial in summary["trials"] if trial["repeats"] is None]
    assert heard == ["exhausted"]
    assert len(new) == len({trial["key"] for trial in new}) == 8
    assert summary["repeats"] == len(summary["trials"]) - 8 >= 200
    assert summary["outer_steps"] == 8 * 2
    assert sorted(entry["number"] for entry in summary["final"]["finalists"]) == [trial["number"] for trial in new]
    assert f"8 of 30 candidates, {summary['repeats']} duplicates" in progress_text(run_summary.summary(run))
    before = result(run)
    assert launch.resume(run, Quiet()).state == "done"
    assert result(run) == before


def test_a_graph_that_cannot_be_used_is_said_before_anything_is_written(inline, monkeypatch, runs_here):
    def graph(_self: Any, _spec: Any) -> Any:
        raise KeyError("edge")

    monkeypatch.setattr(Mlp, "graph", graph, raising=False)
    with pytest.raises(SpaceError, match=r"gives no usable graph of the architecture .*KeyError: 'edge'"):
        launch.start(toy(), folder.new_run("a", "toy"), Quiet())
    assert not runs_here.exists()


def test_killed_with_sigkill_in_search_and_finals_a_run_of_processes_is_the_unbroken_one(inline):
    """The killed ones are of processes, the others are not."""
    whole = unbroken()
    run = folder.run_of("killed")
    for event in (2, TRIALS - 2 + 3):
        ended = subprocess.run(
            [sys.executable, __file__, run.name, str(event)], capture_output=True, text=True, timeout=300
        )
        assert ended.returncode == -signal.SIGKILL, ended.stderr
        assert run_summary.summary(run).state == "interrupted"
    assert launch.resume(run, Quiet()).state == "done"
    assert result(run) == whole
    before = run.store_path.read_bytes()
    progress = Quiet()
    assert launch.resume(run, progress).final.to_json() == whole[3]
    assert progress.events == 0
    assert result(run) == whole
    assert len(run.store_path.read_bytes()) == len(before)
    with Store.open(run.store_path, readonly=True) as store:
        files = export_network(run, store, launch.build(folder.config_of(store)), run.folder / "net")
    assert {file.name for file in files} >= {"architecture.json", "model.py", "weights.safetensors"}


def test_interrupted_by_a_signal_a_run_stops_after_what_is_running_and_goes_on(inline):
    whole = unbroken()
    for event in (1, TRIALS + 2, EVENTS):
        run = folder.new_run(f"signal{event}", "toy")
        progress = Quiet(lambda heard, event=event: signal.raise_signal(signal.SIGINT) if heard == event else None)
        outcome = launch.start(toy(), run, progress)
        assert progress.stops == 1
        if event == EVENTS:
            assert outcome.state == "done"
        else:
            assert outcome == Outcome(run, "interrupted", None)
            assert run_summary.summary(run).state == "interrupted"
            assert (run.folder / "report.html").exists()
            if event < TRIALS:
                with Store.open(run.store_path, readonly=True) as store:
                    assert [trial.state for trial in store.trials()] == ["done"] * event
        assert launch.resume(run, Quiet()).state == "done"
        assert result(run) == whole


def test_what_is_wrong_is_said_before_anything_is_written(inline, runs_here):
    for tables, part in (
        ({"final": {"baseline": "conv4"}}, "conv4 needs images"),
        ({"space": {"name": "few-shot-cell", "widths": [8]}}, "no option 'max_depth'"),
        ({"tasks": {"shots": 10**15}}, "sinusoid shots = 1000000000000000; it must be a whole number from 1 to 10,000"),
        (
            {"space": {"widths": [10**15]}},
            "mlp widths = [1000000000000000]; give distinct whole numbers from 1 to 4,096",
        ),
        ({"space": {"max_depth": 10**15}}, "mlp max_depth = 1000000000000000; it must be a whole number from 1 to 100"),
        ({"tasks": {"name": "omniglot", "shots": 1}}, "path is not set"),
    ):
        with pytest.raises(NasError) as caught:
            launch.start(toy(**tables), folder.new_run("bad", "toy"), Quiet())
        assert part in str(caught.value)
        assert caught.value.exit_status == 2
        assert not runs_here.exists()


def test_a_device_that_is_not_there_is_refused(runs_here, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    if torch.cuda.device_count():
        pytest.skip("there is a GPU, and torch has seen it before")
    with pytest.raises(ConfigError, match="device is 'cuda' but torch sees no GPU"):
        launch.start(toy(search={"device": "cuda"}), folder.new_run("bad", "toy"), Quiet())
    assert not runs_here.exists()


def test_a_resume_without_its_data_stores_no_failures(inline, monkeypatch):
    """Data on a disk that is not there today must not make the rest of the candidates fail."""
    run = folder.new_run("away", "toy")
    with pytest.raises(Crash):
        launch.start(toy(), run, crash_at(2))
    before = result(run)

    def away(*_: Any) -> None:
        raise SpaceError("the disk is not there")

    with monkeypatch.context() as patch:
        patch.setattr("nas.evaluators.meta.MetaEvaluator.check", away)
        with pytest.raises(SpaceError, match="not there"):
            launch.resume(run, Quiet())
    assert result(run) == before
    assert launch.resume(run, Quiet()).state == "done"


def test_one_process_resumes_a_run_at_a_time(inline):
    run = folder.new_run("busy", "toy")
    with pytest.raises(Crash):
        launch.start(toy(), run, crash_at(1))
    with Store.open(run.store_path), pytest.raises(RunError):
        launch.resume(run, Quiet())
    assert launch.resume(run, Quiet()).state == "done"


def test_a_search_in_which_every_candidate_fails_is_a_failed_run_with_the_reason(inline, monkeypatch):
    run = folder.new_run("failing", "toy")

    def fail(*_: Any) -> None:
        raise ValueError("no luck today")

    with monkeypatch.context() as patch:
        patch.setattr("nas.evaluators.meta.MetaEvaluator.evaluate", fail)
        with pytest.raises(SearchError, match="no luck today"):
            launch.start(toy(), run, Quiet())
    summary = run_summary.summary(run).to_json()
    assert (summary["state"], summary["best"]) == ("failed", None)
    assert {trial["state"] for trial in summary["trials"]} == {"failed"}


def main(name: str, event: int) -> None:
    """Starts the toy run, or resumes it, and is killed at an event."""

    def kill(heard: int) -> None:
        if heard == event:
            os.kill(os.getpid(), signal.SIGKILL)

    run = folder.run_of(name)
    if run.folder.exists():
        launch.resume(run, Quiet(kill))
    else:
        launch.start(toy(), run, Quiet(kill))


SPACE = """
import torch
class Net(torch.nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.large = torch.linspace(0, 1, 300)
        self.body, self.head = torch.nn.Linear(inputs, 4), torch.nn.Linear(4, outputs)
    def forward(self, x):
        {forward}
        return self.head(torch.tanh(x))
class Space:
    name = "mine"
    def __init__(self, *, widths: tuple[int, ...], max_depth: int) -> None:
        pass
    def decide(self, choose):
        return choose("one", [1, 2, 3])
    def build(self, spec, task):
        return Net(task.input_shape[0], task.num_outputs)
"""


@pytest.mark.parametrize(
    ("forward", "file"),
    [
        ("assert x.dim() == 2; x = self.body(x)", "model.py"),
        ("x = self.body(x) + self.large.sum()", "model.pt2"),
        ("x = self.body(x) if x.sum() < 1e9 else x", None),
    ],
)
def test_how_a_winner_will_be_exported_is_known_before_the_search(inline, runs_here, tmp_path, caplog, forward, file):
    (tmp_path / "my_space.py").write_text(SPACE.replace("{forward}", forward))
    # A learner that runs no network under vmap, which would refuse what hangs on values.
    learner = {"name": "anil", "steps": 2, "inner_lr": 0.01}
    config = toy(space={"name": f"{tmp_path / 'my_space.py'}:Space"}, evaluator={"learner": learner})
    run = folder.new_run("mine", "mine")
    if file is None:
        with pytest.raises(SpaceError, match=r"of space 'mine' could not be exported: .*my_space\.py:"):
            launch.start(config, run, Quiet())
        assert not run.folder.exists()
        return
    launch.start(config, run, Quiet())
    warned = [record.message for record in caplog.records if "will be exported as model.pt2" in record.message]
    assert bool(warned) == (file == "model.pt2")
    with Store.open(run.store_path, readonly=True) as store:
        paths = export_network(run, store, resume_checks.parts_of(store), tmp_path / "out")
    assert {path.name for path in paths} & {"model.py", "model.pt2"} == {file}


def test_a_run_whose_weights_do_not_fit_on_the_disk_is_interrupted_and_resumes_to_the_full_result(
    inline, monkeypatch, caplog
):
    """The weights are those of the finals, the last of which are the baseline's."""
    whole, save = unbroken(), weights.save_file
    for count in (1, 4):
        written = iter(range(1, 100))

        def full(*args: Any, count: int = count, written: Any = written) -> None:
            if next(written) == count:
                raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")
            save(*args)

        run = folder.new_run(f"full{count}", "toy")
        with monkeypatch.context() as patched:
            patched.setattr(weights, "save_file", full)
            patched.setattr(machine_faults, "_is_sound", lambda _folder: False)
            outcome = launch.start(toy(), run, Quiet())
        assert (outcome.state, outcome.final, run_summary.summary(run).state) == ("interrupted", None, "interrupted")
        assert "No space left on device" in caplog.text
        caplog.clear()
        assert launch.resume(run, Quiet()).state == "done"
        assert result(run) == whole


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
