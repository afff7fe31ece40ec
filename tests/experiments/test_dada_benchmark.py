"""The benchmark of DADA's search step at toy size."""

import json

import pytest

from nas.experiments.benchmarks import dada

TINY = ["--batch", "4", "--side", "6", "--width", "2", "--rounds", "3"]


@pytest.mark.parametrize("channels", ["1", "3"])
def test_both_steps_are_measured_in_every_round(capsys, channels):
    dada.main([*TINY, "--channels", channels, "--json"])
    document = json.loads(capsys.readouterr().out)
    assert {name: len(row) for name, row in document["seconds"].items()} == {"plain": 3, "search": 3}
    assert all(seconds > 0 for row in document["seconds"].values() for seconds in row)
    each = sorted(s / p for s, p in zip(document["seconds"]["search"], document["seconds"]["plain"], strict=True))
    assert document["ratio"] == pytest.approx(each[1])


def test_the_table_has_both_steps_and_their_ratio(capsys, tmp_path):
    out = tmp_path / "dada.txt"
    dada.main([*TINY, "--out", str(out)])
    printed = capsys.readouterr().out
    assert out.read_text() == printed
    assert [line.split()[0] for line in printed.splitlines()[2:]] == ["plain", "search", "ratio"]
    assert "target 4: " in printed
