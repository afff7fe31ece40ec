"""Scores against numbers computed by hand."""

from dataclasses import dataclass, replace

import pytest
import torch
from helpers.evaluators import CPU, NARROW, Blobs, TinyConv, seeded, weights_of  # noqa: F401  # fixture
from helpers.meta import meta_train
from torch import nn

from nas import registry
from nas.errors import NasError
from nas.evaluators.learners import Maml
from nas.evaluators.meta_training.outer_loop import OuterLoop
from nas.evaluators.meta_training.scoring import check_no_leak, score, task_values
from nas.evaluators.networks.building import build
from nas.evaluators.networks.normalisation import Normalisation
from nas.evaluators.networks.weights import attach
from nas.evaluators.tasks.sinusoid import Sinusoid
from nas.task import Bank, TaskBatch, TaskShape


def test_accuracy_of_each_task_by_hand():
    targets = torch.tensor([[0, 1, 2, 0], [1, 1, 1, 1]])
    guesses = torch.tensor([[[0, 1, 2, 1], [0, 0, 0, 0]], [[1, 2, 0, 1], [1, 1, 1, 0]]])
    predictions = nn.functional.one_hot(guesses, 3).float()
    assert task_values(predictions, targets, "classification").tolist() == [[0.75, 0.0], [0.0, 0.75]]


def test_error_of_each_task_by_hand_and_negative():
    targets = torch.tensor([[[1.0, 0.0], [2.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]]])
    predictions = torch.tensor([[[[1.0, 2.0], [2.0, 0.0]], [[3.0, 0.0], [0.0, 1.0]]]])
    assert task_values(predictions, targets, "regression").tolist() == [[-1.0, -2.5]]


@dataclass
class Written:
    """A learner whose predictions are written down: after step s, task t has min(s + t, 4) of 4 queries right."""

    steps: int = 2
    chunks: tuple[int, ...] = ()

    def adapt(self, network, parameters, batch, kind, steps):
        self.chunks += (len(batch.query_x),)
        assert not batch.query_y.any()  # The labels are hidden.
        numbers, labels, places = batch.query_x.long().unbind(dim=-1)
        right = torch.arange(steps + 1)[:, None, None] + numbers
        guesses = torch.where(places < right, labels, 1 - labels)
        return nn.functional.one_hot(guesses, 2).float()


class Numbered:
    """Tasks whose examples hold the number of the task, their label, and their place among its examples."""

    name = "numbered"
    shape = TaskShape((3,), 2)

    def tasks(self, split, indices, device):
        numbers = torch.tensor(list(indices), device=device)[:, None]
        y = torch.tensor([0, 0, 1, 1], device=device).expand(len(numbers), 4)
        x = torch.stack([numbers.expand_as(y), y, torch.arange(4, device=device).expand_as(y)], dim=-1).float()
        return TaskBatch(x, y, x, y)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_predictions_that_are_not_finite_end_a_score_and_the_first_such_step_is_named(bad):
    """They would otherwise count as a guess."""

    class Diverges(Written):
        def adapt(self, network, parameters, batch, kind, steps):
            predictions = super().adapt(network, parameters, batch, kind, steps)
            predictions[1:, batch.query_x[:, 0, 0] == 5, 3] = bad
            return predictions

    network, bank = nn.Linear(1, 2), Bank("test", 2, 6)
    score(network, Numbered(), Diverges(), Bank("test", 0, 5), chunk=2)
    with pytest.raises(NasError, match="for task 3 of the bank is not finite after inner step 1;"):
        score(network, Numbered(), Diverges(), bank, chunk=2)


@pytest.mark.parametrize("chunk, chunks", [(1, (1,) * 4), (3, (3, 1)), (4, (4,)), (100, (4,))])
def test_a_score_by_hand(chunk, chunks):
    learner = Written()
    result = score(nn.Linear(1, 2), Numbered(), learner, Bank("test", 0, 4), chunk=chunk)
    assert result.per_task == (0.5, 0.75, 1.0, 1.0)
    assert result.value == 0.8125
    assert result.curve == ((0 + 1 + 2 + 3) / 16, (1 + 2 + 3 + 4) / 16, 0.8125)
    # The variance with n - 1, over n: ((-.3125)² + (-.0625)² + 2 * .1875²) / 3 / 4.
    assert result.stderr == pytest.approx((0.171875 / 12) ** 0.5)
    assert learner.chunks == chunks
    assert result.per_class == ()


class Named(Numbered):
    """Task t is of the classes 10 + t and 11 + t."""

    def tasks(self, split, indices, device):
        classes = torch.tensor([[10 + index, 11 + index] for index in indices])
        return replace(super().tasks(split, indices, device), classes=classes)


@pytest.mark.parametrize("chunk", [1, 3, 4])
def test_what_is_right_of_each_class_by_hand(chunk):
    """After the last step the first 2, 3, 4 and 4 queries are right; two are of a task's first class."""
    result = score(nn.Linear(1, 2), Named(), Written(), Bank("test", 0, 4), chunk=chunk)
    assert result.per_class == ((10, 2, 2), (11, 0 + 2, 4), (12, 1 + 2, 4), (13, 2 + 2, 4), (14, 2, 2))
    assert sum(right for _, right, _ in result.per_class) / 16 == result.value


class Paired(Named):
    """Two classes with neighbouring numbers, the first one even, are a unit."""

    def units(self, split):
        return "pairs", tuple(number // 2 for number in range(15))


@pytest.mark.parametrize("chunk", [1, 3, 4])
def test_what_is_right_of_each_unit_in_each_task_by_hand(chunk):
    plain = score(nn.Linear(1, 2), Named(), Written(), Bank("test", 0, 4), chunk=chunk)
    assert plain.units == "classes"
    assert plain.per_unit[:4] == ((0, 10, 2, 2), (0, 11, 0, 2), (1, 11, 2, 2), (1, 12, 1, 2))
    result = score(nn.Linear(1, 2), Paired(), Written(), Bank("test", 0, 4), chunk=chunk)
    assert result.units == "pairs"
    assert result.per_unit == ((0, 5, 2, 4), (1, 5, 2, 2), (1, 6, 1, 2), (2, 6, 4, 4), (3, 6, 2, 2), (3, 7, 2, 2))
    assert score(nn.Linear(1, 2), Numbered(), Written(), Bank("test", 0, 4), chunk=chunk).per_unit == ()


def test_a_bank_starts_where_it_says():
    assert score(nn.Linear(1, 2), Numbered(), Written(), Bank("test", 1, 2), chunk=9).per_task == (0.75, 1.0)


def test_one_task_has_no_known_error():
    assert score(nn.Linear(1, 2), Numbered(), Written(), Bank("test", 0, 1), chunk=9).stderr == float("inf")


@pytest.fixture(params=registry.names("learner"))
def learner(request):
    chosen = registry.create("learner", request.param, {})
    return replace(chosen, steps=3) if "steps" in vars(chosen) else chosen


@pytest.mark.parametrize("norm", ["group", "batch"])
def test_the_chunk_does_not_change_the_numbers(learner, norm):
    family = Blobs()
    network = build(TinyConv(), NARROW, family.shape, Normalisation(norm, True), learner=learner, seed=0)
    network = attach(network, learner.initial(network, family))
    before = weights_of(network)
    results = [score(network, family, learner, Bank("test", 5, 7), chunk=chunk) for chunk in (1, 3, 7, 50)]
    for result in results[1:]:
        # The last bits of the logits hardly ever decide which query is correct; a task has 12.
        assert result.per_task == pytest.approx(results[0].per_task, abs=0.01)
        assert result.curve == pytest.approx(results[0].curve, abs=0.01)
    assert all(torch.equal(w, before[name]) for name, w in weights_of(network).items())


def test_regression_is_scored_by_minus_the_error():
    family, learner = Sinusoid(shots=20), Maml(inner_lr=0.01, steps=3)
    network = nn.Sequential(nn.Linear(1, 20), nn.Tanh(), nn.Linear(20, 1))
    result = score(network, family, learner, Bank("validation", 0, 6), chunk=4)
    batch = family.tasks("validation", range(6), CPU)
    with torch.no_grad():
        untrained = -((network(batch.query_x.flatten(0, 1)) - batch.query_y.flatten(0, 1)) ** 2).mean()
    assert result.curve[0] == pytest.approx(untrained.item(), rel=1e-5)
    assert result.curve[0] < result.curve[-1] == result.value < 0
    assert len(result.curve) == 4


def test_parameters_that_are_not_learned_are_not_adapted_either():
    """Adaptation leaves them as they are, as meta-training does."""
    network = nn.Sequential(nn.Linear(1, 1, bias=False))
    network[0].weight.requires_grad_(False)
    network.append(nn.Linear(1, 1))

    class Looks(Maml):
        def adapt(self, network, parameters, *rest):
            assert list(parameters) == ["1.weight", "1.bias"]
            assert not any(p.requires_grad for p in parameters.values())
            return super().adapt(network, parameters, *rest)

    score(network, Sinusoid(), Looks(), Bank("test", 0, 2), chunk=2)


def test_labels_that_leak_are_noticed_before_adaptation():
    generator = torch.Generator().manual_seed(0)
    guesses = (torch.rand(400, 75, generator=generator) < 0.2).double().mean(dim=1)
    check_no_leak(guesses, 5)
    check_no_leak(torch.full((400,), 0.2), 5)  # One class is predicted for all queries.
    check_no_leak(torch.full((19,), 1.0), 5)  # Too few tasks for a test.
    for leaked in (guesses + 0.15, torch.full((20,), 1.0), torch.zeros(100)):
        with pytest.raises(NasError, match="labels leak"):
            check_no_leak(leaked, 5)


class Told(Blobs):
    """Tasks whose labels are always in the same order of the same classes."""

    def tasks(self, split, indices, device):
        same = super().tasks("train", [0], device)
        return TaskBatch(*(part.expand(len(indices), *part.shape[1:]) for part in list(vars(same).values())[:4]))


def test_tasks_that_are_all_alike_cannot_be_scored():
    family = Told(shots=2)
    learner = Maml(inner_lr=0.1)
    network = build(TinyConv(), NARROW, family.shape, Normalisation(), learner=learner, seed=3)
    meta_train(network, family, learner, OuterLoop(60, 4, 0, True), seed=0)
    with pytest.raises(NasError, match="labels leak"):
        score(network, family, learner, Bank("test", 0, 40), chunk=20)
