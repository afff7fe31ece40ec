"""Measurements with the weights of a file: one training serves several banks, and other weights are refused."""

import os
from dataclasses import asdict, replace

import pytest
import torch
from helpers.evaluators import NARROW, WIDE
from helpers.meta import FRESH, LEARNERS, TEST, diverging, evaluator, numbers

from nas.errors import ConfigError, DataError, NasError
from nas.evaluators.meta_training.bank_digest import digest
from nas.evaluators.networks.weights import read_tensors, write_tensors
from nas.failures import OwnFileError
from nas.task import Bank


@pytest.mark.parametrize("learner", LEARNERS.values(), ids=LEARNERS)
def test_one_training_serves_several_banks(tmp_path, learner):
    chosen, weights = evaluator(learner=learner), tmp_path / "weights"
    first = chosen.measure(NARROW, 3, 1, bank=TEST, weights=weights)
    content, stamp = weights.read_bytes(), weights.stat().st_mtime_ns
    other = chosen.measure(NARROW, 3, 1, bank=FRESH, weights=weights)
    again = chosen.measure(NARROW, 3, 1, bank=TEST, weights=weights)
    assert (weights.read_bytes(), weights.stat().st_mtime_ns) == (content, stamp)
    assert numbers(again) == numbers(first)
    assert other.protocol["bank"] == {**asdict(FRESH), "hash": digest(chosen.tasks, FRESH)}
    assert numbers(chosen.measure(NARROW, 3, 1, bank=FRESH, weights=tmp_path / "new")) == numbers(other)
    measured = chosen.measure(NARROW, 3, 1, bank=Bank("validation", 0, 12), weights=weights)
    assert numbers(replace(measured, per_class=(), per_unit=())) == numbers(chosen.evaluate(NARROW, 3, 1))


def test_the_trained_network_has_the_weights_of_the_file(tmp_path):
    chosen, weights = evaluator(), tmp_path / "weights"
    chosen.measure(NARROW, 3, 1, bank=TEST, weights=weights)
    one, same = (chosen.trained(NARROW, 3, 1, weights).state_dict() for _ in range(2))
    assert all(torch.equal(one[name], same[name]) for name in one)
    untrained = chosen.network(NARROW, 1).state_dict()
    assert not any(torch.equal(one[name], untrained[name]) for name in one)


def test_a_network_that_cannot_stand_alone_is_not_handed_out_for_export(tmp_path):
    chosen, weights = evaluator(norm="support"), tmp_path / "weights"
    chosen.measure(NARROW, 1, 1, bank=TEST, weights=weights)
    chosen.measure(NARROW, 1, 1, bank=FRESH, weights=weights)
    with pytest.raises(ConfigError, match="norm = 'support' needs the support set beside each input"):
        chosen.trained(NARROW, 1, 1, weights)


# Same architecture and same shapes of weights, but trained in another way, or not this.
OTHERS = {
    "seed": ({}, (3, 2)),
    "budget": ({}, (4, 1)),
    "learner": ({"learner": LEARNERS["maml, order 2"]}, (3, 1)),
    "learner's option": ({"learner": replace(LEARNERS["anil"], inner_lr=0.2)}, (3, 1)),
    "norm": ({"norm": "none"}, (3, 1)),
    "tasks_per_step": ({"tasks_per_step": 6}, (3, 1)),
    "train_queries": ({"train_queries": 2}, (3, 1)),
    "anneal": ({"anneal": False}, (3, 1)),
    "tf32": ({"tf32": True}, (3, 1)),
}


@pytest.mark.parametrize("options, budget_and_seed", OTHERS.values(), ids=OTHERS)
def test_weights_that_were_trained_otherwise_are_refused(tmp_path, options, budget_and_seed):
    weights = tmp_path / "weights"
    evaluator().measure(NARROW, 3, 1, bank=TEST, weights=weights)
    other = evaluator(**options)
    with pytest.raises(DataError, match="delete it to train again"):
        other.measure(NARROW, *budget_and_seed, bank=TEST, weights=weights)
    with pytest.raises(DataError, match="delete it to train again"):
        other.trained(NARROW, *budget_and_seed, weights)


def test_weights_of_another_architecture_or_none_at_all_are_refused(tmp_path):
    weights = tmp_path / "weights"
    evaluator().measure(NARROW, 1, 1, bank=TEST, weights=weights)
    with pytest.raises(DataError, match="delete it to train again"):
        evaluator().measure(WIDE, 1, 1, bank=TEST, weights=weights)
    weights.write_bytes(weights.read_bytes()[:-5])
    with pytest.raises(DataError, match="delete it to train again"):
        evaluator().measure(NARROW, 1, 1, bank=TEST, weights=weights)


def test_a_training_that_fails_leaves_no_file(tmp_path):
    with pytest.raises(NasError, match="diverged"):
        diverging().measure(NARROW, 12, 0, bank=TEST, weights=tmp_path / "weights")
    assert list(tmp_path.iterdir()) == []


def test_bookkeeping_that_does_not_change_training_does_not_spoil_a_file(tmp_path):
    weights = tmp_path / "weights"
    first = evaluator().measure(NARROW, 3, 1, bank=TEST, weights=weights)
    again = evaluator(chunk=50, validation_tasks=7).measure(NARROW, 3, 1, bank=TEST, weights=weights)
    assert again.per_task == pytest.approx(first.per_task, abs=0.01)


def test_weights_that_cannot_be_written_or_read_are_said_to_be_so(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    with pytest.raises(OwnFileError, match="File exists"):
        write_tensors({"a": torch.zeros(1)}, tmp_path / "file" / "weights", {})
    write_tensors({"a": torch.zeros(1)}, tmp_path / "weights", {})

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(DataError, match="weights cannot be read: Permission denied"):
        read_tensors(tmp_path / "weights", {})
