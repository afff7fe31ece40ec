"""The front of a search, and how it is shown."""

import json
import math
import random

import pytest

from nas.analysis.pareto_front import front_of, objectives_of
from nas.architecture import Architecture
from nas.config import KeyFault, build, from_json
from nas.errors import ConfigError
from nas.report import write_html
from nas.report.pareto_front import section, text
from nas.runs.preflight import check_table
from nas.search_spaces import FewShotCell
from nas.space import sample
from nas.trial import Score, Trial


def trial(number, value, parameters=None, flops=None, budget=10, duplicate_of=None):
    costs = {"parameters": parameters, "flops": flops}
    metrics = {name: float(cost) for name, cost in costs.items() if cost is not None}
    score = Score(value, 0.01, metrics=metrics)
    return Trial(number, Architecture("s", {"a": number}), budget, 0, "done", score, duplicate_of=duplicate_of)


TRIALS = [
    trial(0, 0.5, 1000, 3e6),
    trial(1, 0.9, 5000, 8e6),
    trial(2, 0.8, 3000, 9e6),
    trial(3, 0.7, 4000, 1e6),  # more parameters than 2 and worse, but the fewest FLOPs
    trial(4, 0.4, 2000, 9e6),
    trial(5, 0.99, 100, 1e5, budget=90),  # another budget: not comparable
    trial(6, 0.9, 5000, 8e6, duplicate_of=1),
    trial(7, 1.0),  # without costs
    trial(8, 0.95, math.nan, 1e6),
    Trial(9, Architecture("s", {"a": 9}), 10, 0, "failed", error="broke"),
    Trial(10, Architecture("s", {"a": 10}), 10, 0),
]


def test_the_front_is_of_what_can_be_compared_and_was_measured():
    front = front_of(TRIALS)
    assert [each.number for each in front.trials] == [1, 2, 0]
    assert (front.worst, front.best) == ((0.4, 5000), (0.9, 1000))
    # By hand, in the unit box: (1, 0), (.8, .5), (.2, 1), (.6, .25), (0, .75).
    assert front.hypervolume == pytest.approx(0.8 * 0.5 + 0.2 * 0.5)
    both = front_of(TRIALS, ("parameters", "flops"))
    assert {each.number for each in both.trials} == {0, 1, 2, 3}
    assert front_of(TRIALS, ("flops",)).best == (0.95, 1e6)


def test_a_front_without_costs_or_extent_says_so():
    assert front_of([]) is None
    assert front_of(TRIALS, ("latency_ms",)) is None
    assert front_of([TRIALS[7], *TRIALS[9:]]) is None
    flat = front_of([trial(0, 0.5, 10), trial(1, 0.5, 20)])
    assert ([each.number for each in flat.trials], flat.hypervolume) == ([0], None)
    assert "Hypervolume: none" in text(flat.to_json(), percent=True)
    huge = front_of([trial(0, -1e308, 10), trial(1, 1e308, 20), trial(2, 0.0, 15)])
    assert huge.hypervolume == pytest.approx(0.25)


def test_objectives_are_those_of_the_controller():
    assert objectives_of({"controller": {"name": "evolution", "objectives": ["flops"]}}) == ("flops",)
    assert objectives_of({"controller": {"name": "random"}}) == objectives_of({}) == ()


def test_it_is_told_in_text():
    lines = text(front_of(TRIALS, ("parameters", "flops")).to_json(), percent=True).splitlines()
    assert lines[0] == "Pareto front of score against parameters and flops: 4 that no other beats in everything"
    assert lines[1].split() == ["#1", "90.0", "%", "5,000", "parameters,", "8.00", "MFLOPs"]
    # By hand, in the unit box: (.2, 1, .75) and (.6, .25, 1), and two that touch its sides: .15 + .15 − .0375.
    assert lines[-1] == (
        "Hypervolume: 0.262 of the box from the worst of all candidates in each (40.0 %, 5,000 parameters, 9.00 "
        "MFLOPs; the reference point) to the best (90.0 %, 1,000 parameters, 1.00 MFLOPs)."
    )
    many = text(front_of([trial(i, i / 100, i + 1) for i in range(40)]).to_json(), percent=False, most=5).splitlines()
    assert [line.split()[0] for line in many[1:6]] == ["#39", "#30", "#20", "#10", "#0"]
    assert many[6] == "35 between them; all with --json"


def test_the_page_has_it_in_a_table_and_draws_objectives(tmp_path):
    plain = section(TRIALS, (), label="accuracy", percent=True)
    assert "<svg" not in plain  # score against parameters is among the charts of every page
    assert plain.count("<tr") == 1 + 3
    assert "<h2>Pareto front of score against parameters</h2>" in plain
    drawn = section(TRIALS, ("parameters", "flops"), label="accuracy", percent=True)
    assert drawn.count("<svg") == 2
    assert "on the front of all" in drawn
    assert section(TRIALS[7:8], (), label="score", percent=False) == ""
    config = {"controller": {"name": "evolution", "objectives": ["flops", "<b>"]}}
    write_html(tmp_path / "page.html", name="run", config=config, trials=TRIALS)
    assert "Pareto" not in (tmp_path / "page.html").read_text("utf-8")  # no score has the second
    config["controller"]["objectives"] = ["flops"]
    write_html(tmp_path / "page.html", name="run", config=config, trials=TRIALS)
    assert "Pareto front of score against flops" in (tmp_path / "page.html").read_text("utf-8")


def config(evaluator, **tables):
    controller = {"name": "evolution", "objectives": ["flop"]}
    return {"space": {"name": "few-shot-cell"}, "evaluator": evaluator, "controller": controller, **tables}


def test_an_objective_that_the_evaluator_does_not_measure_is_refused_before_a_search(tmp_path):
    meta = from_json(config({"name": "meta"}, tasks={"name": "glyphs"}))
    with pytest.raises(KeyFault, match=r"objectives name 'flop', .* did you mean 'flops'") as fault:
        build(meta)
    assert fault.value.path == ("controller", "objectives")
    architecture = sample(FewShotCell(), random.Random(0))
    row = f"{json.dumps(json.dumps(architecture.to_json()))[1:-1]}".replace('\\"', '""')
    (tmp_path / "table.csv").write_text(f'arch,val,flops\n"{row}",0.5,9\n', encoding="utf-8")
    # Its option `cost` is no method that tells costs, so the table itself is asked.
    table = from_json(config({"name": "tabular", "path": str(tmp_path / "table.csv"), "metrics": ["flops"]}))
    with pytest.raises(ConfigError, match=r"objectives name 'flop', .* did you mean 'flops'"):
        check_table(table, build(table))
    limited = config({"name": "tabular"}, search={"constraints": {"flops": 5}})
    with pytest.raises(ConfigError, match="evaluator 'tabular' does not tell what a network costs"):
        build(from_json(limited))
