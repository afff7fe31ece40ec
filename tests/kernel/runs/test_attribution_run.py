"""Attribution in a run: each recipe is measured once with the finals' seeds, on tasks of its own, and is resumed."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from helpers.launch import EVENTS, Crash, Quiet, crash_at, in_this_process, own_runs, toy  # noqa: F401  # fixtures

from nas.analysis.attribution import mixes
from nas.config import Config, from_json
from nas.errors import NasError
from nas.evaluators import RecipeEvaluator
from nas.report.terminal import final_text
from nas.runs import folder, launch
from nas.runs.folder import RunFolder
from nas.store import Store
from nas.task import FRESH

SPACE = {
    "name": "recipe",
    "architecture": {"name": "mlp", "widths": [4, 8], "max_depth": 1},
    "learners": ["anil", "maml"],
    "inner_rates": [0.01, 0.02],
    "adam_inner_rates": [0.001],
    "inner_steps": [1, 2],
    "norms": ["none"],
    "head_norms": [False],
}
PARTS = ["network", "learner", "outer", "normalisation"]
SEEDS = 2


def config(**final: Any) -> Config:
    data = toy().to_json()
    data["space"] = SPACE
    data["evaluator"] |= {"name": "recipe", "unit": "outer steps"}
    data["final"] |= final
    return from_json(data)


def records(run: RunFolder) -> dict[str, Any]:
    with Store.open(run.store_path, readonly=True) as store:
        return store.items("attributed/")


def started(**final: Any) -> tuple[RunFolder, launch.Outcome]:
    run = folder.new_run("recipes", "toy")
    return run, launch.start(config(**final), run, Quiet())


@cache
def finished() -> tuple[RunFolder, launch.Outcome]:
    """A run with attribution, which several tests look at."""
    return started()


def test_every_part_of_the_winner_is_exchanged_on_tasks_of_its_own(inline):
    run, outcome = finished()
    assert outcome.final is not None
    attribution = outcome.final.attribution
    assert attribution is not None
    assert [effect.part for effect in attribution.effects] == PARTS
    assert (attribution.tasks, attribution.seeds) == (4, SEEDS)
    kept = records(run)
    assert len(kept) == SEEDS * len(mixes(PARTS))
    banks = [record["score"]["protocol"]["bank"] for record in kept.values()]
    assert {(bank["split"], bank["first"], bank["count"]) for bank in banks} == {("validation", FRESH + 4, 4)}
    assert sum(effect.added.value for effect in attribution.effects) + attribution.interaction.value == pytest.approx(
        attribution.total.value, abs=1e-9
    )
    assert type(outcome.final).from_json(outcome.final.to_json()) == outcome.final
    shown = final_text(outcome.final)
    assert all(f"  {part}  " in shown for part in (*PARTS, "all parts together"))


def test_it_is_left_out_on_request_and_for_plain_searches(inline):
    run, outcome = started(attribution=False)
    assert outcome.final is not None
    assert outcome.final.attribution is None
    assert records(run) == {}
    plain = launch.start(toy(), folder.new_run("plain", "toy"), Quiet())
    assert plain.final is not None
    assert plain.final.attribution is None


def test_a_recipe_that_fails_is_named_and_costs_the_attribution_alone(inline, monkeypatch):
    measure = RecipeEvaluator.measure

    def failing(self: RecipeEvaluator, *arguments: Any, **options: Any) -> Any:
        if self.training is not None and self.training.parts == ("outer",):
            raise NasError("this one diverges")
        return measure(self, *arguments, **options)

    monkeypatch.setattr(RecipeEvaluator, "measure", failing)
    _, outcome = started()
    assert outcome.final is not None
    assert outcome.final.winner is not None
    assert outcome.final.attribution is None
    assert len(outcome.final.failures) == SEEDS
    for failure in outcome.final.failures:
        assert failure.measurement.startswith("attributed/")
        assert failure.error == "NasError: this one diverges"
        assert failure.measurement in final_text(outcome.final)


def test_a_run_broken_in_its_attribution_goes_on_where_it_was(inline):
    _, whole = finished()
    run = folder.new_run("broken", "toy")
    with pytest.raises(Crash):
        launch.start(config(), run, crash_at(EVENTS + 5))
    before = records(run)
    assert 0 < len(before) < SEEDS * len(mixes(PARTS))
    resumed = launch.resume(run, Quiet())
    assert resumed.final == whole.final
    assert {key: records(run)[key] for key in before} == before
