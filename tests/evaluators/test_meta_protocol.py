"""Protocol of a score: everything that changes scores, and the score's provenance."""

import json
from dataclasses import fields, replace

import pytest
from helpers.evaluators import NARROW, WIDE, Blobs
from helpers.meta import evaluator

from nas import registry
from nas.evaluators import MetaEvaluator
from nas.provenance import versions
from nas.task import Bank
from nas.training_recipe import OuterOptimizer

BANK = Bank("validation", 0, 12)
CHANGED = {
    "tasks": Blobs(seed=1),
    "norm": "batch",
    "head_norm": False,
    "tasks_per_step": 6,
    "train_queries": 2,
    "anneal": False,
    "tf32": True,
    "outer": OuterOptimizer("sgd", 0.1),
    "unit": "GFLOPs",
}
NOT_IN_THE_PROTOCOL = {"space", "device", "chunk"}  # of the candidate; of how it is computed


@pytest.mark.parametrize("option", CHANGED)
def test_each_option_that_changes_scores_is_in_the_protocol(option):
    assert evaluator(**{option: CHANGED[option]}).protocol(3, BANK) != evaluator().protocol(3, BANK)


@pytest.mark.parametrize("name", registry.names("learner"))
def test_each_option_of_a_learner_is_in_the_protocol(name):
    learner = registry.create("learner", name, {})
    assert evaluator(learner=learner).protocol(3, BANK)["learner"]["name"] == name
    if getattr(learner, "optimizer_state", "") == "kept":  # A kept state allows no other optimizer than Adam.
        fresh = replace(learner, optimizer_state="fresh")
        assert evaluator(learner=fresh).protocol(3, BANK) != evaluator(learner=learner).protocol(3, BANK)
        learner = fresh
    protocol = evaluator(learner=learner).protocol(3, BANK)
    others = {
        "order": 1,
        "learn_lr": True,
        "adapted": "head",
        "reduction": "sum",
        "optimizer_state": "kept",
        "name": "another",
    }
    others["inner_optimizer"] = "sgd" if getattr(learner, "inner_optimizer", "") == "adam" else "adam"
    learned = {"optimizer", "learned"}  # a folder and what it holds: evaluators/optimizers/test_learned_inner_loop.py
    for option in (field for field in fields(learner) if field.name not in learned):
        value = others[option.name] if option.name in others else getattr(learner, option.name) + 1
        other = replace(learner, **{option.name: value})
        assert evaluator(learner=other).protocol(3, BANK) != protocol, option.name


def test_no_option_is_forgotten_above():
    """`validation_tasks` comes in as the bank."""
    options = {field.name for field in fields(MetaEvaluator)}
    assert options == {*CHANGED, *NOT_IN_THE_PROTOCOL, "learner", "validation_tasks"}
    assert evaluator(validation_tasks=13).evaluate(NARROW, 0, 0).protocol != evaluator().protocol(0, BANK)


def test_budget_and_bank_are_in_the_protocol_and_it_is_json():
    protocol = evaluator().protocol(3, BANK)
    assert protocol != evaluator().protocol(4, BANK)
    assert protocol != evaluator().protocol(3, Bank("test", 0, 12))
    assert json.loads(json.dumps(protocol)) == protocol
    assert evaluator(chunk=1, device="auto").protocol(3, BANK) == protocol


def test_every_candidate_has_the_same_bank_in_whatever_order_and_batch():
    chosen = evaluator()
    scores = {name: chosen.evaluate(one, 3, 0) for name, one in (("wide", WIDE), ("narrow", NARROW))}
    again = {
        name: replace(chosen, chunk=chunk).evaluate(one, 3, 0)
        for name, one, chunk in (("narrow", NARROW, 1), ("wide", WIDE, 12))
    }
    assert scores["wide"].protocol == scores["narrow"].protocol
    for name, score in scores.items():
        assert again[name].protocol == score.protocol
        assert again[name].per_task == pytest.approx(score.per_task, abs=1e-6)


# --- where a score comes from ----------------------------------------------------------------------------------------


def test_a_score_says_where_it_comes_from():
    recorded_provenance = evaluator().evaluate(NARROW, 1, 7).provenance
    assert recorded_provenance["seed"] == 7
    assert recorded_provenance["device"]["kind"] == "cpu"
    assert recorded_provenance["device"]["name"].strip()
    assert recorded_provenance["versions"] == versions()
    assert json.loads(json.dumps(recorded_provenance)) == recorded_provenance
