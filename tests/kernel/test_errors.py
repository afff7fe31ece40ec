"""Errors: exit status, and suggestions for unknown names."""

import pytest

from nas import errors
from nas.errors import NasError, nearest

CLASSES = [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, Exception)]


@pytest.mark.parametrize("error", CLASSES)
def test_every_error_has_the_root_and_an_exit_status(error):
    assert issubclass(error, NasError)
    assert error.exit_status in (1, 2)


@pytest.mark.parametrize(
    ("name", "status"),
    [("ConfigError", 2), ("DataError", 2), ("SpaceError", 2), ("RunError", 2), ("SearchError", 1), ("WorkerError", 1)],
)
def test_bad_usage_exits_with_2_and_failed_work_with_1(name, status):
    assert getattr(errors, name).exit_status == status


def test_nearest_suggests_the_likely_name_and_lists_all():
    assert nearest("evolutoin", ["random", "evolution"]) == "did you mean 'evolution'? Known: evolution, random"


def test_nearest_only_lists_when_nothing_is_close():
    assert nearest("xyz", {"evolution", "random"}) == "Known: evolution, random"
    assert nearest("xyz", []) == "None are known"
