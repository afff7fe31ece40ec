"""Splits by a hash of names: each name once, enough in each split, and a new name moves no other."""

import pytest

from nas.evaluators.tasks.splits import split_by_hash


@pytest.mark.parametrize("number", [0, 1, 3, 6, 7, 15, 100])
@pytest.mark.parametrize("least", [1, 2, 5])
def test_each_name_is_in_one_split_and_each_split_has_enough(number, least):
    names = [f"name {n}" for n in range(number)]
    splits = split_by_hash(names, least)
    assert sorted(name for split in splits.values() for name in split) == sorted(names)
    assert number < 3 * least or min(map(len, splits.values())) >= least


def test_a_new_name_moves_no_other():
    names = [f"name {n}" for n in range(60)]
    before, after = split_by_hash(names[:50], 2), split_by_hash(names, 2)
    assert all(set(before[split]) <= set(after[split]) for split in before)


def test_shares_of_many_names_are_60_20_and_20_percent():
    sizes = [len(names) / 5000 for names in split_by_hash(map(str, range(5000)), 1).values()]
    assert sizes == pytest.approx([0.6, 0.2, 0.2], abs=0.02)
