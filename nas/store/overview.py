"""Overview of a store without its trials: quick enough for a list of a thousand runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .rows import RETRIED, checked_record
from .schema import SCHEMA, UPGRADES
from .sqlite_file import DurableFile

CANDIDATES = f"""SELECT count(*) FROM trials WHERE state != 'pending' AND repeats IS NULL AND told_before > {RETRIED}
    AND budget = (SELECT min(budget) FROM trials)"""
BEST = """SELECT number, json_extract(score, '$.value'), json_extract(score, '$.stderr') FROM trials
    WHERE state = 'done' AND repeats IS NULL
    ORDER BY budget DESC, json_extract(score, '$.value') DESC, number LIMIT 1"""


@dataclass(frozen=True)
class Overview:
    """Overview of a run's store.

    Attributes:
        records: Those of its records that were asked for, by key.
        trials: Number of trials of any kind.
        candidates: Number of candidates that ended.
        best: Number, score and standard error of the best trial; None where none has a score.
    """

    records: Mapping[str, Any]
    trials: int
    candidates: int
    best: tuple[int, float, float] | None


def overview(path: Path, *keys: str) -> Overview:
    """The overview of the store in a file. The records are checked for damage, the trials are not.

    Args:
        path: The file.
        keys: Keys of the records to read.

    Raises:
        RunError: The file is missing.
        StoreError: It is damaged, of another program, or of another schema version.
    """
    file = DurableFile(path, SCHEMA, readonly=True, check=False, upgrades=UPGRADES)
    file.open()
    try:
        with file.reading() as connection:
            marks = ", ".join("?" * len(keys))
            rows = connection.execute(f"SELECT * FROM records WHERE key IN ({marks})", keys).fetchall()
            records = {key: json.loads(checked_record(file, key, text, digest)) for key, text, digest in rows}
            [trials] = connection.execute("SELECT count(*) FROM trials").fetchone()
            [candidates] = connection.execute(CANDIDATES).fetchone()
            best = connection.execute(BEST).fetchone()
            return Overview(records, trials, candidates, best)
    finally:
        file.close()
