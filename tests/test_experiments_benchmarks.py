"""The benchmark scripts, at toy size. Nothing here looks at how long anything takes."""

from __future__ import annotations

import json

from helpers_project import python

from nas import registry

SCRIPT = ["-m", "nas.experiments.benchmarks.search_overhead", "--candidates", "3", "--repeats", "1"]


def test_search_overhead_as_json(tmp_path):
    measured = json.loads(python([*SCRIPT, "--json"], tmp_path))
    assert {"cpu", "cores", "python", "torch"} <= measured["machine"].keys()
    assert [(start["name"], start["target_s"]) for start in measured["starts"]] == [
        ("import nas", 0.3),
        ("nas --help", 0.5),
    ]
    assert measured["starts"][0]["torch"] is False
    assert all(start["seconds"] > 0 for start in measured["starts"])
    rows = {row["controller"]: row for row in measured["overheads"]}
    assert sorted(rows) == registry.names("controller")
    assert {name for name, row in rows.items() if row["target_ms"]} == {"evolution"}
    for row in rows.values():
        assert row["candidates"] == 3
        assert row["median_ms"] > 0
        assert row["mean_ms"] > 0
        assert row["peak_bytes"] > 2**20
    assert (rows["evolution"]["mean_ms"] < 5.0) == rows["evolution"]["met"]
    assert list(tmp_path.iterdir()) == []


def test_search_overhead_for_people(tmp_path):
    lines = python(SCRIPT, tmp_path).splitlines()
    for beginning in ("cpu ", "import nas", "nas --help", *registry.names("controller")):
        assert sum(line.startswith(beginning) for line in lines) == 1, beginning
