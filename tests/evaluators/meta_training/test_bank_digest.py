"""Digest of a bank: the same however its tasks are drawn, and another after any change of any task."""

from __future__ import annotations

import hashlib
import pickle
from dataclasses import dataclass, field, replace

import pytest
import torch
from helpers.evaluators import CPU, NARROW, Blobs, TinyConv

from nas.errors import ConfigError
from nas.evaluators import MetaEvaluator
from nas.evaluators.learners import Anil
from nas.evaluators.meta_training.bank_digest import DRAWN_AT_ONCE, digest
from nas.evaluators.tasks import Glyphs, Sinusoid
from nas.evaluators.tasks.drawing import draw
from nas.task import Bank

COUNT = DRAWN_AT_ONCE + 5
BANK = Bank("validation", 3, COUNT)


@pytest.mark.parametrize("family", [Blobs(), Glyphs(ways=3, queries=2), Sinusoid()], ids=lambda family: family.name)
def test_it_is_that_of_the_tasks_drawn_one_by_one(family):
    sha = hashlib.sha256()
    for index in BANK.indices:
        batch = draw(family, "validation", [index], CPU)
        for name in ("support_x", "support_y", "query_x", "query_y", "classes"):
            tensor = getattr(batch, name)
            if tensor is not None:
                sha.update(f"{name} {tensor.dtype} {tuple(tensor.shape[1:])}".encode() + tensor.numpy().tobytes())
    assert digest(family, BANK) == sha.hexdigest()[:16]


@dataclass(frozen=True)
class Changed(Blobs):
    """Tasks of which the last of the bank is another in one place."""

    where: str = ""

    def tasks(self, split, indices, device):
        batch = super().tasks(split, indices, device)
        places = [place for place, index in enumerate(indices) if index == BANK.indices[-1]]
        if not self.where or not places:
            return batch
        if self.where == "no classes":
            return replace(batch, classes=None)
        tensor = getattr(batch, self.where).clone()
        tensor[places[0]].view(-1)[-1] += 1
        return replace(batch, **{self.where: tensor})


def test_any_part_of_any_task_is_in_it():
    parts = ["", "support_x", "support_y", "query_x", "query_y", "classes", "no classes"]
    assert len({digest(Changed(where=part), BANK) for part in parts}) == len(parts)
    assert digest(Changed(), BANK) == digest(Blobs(), BANK)


def test_split_first_count_and_seed_make_another_bank():
    banks = [BANK, Bank("test", 3, COUNT), Bank("validation", 4, COUNT), Bank("validation", 3, COUNT + 1)]
    actual = [*(digest(Blobs(), bank) for bank in banks), digest(Blobs(seed=1), BANK)]
    assert len(set(actual)) == len(actual)
    assert all(len(text) == 16 and int(text, 16) >= 0 for text in actual)


@dataclass(frozen=True)
class Counting(Blobs):
    """Task family that records which tasks are drawn; two of them are equal."""

    drawn: list[int] = field(default_factory=list, compare=False)

    def tasks(self, split, indices, device):
        self.drawn.extend(indices)
        return super().tasks(split, indices, device)


def test_a_bank_is_drawn_for_it_once_a_process_and_not_once_a_candidate():
    family = Counting(seed=5)
    first = digest(family, BANK)
    copy = pickle.loads(pickle.dumps(family))  # as it comes to a worker with each candidate
    copy.drawn.clear()
    assert digest(copy, BANK) == digest(family, BANK) == first
    assert (family.drawn, copy.drawn) == (list(BANK.indices), [])


def test_global_generators_and_who_drew_before_do_not_matter():
    before = digest(Blobs(seed=6), BANK)
    torch.rand(3)
    Blobs(seed=6).tasks("validation", [9, 4], CPU)
    assert digest(Changed(seed=6), BANK) == before


class Unfrozen(Blobs):
    """A dataclass that can be changed after its bank was drawn."""

    __hash__ = None


def test_a_family_that_is_no_frozen_value_is_refused_before_a_search():
    with pytest.raises(ConfigError, match=r"tasks .blobs. are no frozen value .* make the family a frozen dataclass"):
        digest(Unfrozen(), BANK)
    with pytest.raises(ConfigError, match="no frozen value"):
        MetaEvaluator(TinyConv(), Unfrozen(), Anil(), device="cpu").check(NARROW)
