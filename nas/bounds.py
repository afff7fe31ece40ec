"""Bounds of the numeric options of components, which are checked before anything is allocated."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral, Real

from .errors import ConfigError, shown

LARGEST_RATE = 1e6
"""The largest learning rate, weight or penalty: no training goes on from one that is near it."""
LARGEST_WIDTH = 4096
"""The most channels or features of a layer: beyond it one square weight matrix alone has 16 million parameters."""
LARGEST_SEED = 2**31 - 1
MOST_OPTIONS = 1000
"""The most options of one choice."""


def check_number(owner: str, option: str, value: float, least: float, most: float, *, above: bool = False) -> None:
    """Checks that an option's value is in [least, most], or in (least, most] with `above`.

    Args:
        owner: The component's name, with which the message begins.
        option: The option's name.
        value: What was given.
        least: The lower bound. Where it is an int, the value must be a whole number.
        most: The upper bound, inclusive.
        above: Whether the lower bound itself is excluded.

    Raises:
        ConfigError: The value is outside, nan, or no number; the message has owner, option, value and rule.
    """
    if not _is_within(value, least, most, above):
        whole = "a whole number " if isinstance(least, int) else ""
        raise ConfigError(f"{owner} {option} = {shown(value)}; it must be {whole}{_range(least, most, above)}")


def check_numbers(
    owner: str,
    option: str,
    values: Sequence[float],
    least: float,
    most: float,
    *,
    above: bool = False,
    distinct: bool = True,
    longest: int = MOST_OPTIONS,
) -> None:
    """Checks that an option has 1 to `longest` values, each as `check_number` has it, and each once where `distinct`.

    Raises:
        ConfigError: As `check_number`.
    """
    fits = 1 <= len(values) <= longest and all(_is_within(value, least, most, above) for value in values)
    if not fits or (distinct and len(set(values)) < len(values)):
        numbers = "whole numbers" if isinstance(least, int) else "numbers"
        raise ConfigError(
            f"{owner} {option} = {shown(list(values))}; give {'distinct ' if distinct else ''}{numbers} "
            f"{_range(least, most, above)}, at least one and at most {longest:,} of them"
        )


def _is_within(value: object, least: float, most: float, above: bool) -> bool:
    if isinstance(value, bool):
        return False
    if isinstance(value, Integral):
        number: float = int(value)
    elif isinstance(value, Real) and not isinstance(least, int):
        number = float(value)
    else:
        return False
    return (least < number if above else least <= number) and number <= most


def _range(least: float, most: float, above: bool) -> str:
    highest = f"{most:,}" if isinstance(most, int) else f"{most:g}"
    return f"above {least:g} and at most {highest}" if above else f"from {least:g} to {highest}"
