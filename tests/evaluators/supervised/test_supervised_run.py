"""A search with ordinary training from end to end: rungs, resume, finals, report, export, load, and use elsewhere."""

from __future__ import annotations

import json
import re

import pytest
import torch
from helpers.labelled import write_fashion_mnist
from helpers.launch import Quiet, in_this_process  # noqa: F401  # the fixture `inline`
from helpers.project import python
from safetensors.torch import load_file

import nas
from nas.config import from_json
from nas.errors import ConfigError
from nas.registry.builtin import BUILT_IN
from nas.report.html import write_html
from nas.report.terminal import final_text, progress_text
from nas.runs import folder, launch, summary
from nas.runs.exporting import ExportOptions, export_network
from nas.store import Store

PHRASES = (
    "meta-train",
    "meta-learn",
    "outer step",
    "few examples",
    "few-shot",
    "tasks",
    "classes that the search never saw",
)
"""What would be wrong to say of a network that is trained on one data set."""


def config_of(data, **tables):
    usual = {
        "space": {"name": "conv-chain", "heights": [3], "widths": [3], "filters": [2, 4], "depths": [1, 2]},
        "controller": {"name": "evolution", "population": 2, "tournament": 2},
        "tasks": {"name": "fashion-mnist", "path": str(data), "validation_examples": 60},
        "evaluator": {"name": "supervised", "budget": 2, "batch": 16, "crop": 0, "flip": False},
        "search": {"trials": 3, "workers": 1, "device": "cpu", "control": "random"},
        "final": {"top": 1, "seeds": 2, "validation_tasks": 30, "tasks": 40, "baseline": "conv4"},
    }
    return from_json({name: {**table, **tables.get(name, {})} for name, table in usual.items()})


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_fashion_mnist(tmp_path_factory.mktemp("data"))


@pytest.fixture
def runs(tmp_path, monkeypatch):
    monkeypatch.setenv("NAS_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NAS_RUNS", str(tmp_path_factory.mktemp("runs")))
        run = folder.new_run(None, "toy")
        outcome = launch.start(config_of(data, search={"fidelity": {"rungs": 2, "eta": 2}}), run, Quiet())
    assert outcome.state == "done"
    return run, outcome.final


def test_the_finals_measure_winner_and_baseline_on_the_test_examples(finished):
    run, final = finished
    assert set(final.tested) == {"winner", "baseline", "control"}
    assert not final.failures
    for entry in final.tested.values():
        assert entry.protocol["bank"]["split"] == "test"
        assert entry.protocol["bank"]["count"] == 40
        assert 0 <= entry.value <= 1
        assert entry.estimate.interval is not None
    assert final.warning == (
        "measured on 30 validation examples, 40 test examples; numbers to report need at least 600 examples"
    )
    trials = summary.summary(run).trials
    assert {trial.budget for trial in trials} == {1, 2}
    assert {trial.score.outer_steps for trial in trials if trial.score} == {1.0}, "a promotion trains the rest alone"


def test_reports_speak_of_examples_and_epochs(finished, tmp_path):
    run, final = finished
    told = summary.summary(run)
    write_html(tmp_path / "page.html", name="toy", config=told.config, trials=told.trials, final=final)
    page = (tmp_path / "page.html").read_text("utf-8")
    parts = re.findall(r"<(?:h1|h2|p|div|figcaption|th)\b[^>]*>([^<]*)", page)  # without config and protocol
    text = "\n".join([final_text(final), progress_text(told), *parts])
    assert "epochs" in text
    assert "40 test examples, paired" in text
    assert "trained on one data set" in text
    assert [phrase for phrase in PHRASES if phrase in text] == []


def exported(finished, target, options=None):
    run, _ = finished
    from nas.config import parts
    from nas.runs.folder import config_of as config_in

    with Store.open(run.store_path) as store:
        built = parts.build(config_in(store))
        export_network(run, store, built, target, options or ExportOptions())
    return built


def test_an_export_classifies_as_it_is(finished, tmp_path):
    built = exported(finished, tmp_path / "net")
    network = tmp_path / "net"
    card = (network / "card.md").read_text("utf-8")
    assert [phrase for phrase in PHRASES if phrase in card] == []
    assert "tells 10 classes apart" in card
    assert "Ankle boot" in card
    assert "meta-learned" not in (network / "model.py").read_text("utf-8")
    code = (
        "import json, torch\nfrom safetensors.torch import load_file\nfrom model import Network\n"
        "network = Network()\nnetwork.load_state_dict(load_file('weights.safetensors'))\n"
        "x = torch.linspace(0, 1, 4 * 784).reshape(4, 1, 28, 28)\n"
        "print(json.dumps([network(x).tolist(), network.eval()(x).tolist()]))\n"
    )
    (network / "use.py").write_text(code)
    in_training, in_evaluation = (torch.tensor(rows) for rows in json.loads(python(["use.py"], network)))
    torch.testing.assert_close(in_training, in_evaluation)
    final = finished[1]
    trained = built.measurer.trained(
        final.winner.architecture,
        2,
        final.winner.weights_seed,
        finished[0].weights(final.winner.architecture, final.winner.weights_seed),
    )
    x = torch.linspace(0, 1, 4 * 784).reshape(4, 1, 28, 28)
    torch.testing.assert_close(in_evaluation, trained(x).detach(), rtol=1e-4, atol=1e-5)
    assert any("mean" in name or "variance" in name for name in load_file(network / "weights.safetensors"))


def test_an_export_is_adapted_to_other_classes_by_a_new_head(finished, tmp_path):
    built = exported(finished, tmp_path / "net")
    predictor = nas.load(tmp_path / "net")
    x, y = built.measurer.tasks.examples("test", torch.device("cpu"))
    chosen = (y == 2) | (y == 7)
    images, labels = x[chosen].float() / 255, ["low" if label == 2 else "high" for label in y[chosen].tolist()]
    predicted = predictor.fit(list(images[:4]), labels[:4]).predict(list(images[4:]))
    right = [one == other for one, other in zip(predicted.labels, labels[4:], strict=True)]
    assert sum(right) > len(right) / 2


def test_plain_pre_training_of_what_is_trained_plainly_is_refused(finished, tmp_path):
    with pytest.raises(ConfigError, match="leave out --pretrained"):
        exported(finished, tmp_path / "net", ExportOptions(pretrained=True))


@pytest.mark.parametrize("event", [2, 4, 7])
def test_a_run_that_was_stopped_continues_to_the_same_result(data, runs, event, inline):
    config = config_of(data, search={"control": "none"})
    whole = folder.new_run(None, "whole")
    expected = launch.start(config, whole, Quiet()).final

    def interrupt(at):
        if at == event:
            raise KeyboardInterrupt

    stopped = folder.new_run(None, "stopped")
    with pytest.raises(KeyboardInterrupt):
        launch.start(config, stopped, Quiet(interrupt))
    continued = launch.resume(stopped, Quiet()).final
    assert [entry.seeds for entry in continued.tested.values()] == [entry.seeds for entry in expected.tested.values()]
    assert continued.winner.key == expected.winner.key


def test_a_bank_beyond_the_test_split_is_refused_before_the_search(data, runs):
    config = config_of(data, final={"tasks": 41})
    run = folder.new_run(None, "large")
    with pytest.raises(ConfigError, match="ask for 40 at most"):
        launch.start(config, run, Quiet())


def test_the_registry_has_it():
    assert BUILT_IN["evaluator"]["supervised"] == "nas.evaluators.supervised:SupervisedEvaluator"
