"""Microbatches: the same results as for whole batches, and a smaller size after memory runs out."""

import logging
import weakref
from dataclasses import dataclass, field, replace

import pytest
import torch
from helpers.evaluators import CPU, NARROW, Blobs, TinyConv, doubled, only, seeded, weights_of  # noqa: F401  # fixture
from helpers.learners import same
from torch import nn

from nas import registry
from nas.errors import NasError
from nas.evaluators import MetaEvaluator
from nas.evaluators.learners import Anil, Maml
from nas.evaluators.meta_training.microbatches import Chunk, Chunked
from nas.evaluators.networks.building import build
from nas.evaluators.networks.normalisation import Normalisation, set_normalisation
from nas.evaluators.networks.weights import attach
from nas.evaluators.tasks.sinusoid import Sinusoid
from nas.failures import out_of_memory
from nas.protocols.evaluators import half_chunk
from nas.task import TaskBatch
from nas.testing import ToySpace

TASKS = 5
FULL = "CUDA out of memory. Tried to allocate 2.00 GiB."


@pytest.fixture(params=registry.names("learner"))
def learner(request):
    chosen = registry.create("learner", request.param, {})
    return replace(chosen, **{name: 2 for name in ("steps", "train_steps") if name in vars(chosen)})


# --- the same, whatever the chunk ------------------------------------------------------------------------------------


def check_chunks(learner, network, family):
    attach(network, learner.initial(network, family)).double()
    batch, kind = doubled(family.tasks("train", range(TASKS), CPU)), family.shape.kind
    weights = weights_of(network)
    loss, gradients = learner.meta_gradient(network, weights, batch, kind)
    curve = learner.adapt(network, weights, batch, kind, 2)
    for size in (1, 2, 4, 5, 9):
        chunked = Chunked(learner, Chunk(size))
        actual, parts = chunked.meta_gradient(network, weights, batch, kind)
        assert same(actual, loss)
        assert parts.keys() == gradients.keys()
        assert all(same(parts[name], gradients[name]) for name in gradients)
        assert same(chunked.adapt(network, weights, batch, kind, 2), curve)


@pytest.mark.parametrize("norm", ["group", "batch", "support"])
def test_gradients_and_predictions_do_not_depend_on_the_chunk(learner, norm):
    family = Blobs(shots=2)
    check_chunks(
        learner,
        build(TinyConv(), NARROW, family.shape, Normalisation(norm, True), learner=learner, seed=1),
        family,
    )


@pytest.mark.parametrize("norm", ["group", "batch", "support"])
def test_nor_in_regression(learner, norm):
    if learner.name != "protonet":
        network = nn.Sequential(nn.Linear(1, 8, bias=False), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 1))
        check_chunks(learner, set_normalisation(network, norm), Sinusoid(queries=4))


@pytest.mark.parametrize("name", ["anil", "maml"])
def test_a_score_does_not_depend_on_the_chunk_but_for_rounding(name):
    learner = registry.create("learner", name, {"inner_lr": 0.01})
    usual = MetaEvaluator(ToySpace(), Sinusoid(), learner, tasks_per_step=5, validation_tasks=12, device="cpu")
    scores = [replace(usual, chunk=chunk).evaluate(only(ToySpace()), 4, 3) for chunk in (100, 5, 2, 1)]
    for score in scores[1:]:
        assert score.protocol == scores[0].protocol
        assert score.per_task == pytest.approx(scores[0].per_task, rel=1e-4)
        assert score.curve == pytest.approx(scores[0].curve, rel=1e-4)
        assert "chunk" not in score.metrics


def test_the_learner_may_change_in_the_course_of_training_and_the_chunk_stays_the_same_one():
    chunked = Chunked(Maml(first_order=0.5), Chunk(3))
    for progress, order in ((0.4, 1), (0.5, 2)):
        assert chunked.at(progress).learner.order == order
        assert chunked.at(progress).chunk is chunked.chunk
    assert chunked.at(0.1) == chunked.at(0.4)
    assert (
        len({chunked.at(progress) for progress in (0.0, 0.1, 0.4, 0.5, 0.9)}) == 2
    )  # Steps are recorded for each learner.
    names = ("name", "steps", "outer_lr", "outer_optimizer")
    assert [getattr(chunked, name) for name in names] == [getattr(Maml(), name) for name in names]


# --- memory that runs out --------------------------------------------------------------------------------------------


@dataclass
class Roomy:
    """Function that raises an error for more than `room` tasks and records the numbers of tasks."""

    room: int
    error: Exception = field(default_factory=lambda: torch.OutOfMemoryError(FULL))
    given: list = field(default_factory=list)
    large: list = field(default_factory=list)

    def __call__(self, batch):
        assert [held() for held in self.large] == [None] * len(self.large)
        self.given.append(len(batch.support_x))
        work = torch.zeros(3)
        if len(batch.support_x) > self.room:
            self.large.append(weakref.ref(work))
            raise type(self.error)(*self.error.args)
        return batch.support_x.flatten().tolist()


def numbered(tasks):
    x = torch.arange(tasks)[:, None].float()
    return TaskBatch(x, x, x, x)


@pytest.mark.parametrize(
    "size, tasks, room, given",
    [
        (8, 8, 8, [8]),
        (8, 8, 4, [8, 4, 4]),
        (25, 7, 6, [7, 3, 3, 1]),
        (3, 7, 2, [3, 1, 1, 1, 1, 1, 1, 1]),
        (4, 10, 4, [4, 4, 2]),
    ],
)
def test_the_chunk_is_halved_once_and_all_tasks_are_done(size, tasks, room, given, caplog):
    run, chunk = Roomy(room), Chunk(size)
    with caplog.at_level(logging.WARNING):
        results = chunk.of(numbered(tasks), run)
    assert run.given == given
    assert [number for _, numbers in results for number in numbers] == list(range(tasks))
    assert [share for share, _ in results] == [len(numbers) / tasks for _, numbers in results]
    assert chunk.halved == (room < min(size, tasks))
    expected = [f"memory ran out with tasks taken {given[0]} at a time; going on with {given[0] // 2} at a time"]
    assert [record.getMessage() for record in caplog.records] == expected * chunk.halved


def test_a_tasks_second_time_is_the_candidates_failure():
    chunk = Chunk(8)
    with pytest.raises(NasError, match=rf"memory once more.* taken 4 at a time \({FULL}\); set .* chunk below 4"):
        chunk.of(numbered(8), Roomy(2))
    assert Chunk(8).of(numbered(8), Roomy(4))
    with pytest.raises(NasError, match="out of memory once more"):
        chunk.of(numbered(8), Roomy(3))


def test_one_task_that_does_not_fit_cannot_be_halved():
    with pytest.raises(NasError, match=r"^out of memory, with tasks taken 1 at a time .*smaller networks"):
        Chunk(1).of(numbered(3), Roomy(0))


def test_other_errors_are_not_memorys():
    error = RuntimeError("shapes do not match")
    with pytest.raises(RuntimeError, match="shapes do not match"):
        Chunk(8).of(numbered(8), Roomy(4, error))


def test_what_records_a_step_hears_that_memory_ran_out(monkeypatch):
    """The step is then taken without recording, which needs less memory."""
    chunk = Chunk(8)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.is_current_stream_capturing", lambda: True)
    with pytest.raises(torch.OutOfMemoryError):
        chunk.of(numbered(8), Roomy(4))
    assert (chunk.size, chunk.halved) == (8, False)


def test_memory_that_ran_out_is_recognised():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**50)
    assert out_of_memory(caught.value)
    for error in (MemoryError(), torch.OutOfMemoryError(FULL), RuntimeError("CUDA error: out of memory\nMore.")):
        assert out_of_memory(error)
        assert Chunk(8).of(numbered(8), Roomy(4, error))
    for error in (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), NasError("memory"), ValueError()):
        assert not out_of_memory(error)


class Crowded(Anil):
    """Has no memory for more than 3 tasks."""

    def meta_gradient(self, network, parameters, batch, kind):
        self._enter(batch)
        return super().meta_gradient(network, parameters, batch, kind)

    def adapt(self, network, parameters, batch, kind, steps):
        self._enter(batch)
        return super().adapt(network, parameters, batch, kind, steps)

    def _enter(self, batch):
        if len(batch.support_x) > 3:
            raise torch.OutOfMemoryError(FULL)


def test_a_score_after_halving_is_the_same_each_time_and_says_so():
    usual = MetaEvaluator(
        ToySpace(), Sinusoid(), Anil(inner_lr=0.01), tasks_per_step=6, validation_tasks=9, device="cpu"
    )
    crowded = replace(usual, learner=Crowded(inner_lr=0.01))
    expected = usual.evaluate(only(ToySpace()), 4, 3)
    scores = [crowded.evaluate(only(ToySpace()), 4, 3) for _ in range(2)]
    assert scores[0].per_task == scores[1].per_task == pytest.approx(expected.per_task, rel=1e-4)
    assert scores[0].protocol == expected.protocol
    assert [score.metrics.get("chunk") for score in (*scores, expected)] == [3.0, 3.0, None]
    roomy = replace(crowded, chunk=3).evaluate(only(ToySpace()), 4, 3)
    assert (roomy.per_task, roomy.metrics.get("chunk")) == (scores[0].per_task, None)
    with pytest.raises(NasError, match="taken 4 at a time"):
        replace(crowded, tasks_per_step=8).evaluate(only(ToySpace()), 4, 3)


def test_an_evaluator_takes_half_as_many_tasks_at_once_with_the_same_score():
    usual = MetaEvaluator(
        ToySpace(), Sinusoid(), Anil(inner_lr=0.01), tasks_per_step=6, validation_tasks=9, device="cpu", chunk=4
    )
    half = half_chunk(usual)
    scores = [evaluator.evaluate(only(ToySpace()), 4, 3) for evaluator in (usual, half)]
    assert half.chunk == 2
    assert scores[1].per_task == pytest.approx(scores[0].per_task, rel=1e-4)
    assert scores[0].protocol == scores[1].protocol
    assert half_chunk(replace(usual, chunk=1)) is None
    assert half_chunk(object()) is None
