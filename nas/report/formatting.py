"""Numbers and tables as the report writes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

EQUAL = "all values equal"
"""In place of an interval where no two tasks differ: then there is none to be had."""


def number(value: float | None, percent: bool, *, signed: bool = False, bare: bool = False) -> str:
    """A score in four figures or as a percentage (`bare`: without the sign %); a dash where there is none."""
    if value is None:
        return "–"
    sign = "+" if signed else ""
    if percent:
        return f"{100 * value:{sign}.1f}{'' if bare or signed else ' %'}"
    return f"{value:{sign}.4g}"


def interval(ends: Sequence[float] | None, percent: bool, *, signed: bool = False) -> str:
    """Both ends of an interval; a dash where there is none."""
    if not ends:
        return "–"
    low, high = (number(end, percent, signed=signed, bare=True) for end in ends)
    return f"{low} – {high}" if percent else f"{low} to {high}"


def probability(p_value: float | None) -> str:
    """', p = 0.012' after what it is of; nothing where there is none."""
    if p_value is None:
        return ""
    return f", p = {p_value:.3f}" if p_value >= 0.001 else ", p < 0.001"


def value_of(result: Mapping[str, Any]) -> float | None:
    """A result's score, whichever of its two names it has."""
    value = result.get("value", result.get("accuracy"))
    return None if value is None else float(value)


def sizes(metrics: Mapping[str, Any]) -> list[str]:
    """Parameters and MFLOPs, empty where unknown."""
    parameters, flops = metrics.get("parameters"), metrics.get("flops")
    return ["" if parameters is None else f"{parameters:,.0f}", "" if flops is None else mflops(metrics)]


def mflops(metrics: Mapping[str, Any]) -> str:
    """MFLOPs, after "≥" where some of a network's operations could not be counted."""
    flops, uncounted = (metrics.get(name) or 0 for name in ("flops", "flops_uncounted"))
    return f"{'≥ ' if uncounted else ''}{flops / 1e6:,.2f}"


def measured(result: Mapping[str, Any], percent: bool, *, signed: bool = False, classes: bool = False) -> list[str]:
    """The columns of a result: score, 95 % interval, where there are `classes` its parts with the same classes and over
    classes alone, parameters, MFLOPs."""
    names = ("interval", "task_interval", "class_interval") if classes else ("interval",)
    intervals = [interval(result.get(name), percent, signed=signed) for name in names]
    if result.get("stderr") == 0:
        intervals[0] = EQUAL
    return [number(value_of(result), percent, signed=signed), *intervals, *sizes(result)]


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: int = 0, strong: int = 0) -> str:
    """A table of texts, escaped here; the last `numbers` columns are right-aligned, the first `strong` rows bold."""
    first = len(heads) - numbers

    def cells(tag: str, texts: Sequence[str]) -> str:
        return "".join(f"<{tag}{_class('num', i >= first)}>{escape(text)}</{tag}>" for i, text in enumerate(texts))

    head = f"<thead><tr>{cells('th', heads)}</tr></thead>" if any(heads) else ""
    body = "".join(f"<tr{_class('strong', i < strong)}>{cells('td', row)}</tr>" for i, row in enumerate(rows))
    return f'<div class="scroll"><table>{head}<tbody>{body}</tbody></table></div>'


def _class(name: str, applies: bool) -> str:
    return f' class="{name}"' if applies else ""
