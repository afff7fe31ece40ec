"""The card of an exported network, card.md: what it is, for which data, how good, and where it ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files


@dataclass(frozen=True)
class CardRow:
    """A line of the table of results, as text.

    Attributes:
        name: Name of the network, or 'difference'.
        value: Its score.
        interval: The 95 % interval of the score.
        parameters: Number of parameters.
        mflops: Millions of floating-point operations for one input.
    """

    name: str
    value: str
    interval: str
    parameters: str = ""
    mflops: str = ""


@dataclass(frozen=True)
class Card:
    """Content of a card.

    Attributes:
        title: The heading.
        facts: Names and values of the first table.
        measure: Name of the score.
        results: Rows of the second table.
        protocol: A sentence on how the results were measured.
        limits: What the network does not do, one sentence each.
        versions: Versions of the software by name.
        classes: Names of the classes that the network tells apart as it is, in the order of its outputs; empty for a
            network that is made to be adapted.
        choices: The options that the architecture took, by choice.
    """

    title: str
    facts: Sequence[tuple[str, str]]
    measure: str
    results: Sequence[CardRow]
    protocol: str
    limits: Sequence[str]
    versions: Mapping[str, str]
    classes: Sequence[str] = ()
    choices: Sequence[tuple[str, str]] = ()


def card_text(card: Card, no_python: str = "") -> str:
    """The text of card.md, in Markdown; `no_python` says why there is no adapt.py, and is empty where there is one."""
    from jinja2 import Environment, StrictUndefined

    template = (files("nas.export") / "templates" / "card.md.j2").read_text(encoding="utf-8")
    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True)  # no HTML
    return environment.from_string(template).render(**vars(card), no_python=no_python)
