"""Calls of foreign code: results, errors, and what passes through."""

from __future__ import annotations

import errno
import pickle

import pytest

from nas.failures import OwnFileError, Raised, Returned, attempt, is_machine_fault


def test_a_call_returns_or_raises() -> None:
    assert attempt(divmod, 17, 5) == Returned((3, 2))
    quotient = attempt(divmod, 17, 0)
    assert isinstance(quotient, Raised)
    assert isinstance(quotient.error, ZeroDivisionError)
    assert (quotient.value, attempt(int, "7", base=8).error) == (None, None)


def test_an_end_of_the_program_is_an_error_and_an_interrupt_is_not() -> None:
    def end() -> None:
        raise SystemExit(3)

    def interrupt() -> None:
        raise KeyboardInterrupt

    assert isinstance(attempt(end).error, SystemExit)
    with pytest.raises(KeyboardInterrupt):
        attempt(interrupt)


def test_an_outcome_has_a_value_or_an_error() -> None:
    returned, raised = attempt(abs, -1), attempt(abs, "x")  # type: ignore[arg-type]
    assert (returned.value, returned.error) == (1, None)
    assert raised.value is None
    assert isinstance(raised.error, TypeError)


def test_a_file_of_a_run_that_cannot_be_written_is_the_machines_fault_and_another_file_is_not() -> None:
    own = OwnFileError(errno.EACCES, "Permission denied", "runs/a/weights/b.safetensors")
    assert is_machine_fault(pickle.loads(pickle.dumps(own)))
    assert is_machine_fault(OSError(errno.ENOSPC, "No space left on device"))
    assert not is_machine_fault(PermissionError(errno.EACCES, "Permission denied", "data.csv"))
    assert not is_machine_fault(ValueError())
