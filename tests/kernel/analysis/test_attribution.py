"""Attribution: the parts and their interaction sum to the whole difference, on an artificial table."""

import itertools
import json

import numpy as np
import pytest

from nas.analysis.attribution import Attribution, attributed, mixes
from nas.trial import Score

PARTS = {"network": "cell", "learner": "maml", "outer": "sgd"}


def table(value_of, seeds=3, tasks=40, noise=0.02):
    """Scores of each mix around a value of its parts."""
    rng = np.random.default_rng(0)
    return {
        mix: [
            Score(value=0.5, stderr=0.1, curve=(), per_task=tuple(value_of(mix) + noise * rng.standard_normal(tasks)))
            for _ in range(seeds)
        ]
        for mix in mixes(list(PARTS))
    }


def additive(mix):
    return 0.3 + 0.2 * ("network" in mix) + 0.1 * ("learner" in mix) - 0.05 * ("outer" in mix)


def together(mix):
    """Network and learner are worth nothing alone."""
    return 0.3 + 0.25 * ({"network", "learner"} <= mix)


@pytest.mark.parametrize("value_of", [additive, together])
def test_parts_and_interaction_sum_to_the_total(value_of):
    result = attributed(table(value_of), PARTS, accuracy=True)
    for rest, effects in (
        (result.interaction, [effect.added for effect in result.effects]),
        (result.overlap, [effect.removed for effect in result.effects]),
    ):
        assert sum(effect.value for effect in effects) + rest.value == pytest.approx(result.total.value, abs=1e-12)


def test_effects_that_add_up_have_no_interaction():
    result = attributed(table(additive), PARTS, accuracy=True)
    expected = {"network": 0.2, "learner": 0.1, "outer": -0.05}
    for effect in result.effects:
        for estimate in (effect.added, effect.removed):
            assert estimate.low < expected[effect.part] < estimate.high
    for rest in (result.interaction, result.overlap):
        assert rest.low < 0 < rest.high
        assert abs(rest.value) < 0.03


def test_parts_that_work_only_together_show_as_interaction():
    result = attributed(table(together, noise=0.001), PARTS, accuracy=True)
    assert result.interaction.value == pytest.approx(0.25, abs=0.002)
    assert result.overlap.value == pytest.approx(-0.25, abs=0.002)
    assert result.interaction.low > 0 > result.overlap.high


def test_each_recipe_is_measured_once():
    assert mixes(["one"]) == [frozenset(), frozenset({"one"})]
    for number in range(1, 6):
        parts = [str(part) for part in range(number)]
        found = mixes(parts)
        expected = {frozenset(c) for size in (0, 1, number - 1, number) for c in itertools.combinations(parts, size)}
        assert len(found) == len(set(found))
        assert set(found) == expected


def test_the_interval_of_a_rest_holds_the_noise_of_all_recipes():
    """Its standard error is that of a sum: of winner, of each part, and twice the default, in independent noise."""
    result = attributed(table(additive, tasks=500, seeds=20, noise=0.1), PARTS, accuracy=True)
    single = 0.1 / (20 * 500) ** 0.5
    assert result.total.stderr == pytest.approx(single * 2**0.5, rel=0.4)
    assert result.interaction.stderr == pytest.approx(single * (1 + 4 + 3) ** 0.5, rel=0.4)


def test_json_round_trip():
    result = attributed(table(additive), PARTS, accuracy=True)
    assert Attribution.from_json(json.loads(json.dumps(result.to_json()))) == result
