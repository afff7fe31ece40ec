"""Damaged stores, full disks and racing processes, at tiny counts; and that damage that nobody sees is found."""

from __future__ import annotations

from pathlib import Path

import pytest

from nas.experiments.chaos import full_disk, racing_resumers, torn_files, toy_search
from nas.experiments.chaos.figures import Settings
from nas.runs.folder import STORE


def test_torn_files_are_recovered_or_refused(tmp_path: Path) -> None:
    found = torn_files.figures(Settings(False, 0, tmp_path), tail=3, flips=5)
    assert all(figure.met for figure in found), found
    assert "0 recovered" in found[0].measured


def test_a_store_that_lost_trials_in_silence_is_found(tmp_path: Path) -> None:
    for name, trials in (("fewer", 2), ("more", 4)):
        toy_search.carry_on(tmp_path / name, trials=trials)
    data = {name: (tmp_path / name).read_bytes() for name in ("fewer", "more")}
    original = torn_files.Original("a store", {STORE: data["more"]}, [toy_search.state(tmp_path / "more")])
    figure = torn_files._figure("replaced", tmp_path, original, STORE, [data["more"], data["fewer"]])
    assert not figure.met
    assert "are read in silence" in figure.faults[0]


def test_of_two_processes_that_continue_a_run_one_is_refused(tmp_path: Path) -> None:
    [figure] = racing_resumers.races(Settings(False, 0, tmp_path), 2)
    assert figure.met, figure


@pytest.mark.slow
def test_runs_on_full_disks_lose_nothing(tmp_path: Path) -> None:
    found = full_disk.figures(Settings(False, 0, tmp_path), [60_000])
    assert all(figure.met for figure in found), found
    assert "1 interrupted" in found[0].measured
