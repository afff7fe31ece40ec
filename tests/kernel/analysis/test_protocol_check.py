"""No store ranks the scores of two experiments together: what is refused, and what is said of a store that has both."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.analysis.mixed_protocols import mixed_scores
from nas.analysis.protocol_check import check_same, differences, differences_text
from nas.architecture import Architecture
from nas.errors import ProtocolError
from nas.store import MemoryStore, Store
from nas.trial import Score, Trial

ONE = Architecture("toy", {"a": 0})
values = st.recursive(st.none() | st.integers(0, 2) | st.text("ab", max_size=2), lambda s: st.lists(s, max_size=2))
protocols = st.recursive(
    st.dictionaries(st.sampled_from("xyz"), values, max_size=3),
    lambda inner: st.dictionaries(st.sampled_from("xyz"), values | inner, max_size=3),
    max_leaves=6,
)


def scored(protocol: dict[str, Any]) -> Score:
    return Score(0.5, 0.1, per_task=(0.5, 0.5), protocol=protocol)


def done(trial: Trial, protocol: dict[str, Any]) -> Trial:
    return replace(trial, state="done", score=scored(protocol), seconds=1.0)


@pytest.fixture(params=["file", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    return MemoryStore() if request.param == "memory" else Store.create(tmp_path / "trials.sqlite", {})


@settings(deadline=None, derandomize=True, database=None)
@given(protocols, protocols)
def test_protocols_differ_where_any_of_their_leaves_do(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Against a slow version that writes out every leaf of both."""

    def leaves(protocol: dict[str, Any], of: str = "") -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in protocol.items():
            found |= leaves(value, f"{of}{key}.") if isinstance(value, dict) else {f"{of}{key}": value}
        return found

    named = [key for key, _, _ in differences(one, other)]
    assert len(set(named)) == len(named)
    assert bool(differences_text(one, other)) == bool(named)
    # A table on one side only is named by its own key; where all values are leaves, the keys are exactly these.
    first, second = leaves(one), leaves(other)
    apart = {key for key in first | second if first.get(key) != second.get(key)}
    assert all(any(key == name or key.startswith(f"{name}.") for name in named) for key in apart)
    if one == other:
        assert named == []


def test_a_score_of_another_protocol_is_refused_and_its_trial_stays_pending(store: Any) -> None:
    first, second, third, above = [*store.propose([ONE] * 3, 5, 0), *store.propose([ONE], 9, 0)]
    store.finish(done(first, {"tasks": {"digest": "ab"}, "ways": (5,)}))
    with pytest.raises(ProtocolError, match=r"of trials 0 and 1.*\(tasks\.digest was 'ab' and is 'cd'\)") as caught:
        store.finish(done(second, {"tasks": {"digest": "cd"}, "ways": [5]}))
    assert caught.value.exit_status == 2
    assert [trial.state for trial in store.trials()] == ["done", "pending", "pending", "pending"]
    assert store.finish(done(second, {"tasks": {"digest": "ab"}, "ways": [5]}))
    assert store.finish(replace(third, state="failed", error="it broke", seconds=1.0))
    assert store.finish(done(above, {"tasks": {"digest": "cd"}}))
    assert mixed_scores(store.trials()) == []


def test_a_store_that_is_opened_again_refuses_as_before(tmp_path: Path) -> None:
    with Store.create(tmp_path / "trials.sqlite", {}) as store:
        first, _ = store.propose([ONE] * 2, 5, 0)
        store.finish(done(first, {"table": "ab"}))
    with Store.open(tmp_path / "trials.sqlite") as store:
        [second] = store.pending()
        with pytest.raises(ProtocolError, match="table was 'ab' and is 'cd'"):
            store.finish(done(second, {"table": "cd"}))
        assert store.finish(done(second, {"table": "ab"}))


def test_a_store_of_two_protocols_is_described() -> None:
    ab, cd = {"tasks": {"digest": "ab"}, "norm": "group"}, {"tasks": {"digest": "cd"}, "norm": "group"}
    trials = [done(Trial(number, ONE, 5, 0), ab if number < 3 else cd) for number in range(5)]
    trials += [Trial(5, ONE, 5, 0), done(Trial(6, ONE, 9, 0), cd), done(Trial(7, ONE, 5, 0), ab)]
    record = lambda protocol: {"score": scored(protocol).to_json(), "error": None}  # noqa: E731
    records = {f"measured/test/toy/k{seed}/{seed}": record(ab if seed < 2 else cd) for seed in range(3)}
    records |= {"measured/validation/toy/k0/0": record(ab), "measured/test/toy/k9/9": {"score": None, "error": "died"}}
    groups = [["measured/test/toy/k0/0", "measured/test/toy/k1/1"], ["measured/test/toy/k2/2"]]
    assert [entry.to_json() for entry in mixed_scores(trials, records)] == [
        {"budget": 5, "keys": ["tasks.digest"], "groups": [[0, 1, 2, 7], [3, 4]]},
        {"split": "test", "keys": ["tasks.digest"], "groups": groups},
    ]
    first, second = (entry.text() for entry in mixed_scores(trials, records))
    assert "trials of budget 5 are of 2 protocols" in first
    assert "tasks.digest differ (#0, #1, #2, #7; #3, #4)" in first
    assert "final test measurements are of 2 protocols" in second
    assert mixed_scores(trials[:3], {key: records[key] for key in list(records)[:2]}) == []


@pytest.mark.parametrize("pair", [({"a": (1,)}, {"a": [1]}), ({}, {}), ({"p": Path("x")}, {"p": "x"})])
def test_what_json_writes_alike_is_the_same(pair: tuple[dict[str, Any], dict[str, Any]]) -> None:
    check_same(*pair, "they")
    assert differences_text(*pair) == ""


def test_a_message_names_no_more_than_a_few_differences() -> None:
    text = differences_text({f"k{i}": i for i in range(9)}, {f"k{i}": -1 for i in range(9)})
    assert text == "k0 was 0 and is -1, k1 was 1 and is -1, k2 was 2 and is -1, 6 more"
