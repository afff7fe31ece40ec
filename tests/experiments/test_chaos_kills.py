"""Kills of searches, and that the experiment finds a search that loses trials."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from nas.experiments.chaos import kills
from nas.experiments.chaos.breaking import Work, attack, unbroken
from nas.experiments.chaos.figures import Settings
from nas.experiments.chaos.tracing import Call, follow, fork, why_not

traced = pytest.mark.skipif(bool(why_not()), reason=why_not())


@traced
def test_a_process_is_stopped_before_each_call_that_writes(tmp_path: Path) -> None:
    (tmp_path / "read").write_text("text")

    def body(send: Callable[[bytes], None]) -> None:
        (tmp_path / "read").read_text()
        (tmp_path / "new").mkdir()
        os.rename(tmp_path / "read", tmp_path / "new" / "a")
        send(b"done")

    calls: list[str] = []

    def before(call: Call) -> bool:
        calls.append(call.name)
        return call.name == "rename"

    ended = follow(body, before)
    assert (ended.killed, ended.calls, calls, ended.said) == (True, 2, ["mkdir", "rename"], b"")
    assert (tmp_path / "new").is_dir()
    assert (tmp_path / "read").exists()


def test_the_error_of_a_forked_process_is_said() -> None:
    def body(_send: Callable[[bytes], None]) -> None:
        raise ValueError("no luck")

    ended = fork(body).ended()
    assert ended.status == 1
    assert ended.said == b"ValueError: no luck"


def test_kills_of_searches_lose_nothing(tmp_path: Path) -> None:
    count, lost, unequal, left = kills.figures(Settings(False, 0, tmp_path), searches=8, tables=0, trained=0)
    assert all(figure.met for figure in (count, lost, unequal, left)), (count, lost, unequal, left)
    assert (lost.measured, unequal.measured) == ("0", "0")


@pytest.mark.slow
def test_kills_of_runs_lose_nothing(tmp_path: Path) -> None:
    count, lost, unequal, _ = kills.figures(Settings(False, 0, tmp_path), searches=0, tables=2, trained=2)
    assert all(figure.met for figure in (count, lost, unequal)), (count, lost, unequal)


@traced
def test_work_that_acknowledges_before_it_writes_is_found(tmp_path: Path) -> None:
    def hasty(folder: Path, send: Callable[[bytes], None]) -> None:
        folder.mkdir(exist_ok=True)
        for number in range(10):
            if not (folder / str(number)).exists():
                send(f"{number}\n".encode())
                (folder / str(number)).touch()

    def lost(folder: Path, lines: list[str], _whole: set[str]) -> list[str]:
        return [line for line in lines if not (folder / line).exists()]

    work = Work(hasty, lambda folder: {path.name for path in folder.iterdir()}, lost)
    tally = attack(work, unbroken(work, tmp_path / "whole", traced=True), tmp_path / "broken", 30, random.Random(0))
    assert tally.kills >= 30
    assert tally.lost
