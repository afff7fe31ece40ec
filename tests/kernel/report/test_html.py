"""Page of a run: it stands alone, shows what the run's JSON holds, and escapes all of it."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from helpers.report import EVIL, cell, final, result, trials

from nas.analysis.final_result import FinalResult
from nas.architecture import Architecture
from nas.errors import ConfigError
from nas.report import write_html
from nas.report.details import NO_DETAILS, Details
from nas.report.formatting import interval, number
from nas.report.random_control import LATER, NONE, anytime_text

VOID = {"meta", "img", "link", "br"}


class Page(HTMLParser):
    """Tags, links and tables of a page; raises AssertionError where tags do not nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.handlers: list[str] = []
        self.rows: list[list[str]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for key, value in attrs if key in ("src", "href", "xlink:href")]
        self.handlers += [key for key, _ in attrs if key.startswith("on")]
        if tag not in VOID:
            self._open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value or "" for key, value in attrs if key in ("src", "href", "xlink:href")]

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)
        if self._open and self._open[-1] in ("td", "th"):
            self.rows[-1][-1] += data


def key(number: int) -> str:
    return Architecture("space", {"a": number}).key


def written(folder: Path, **changes: Any) -> Page:
    usual = {"name": f"run {EVIL}", "config": {"space": {"name": EVIL}}, "trials": trials(), "final": final()}
    arguments = {**usual, "details": Details(lambda _: cell(), lambda _: {EVIL: EVIL}), **changes}
    if arguments["final"] is not None:
        arguments["final"] = FinalResult.from_json(arguments["final"])
    write_html(folder / "report.html", **arguments)
    assert [path.name for path in folder.iterdir()] == ["report.html"]
    return Page((folder / "report.html").read_text(encoding="utf-8"))


def test_the_page_stands_alone_and_escapes_everything(tmp_path: Path) -> None:
    page = written(tmp_path)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    [script] = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src &#39;sha256-{digest}&#39;; " in text
    assert page.tags.count("script") == text.count("<script") == 1
    assert page.handlers == []
    assert all(link.startswith(("#", "data:image/png;base64,")) for link in page.links)
    assert sum(link.startswith("data:") for link in page.links) == 6  # the winner's cell and those of the five best
    assert page.tags.count("svg") == 5
    assert not re.search(r"url\((?!['\"]?#)", text)
    assert text.count("&lt;script&gt;alert(&quot;x&quot;)") >= 10  # the choice and the option of each point
    assert sum(EVIL in word for word in page.words) >= 4  # the name, the reason, the protocol, the baseline


def test_duplicates_are_counted_and_named_and_counted_as_nothing_else(tmp_path: Path) -> None:
    again = [replace(trials()[5], number=7, duplicate_of=5), replace(trials()[2], number=8, duplicate_of=2)]
    before = written(tmp_path, final=None)
    page = written(tmp_path, final=None, trials=[*trials(), *again])
    rows = {row[0]: row for row in page.rows if row and row[0].startswith("#")}
    assert (rows["#7"][2], rows["#8"][2], rows["#5"][2]) == ("done, duplicate of #5", "failed, duplicate of #2", "done")
    assert page.words[page.words.index("duplicates, not evaluated again") - 1] == "2"
    for card in ("candidates", "failed", "unfinished"):
        assert page.words[page.words.index(card) - 1] == before.words[before.words.index(card) - 1]
    assert sum(EVIL in word for word in page.words) == sum(EVIL in word for word in before.words)


def test_charts_share_no_ids_that_they_refer_to(tmp_path: Path) -> None:
    written(tmp_path)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    for target in set(re.findall(r"(?:url\(#|href=\"#)([^)\"]+)", text)):
        assert text.count(f'id="{target}"') == 1


def test_tables_say_what_the_json_says(tmp_path: Path) -> None:
    rows = written(tmp_path).rows
    assert ["winner #5", "88.2 %", "87.2 – 89.2", "12,345", "1.20"] in rows
    assert [f"baseline conv4 {EVIL}", "84.1 %", "83.1 – 85.1", "12,345", "1.20"] in rows
    assert ["difference, paired", "+4.1", "+3.2 – +5.0", "", ""] in rows
    assert ["#4", key(4), "85.0 · 87.0", "2", "86.0 %", "85.0 – 87.0", "12,345", "1.20"] in rows
    assert ["#1", key(1), "done", "1,500", "55.0 %", "0.9", "901", "1.50", "2.5"] in rows
    assert ["#2", key(2), f"ValueError: {EVIL}"] in rows
    assert sum(row[0] == "#6" for row in rows) == 1


def test_p_values_intervals_over_classes_and_warnings_are_shown_where_they_are(tmp_path: Path) -> None:
    plain = written(tmp_path)
    assert not any(word.startswith("Warning") or "like these" in word for word in plain.words)
    known = final()
    known["warning"] = f"measured on 7 test tasks {EVIL}"
    known["difference"] |= {"p_value": 0.0004, "class_interval": [-0.01, 0.09]}
    known["winner"]["class_interval"] = known["finalists"][0]["class_interval"] = [0.8, 0.9]
    known["winner"]["task_interval"] = [0.875, 0.89]
    known["winner"]["parts"] = {"tasks": 0.004, "trainings": 0.003, "characters": 0.02}
    known["winner"]["units"] = 12
    page = written(tmp_path, final=known)
    assert ["winner #5", "88.2 %", "87.2 – 89.2", "87.5 – 89.0", "80.0 – 90.0", "12,345", "1.20"] in page.rows
    assert [f"baseline conv4 {EVIL}", "84.1 %", "83.1 – 85.1", "–", "–", "12,345", "1.20"] in page.rows
    assert ["difference, paired, p < 0.001", "+4.1", "+3.2 – +5.0", "–", "-1.0 – +9.0", "", ""] in page.rows
    measured = [key(5), "85.0 · 87.0", "2", "86.0 %", "85.0 – 87.0"]
    assert ["#5", *measured, "–", "80.0 – 90.0", "12,345", "1.20"] in page.rows
    assert ["#4", key(4), *measured[1:], "–", "–", "12,345", "1.20"] in page.rows
    heads = [row for row in page.rows if "other classes alone" in row]
    assert [len(row) for row in heads] == [7, 10]
    assert f"Warning: measured on 7 test tasks {EVIL}." in page.words
    told = "95 % intervals are over other tasks, trainings and characters like these (12 characters here)."
    assert told in page.words


def test_the_page_says_where_the_best_score_comes_from(tmp_path: Path) -> None:
    made = trials()
    score = made[-2].score
    assert score is not None
    made[-2] = replace(made[-2], score=replace(score, provenance={"seed": 3, "device": {"kind": "cpu", "name": EVIL}}))
    rows = written(tmp_path, trials=made).rows
    assert ["seed", "3"] in rows
    assert ["device", json.dumps({"kind": "cpu", "name": EVIL})] in rows


def test_promotions_are_counted_apart_and_the_best_is_of_the_highest_budget(tmp_path: Path) -> None:
    low = trials()
    above = [replace(low[5], number=7, budget=4500), replace(low[4], number=8, budget=4500)]
    page = written(tmp_path, trials=[*low, *above], final=None)
    named = {name: shown for shown, name in itertools.pairwise(page.words)}
    cards = {name: named[name] for name in ("candidates", "promoted", "outer steps")}
    assert cards == {"candidates": "5", "promoted": "2", "outer steps": f"{5 * 1500 + 2 * 4500:,}"}
    assert "best in the search, #7" in page.words
    assert not any(word.startswith("promoted") for word in written(tmp_path).words)


def controlled(**changes: Any) -> dict[str, Any]:
    """A result with a random control."""
    anytime = {"evolution": [[1.0, 0.5], [3.0, 0.7], [40.0, 0.7]], "random": [[2.0, 0.4], [39.0, 0.6]]}
    apart = {"value": 0.05, "interval": [0.02, 0.08], "p_value": 0.002}
    control = result(12, 0.832, name="random", difference=apart, anytime=anytime)
    return {**final(), "control": {**control, **changes}}


def test_the_control_stands_beside_the_winner(tmp_path: Path) -> None:
    before, page = written(tmp_path), written(tmp_path, final=controlled())
    assert ["control random #12", "83.2 %", "82.2 – 84.2", "12,345", "1.20"] in page.rows
    assert ["difference from the control, paired, p = 0.002", "+5.0", "+2.0 – +8.0", "", ""] in page.rows
    assert [row for row in before.rows if row not in page.rows] == []
    told = "Best score in the search after 10, 20, 30, 40 evaluations: "
    told += "evolution 70.0 %, 70.0 %, 70.0 %, 70.0 %; random 40.0 %, 40.0 %, 40.0 %, 60.0 %."
    assert told in page.words
    assert "Best score against evaluations" in page.words
    assert page.tags.count("svg") == before.tags.count("svg") + 1
    assert "Best score against evaluations" not in before.words


def test_a_page_without_control_says_so_and_how_to_get_one(tmp_path: Path) -> None:
    assert NONE in written(tmp_path).words
    assert NONE in written(tmp_path, final=None).words
    wanted = {"search": {"control": "random"}}
    assert LATER in written(tmp_path, final=None, config=wanted).words
    page = written(tmp_path, final={**final(), "control": {"name": "random", "error": f"it failed {EVIL}"}})
    assert f"The random control has no result: it failed {EVIL}" in page.words
    assert not any(row[0].startswith("control") for row in page.rows)
    for shown in (page, written(tmp_path, final=controlled())):
        assert NONE not in shown.words


def test_before_a_search_had_a_score_its_best_is_a_dash() -> None:
    curves = {"a": ((4.0, 0.5),), "random": ()}
    told = "Best score in the search after 1, 2, 3, 4 evaluations: a –, –, –, 0.5; random –, –, –, –."
    assert anytime_text(curves, False) == told


def test_regression_is_not_shown_as_percentages(tmp_path: Path) -> None:
    page = written(tmp_path, final=final("regression"), trials=[])
    assert ["winner #5", "-0.882", "-0.892 to -0.872", "12,345", "1.20"] in page.rows
    assert ["difference, paired", "+0.041", "+0.032 to +0.05", "", ""] in page.rows
    assert not any("accuracy" in word for word in page.words)


@pytest.mark.parametrize("absent", ["kind", "finalists", "winner", "baseline", "difference", "median", "control"])
def test_any_part_of_the_result_may_be_absent(tmp_path: Path, absent: str) -> None:
    some = {key: value for key, value in final().items() if key != absent}
    firsts = [row[0] for row in written(tmp_path, final=some).rows]
    for part in ("winner", "baseline", "difference"):
        assert any(first.startswith(part) for first in firsts) == (part != absent)


def test_results_may_lack_their_entries(tmp_path: Path) -> None:
    bare = {
        "winner": {"accuracy": 0.5},
        "finalists": [{"number": 4}, {}],
        "difference": {"value": 0.1},
        "kind": "classification",
    }
    rows = written(tmp_path, final=bare).rows
    assert ["winner", "50.0 %", "–", "", ""] in rows
    assert ["#4", "", "", "0", "–", "–", "", ""] in rows


def test_a_run_that_has_just_begun_has_a_page(tmp_path: Path) -> None:
    page = written(tmp_path, trials=[], final=None, details=NO_DETAILS, config={})
    assert "No test results yet: the run has not come to its finals." in page.words
    assert not {"svg", "img", "table"} & set(page.tags)
    pending = written(tmp_path, trials=trials(0), final=None, details=NO_DETAILS)
    assert "svg" not in pending.tags
    interrupted = written(tmp_path, final=None)
    assert "The cell of the best candidate so far" in interrupted.words


def test_the_config_is_on_the_page_as_json(tmp_path: Path) -> None:
    config = {"search": {"trials": 40, "seed": 0}, "space": {"name": EVIL}}
    page = written(tmp_path, config=config)
    assert any(word.startswith("{") and json.loads(word) == config for word in page.words if '"trials"' in word)


def test_the_same_run_gives_the_same_page(tmp_path: Path) -> None:
    written(tmp_path)
    first = (tmp_path / "report.html").read_bytes()
    written(tmp_path, trials=trials()[::-1])
    assert (tmp_path / "report.html").read_bytes() == first


def test_a_place_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be written"):
        write_html(tmp_path / "nowhere" / "report.html", name="run", config={}, trials=[])


def test_numbers() -> None:
    assert number(0.8821, True) == "88.2 %"
    assert number(0.041, True, signed=True) == "+4.1"
    assert number(-0.123456, False) == "-0.1235"
    assert number(None, True) == interval(None, True) == interval([], False) == "–"
    assert interval([0.874, 0.8901], True) == "87.4 – 89.0"


def test_the_choices_of_the_winner_and_of_the_best_are_named_without_a_picture(tmp_path: Path):
    details = Details(options_of=lambda a: {"width": a.picks["a"], **({"skip": EVIL} if a.picks["a"] == 4 else {})})
    path = tmp_path / "report.html"
    shown = FinalResult.from_json(final())
    write_html(path, name="run", config={}, trials=trials(), final=shown, details=details)
    rows = Page(path.read_text()).rows
    head = rows.index(["choice", "winner, #5", "#4", "#3", "#1", "#0"])
    assert rows[head + 1 : head + 3] == [["width", "5", "4", "3", "1", "0"], ["skip", "–", EVIL, "–", "–", "–"]]
    write_html(path, name="run", config={}, trials=trials(), details=details)
    assert ["choice", "#5", "#4", "#3", "#1", "#0"] in Page(path.read_text()).rows
    write_html(path, name="run", config={}, trials=trials(), final=shown)
    assert "The choices of the best candidates" not in path.read_text()


def test_stored_intervals_of_accuracies_are_cut_at_0_and_100_percent():
    assert interval((0.272, 1.062), True) == "27.2 – 100.0"
    assert interval((-0.1, 0.5), True) == "0.0 – 50.0"
    assert interval((-1.122, 1.312), True, signed=True) == "-100.0 – +100.0"
    assert interval((-1.5, 2.0), False) == "-1.5 to 2"
