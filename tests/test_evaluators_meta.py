"""The evaluator as a whole: repeatable, comparable, blind to labels it must not see, and able to learn."""

import json
import math
import pickle
import random
from dataclasses import asdict, fields, replace

import pytest
import torch
from helpers_evaluators import CPU, NARROW, WIDE, Blobs, TinyConv, only
from helpers_learners import PRESETS
from safetensors import SafetensorError

from nas import registry
from nas.errors import ConfigError, DataError, NasError, SpaceError
from nas.evaluators import MetaEvaluator
from nas.evaluators.banks import digest
from nas.evaluators.candidate import attach
from nas.evaluators.learners import Anil, FineTune, Maml, MetaSgd, ProtoNet, Reptile, Ridge, Scratch
from nas.evaluators.scoring import task_values
from nas.evaluators.tasks.sinusoid import Sinusoid
from nas.evaluators.training import OuterLoop, meta_train
from nas.fidelity import Checkpointed
from nas.machine import versions
from nas.protocols import Bank, Resumable
from nas.search_spaces import Conv4, FewShotCell, Mlp
from nas.space import sample
from nas.testing import ToySpace, check_evaluator

NORMS = ["group", "batch", "support", "none"]
LEARNERS = {
    "maml, order 2": Maml(inner_lr=0.1, steps=2),
    "maml, order 1": Maml(order=1, inner_lr=0.1, steps=2),
    "anil": Anil(inner_lr=0.1, steps=2),
    "reptile": Reptile(inner_lr=0.03, steps=2, train_steps=2, batch=6),
    "maml, learned rate": Maml(inner_lr=0.1, steps=2, learn_lr=True),
    "meta-sgd": MetaSgd(inner_lr=0.1, steps=2),
    "protonet": ProtoNet(),
    "ridge": Ridge(),
    "finetune": FineTune(inner_lr=0.1, steps=2),
    "scratch": Scratch(inner_lr=0.1, steps=2),
}


def evaluator(**options):
    usual = {"space": TinyConv(), "tasks": Blobs(), "learner": LEARNERS["anil"], "tasks_per_step": 5, "device": "cpu"}
    return MetaEvaluator(**{**usual, "validation_tasks": 12, "chunk": 5, **options})


def numbers(score):
    """All of a score but what depends on the clock, and on what was trained before."""
    passing = ("latency_ms", "outer_steps", "train_seconds", "seconds")
    return replace(score, metrics={name: value for name, value in score.metrics.items() if name not in passing})


def chance(accuracies, ways):
    """Whether their mean is within four standard errors of guessing; one that always says the same has none."""
    mean, stderr = accuracies.mean().item(), (accuracies.std() / len(accuracies) ** 0.5).item()
    return abs(mean - 1 / ways) < 4 * stderr + 1e-6


# --- the laws --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("learner", LEARNERS.values(), ids=LEARNERS)
def test_it_keeps_the_laws_of_evaluators(learner, norm):
    steps = 1 if learner.name in ("protonet", "ridge") else 2
    check_evaluator(evaluator(learner=learner, norm=norm), NARROW, 3, seed=1, inner_steps=steps, num_tasks=12)


@pytest.mark.parametrize("name", sorted(LEARNERS.keys() - {"protonet"}))
def test_it_keeps_them_in_regression(name):
    learner = LEARNERS[name]
    learner = replace(learner, inner_lr=0.01) if "inner_lr" in vars(learner) else learner
    chosen = evaluator(space=ToySpace(), tasks=Sinusoid(), learner=learner)
    check_evaluator(chosen, only(ToySpace()), 3, inner_steps=learner.steps, num_tasks=12)


def test_tasks_that_a_learner_cannot_treat_are_refused_before_a_search():
    with pytest.raises(ConfigError, match="protonet compares classes, but sinusoid is regression; use ridge or maml"):
        evaluator(space=ToySpace(), tasks=Sinusoid(), learner=ProtoNet()).check(only(ToySpace()))

    class Unnamed(Blobs):
        classes = None

    with pytest.raises(ConfigError, match="finetune trains on the classes of a family, but blobs does not name its"):
        evaluator(tasks=Unnamed(), learner=FineTune()).check(NARROW)


def test_every_learner_of_the_registry_is_tested_here():
    assert {learner.name for learner in LEARNERS.values()} == set(registry.names("learner")) - set(PRESETS)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("space", [Conv4(4), FewShotCell(widths=(4,), depths=(1,))], ids=lambda space: space.name)
@pytest.mark.parametrize("learner", LEARNERS.values(), ids=LEARNERS)
def test_all_learners_train_networks_of_images(learner, space, norm):
    architecture = sample(space, random.Random(4))
    score = evaluator(space=space, learner=learner, norm=norm).evaluate(architecture, 2, 0)
    assert 0 <= score.value <= 1
    assert {"parameters", "flops", "latency_ms", "outer_steps", "train_seconds", "seconds"} == set(score.metrics)
    assert score.metrics["train_seconds"] < score.metrics["seconds"]


@pytest.mark.parametrize("learner", LEARNERS.values(), ids=LEARNERS)
def test_the_same_seed_gives_the_same_score_whatever_came_before(learner):
    chosen = evaluator(learner=learner)
    first = numbers(chosen.evaluate(NARROW, 3, 7))
    torch.rand(3)
    chosen.evaluate(WIDE, 2, 1)
    assert numbers(chosen.evaluate(NARROW, 3, 7)) == first
    assert numbers(pickle.loads(pickle.dumps(chosen)).evaluate(NARROW, 3, 7)) == first


def test_seeds_give_other_scores_on_the_same_tasks():
    scores = [evaluator(validation_tasks=40).evaluate(NARROW, 3, seed) for seed in (0, 1)]
    assert scores[0].per_task != scores[1].per_task
    assert scores[0].protocol == scores[1].protocol


def test_evaluating_leaves_the_global_generator_as_it_is():
    before = torch.random.get_rng_state()
    evaluator().evaluate(NARROW, 2, 0)
    assert torch.equal(torch.random.get_rng_state(), before)


# --- learning, and not by cheating -----------------------------------------------------------------------------------


def test_training_makes_it_better_than_chance_and_than_no_training():
    """About .50 to .67 with these tasks; one standard error is near .012."""
    chosen = evaluator(learner=Anil(inner_lr=0.3, steps=3, outer_lr=0.02), tasks_per_step=16, validation_tasks=200)
    untrained, trained = (chosen.evaluate(WIDE, budget, 0) for budget in (0, 60))
    assert trained.value > untrained.value + 0.1
    assert trained.value > 1 / 3 + 0.2
    assert trained.curve[-1] > trained.curve[0] + 0.2


def test_meta_training_lowers_the_error_of_regression():
    chosen = evaluator(
        space=Mlp(), tasks=Sinusoid(shots=10), learner=Maml(inner_lr=0.01, outer_lr=0.01), validation_tasks=100
    )
    architecture = sample(Mlp(), random.Random(0))
    untrained, trained = (chosen.evaluate(architecture, budget, 0) for budget in (0, 60))
    assert untrained.value < trained.value < 0


def predictions(learner, batch, norm):
    """Of a network that was trained for a while, so that it has something to give away."""
    chosen = evaluator(learner=learner, norm=norm)
    network = chosen.network(NARROW, 0)
    attach(network, learner.initial(network, chosen.tasks))
    meta_train(network, chosen.tasks, learner, OuterLoop(10, 5, 0, True), 0)
    weights = {name: p.detach() for name, p in network.named_parameters()}
    return learner.adapt(network, weights, batch, "classification", learner.steps)


@pytest.mark.parametrize("norm", ["group", "batch"])
@pytest.mark.parametrize("learner", LEARNERS.values(), ids=LEARNERS)
def test_nothing_is_known_before_adaptation(learner, norm):
    batch = Blobs().tasks("validation", range(400), CPU)
    assert chance(task_values(predictions(learner, batch, norm), batch.query_y, "classification")[0], 3)


@pytest.mark.parametrize("norm", ["group", "batch"])
@pytest.mark.parametrize("learner", LEARNERS.values(), ids=LEARNERS)
def test_nothing_is_learned_from_another_tasks_examples(learner, norm):
    """The support sets are dealt to the wrong tasks: were the answers to leak in any other way, it would show here."""
    batch = Blobs().tasks("validation", range(400), CPU)
    batch = replace(batch, support_x=batch.support_x.roll(1, dims=0))
    values = task_values(predictions(learner, batch, norm), batch.query_y, "classification")
    assert chance(values[-1], 3)


# --- measuring with weights from a file ------------------------------------------------------------------------------

TEST, FRESH = Bank("test", 0, 10), Bank("validation", 100, 10)


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
    assert numbers(replace(measured, per_class=())) == numbers(chosen.evaluate(NARROW, 3, 1))


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


# --- in stages, with a checkpoint between them -----------------------------------------------------------------------


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
    (expected,), (found,) = in_stages(chosen, kept, 6), in_stages(chosen, spoiled, 6)
    assert [score.metrics["outer_steps"] for score in (expected, found)] == [3, 6]
    assert numbers(found) == numbers(expected)
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
    monkeypatch.setattr("nas.evaluators.candidate.save_file", full)
    lost = in_stages(chosen, tmp_path / "full", 3, 6)
    for found in (nowhere, lost):
        assert list(map(numbers, found)) == list(map(numbers, expected))
        assert [score.metrics["outer_steps"] for score in found] == [3, 6]
    assert "after outer step 3 cannot be kept, and will be computed again: No space left" in caplog.text
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


def test_by_rungs_it_keeps_the_laws_of_evaluators(tmp_path):
    check_evaluator(Checkpointed(evaluator(), 9, tmp_path), NARROW, 3, seed=1, inner_steps=2, num_tasks=12)


# --- failures --------------------------------------------------------------------------------------------------------


def diverging():
    return evaluator(learner=replace(LEARNERS["reptile"], inner_lr=1e30, outer_lr=1e30))


def test_training_that_diverges_is_an_error_that_names_the_step():
    with pytest.raises(NasError, match=r"meta-training diverged: .* is not finite at outer step [1-9]$"):
        diverging().evaluate(NARROW, 12, 0)


@pytest.mark.parametrize(
    "option, value, least",
    [("tasks_per_step", 0, 1), ("validation_tasks", 1, 2), ("chunk", 0, 1), ("train_queries", -1, 0)],
)
def test_options_out_of_range_are_refused(option, value, least):
    with pytest.raises(ConfigError, match=rf"evaluator {option} = {value}; it must be.* {least}\b"):
        evaluator(**{option: value})


def test_check_finds_what_a_search_could_not_do():
    evaluator().check(NARROW)
    with pytest.raises(ConfigError, match="device 'abacus' is not known"):
        evaluator(device="abacus").check(NARROW)
    with pytest.raises(SpaceError, match="this task's inputs"):
        evaluator(space=Conv4(), tasks=Sinusoid()).check(only(Conv4()))

    class Broken(Blobs):
        def check(self):
            raise DataError("the disk is gone")

    with pytest.raises(DataError, match="the disk is gone"):
        evaluator(tasks=Broken()).check(NARROW)


# --- the protocol ----------------------------------------------------------------------------------------------------

BANK = Bank("validation", 0, 12)
CHANGED = {
    "tasks": Blobs(seed=1),
    "norm": "batch",
    "head_norm": False,
    "tasks_per_step": 6,
    "train_queries": 2,
    "anneal": False,
    "tf32": True,
}
NOT_IN_THE_PROTOCOL = {"space", "device", "chunk"}  # of the candidate; of how it is computed


@pytest.mark.parametrize("option", CHANGED)
def test_each_option_that_changes_scores_is_in_the_protocol(option):
    assert evaluator(**{option: CHANGED[option]}).protocol(3, BANK) != evaluator().protocol(3, BANK)


@pytest.mark.parametrize("name", registry.names("learner"))
def test_each_option_of_a_learner_is_in_the_protocol(name):
    learner = registry.create("learner", name, {})
    protocol = evaluator(learner=learner).protocol(3, BANK)
    assert protocol["learner"]["name"] == name
    others = {"order": 1, "learn_lr": True, "adapted": "head", "reduction": "sum"}
    others["inner_optimizer"] = "sgd" if getattr(learner, "inner_optimizer", "") == "adam" else "adam"
    for option in fields(learner):
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
    told = evaluator().evaluate(NARROW, 1, 7).provenance
    assert told["seed"] == 7
    assert told["device"]["kind"] == "cpu"
    assert told["device"]["name"].strip()
    assert told["versions"] == versions()
    assert json.loads(json.dumps(told)) == told


# --- a GPU -----------------------------------------------------------------------------------------------------------


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("learner", LEARNERS.values(), ids=LEARNERS)
def test_a_gpu_scores_as_the_cpu_does(learner, norm):
    here, there = (
        evaluator(learner=learner, norm=norm, device=device, validation_tasks=100).evaluate(WIDE, 5, 0)
        for device in ("cpu", "cuda")
    )
    assert there.protocol == here.protocol
    assert there.provenance["device"]["kind"] == "cuda"
    assert there.provenance["device"]["name"] == torch.cuda.get_device_name()
    assert math.isclose(here.value, there.value, abs_tol=0.03)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("learner", LEARNERS.values(), ids=LEARNERS)
def test_the_same_seed_gives_the_same_score_on_a_gpu(learner):
    chosen = evaluator(learner=learner, device="cuda")
    assert numbers(chosen.evaluate(NARROW, 5, 1)) == numbers(chosen.evaluate(NARROW, 5, 1))
