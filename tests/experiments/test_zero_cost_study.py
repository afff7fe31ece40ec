"""Study of zero-cost scores: runs at toy size on both of its sources, and its table."""

from __future__ import annotations

import json

import pytest
from helpers.project import ROOT, needs_checkout
from scipy.stats import kendalltau

from nas.experiments import zero_cost

DATA = ROOT.parent / "shared" / "data"
CELLS = ROOT / "experiments" / "results" / "fidelity_any_size_cells.jsonl"
needs_data = pytest.mark.skipif(not DATA.exists(), reason="needs omniglot_28.npz and the table beside the checkout")


def row(synflow, naswot, parameters, accuracy):
    scores = {"synflow": synflow, "naswot": naswot, "grad-norm": naswot % 2, "parameters": parameters}
    return zero_cost.Network(scores, accuracy, 0.5)


def test_a_network_that_no_signal_passes_ranks_lowest():
    rows = [row(float("-inf"), 5, 10, 0.1), row(2, 1, 20, 0.2), row(3, 2, 15, 0.3), row(9, 3, 40, 0.4)]
    table = zero_cost.correlations(rows, "what is known", {"synflow": 0.74})
    document = json.loads(json.dumps(table.to_json()))
    assert list(document) == ["what", "networks", "seconds", "scores", "machine"]
    scores = document["scores"]
    assert scores["synflow"]["tau"] == scores["synflow"]["spearman"] == pytest.approx(1)
    assert scores["naswot"]["tau"] == pytest.approx(kendalltau([5, 1, 2, 3], range(4)).statistic)
    assert scores["grad-norm"]["tau"] == pytest.approx(kendalltau([1, 1, 0, 1], range(4)).statistic)
    assert scores["parameters"]["over_size"] == 0
    shown = zero_cost.text(table)
    assert "zero-cost scores with what is known, 4 networks" in shown
    [line] = [line for line in shown.splitlines() if line.startswith("synflow")]
    assert line.split()[-2:] == ["1.00", "0.74"]


@needs_data
def test_the_cells_that_were_trained(tmp_path, capsys):
    lines = CELLS.read_text("utf-8").splitlines()
    few = tmp_path / "trainings.jsonl"
    few.write_text("\n".join(lines[:4]))
    zero_cost.main(["--cells", str(few), "--path", str(DATA / "omniglot_28.npz"), "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["networks"] == 4
    assert found["scores"].keys() == {"synflow", "naswot", "grad-norm", "parameters"}


@needs_data
def test_the_published_table(tmp_path, capsys):
    out = tmp_path / "table.txt"
    zero_cost.main(["--table", str(DATA / "nas_bench_201_cifar10.npz"), "--count", "3", "--out", str(out)])
    assert out.read_text("utf-8").splitlines()[1:] == capsys.readouterr().out.splitlines()
    assert out.read_text("utf-8").startswith("$ python -m nas.experiments.zero_cost --table ")


def test_a_file_that_cannot_be_read_is_reported(tmp_path, capsys):
    file = tmp_path / "no.jsonl"
    file.write_text("{")
    with pytest.raises(SystemExit) as caught:
        zero_cost.main(["--cells", str(file)])
    assert caught.value.code == 2
    assert "no.jsonl cannot be read" in capsys.readouterr().err


@needs_checkout
def test_each_cell_of_the_committed_file_has_an_accuracy():
    lines = [json.loads(line) for line in CELLS.read_text("utf-8").splitlines()]
    values = [line["rungs"]["675"]["value"] for line in lines if line["seed"] == 0]
    assert (len(values), min(values), max(values)) == (40, pytest.approx(0.054), pytest.approx(0.6785))
