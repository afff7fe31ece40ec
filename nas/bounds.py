"""Bounds of components' numeric options, checked before anything is allocated."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral, Real

from .errors import ConfigError, shown

LARGEST_RATE = 1e6
"""Upper bound of learning rates, loss weights and penalties; training diverges long before it."""
LARGEST_WIDTH = 4096
"""Upper bound of a layer's channels or features; a square weight matrix of this width has 16 million parameters."""
LARGEST_SEED = 2**31 - 1
"""Upper bound of seeds."""
MOST_OPTIONS = 1000
"""Maximum number of options of one choice."""
MOST_STEPS = 10_000
"""Maximum number of inner steps: a hundred times that of any published learner. Training keeps all steps in memory."""
LONGEST_LIST = 10_000
"""Maximum number of values in a list that an option is given, those of inner lists included."""


def check_length(what: str, value: object) -> None:
    """Check that a value of a config has at most LONGEST_LIST values in all of its lists and tables.

    Args:
        what: Name of the option, with which the message begins.
        value: A JSON value.

    Raises:
        ConfigError: They are more.
    """
    count, unchecked = 0, [value]
    while unchecked:
        inner = unchecked.pop()
        entries = list(inner.values()) if isinstance(inner, dict) else inner if isinstance(inner, list | tuple) else ()
        count += len(entries)
        if count > LONGEST_LIST:
            raise ConfigError(f"{what} is {shown(value)}, of more than {LONGEST_LIST:,} values, which is the most")
        unchecked += entries


def check_number(owner: str, option: str, value: float, least: float, most: float, *, above: bool = False) -> None:
    """Check that the value of an option is in [least, most], or in (least, most] with `above`.

    Args:
        owner: Name of the component, with which the message begins.
        option: Name of the option.
        value: Value of the option.
        least: Lower bound. If it is an int, the value must be a whole number.
        most: Upper bound, inclusive.
        above: Whether the lower bound itself is excluded.

    Raises:
        ConfigError: The value is out of bounds, nan, or not a number.
    """
    if not _is_within(value, least, most, above):
        whole = "a whole number " if isinstance(least, int) else ""
        raise ConfigError(f"{owner} {option} = {shown(value)}; it must be {whole}{_range(least, most, above)}")


def check_numbers(
    owner: str, option: str, values: Sequence[float], least: float, most: float, *, above: bool = False
) -> None:
    """Check the options of a choice: 1 to MOST_OPTIONS distinct numbers, each within the bounds of `check_number`.

    Args:
        owner: Name of the component, with which the message begins.
        option: Name of the option.
        values: Numbers that the choice is made among.
        least: Lower bound of each. If it is an int, they must be whole numbers.
        most: Upper bound of each, inclusive.
        above: Whether the lower bound itself is excluded.

    Raises:
        ConfigError: There are no numbers or too many, one occurs twice, or one is out of bounds.
    """
    fits = 1 <= len(values) <= MOST_OPTIONS and all(_is_within(value, least, most, above) for value in values)
    if not fits or len(set(values)) < len(values):
        numbers = "whole numbers" if isinstance(least, int) else "numbers"
        raise ConfigError(
            f"{owner} {option} = {shown(list(values))}; give distinct {numbers} {_range(least, most, above)}, "
            f"at least one and at most {MOST_OPTIONS:,} of them"
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
