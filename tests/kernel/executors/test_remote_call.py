"""Calls for other machines: their files travel both ways and are written whole or not at all."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import pytest

from nas.errors import ConfigError, WorkerError
from nas.executors.remote_call import RemoteCall, perform, receive, remote_call


def count_up(step: int, *, counter: Path, note: str = "") -> int:
    """Adds to the number in a file, which is made where it is missing."""
    before = int(counter.read_text()) if counter.exists() else 0
    counter.parent.mkdir(parents=True, exist_ok=True)
    counter.write_text(str(before + step))
    return before


def travelled(call: RemoteCall) -> RemoteCall:
    copy: RemoteCall = pickle.loads(pickle.dumps(call))
    return copy


def test_a_file_that_a_call_reads_and_writes_goes_there_and_back(tmp_path):
    kwargs = {"counter": tmp_path / "new" / "counter.txt", "note": "kept"}
    for step, before in ((3, 0), (4, 3)):
        call = remote_call(count_up, (step,), kwargs, [])
        kept = [path.read_text() for path in kwargs["counter"].parent.glob("*")]
        result = perform(travelled(call), {})
        assert [path.read_text() for path in kwargs["counter"].parent.glob("*")] == kept, "only `receive` writes here"
        assert receive(result, kwargs) == before
    assert [(path.name, path.read_text()) for path in kwargs["counter"].parent.iterdir()] == [("counter.txt", "7")]


def test_a_file_that_was_damaged_on_its_way_changes_nothing(tmp_path):
    counter = tmp_path / "counter.txt"
    counter.write_text("5")
    result = perform(remote_call(count_up, (1,), {"counter": counter}, []), {})
    [(data, digest)] = result.files.values()
    with pytest.raises(WorkerError, match=r"the file counter\.txt came damaged from the other machine; evaluate again"):
        receive(replace(result, files={"counter": (data + b"0", digest)}), {"counter": counter})
    assert counter.read_text() == "5"


class Counting:
    """Counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    def call(self) -> int:
        self.calls += 1
        return self.calls


def test_a_function_keeps_what_it_caches_between_calls():
    counting = Counting()
    call = remote_call(counting.call, (), {}, [])
    assert [perform(travelled(call), {}).value for _ in range(3)] == [1, 2, 3]
    assert perform(remote_call(len, ("ab",), {}, []), {}).value == 2
    assert perform(travelled(call), {}).value == 1


def test_what_cannot_be_pickled_is_said():
    with pytest.raises(ConfigError, match=r"cannot be sent to another machine .*; define it at the top of a module"):
        remote_call(lambda: None, (), {}, [])
