"""Drawn tasks: the order of the examples reveals nothing of their classes."""

from dataclasses import replace

import pytest
import torch
from helpers.evaluators import Blobs
from scipy.stats import chisquare

from nas.evaluators.tasks import Sinusoid
from nas.evaluators.tasks.drawing import draw, fewer_queries
from nas.task import TaskBatch

CPU = torch.device("cpu")


def rows(x, y):
    """Each example with its label, in a hashable form."""
    return sorted((*example.flatten().tolist(), *label.flatten().tolist()) for example, label in zip(x, y, strict=True))


@pytest.mark.parametrize("family", [Blobs(shots=2, queries=4), Sinusoid(shots=3, queries=6)])
def test_a_drawn_task_has_the_examples_of_its_family_in_another_order(family):
    drawn, given = draw(family, "train", range(5), CPU), family.tasks("train", range(5), CPU)
    for x, y in (("support_x", "support_y"), ("query_x", "query_y")):
        new, old = (list(zip(getattr(batch, x), getattr(batch, y), strict=True)) for batch in (drawn, given))
        assert [rows(*task) for task in new] == [rows(*task) for task in old]
        assert not torch.equal(getattr(drawn, x), getattr(given, x))
        # The tensors own their memory, so nothing outside the task can be reached through them.
        assert getattr(drawn, x).untyped_storage().nbytes() == getattr(drawn, x).numel() * 4


def test_every_class_is_as_likely_at_every_place():
    batch = draw(Blobs(ways=3, shots=2, queries=4), "validation", range(6000), CPU)
    for y in (batch.support_y, batch.query_y):
        for place in y.T:
            assert chisquare(torch.bincount(place, minlength=3)).pvalue > 1e-5
    # Neighbours reveal nothing either: 11 places are left, 3 of them of the same class.
    same = (batch.query_y[:, 1:] == batch.query_y[:, :-1]).double().mean()
    assert float(same) == pytest.approx(3 / 11, abs=0.01)


def test_the_order_is_a_function_of_split_and_number():
    family = Blobs(queries=4)
    together, alone = draw(family, "test", [4, 9], CPU), draw(family, "test", [9], CPU)
    assert torch.equal(together.query_y[1], alone.query_y[0])
    assert torch.equal(together.query_x[1], alone.query_x[0])
    assert not torch.equal(together.query_y[0], together.query_y[1])
    assert not torch.equal(together.query_y, draw(family, "train", [4, 9], CPU).query_y)


def test_fewer_queries_are_those_of_the_first_of_each_class():
    family = Blobs(ways=3, shots=2, queries=4)
    batch, fewer = family.tasks("train", range(2), CPU), draw(family, "train", range(2), CPU, queries=2)
    for task in range(2):
        for way in range(3):
            first = batch.query_x[task][batch.query_y[task] == way][:2]
            kept = fewer.query_x[task][fewer.query_y[task] == way]
            assert rows(kept, torch.zeros(2)) == rows(first, torch.zeros(2))
    assert fewer.support_x.shape == batch.support_x.shape


def test_fewer_queries_of_a_regression_task_are_of_its_first():
    family = Sinusoid(queries=9)
    batch, fewer = family.tasks("train", range(2), CPU), draw(family, "train", range(2), CPU, queries=4)
    for task in range(2):
        expected = rows(batch.query_x[task, :4], batch.query_y[task, :4])
        assert rows(fewer.query_x[task], fewer.query_y[task]) == expected


@pytest.mark.parametrize("queries", [0, 4, 99])
def test_all_queries_are_taken_where_there_are_no_more(queries):
    batch = Blobs(queries=4).tasks("train", range(2), CPU)
    fewer = fewer_queries(batch, 3, queries)
    assert all(torch.equal(fewer_x, x) for fewer_x, x in zip(vars(fewer).values(), vars(batch).values(), strict=True))


def test_a_family_that_names_no_classes_is_drawn_as_well():
    class Nameless(Blobs):
        def tasks(self, split, indices, device):
            return replace(super().tasks(split, indices, device), classes=None)

    batch = draw(Nameless(), "train", range(3), CPU)
    assert isinstance(batch, TaskBatch)
    assert batch.classes is None
