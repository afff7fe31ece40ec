"""Constraints on costs: proposals within the limits, laws of controllers, and equal decisions after a resume."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from nas import config as configs
from nas import registry
from nas.architecture import Architecture
from nas.errors import ConfigError, Rejected, SpaceError
from nas.evaluators import MetaEvaluator
from nas.evaluators.networks.profile import size
from nas.protocols import Cost
from nas.runs import folder, launch, progress, summary
from nas.search_spaces import Mlp
from nas.space import MAX_TRIES, enumerate_all, mutate, replay, sample
from nas.space.constraints import Constrained
from nas.store import Store
from nas.store.costs import StoredCosts
from nas.testing import ToySpace, check_controller, check_space

TOY: dict[str, Any] = {
    "space": {"name": "mlp", "widths": [4, 8, 12], "max_depth": 2},
    "controller": {"name": "evolution", "population": 2, "tournament": 1},
    "tasks": {"name": "sinusoid", "shots": 4, "queries": 4},
    "evaluator": {
        "learner": {"name": "maml", "inner_lr": 0.01, "steps": 1},
        "norm": "none",
        "budget": 1,
        "tasks_per_step": 1,
        "validation_tasks": 4,
    },
    "search": {"trials": 6, "workers": 1, "device": "cpu"},
    "final": {"top": 1, "seeds": 1, "budget": 1, "validation_tasks": 4, "tasks": 4, "baseline": "mlp40"},
}


class Scales:
    """Costs by a rule, with how often each was asked for."""

    def __init__(self, **rules: Callable[[Architecture], float]) -> None:
        self.rules, self.asked = rules, Counter[str]()

    def cost(self, architecture: Architecture, cost: Cost) -> float:
        self.asked[cost] += 1
        return self.rules[cost](architecture)


def layers(architecture: Architecture) -> float:
    return architecture.picks["layers"] + 1


def dense(architecture: Architecture) -> float:
    return sum(name.endswith("width") for name in architecture.picks)


def toy(**constraints: Any) -> configs.Config:
    return configs.from_json({**TOY, "search": {**TOY["search"], "constraints": constraints}})


def test_what_is_left_is_what_lies_within():
    scales = Scales(parameters=layers, flops=dense)
    limited = Constrained(ToySpace(), {"flops": (2, 3), "parameters": (0, 2)}, scales)
    expected = [a for a in enumerate_all(ToySpace()) if layers(a) <= 2 and 2 <= dense(a) <= 3]
    assert len(expected) == 4
    assert list(enumerate_all(limited)) == expected
    assert limited.name == "toy"
    assert {sample(limited, random.Random(seed)) for seed in range(60)} == set(expected)
    assert mutate(limited, expected[0], random.Random(0)) in expected
    check_space(limited)
    with pytest.raises(Rejected, match=r"^3 parameters, where search\.constraints allow parameters from 0 to 2$"):
        replay(limited, next(a for a in enumerate_all(ToySpace()) if layers(a) == 3))


def test_a_cost_is_told_once_and_the_dearer_ones_only_of_what_the_cheaper_allow():
    scales = Scales(parameters=layers, flops=dense)
    limited = Constrained(ToySpace(), {"flops": (2, 3), "parameters": (0, 2)}, scales)
    for _ in range(2):
        list(enumerate_all(limited))
        assert scales.asked == {"parameters": 36, "flops": sum(layers(a) <= 2 for a in enumerate_all(ToySpace()))}


@pytest.mark.parametrize("name", registry.names("controller"))
def test_controllers_keep_their_laws_within_limits(name):
    def make(space: Any, seed: int) -> Any:
        return registry.create("controller", name, {}, space=space, seed=seed)

    limited = Constrained(ToySpace(), {"parameters": (0, 2)}, Scales(parameters=dense))
    check_controller(make, space=limited, candidates=12)


def test_an_architecture_whose_cost_cannot_be_told_is_let_through():
    def broken(architecture: Architecture) -> float:
        raise RuntimeError("no such network")

    limited = Constrained(ToySpace(), {"parameters": (0, 2)}, Scales(parameters=broken))
    assert len(list(enumerate_all(limited))) == 36


def test_a_limited_space_draws_what_the_space_draws():
    space = registry.create("space", "few-shot-cell", {})
    assert Constrained(space, {}, Scales()).graph == space.graph
    assert not hasattr(Constrained(ToySpace(), {}, Scales()), "graph")


@pytest.mark.parametrize("space", registry.names("space"))
def test_parameters_and_flops_are_those_of_a_score(space):
    tasks, learner = registry.create("tasks", "glyphs", {}), registry.create("learner", "anil", {})
    evaluator = MetaEvaluator(registry.create("space", space, {}), tasks, learner)
    architecture = sample(evaluator.space, random.Random(3))
    try:
        network = evaluator.network(architecture, 0)
    except SpaceError:
        pytest.skip("not a space of networks for images")
    metrics = size(network, tasks.shape)
    for cost in ("parameters", "flops"):
        assert evaluator.cost(architecture, cost) == metrics[cost] > 0
    before = torch.random.get_rng_state(), torch.get_num_threads()
    assert 0 < evaluator.cost(architecture, "latency_ms") < 60_000
    assert torch.equal(torch.random.get_rng_state(), before[0])
    assert torch.get_num_threads() == before[1]


class Vast(Mlp):
    """Of widths that a person's own space may have."""

    def __post_init__(self) -> None:
        """Checks nothing."""


def test_a_network_beyond_all_memory_is_refused_by_its_size():
    space = Vast(widths=(8, 10**9), max_depth=2)
    limited = Constrained(space, {"parameters": (0, 1e6)}, replace(configs.build(toy()).evaluator, space=space))
    for seed in range(20):
        picks = sample(limited, random.Random(seed)).picks
        assert all(index == 0 for name, index in picks.items() if name.startswith("width"))


@pytest.fixture
def inline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from nas.executors import InlineExecutor

    monkeypatch.setenv("NAS_RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr(launch, "engine_of", lambda *_: InlineExecutor())
    monkeypatch.setattr(launch, "write_report", lambda *_: None)


def candidates(run: folder.Run) -> list[dict[str, Any]]:
    return [json.loads(json.dumps(trial["architecture"])) for trial in summary.summary(run).to_json()["trials"]]


def test_a_run_has_candidates_within_the_limits_and_no_failed_ones(inline):
    run = folder.new_run("limited", "toy")
    outcome = launch.start(toy(parameters=[30, 100], flops=200), run, progress.Silence())
    assert outcome.state == "done"
    trials = summary.summary(run).to_json()["trials"]
    assert len(trials) == 6
    for trial in trials:
        assert trial["state"] == "done"
        assert 30 <= trial["score"]["metrics"]["parameters"] <= 100
        assert trial["score"]["metrics"]["flops"] <= 200


class Crash(BaseException):
    """As near to the end of a process as one can come."""


@pytest.mark.parametrize("event", range(1, 6))
def test_a_search_by_a_stopwatch_goes_on_after_a_crash_as_it_began(inline, monkeypatch, event):
    """Each reading is another, so only what was stored can give the controller's past proposals again."""
    clock, measured = random.Random(event), Counter[str]()

    def latency(_self: Any, architecture: Architecture, cost: Cost) -> float:
        measured[architecture.key] += 1
        return clock.random()

    class Crashes(progress.Silence):
        left = event

        def trial(self, *_: Any) -> None:
            self.left -= 1
            if self.left == 0:
                raise Crash

    monkeypatch.setattr("nas.evaluators.meta.MetaEvaluator.cost", latency)
    run = folder.new_run("watch", "toy")
    monkeypatch.setattr(launch, "try_out", lambda *_: None)
    monkeypatch.setattr(launch, "try_export", lambda *_: None)
    with pytest.raises(Crash):
        launch.start(toy(latency_ms=0.5), run, Crashes())
    before = candidates(run)
    assert launch.resume(run, progress.Silence()).state == "done"
    assert candidates(run)[:event] == before[:event]
    assert set(measured.values()) == {1}
    with Store.open(run.store_path, readonly=True) as store:
        costs = StoredCosts(store)
    assert {key.split("/")[0] for key in costs} == measured.keys()
    assert all(costs[f"{Architecture.from_json(a).key}/latency_ms"] <= 0.5 for a in candidates(run))


@pytest.mark.parametrize(("constraints", "most_told"), [({"parameters": 3}, MAX_TRIES), ({"flops": [1e9, 1e12]}, 20)])
def test_limits_that_nothing_meets_are_said_before_anything_is_written(inline, tmp_path, constraints, most_told):
    with pytest.raises(SpaceError) as caught:
        launch.start(toy(**constraints), folder.new_run("none", "toy"), progress.Silence())
    name = next(iter(constraints))
    assert f"no allowed architecture found in {MAX_TRIES} draws" in str(caught.value)
    assert f"search.constraints allow {name} from " in str(caught.value)
    assert caught.value.exit_status == 2
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("constraints", "part"),
    [
        *(
            (
                {"parameters": value},
                "key 'search.constraints.parameters' is .*: Input should be the most, or .least, most",
            )
            for value in ([3, 2], -1, [1], [1, 2, 3], [-1, 2], "5e6", True, [True, 2], ["a", "b"], {}, [])
        ),
        ({"latency": 1}, "key 'search.constraints.latency' is not known: did you mean 'latency_ms'"),
    ],
)
def test_limits_that_cannot_be_are_refused(constraints, part):
    with pytest.raises(ConfigError, match=part):
        toy(**constraints)


def test_a_number_is_the_most_and_an_empty_table_limits_nothing():
    assert toy(parameters=100, flops=[1, 2.5]).search.constraints.limits == {"parameters": (0, 100), "flops": (1, 2.5)}
    parts = configs.build(toy())
    assert parts.constrained is parts.space
    with pytest.raises(ConfigError, match="must rise"):
        Constrained(ToySpace(), {"parameters": (2, 1)}, Scales())


def test_an_evaluator_that_tells_no_costs_is_refused(monkeypatch):
    class Silent(MetaEvaluator):
        cost = None

    monkeypatch.setattr("nas.evaluators.meta.MetaEvaluator", Silent)
    with pytest.raises(ConfigError, match="evaluator 'meta' does not tell what a network costs"):
        configs.build(toy(parameters=10))
    assert configs.build(toy())
