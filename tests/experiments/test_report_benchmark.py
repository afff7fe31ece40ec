"""The benchmark of the report's page at toy size."""

import json

from nas.experiments.benchmarks import report


def test_a_page_is_written_and_measured(capsys, monkeypatch):
    monkeypatch.setattr(report, "BROWSERS", ())
    monkeypatch.setattr(report, "SMALL", 2)
    report.main(["--trials", "12", "--json"])
    document = json.loads(capsys.readouterr().out)
    assert document["trials"] == 12
    assert document["write_s"] > 0
    assert 10_000 < document["size"] < 2**20
    assert document["open_s"] is None
