"""Interrupted and uninterrupted searches to compare, with everything that the controller was told."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from helpers.search import Chain, List, OneByOne, run_toy

from nas.store import Store
from nas.trial import Trial

CONTROLLERS: dict[str, Callable[[], Any]] = {
    "chain": Chain,
    "chain in threes": lambda: Chain(batch=3),
    "list": lambda: List(100),
    "one by one": lambda: OneByOne(100),
}


@pytest.fixture(name="store")
def new_store(tmp_path: Path) -> Iterator[Store]:
    with Store.create(tmp_path / "trials.sqlite", {}) as store:
        yield store


def stopping_after(count: int) -> tuple[Callable[[Trial], None], Callable[[], bool]]:
    """Arguments `on_trial` and `stop` that stop a search when `count` trials are finished."""
    seen: list[Trial] = []
    return seen.append, lambda: len(seen) >= count


def unbroken(folder: Path, **options: Any) -> list[Trial]:
    with Store.create(folder / "unbroken.sqlite", {}) as store:
        assert run_toy(store, **options) == "done"
        assert store.trials() == store.told()
        return store.trials()


class Recorded(Chain):
    """Remembers what it was told."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[Trial] = []

    def tell(self, trials: Sequence[Trial]) -> None:
        super().tell(trials)
        self.told += trials
