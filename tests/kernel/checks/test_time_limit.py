"""Time limits of a user's code: loops that they end, and imports that they let end."""

import contextlib
import gc
import sys
import time
import weakref
from pathlib import Path

import pytest

from nas.checks.time_limit import TimeUp, time_limit


def test_a_time_limit_that_is_swallowed_once_comes_again():
    def swallows():
        with contextlib.suppress(BaseException):
            while True:
                pass
        while True:
            pass

    with pytest.raises(TimeUp), time_limit(0.05):
        swallows()


def test_a_time_limit_lets_an_import_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The seconds of torch's or NNI's first import are no endless loop, and nothing may be half imported."""
    (tmp_path / "slow_to_import.py").write_text("import time\ntime.sleep(0.3)\nready = True\n")
    monkeypatch.syspath_prepend(tmp_path)

    def loops():
        import slow_to_import

        assert slow_to_import.ready
        while True:
            pass

    with pytest.raises(TimeUp), time_limit(0.05):
        loops()
    assert sys.modules.pop("slow_to_import").ready


def test_a_time_limit_waits_for_the_callback_of_a_weak_reference():
    class Held:
        pass

    def slow():
        while time.monotonic() < end:
            pass

    def loops():
        held = Held()
        weakref.finalize(held, slow)
        del held
        while True:
            pass

    end = time.monotonic() + 0.2
    with pytest.raises(TimeUp), time_limit(0.05):
        loops()
    assert time.monotonic() >= end


def test_a_time_limit_ends_a_loop_of_imports():
    def loops():
        while True:
            with contextlib.suppress(ImportError):
                import a_package_that_is_not_there  # noqa: F401

    with pytest.raises(TimeUp), time_limit(0.05):
        loops()


def test_a_time_limit_holds_in_a_program_that_is_being_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "program.py").write_text(
        "from nas.checks.space import TimeUp, time_limit\n"
        "try:\n    with time_limit(0.05):\n        while True:\n            pass\n"
        "except TimeUp:\n    stopped = True\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    import program

    assert program.stopped
    del sys.modules["program"]


def test_a_time_limit_waits_for_the_end_of_a_garbage_collection():
    def slow(phase, _info):
        while phase == "stop" and time.monotonic() < end:
            pass

    def collects():
        gc.collect()
        while True:
            pass

    end = time.monotonic() + 0.2
    gc.callbacks.append(slow)
    try:
        with pytest.raises(TimeUp), time_limit(0.05):
            collects()
    finally:
        gc.callbacks.remove(slow)
    assert time.monotonic() >= end
