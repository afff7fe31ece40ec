"""Counter-based random numbers: splitmix64's hash, fair choices, and tasks that depend on their number alone."""

import numpy as np
import pytest
import torch

from nas.errors import ConfigError
from nas.evaluators.tasks.counter_hash import SPLITS, _mix, choose, fold, task_keys, uniform

CPU = torch.device("cpu")
GAMMA, WORD = 0x9E3779B97F4A7C15, 2**64 - 1


def slow_mix(x: int) -> int:
    """splitmix64's finaliser in Python's unbounded integers."""
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & WORD
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & WORD
    return x ^ (x >> 31)


def slow_fold(key: int, number: int) -> int:
    return slow_mix((slow_mix(key) + (number + 1) * GAMMA) & WORD)


def signed(x: int) -> int:
    return x - 2**64 if x >= 2**63 else x


def keys(split="train", indices=range(4), seed=0):
    return task_keys(seed=seed, split=split, indices=indices, device=CPU)


def test_hash_gives_the_published_first_numbers_of_splitmix64():
    states = torch.tensor([signed((1234567 + n * GAMMA) & WORD) for n in (1, 2, 3, 4, 5)])
    published = [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]
    assert _mix(states).tolist() == [signed(x) for x in published]


def test_keys_equal_a_slow_version_in_python_integers():
    for place, split in enumerate(SPLITS):
        for index in (0, 1, 2**31, 2**63, 2**64 - 1):
            expected = slow_fold(slow_fold(slow_fold(7, 0), place), index)
            assert keys(split, [index], seed=7).tolist() == [signed(expected)]


def test_choose_equals_a_slow_version_that_sorts():
    actual = choose(keys(), population=37, count=6)
    for key, chosen in zip(keys().tolist(), actual.tolist(), strict=True):
        ranks = [(signed(slow_fold(key & WORD, i)) >> 6, i) for i in range(37)]
        assert chosen == [i for _, i in sorted(ranks)[:6]]


def test_choose_takes_distinct_numbers_in_range_and_all_of_them_when_asked():
    actual = choose(fold(keys(indices=range(50))[:, None], torch.arange(3)), population=9, count=9)
    assert actual.shape == (50, 3, 9)
    assert (actual.sort(dim=-1).values == torch.arange(9)).all()


def test_every_number_is_chosen_equally_often_in_every_place():
    actual = choose(keys(indices=range(20_000)), population=10, count=3).numpy()
    for place in range(3):
        counts = np.bincount(actual[:, place], minlength=10)
        chi_squared = ((counts - 2000) ** 2 / 2000).sum()
        assert chi_squared < 27.9  # the 99.9 % point with 9 degrees of freedom


def test_choose_leaves_out_what_is_not_allowed():
    allowed = torch.arange(20) % 5 == torch.arange(4)[:, None]
    actual = choose(keys(), population=20, count=4, allowed=allowed)
    assert (actual.sort(dim=-1).values == torch.arange(0, 20, 5) + torch.arange(4)[:, None]).all()


def test_keys_do_not_depend_on_the_rest_of_the_batch():
    assert torch.equal(keys(indices=[3, 7]), torch.cat([keys(indices=[3]), keys(indices=[7])]))
    assert keys(indices=[]).shape == (0,)


def test_keys_differ_between_seeds_splits_and_numbers():
    all_keys = torch.cat([keys(split, range(1000), seed) for split in SPLITS for seed in range(3)])
    assert len(all_keys.unique()) == 9000


def test_numbers_of_any_size_and_kind_are_allowed():
    assert keys(indices=[10**30]).shape == (1,)
    assert torch.equal(keys(indices=[np.int64(5)]), keys(indices=[5]))


def test_uniform_numbers_fill_the_unit_interval():
    actual = uniform(keys(indices=range(20_000)), 2)
    assert actual.shape == (20_000, 2)
    assert actual.min() >= 0
    assert actual.max() < 1
    counts = np.histogram(actual.numpy(), bins=20, range=(0, 1))[0]
    assert ((counts - 2000) ** 2 / 2000).sum() < 43.8  # the 99.9 % point with 19 degrees of freedom
    assert abs(np.corrcoef(actual.T.numpy())[0, 1]) < 0.03


def test_an_unknown_split_is_an_error_that_names_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'validation'"):
        keys("valid")


@pytest.mark.parametrize("arguments", [{"indices": [-1]}, {"seed": -1}])
def test_negative_numbers_are_errors(arguments):
    with pytest.raises(ConfigError, match="-1 is negative"):
        keys(**arguments)
