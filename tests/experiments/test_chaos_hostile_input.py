"""Fault experiment of hostile input at tiny counts: nothing is found, and what it would find is seen."""

from __future__ import annotations

import random
import time
from functools import partial

import pytest

from nas.config import reading
from nas.experiments.chaos import config_fuzzing, gadgets, hostile_configs, hostile_exports, hostile_input
from nas.experiments.chaos.children import in_child, in_children
from nas.experiments.chaos.figures import Settings


def settings(folder):
    return Settings(full=False, seed=0, folder=folder)


def test_there_are_odd_configs_enough_and_each_is_another():
    cases = hostile_configs.cases(None, random.Random(0))
    assert len(cases) >= 500
    assert len({case.name for case in cases}) == len(cases)


def test_odd_configs_are_refused_or_taken(tmp_path, monkeypatch):
    monkeypatch.setattr(hostile_configs, "_files", lambda: {"NUL bytes": b"\0", "empty": b""})
    odd, slowest, memory = hostile_input.config_figures(settings(tmp_path), 20)
    assert odd.measured.startswith("20 tried")
    assert not odd.faults
    assert slowest.met
    assert memory.met


def test_a_config_that_is_refused_with_a_traceback_is_a_fault(tmp_path, monkeypatch):
    def load(_source):
        raise ZeroDivisionError

    monkeypatch.setattr(hostile_configs, "_files", dict)
    monkeypatch.setattr(hostile_input.reading, "load", lambda source: load(source) if "config-" in source else None)
    odd, *_ = hostile_input.config_figures(settings(tmp_path), 8)
    assert not odd.met
    assert "ZeroDivisionError" in odd.faults[0]


def test_fuzzed_configs_raise_no_other_errors_than_the_projects_own():
    result = config_fuzzing.fuzz(300, 0, 60.0)
    assert (result.count, result.faults) == (300, ())
    assert 0 < result.legal < 300


def test_an_error_of_another_kind_is_a_fault_of_the_fuzzing(monkeypatch):
    monkeypatch.setattr(reading, "from_json", lambda data: 1 / 0)
    assert "ZeroDivisionError" in config_fuzzing.fuzz(30, 0, 60.0).faults[0]


def test_changed_exports_are_refused_or_harmless(tmp_path):
    hostile_exports.write_export(tmp_path / "net")
    result = in_child(partial(hostile_exports.open_changed, tmp_path / "net", tmp_path / "copy", range(8)), 100)
    assert result.end == ""
    assert (result.answer["count"], result.answer["faults"]) == (8, [])
    assert result.answer["refused"] > 0


def test_a_canary_is_seen(tmp_path, monkeypatch):
    monkeypatch.setitem(gadgets.DOORS, "open", ("a", lambda path: gadgets.pickle.loads(path.read_bytes())))
    path = gadgets.make("a pickle", "open", tmp_path)
    assert not gadgets.canary_touched(tmp_path)
    assert in_child(partial(gadgets.open_gadget, "open", path), 10).end == ""
    assert gadgets.canary_touched(tmp_path)


@pytest.mark.parametrize("gadget", gadgets.PLACES)
@pytest.mark.parametrize("door", gadgets.DOORS)
def test_a_door_neither_follows_nor_waits(tmp_path, monkeypatch, door, gadget):
    monkeypatch.chdir(tmp_path)
    message = gadgets.open_gadget(door, gadgets.make(gadget, door, tmp_path))
    assert "\n" not in message
    assert message or gadget.startswith("a link to a file")
    assert not gadgets.canary_touched(tmp_path)


def test_a_child_tells_its_end_its_time_and_its_memory():
    def fail():
        raise ValueError("why")

    done, failed, late = in_children([lambda: len(b"x" * 2**26), fail, partial(time.sleep, 60)], 1)
    assert (done.answer, done.end) == (2**26, "")
    assert done.peak_mib > 60
    assert failed.end == "ValueError: why"
    assert late.end == "no answer after 1 s"
