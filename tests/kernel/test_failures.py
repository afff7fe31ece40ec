"""Calls of foreign code: results, errors, and what passes through."""

from __future__ import annotations

import pytest

from nas.failures import Raised, Returned, attempt


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
