"""Costs of candidates kept in a store."""

from __future__ import annotations

from .sqlite_store import Store

RECORDS = "cost/"


class StoredCosts(dict[str, float]):
    """Costs that are in a store before they are known to anybody."""

    def __init__(self, store: Store) -> None:
        super().__init__({key.removeprefix(RECORDS): value for key, value in store.items(RECORDS).items()})
        self._store = store

    def __setitem__(self, key: str, value: float) -> None:
        self._store.put(RECORDS + key, value)
        super().__setitem__(key, value)
