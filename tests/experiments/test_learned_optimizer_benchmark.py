"""The benchmark of the learned optimizer at toy size."""

import json

import pytest

from nas.experiments.benchmarks import learned_optimizer


def test_both_ways_to_train_are_measured_and_agree(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(learned_optimizer, "UNROLL", 3)
    monkeypatch.setattr(learned_optimizer, "ROUNDS", 1)
    words = ["--parameters", "50", "--functions", "1"]
    learned_optimizer.main([*words, "--json"])
    document = json.loads(capsys.readouterr().out)
    assert (document["parameters"], document["functions"]) == (50, 1)
    assert document["deviation"] < 1e-4
    assert document["times"] == pytest.approx(document["plain_ms"] / document["unrolled_ms"])
    learned_optimizer.main([*words, "--out", str(tmp_path / "table.txt")])
    assert "A step on 50 parameters" in (tmp_path / "table.txt").read_text("utf-8")
