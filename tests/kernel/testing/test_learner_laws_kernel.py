"""The laws that `check_learner` checks hold for every built-in learner."""

import pytest

from nas import registry
from nas.registry.builtin import BUILT_IN
from nas.testing import check_learner


@pytest.mark.parametrize("name", sorted(BUILT_IN["learner"]))
def test_built_in_learners_keep_the_laws(name):
    check_learner(registry.create("learner", name, {}))
