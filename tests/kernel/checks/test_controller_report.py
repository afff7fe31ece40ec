"""`nas check` of a controller: sound ones are told from those that break a law, which is named with the file's line."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from helpers.user_components import mine

from nas import registry
from nas.checks import controller_report
from nas.checks.controller_report import Unsound, check
from nas.errors import ConfigError
from nas.testing import check_controller


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return tmp_path


def written(folder: Path, text: str) -> str:
    (folder / "mine.py").write_text(text)
    return "mine.py:Mine"


def test_a_sound_controller_is_said_to_be_sound(folder: Path) -> None:
    first, timed, *advice = check("random").splitlines()
    assert first.startswith("random: sound. Asked all at once or one by one, ")
    assert re.fullmatch(r"time           ask and tell \S+ ms a candidate, over 100", timed)
    assert advice == []
    *_, repeats = check(written(folder, mine())).splitlines()
    assert repeats.startswith("Consider: it may repeat itself or end early: {'layers': ")
    *_, unseeded = check(written(folder, mine(seed="0"))).splitlines()
    assert unseeded.startswith("Consider: the seed changes nothing")


@pytest.mark.parametrize(
    ("changed", "part"),
    [
        ({"ask": "return None"}, r"ask\(5\) returned a NoneType; .* \(mine\.py:10\)"),
        ({"ask": "asked = asked[:0]"}, r"ask\(30\) of a fresh controller proposes nothing \(mine\.py:10\)"),
        ({"ask": "import os; os._exit(3)"}, r"worker ended with exit status 3 \(mine\.py:10\)"),
        (
            {"ask": "return [sample(self.space, random) for _ in range(n)]"},
            r"something else each time.*\(mine\.py:10\)",
        ),
        ({"tell": "trials[0].nothing"}, r"tell raised AttributeError: .* \(mine\.py:17\)"),
        ({"tell": "self.seed += 1"}, r"tell\(a \+ b\) differs from tell\(a\); tell\(b\) \(mine\.py:10\)"),
        (
            {"tell": "self.seed += len(trials)"},
            r"being told failed trials changes what is proposed next.*\(mine\.py:10\)",
        ),
        ({"ask": "self.seed = random.Random(f'{self.seed} {n}').random()"}, r"ask\(30\) differs from ask\(15\)"),
        (
            {"ask": "from nas.testing.toy_spaces import OnePoint; asked = [sample(OnePoint(), random.Random(0))] * n"},
            r"what it proposes is not of its space: the architecture is of space 'one-point'",
        ),
    ],
)
def test_a_broken_law_is_named_with_the_line_of_the_file(folder: Path, changed: dict[str, str], part: str) -> None:
    target = written(folder, mine(**changed))
    with pytest.raises(Unsound, match=rf"^controller mine\.py:Mine is not sound: (?!controller Mine).*{part}"):
        check(target)


def test_an_error_at_the_end_of_a_space_is_one(folder: Path) -> None:
    raises = "if self.space.name == 'ten' and first > 15: raise ValueError('too many')"
    with pytest.raises(Unsound, match=r"ask raised ValueError: too many \(mine\.py:13\)"):
        check(written(folder, mine(ask=raises)))


def test_a_class_with_ask_or_tell_is_a_controller_and_a_known_name_is_what_it_is(folder: Path) -> None:
    assert registry.is_controller("evolution")
    assert registry.is_controller(written(folder, mine()))
    assert not registry.is_controller("mlp")
    assert not registry.is_controller("nothing")
    half = written(folder, mine().replace("def tell", "def say"))
    assert registry.is_controller(half)
    with pytest.raises(ConfigError, match=r"Mine of mine\.py is no controller: it has no method 'tell'"):
        check(half)
    (folder / "space.py").write_text("from nas.search_spaces import Mlp\n")
    assert not registry.is_controller("space.py:Mlp")


def test_a_test_of_ones_own_is_one_line(folder: Path) -> None:
    check_controller(registry.find("controller", written(folder, mine())))
    assert controller_report.examine("grid").duplicates == ""
