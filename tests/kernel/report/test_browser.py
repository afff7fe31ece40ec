"""Page of a run in headless Chromium: nothing complains, and what a person clicks and points at works."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from helpers.browser import Browser, browser, needs_browser
from helpers.report import EVIL, cell, final, trials
from matplotlib.image import imread

from nas.analysis.final_result import FinalResult
from nas.report.details import Details
from nas.report.html import html_text, write_html
from nas.report.serving import Site, server

pytestmark = needs_browser
ROWS = "[...document.querySelectorAll('#trials tbody tr:not([hidden])')].map((row) => row.cells[%d].textContent)"
CLICK = "[...document.querySelectorAll('#trials th button')].find((b) => b.textContent === %r).click()"


@pytest.fixture(scope="module", name="tab")
def browser_tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture(name="page")
def opened_page(tab: Browser, tmp_path: Path) -> Browser:
    """The browser with the page of a run open, all names of which are hostile."""
    details = Details(graph_of=lambda _: cell(), options_of=lambda a: {"a": a.picks["a"], "name": EVIL})
    result, config = FinalResult.from_json(final()), {"space": {"name": EVIL}}
    path = tmp_path / "report.html"
    write_html(path, name=f"run {EVIL}", config=config, trials=trials(), final=result, details=details)
    tab.complaints.clear()
    tab.look(width=1000, height=1500)
    tab.open(path.as_uri())
    return tab


def test_nothing_complains_and_no_name_is_run(page: Browser) -> None:
    assert page.run("document.querySelector('h1').textContent").startswith(f"run {EVIL}")
    assert page.run("document.querySelectorAll('script').length") == 1
    assert page.complaints == []


def test_a_script_that_is_none_of_ours_does_not_run(page: Browser) -> None:
    insert = "const s = document.createElement('script'); s.textContent = 'window.ran = 1'; document.body.append(s)"
    page.run(
        f"(() => {{ {insert}; document.body.setAttribute('onclick', 'window.ran = 1'); document.body.click() }})()"
    )
    assert page.run("window.ran") is None
    page.until(lambda: any("Content Security Policy" in text for text in page.complaints))


def test_heads_sort_by_number_and_back_with_empty_cells_last(page: Browser) -> None:
    page.run("document.querySelector('#trials').open = true")
    page.run(CLICK % "score")
    assert page.run(ROWS % 0) == ["#0", "#1", "#3", "#4", "#5", "#2", "#6"]
    page.run(CLICK % "score")
    assert page.run(ROWS % 0) == ["#5", "#4", "#3", "#1", "#0", "#2", "#6"]
    page.run(CLICK % "state")
    assert page.run(ROWS % 2) == ["done"] * 5 + ["failed", "pending"]
    page.run(CLICK % "trial")
    assert page.run(ROWS % 0) == [f"#{number}" for number in range(7)]


def test_a_text_filters_the_rows(page: Browser) -> None:
    page.run("document.querySelector('#trials').open = true")
    page.run("document.querySelector('#trials input').focus()")
    page.send("Input.insertText", text="PEND")
    assert page.run(ROWS % 0) == ["#6"]
    assert page.run("document.querySelector('#trials output').textContent") == "1 shown"


def test_the_pointer_on_a_point_shows_its_trial_and_its_cell(page: Browser) -> None:
    mark = "document.querySelectorAll('svg .points use')[3]"
    page.run(f"{mark}.scrollIntoView({{block: 'center'}})")
    x, y = page.run(f"(({{x, y, width, height}}) => [x + width / 2, y + height / 2])({mark}.getBoundingClientRect())")
    assert page.run("document.querySelector('#tip').hidden")
    page.move(x, y)
    page.until(lambda: not page.run("document.querySelector('#tip').hidden"))
    told = page.run("document.querySelector('#tip').textContent")
    assert told == f"#4 · 70.0 % ± 0.9 · 904 parameters\na: 4\nname: {EVIL}"
    page.move(2, 2)
    page.until(lambda: page.run("document.querySelector('#tip').hidden"))


def test_it_is_seen_in_light_and_in_dark(page: Browser, tmp_path: Path) -> None:
    brightness = {}
    for dark in (False, True):
        page.look(width=1000, height=1500, dark=dark)
        pixels = imread(page.picture(tmp_path / "page.png"))[..., :3]
        brightness[dark] = float(np.median(pixels))
        assert pixels.std() > 0.05
    assert brightness[False] > 0.9 > 0.2 > brightness[True]


@pytest.mark.parametrize("width", [360, 1000])
def test_only_tables_are_scrolled_sideways(page: Browser, width: int) -> None:
    page.look(width=width, height=800)
    page.run("document.querySelectorAll('details').forEach((part) => { part.open = true })")
    assert page.run("document.documentElement.scrollWidth <= innerWidth")
    assert page.run("document.body.getBoundingClientRect().width") <= width


def test_a_served_page_loads_itself_anew_as_trials_end_and_stays_open_where_it_was(tab: Browser) -> None:
    shown = trials()[:2]
    site = Site(
        lambda: html_text(name="run", config={}, trials=shown, live=True),
        lambda: f"{len(shown)} trials",
    )
    with server(site) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        tab.complaints.clear()
        tab.open(f"http://127.0.0.1:{serving.server_port}/")
        tab.run("document.querySelector('#trials').open = true")
        shown.append(trials()[3])
        # It asks first what the state is, and loads itself anew when that has changed.
        tab.until(lambda: tab.run("document.querySelectorAll('#trials tbody tr').length") == 3)
        assert tab.run("document.querySelector('#trials').open")
        serving.shutdown()
    assert [text for text in tab.complaints if "favicon" not in text] == []


def test_a_reader_of_a_served_page_stays_where_they_were(tab: Browser) -> None:
    shown = trials(40)[:30]
    site = Site(lambda: html_text(name="run", config={}, trials=shown, live=True), lambda: f"{len(shown)} trials")
    with server(site) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        tab.complaints.clear()
        tab.look(width=600, height=500)
        tab.open(f"http://127.0.0.1:{serving.server_port}/")
        tab.run("document.querySelector('#trials').open = true")
        tab.run("document.querySelector('#failures').open = false")
        tab.run(CLICK % "score")
        tab.run(CLICK % "score")
        tab.run("document.querySelector('#trials input').focus()")
        tab.send("Input.insertText", text="done")
        tab.run("document.querySelector('#trials input').setSelectionRange(1, 3)")
        tab.run("document.querySelector('#trials .scroll').scrollLeft = 40")
        tab.run("scrollTo(0, document.querySelector('#trials tbody').getBoundingClientRect().top + scrollY + 99)")
        place = tab.run("scrollY")
        assert place > 500
        before = tab.run(ROWS % 0)
        assert before[:2] == ["#29", "#28"]
        shown.append(trials(40)[30])
        # It asks first what the state is, and loads itself anew when that has changed.
        tab.until(lambda: tab.run("document.querySelectorAll('#trials tbody tr').length") == 31)
        tab.until(lambda: tab.run("document.querySelectorAll('#trials th[aria-sort]').length") == 1)
        assert tab.run(ROWS % 0) == ["#30", *before]
        assert tab.run("document.querySelector('#trials input').value") == "done"
        assert tab.run("document.activeElement === document.querySelector('#trials input')")
        assert tab.run("[document.activeElement.selectionStart, document.activeElement.selectionEnd]") == [1, 3]
        assert tab.run("document.querySelector('#trials .scroll').scrollLeft") == 40
        assert not tab.run("document.querySelector('#failures').open")
        assert tab.run("scrollY") == place
        serving.shutdown()
    assert [text for text in tab.complaints if "favicon" not in text] == []
