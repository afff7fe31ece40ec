"""The simulation of finals: its truth against brute force, its table, and coverage at small size."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from nas.experiments import interval_coverage
from nas.experiments.interval_coverage import Row, Scenario, Table, rows, simulate, study, text, truth

SMALL = Scenario("small", tasks=60, groups=12, classes=4, unit_sd=0.4, class_sd=0.2)
TASKS = replace(SMALL, name="tasks", groups=0, classes=1, unit_sd=0.0, class_sd=0.0)


def test_the_truth_is_the_mean_of_many_simulations():
    rng = np.random.default_rng(1)
    finals = [simulate(SMALL, rng) for _ in range(60)]
    means = np.array([[np.mean([score.value for score in of]) for of in one.scores[:2]] for one in finals])
    for network in (0, 1):
        error = means[:, network].std() / len(finals) ** 0.5
        assert abs(means[:, network].mean() - truth(SMALL, network, None)) < 4 * error
    assert truth(SMALL, 0, np.array([0.3])) > truth(SMALL, 0, np.array([0.0, 0.1])) > truth(SMALL, 0, np.array([-0.2]))


@pytest.mark.parametrize(
    "scenario",
    [
        TASKS,
        replace(TASKS, name="one network", logits=(1.73,), seed_sds=(0.157,)),
        SMALL,
        replace(SMALL, name="one alphabet a task", groups=5, classes=12, within=True),
    ],
    ids=lambda scenario: scenario.name,
)
def test_intervals_of_small_finals_hold_the_truth_in_about_95_percent(scenario):
    rng = np.random.default_rng(2)
    studies = 200
    found = list(rows(scenario, [study(scenario, rng) for _ in range(studies)]))
    quantities = ("accuracy", "difference")[: len(scenario.logits)]
    assert {(row.what, row.seeds) for row in found} == {
        (w, seeds) for w in quantities for seeds in interval_coverage.SEEDS
    }
    for row in found:  # three standard errors of the count
        assert row.coverage > 0.95 - 3 * (0.95 * 0.05 / studies) ** 0.5, row
    assert 0.935 < np.mean([row.coverage for row in found]) < 0.975


def test_the_script_writes_its_table_beside_an_earlier_one(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(interval_coverage, "SCENARIOS", (replace(SMALL, tasks=6),))
    interval_coverage.main(["--studies", "2", "--json"])
    document = json.loads(capsys.readouterr().out)
    assert [row["seeds"] for row in document["rows"]] == [1, 1, 2, 2, 3, 3, 5, 5, 10, 10]
    earlier = tmp_path / "before.json"
    earlier.write_text(json.dumps({**document, "note": "Before: an earlier commit."}))
    out = tmp_path / "coverage.txt"
    interval_coverage.main(["--studies", "2", "--minutes", "1", "--before", str(earlier), "--out", str(out)])
    shown = capsys.readouterr().out
    assert out.read_text("utf-8").splitlines()[1:] == shown.splitlines()
    assert "Before: an earlier commit." in shown
    [line] = [line for line in shown.splitlines() if line.split()[:3] == ["small", "accuracy", "1"]]
    assert line.split()[3:5] == line.split()[5:7]
    table = Table(2, tuple(Row(**row) for row in document["rows"]), None, ("A note.",), {"cpu": "a"})
    assert text(table).count("before") == 0


def test_the_script_ends_in_time_with_whole_blocks_and_says_how_many_studies_it_made(capsys, monkeypatch):
    monkeypatch.setattr(interval_coverage, "SCENARIOS", (replace(SMALL, tasks=6),))
    monkeypatch.setattr(interval_coverage, "BLOCK", 2)
    interval_coverage.main(["--studies", "4", "--json"])
    whole = json.loads(capsys.readouterr().out)
    monkeypatch.setattr(interval_coverage, "time", SimpleNamespace(monotonic=iter([0.0, 59.0, 61.0]).__next__))
    interval_coverage.main(["--studies", "6", "--minutes", "1", "--json"])
    cut = json.loads(capsys.readouterr().out)
    assert (cut["studies"], cut["rows"]) == (4, whole["rows"])
