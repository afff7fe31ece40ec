"""The report of a run: one static page that needs nothing else, neither scripts nor the net."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..analysis import ranking
from ..analysis.pareto_front import objectives_of
from ..errors import ConfigError
from ..trial import Trial
from . import pareto_front, random_control, sections

if TYPE_CHECKING:
    import networkx as nx

# Nothing is loaded from anywhere, and nothing runs, whatever a name in the page may hold.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
STYLE = """
:root { color-scheme: light dark; --ink: #1c2024; --soft: #667; --line: #dde1e6; --paper: #fff; --card: #f7f8fa; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e8eb; --soft: #9aa3ad; --line: #353b43; --paper: #16191d; --card: #1e2227; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 64rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { margin: 0; font-size: 1.9rem; }
h2 { margin: 2.5rem 0 .75rem; font-size: 1.2rem; }
.soft, caption { color: var(--soft); }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(10rem, 1fr)); gap: .75rem; margin: 1.25rem 0; }
.card, figure { background: var(--card); border: 1px solid var(--line); border-radius: .6rem; padding: .75rem 1rem; }
.card b { display: block; font-size: 1.45rem; font-variant-numeric: tabular-nums; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); gap: .75rem; }
figure { margin: 0; } figcaption { font-weight: 600; margin-bottom: .4rem; }
svg { max-width: 100%; height: auto; } svg text { font-family: inherit !important; }
img.cell { display: block; max-width: 100%; margin: auto; background: #fff; border-radius: .4rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .7rem; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top;
  white-space: nowrap; }
td:last-child:not(.num) { white-space: normal; }
th { font-weight: 600; color: var(--soft); }
th.num, td.num { text-align: right; }
tr.strong td { font-weight: 600; }
code, pre { font: .875em/1.45 ui-monospace, Consolas, monospace; }
pre { overflow-x: auto; padding: 1rem; background: var(--card); border: 1px solid var(--line); border-radius: .6rem; }
summary { cursor: pointer; }
"""


def write_html(
    path: Path,
    *,
    name: str,
    config: Mapping[str, Any],
    trials: Sequence[Trial],
    final: Mapping[str, Any] | None = None,
    graph: nx.DiGraph | None = None,
) -> None:
    """Writes the page of a run, finished or not; an older page at `path` is replaced at once.

    `final` is what the run's JSON has under that name; any part of it may be absent. `graph` is the winner's cell, or
    while there is no winner that of the best trial. Raises ConfigError when `path` cannot be written.
    """
    path = Path(path)
    page = _page(name, config, sorted(trials, key=lambda trial: trial.number), final or {}, graph)
    temporary = path.with_name(f".{path.name}-{uuid.uuid4().hex[:12]}")
    try:
        temporary.write_text(page, encoding="utf-8")
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise ConfigError(f"{path} cannot be written: {error.strerror or error}; choose another place") from error


def _page(
    name: str,
    config: Mapping[str, Any],
    trials: Sequence[Trial],
    final: Mapping[str, Any],
    graph: nx.DiGraph | None,
) -> str:
    percent = final.get("kind") == "classification"
    # A search may go by another score than the finals, as by a zero-cost one.
    searched = percent and all(0 <= trial.value <= 1 for trial in trials if trial.score is not None)
    best = next(iter(ranking.best(trials)), None)
    parts = [
        sections.header(name, trials, best, final, percent, searched),
        sections.results(final, percent),
        random_control.section(config, final, percent),
        sections.charts(trials, final, percent, searched),
        pareto_front.section(
            trials, objectives_of(config), label="accuracy" if searched else "score", percent=searched
        ),
        sections.cell(final, graph),
        sections.finalists(final, percent),
        sections.trials(trials, searched),
        sections.failures(trials),
        f"<h2>Configuration</h2><pre>{escape(json.dumps(config, indent=2, ensure_ascii=False, default=str))}</pre>",
    ]
    body = "\n".join(part for part in parts if part)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(POLICY)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(name)} · adaptnas</title>\n<style>{STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )
