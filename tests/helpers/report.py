"""A run for tests of its report: trials, a failed one and a pending one, and a final result, with hostile texts."""

from __future__ import annotations

from typing import Any

import networkx as nx

from nas.architecture import Architecture
from nas.trial import Score, Trial

EVIL = '<script>alert("x")</script>&\'"'


def trials(count: int = 6) -> list[Trial]:
    found = []
    for i in range(count):
        architecture = Architecture("space", {"a": i})
        if i == 2:
            found.append(Trial(i, architecture, 1500, 0, "failed", error=f"ValueError: {EVIL}", seconds=1.0))
            continue
        score = Score(0.5 + i / 20, 0.009, (0.2, 0.4, 0.5 + i / 20), (), {"parameters": 900 + i, "flops": 1.5e6})
        protocol = {"family": "glyphs", "ways": 5, "note": EVIL}
        score = Score(score.value, score.stderr, score.curve, (), score.metrics, protocol)
        found.append(Trial(i, architecture, 1500, 0, "done", score, seconds=2.5))
    return [*found, Trial(count, Architecture("space", {"a": count}), 1500, 0)]


def result(number: int, value: float, **more: Any) -> dict[str, Any]:
    architecture = Architecture("space", {"a": number}).to_json()
    base = {"number": number, "architecture": architecture, "value": value, "interval": [value - 0.01, value + 0.01]}
    return {**base, "parameters": 12345, "flops": 1.2e6, "curve": [0.2, 0.5, value], **more}


def final(kind: str = "classification") -> dict[str, Any]:
    sign = 1 if kind == "classification" else -1
    baseline = result(0, sign * 0.841, name=f"conv4 {EVIL}")
    del baseline["number"]
    return {
        "kind": kind,
        "finalists": [result(n, sign * 0.86, seeds=[sign * 0.85, sign * 0.87]) for n in (5, 4)],
        "winner": result(5, sign * 0.882),
        "baseline": baseline,
        "control": None,
        "difference": {"value": 0.041, "interval": [0.032, 0.05]},
        "median": {"value": sign * 0.6, "winner": sign * 0.75, "candidates": 5},
    }


def cell() -> nx.DiGraph:
    graph = nx.DiGraph()
    nx.add_path(graph, ["in", "mid", "out"])
    nx.set_node_attributes(graph, {"in": "input", "mid": f"conv {EVIL}", "out": "output"}, "op")
    return graph
