"""Costs of candidates, kept in a run's store."""

from __future__ import annotations

from .sqlite_store import Store

RECORDS = "cost/"
"""Prefix of the records' keys."""


class StoredCosts(dict[str, float]):
    """A mapping of costs that writes each to a store first, so that a resumed search decides by the same costs."""

    def __init__(self, store: Store) -> None:
        super().__init__({key.removeprefix(RECORDS): value for key, value in store.items(RECORDS).items()})
        self._store = store

    def __setitem__(self, key: str, value: float) -> None:
        self._store.put(RECORDS + key, value)
        super().__setitem__(key, value)
