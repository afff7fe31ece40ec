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


def test_both_outcomes_unpack() -> None:
    assert tuple(attempt(abs, -1)) == (1, None)
    result, error = attempt(abs, "x")
    assert result is None
    assert isinstance(error, TypeError)
