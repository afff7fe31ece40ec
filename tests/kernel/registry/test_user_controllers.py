"""Controllers in users' files, named FILE.py:NAME: import, search, comparison, and changes of the file."""

from __future__ import annotations

import itertools
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers.cli import Said, command_here  # noqa: F401  # fixture
from helpers.project import TOY
from helpers.user_components import CONFIG, mine

from nas import compare
from nas import config as configs
from nas.checks import controller
from nas.checks.controller import check_determinism
from nas.cli.progress import header
from nas.compare.one_search import entered, fingerprint, run_name
from nas.errors import ConfigError, NasError, SearchError, StoreError
from nas.executors import InlineExecutor, ProcessExecutor
from nas.runs import Silence, launch
from nas.runs.folder import existing_run, new_run
from nas.runs.summary import summary
from nas.testing import ToySpace


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NAS_RUNS", raising=False)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "toy.toml").write_text(CONFIG)
    (tmp_path / "mine.py").write_text(mine())
    return tmp_path


@pytest.fixture
def inline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Candidates are evaluated in this process."""
    monkeypatch.setattr(launch, "engine_of", lambda *_: InlineExecutor())


@pytest.fixture
def nas(call: Callable[..., Said]) -> Callable[..., Said]:
    return call


def loaded(*overrides: str, name: str = "mine.py:Mine") -> configs.Config:
    return configs.load("toy.toml", [f"controller.name={name}", *overrides])


def test_a_config_keeps_its_path_and_text_and_shows_its_short_name(folder: Path) -> None:
    config = loaded("controller.greed=0.2", "compare.other.name=mine.py:Mine")
    assert config.controller.name == config.compare["other"].name == f"{folder}/mine.py:Mine"
    assert config.files == {f"{folder}/mine.py": mine()}
    assert type(configs.build(config).controller).__name__ == "Mine"
    assert " · mine.py:Mine · " in header(config, 1)
    with pytest.raises(ConfigError, match=r"^--set controller\.gred: .*did you mean 'greed'"):
        loaded("controller.gred=0.2")


@pytest.mark.parametrize(
    ("name", "text", "part"),
    [
        ("none.py:Mine", mine(), "there is no file "),
        ("mine.py:Other", mine(), "has no class 'Other'; it has Mine"),
        ("mine.py:Mine", mine().replace("def tell", "def say"), "is no controller: it has no method 'tell'"),
        ("mine.py:Mine", mine(signature="greed=0.5", seed="0"), r"'seed'; it is called with space and seed \(mine.py:"),
        ("mine.py:Mine", mine(init="1 / 0"), r"cannot be made: ZeroDivisionError: division by zero \(mine\.py:7\)"),
        ("mine.py", mine(), "is not known: .*, or a class of yours as FILE.py:NAME"),
    ],
)
def test_what_is_no_controller_is_refused_with_the_reason(folder: Path, name: str, text: str, part: str) -> None:
    (folder / "mine.py").write_text(text)
    with pytest.raises(ConfigError, match=part):
        loaded(name=name)


def test_it_may_be_named_in_place_of_the_configs(folder: Path) -> None:
    (folder / "toy.toml").write_text(CONFIG.replace("[controller]", "[controller]\npopulation = 7"))
    table = configs.load("toy.toml", ["controller.greed=0.1"], controller="mine.py:Mine").controller
    assert (table.name, table.options) == (f"{folder}/mine.py:Mine", {"greed": 0.1})
    for arguments, place in (((["controller.greed=true"],), "--set controller.greed"), (([],), "--controller")):
        with pytest.raises(ConfigError, match=f"^{place}: "):
            configs.load("toy.toml", *arguments, controller="mine.py:" + ("Mine" if arguments[0] else "Nobody"))


def test_a_search_and_its_resume_go_by_it_until_its_file_changes(folder: Path, inline: None, nas: Any) -> None:
    options = [word for override in TOY for word in ("--set", override)]
    status, _, said = nas("search", "toy.toml", "--set", "controller.name=mine.py:Mine", "--name", "a", *options)
    assert status == 0, said
    assert "mine.py:Mine" in said
    assert str(folder) not in said
    page = (folder / "runs" / "a" / "report.html").read_text()
    assert "&#34;mine.py:Mine&#34;" in page
    assert str(folder) not in page
    assert nas("resume", "a")[0] == 0
    (folder / "mine.py").write_text(mine(tell="return"))
    status, _, said = nas("resume", "a")
    assert status == 2
    assert "mine.py has changed since this run was started: line 17 was 'pass' and is 'return'" in said


BEFORE = [
    ("return None", "returned a NoneType; it must return a list of nas.architecture.Architecture", 10),
    ("return (a for a in asked)", "returned a generator; it must return a list", 10),
    ("return ['a'] * n", "returned a list of str; it must return a list", 10),
    ("asked += asked", "returned 10 architectures; it may give fewer, but not more", 10),
    ("return [Architecture('other', {'a': 1})] * n", "is not of its space: .* of space 'other', not of 'toy'", 10),
    ("return [Architecture('toy', {'a': 1})] * n", "is not of its space: choice 'layers' is missing", 10),
    ("raise KeyError('x')", "ask raised KeyError: 'x'", 13),
    ("raise SystemExit(0)", "ask raised SystemExit: 0", 13),
    ("self.space.decide(lambda *_: self.space.name.x)", "ask raised AttributeError: ", 13),
    ("from nas.errors import Rejected; raise Rejected('no')", "catch it, and draw again", 13),
    ("while True: pass", "has not ended after 0.2 s .*does a loop end", 13),
    (
        "return [sample(self.space, random) for _ in range(n)]",
        "with the same seed proposes something else each time",
        10,
    ),
]


@pytest.mark.parametrize(("ask", "part", "line"), BEFORE)
def test_what_it_does_wrong_at_once_is_seen_before_anything_is_written(
    folder: Path, monkeypatch: pytest.MonkeyPatch, ask: str, part: str, line: int
) -> None:
    monkeypatch.setattr(controller, "ASK_S", 0.2)
    (folder / "mine.py").write_text(mine(ask=ask))
    with pytest.raises(NasError, match=part) as caught:
        check_determinism("mine.py:Mine", {}, InlineExecutor(), space=ToySpace(), seed=0)
    assert f"(mine.py:{line})" in str(caught.value)
    assert caught.value.exit_status == 2


def test_one_that_goes_by_the_order_of_a_set_is_seen_from_another_process(folder: Path) -> None:
    text = mine(ask="return [sample(self.space, random.Random(hash(f'{self.seed}/{k}'))) for k in range(n)]")
    (folder / "mine.py").write_text(text)
    check_determinism("mine.py:Mine", {}, InlineExecutor(), space=ToySpace(), seed=0)
    with (
        ProcessExecutor(1) as executor,
        pytest.raises(ConfigError, match=r"could not be resumed \(mine\.py:10\); draw from"),
    ):
        check_determinism("mine.py:Mine", {}, executor, space=ToySpace(), seed=0)


SETS = {
    "init": "self.sums = set()",
    "tell": "self.sums |= {str(sum(t.architecture.picks.values())) for t in trials}",
    "ask": "self.seed = ''.join(self.sums)",
}
"""It goes by the order of a set once something is told."""


def test_one_that_goes_by_the_order_of_a_set_only_when_told_is_seen_too(folder: Path) -> None:
    (folder / "mine.py").write_text(mine(**SETS))
    check_determinism("mine.py:Mine", {}, InlineExecutor(), space=ToySpace(), seed=0)
    with ProcessExecutor(1) as executor, pytest.raises(ConfigError, match="proposes something else each time"):
        check_determinism("mine.py:Mine", {}, executor, space=ToySpace(), seed=0)


def test_on_a_table_it_is_tried_in_another_process_too(folder: Path) -> None:
    """In a search, and in a comparison."""
    (folder / "mine.py").write_text(mine(**SETS))
    cells = [f"{a},{b},{a * b}" for a in range(1, 9) for b in range(1, 9)]
    (folder / "table.csv").write_text("\n".join(["a,b,val", *cells]))
    (folder / "table.toml").write_text(
        "[space]\nname = 'table:table.csv'\nchoices = ['a', 'b']\n[evaluator]\nname = 'tabular'\npath = 'table.csv'\n"
    )
    config = configs.load("table.toml", ["controller.name=mine.py:Mine"])
    with pytest.raises(ConfigError, match="proposes something else each time"):
        launch.start(config, new_run("sets", "table.toml"), Silence())
    with pytest.raises(ConfigError, match="proposes something else each time"):
        compare.compare(config, ["mine.py:Mine"], 1, folder / "out", Searches())


def test_a_comparison_gives_it_the_features_that_a_search_does(folder: Path) -> None:
    (folder / "mine.py").write_text(mine(signature="features, *, seed: int = 0"))
    (folder / "table.csv").write_text("\n".join(["a,b,val", *(f"{a},{b},{a * b}" for a in range(4) for b in range(4))]))
    (folder / "table.toml").write_text(
        "[space]\nname = 'table:table.csv'\nchoices = ['a', 'b']\n[evaluator]\nname = 'tabular'\npath = 'table.csv'\n"
    )
    config = configs.load("table.toml", ["controller.name=mine.py:Mine", "search.trials=4"])
    assert compare.compare(config, ["mine.py:Mine"], 1, folder / "out", Searches())


def test_one_that_takes_no_made_up_scores_is_tried_as_far_as_it_goes(folder: Path) -> None:
    (folder / "mine.py").write_text(mine(tell="trials[0].score.metrics['of mine']"))
    check_determinism("mine.py:Mine", {}, InlineExecutor(), space=ToySpace(), seed=0)


@pytest.mark.parametrize(
    ("changed", "part"),
    [
        (
            {"tell": "if trials[0].number == 1: raise ValueError('told')"},
            r"tell raised ValueError: told \(mine.py:17\)",
        ),
        ({"ask": "assert self.asked != 2, 'late'"}, r"ask raised AssertionError: late \(mine\.py:13\)"),
        ({"ask": "if self.asked == 2: return 'late'"}, r"ask\(1\) returned a str.*\(mine\.py:10\)"),
    ],
)
def test_what_it_does_wrong_later_ends_the_search_with_all_trials_stored(
    folder: Path, inline: None, changed: dict[str, str], part: str
) -> None:
    (folder / "mine.py").write_text(mine(**changed))
    with pytest.raises(SearchError, match=f"controller Mine: {part}; all trials are stored"):
        launch.start(loaded(*TOY), new_run("bad", "toy.toml"), Silence())
    before = summary(existing_run("bad")).to_json()
    assert before["state"] == "failed"
    done = [trial["state"] for trial in before["trials"]]
    assert done == ["done"] * (2 if "tell" in changed else 1)
    with pytest.raises(SearchError, match=part):
        launch.resume(existing_run("bad"), Silence())
    assert summary(existing_run("bad")).to_json()["trials"][: len(done)] == before["trials"]


def test_a_resume_of_one_that_learns_by_luck_is_refused(
    folder: Path, inline: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Only where a score is a real one: of made-up ones luck is seen before the search begins.
    monkeypatch.setattr(random, "luck", itertools.count(), raising=False)  # other each time, and the same in each test
    lucky = "self.seed = next(random.luck) if trials[0].score.protocol else self.seed"
    (folder / "mine.py").write_text(mine(tell=lucky, ask="assert self.asked != 3, 'late'"))
    with pytest.raises(SearchError, match="late"):
        launch.start(loaded(*TOY), new_run("luck", "toy.toml"), Silence())
    with pytest.raises(StoreError, match="or is not deterministic"):
        launch.resume(existing_run("luck"), Silence())


def test_a_comparison_takes_it_by_its_name_and_knows_when_its_file_changed(folder: Path, inline: None) -> None:
    config = configs.load("toy.toml", [*TOY, "search.trials=1", "final.seeds=1"])
    first = compare.compare(config, ["mine.py:Mine"], 1, folder / "out", Searches())
    assert first is not None
    assert list(first) == ["mine.py:Mine"]
    contender = entered(config, "mine.py:Mine", 3)
    assert contender.controller.name == f"{folder}/mine.py:Mine"
    assert run_name(f"{folder}/mine.py:Mine", 3, contender) == f"mine.py_Mine-3-{fingerprint(contender)[:8]}"
    again = Searches()
    assert compare.compare(config, ["mine.py:Mine"], 1, folder / "out", again) == first
    assert again.searches == [(1, 1)]
    (folder / "mine.py").write_text(mine(ask="asked = [sample(self.space, random.Random(7))] * n"))
    again = Searches()
    compare.compare(config, ["mine.py:Mine"], 1, folder / "out", again)
    assert again.searches == [(0, 1), (1, 1)]
    with pytest.raises(ConfigError, match=r"mine\.py has no class 'Other'; it has Mine"):
        compare.compare(config, ["mine.py:Other"], 1, folder / "out", Searches())


class Searches(Silence):
    def __init__(self) -> None:
        self.searches: list[tuple[int, int]] = []

    def searched(self, done: int, of: int) -> None:
        self.searches.append((done, of))
