"""Training in stages with a checkpoint between them, which gives the score of one training."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from helpers.evaluators import NARROW, WIDE, Blobs
from helpers.meta import LEARNERS, TEST, evaluator, numbers
from safetensors import SafetensorError

from nas.evaluators.learners import Anil, Maml
from nas.protocols import Resumable
from nas.testing import check_evaluator


def in_stages(chosen, checkpoint, *budgets, schedule=9, seed=1):
    return [chosen.advance(NARROW, b, seed, schedule=schedule, checkpoint=checkpoint) for b in budgets]


@pytest.mark.parametrize("learner", LEARNERS.values(), ids=LEARNERS)
def test_advanced_in_stages_a_candidate_gets_the_score_of_one_full_training(tmp_path, learner):
    chosen, checkpoint = evaluator(learner=learner), tmp_path / "new" / "checkpoint"
    assert isinstance(chosen, Resumable)
    stages = in_stages(chosen, checkpoint, 1, 3, 9)
    assert [score.metrics["outer_steps"] for score in stages] == [1, 2, 6]
    assert numbers(stages[-1]) == numbers(chosen.evaluate(NARROW, 9, 1))
    [alone] = in_stages(chosen, tmp_path / "other", 3)
    assert numbers(alone) == numbers(stages[1])
    assert alone.metrics["outer_steps"] == 3


def test_a_stage_is_the_beginning_of_the_full_schedule_and_its_protocol_says_so(tmp_path):
    learner = Anil(inner_lr=0.1, steps=2, outer_lr=0.1)
    [stage] = in_stages(evaluator(learner=learner), tmp_path / "a", 3)
    whole = evaluator(learner=learner).evaluate(NARROW, 3, 1)
    assert (stage.protocol["budget"], stage.protocol["schedule"]) == (3, 9)
    assert stage.protocol != whole.protocol
    assert stage.per_task != whole.per_task, "the outer rate of a whole training of three steps falls faster"
    constant = evaluator(learner=learner, anneal=False)
    [stage] = in_stages(constant, tmp_path / "b", 3)
    assert stage.per_task == constant.evaluate(NARROW, 3, 1).per_task


SPOILED = {
    "lost": lambda path: path.unlink(),
    "cut short": lambda path: path.write_bytes(path.read_bytes()[:-9]),
    "something else": lambda path: path.write_bytes(b"PK\x03\x04"),
    "of another seed": lambda path: in_stages(evaluator(), path, 4, seed=2),
    "of another schedule": lambda path: in_stages(evaluator(), path, 4, schedule=8),
    "of another learner": lambda path: in_stages(evaluator(learner=Maml()), path, 4),
    "of other tasks": lambda path: in_stages(evaluator(tasks=Blobs(seed=1)), path, 4),
    "of another architecture": lambda path: evaluator().advance(WIDE, 4, 1, schedule=9, checkpoint=path),
    "only weights": lambda path: (path.unlink(), evaluator().measure(NARROW, 9, 1, bank=TEST, weights=path)),
}


@pytest.mark.parametrize("spoil", SPOILED.values(), ids=SPOILED)
def test_a_checkpoint_that_is_lost_or_of_something_else_costs_time_and_changes_no_number(tmp_path, spoil):
    chosen, kept, spoiled = evaluator(), tmp_path / "kept", tmp_path / "spoiled"
    for path in (kept, spoiled):
        in_stages(chosen, path, 3)
    spoil(spoiled)
    (expected,), (actual,) = in_stages(chosen, kept, 6), in_stages(chosen, spoiled, 6)
    assert [score.metrics["outer_steps"] for score in (expected, actual)] == [3, 6]
    assert numbers(actual) == numbers(expected)
    [again] = in_stages(chosen, spoiled, 9)
    assert again.metrics["outer_steps"] == 3, "the checkpoint was written anew"


def test_a_checkpoint_that_cannot_be_written_is_no_failure_of_the_candidate(tmp_path, monkeypatch, caplog):
    def full(_tensors, path, _label):
        path.write_bytes(b"some")
        raise SafetensorError("No space left on device")

    chosen = evaluator()
    expected = in_stages(chosen, tmp_path / "kept", 3, 6)
    (tmp_path / "file").write_bytes(b"")
    nowhere = in_stages(chosen, tmp_path / "file" / "checkpoint", 3, 6)
    monkeypatch.setattr("nas.evaluators.networks.weights.save_file", full)
    lost = in_stages(chosen, tmp_path / "full", 3, 6)
    for actual in (nowhere, lost):
        assert list(map(numbers, actual)) == list(map(numbers, expected))
        assert [score.metrics["outer_steps"] for score in actual] == [3, 6]
    assert "after step 3 cannot be kept, and will be computed again: No space left" in caplog.text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "kept"]


def test_an_earlier_stage_asked_for_again_does_not_undo_a_later_one(tmp_path):
    """As when an architecture is proposed again that has climbed."""
    chosen, checkpoint = evaluator(), tmp_path / "checkpoint"
    first, later = in_stages(chosen, checkpoint, 3, 6)
    content = checkpoint.read_bytes()
    again, same, top = in_stages(chosen, checkpoint, 3, 6, 9)
    assert (numbers(again), numbers(same)) == tuple(map(numbers, (first, later)))
    assert [score.metrics["outer_steps"] for score in (again, same, top)] == [3, 0, 3]
    assert checkpoint.read_bytes() == content
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]


@dataclass(frozen=True)
class Staged:
    """The evaluator as a search by rungs calls it."""

    checkpoint: Path

    def evaluate(self, architecture, budget, seed):
        return evaluator().advance(architecture, budget, seed, schedule=9, checkpoint=self.checkpoint)


def test_by_rungs_it_keeps_the_laws_of_evaluators(tmp_path):
    check_evaluator(Staged(tmp_path / "checkpoint"), NARROW, 3, seed=1, inner_steps=2, num_tasks=12)
