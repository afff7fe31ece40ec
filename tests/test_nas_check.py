"""`nas check` tells a sound space from the kinds of unsound ones, in one line each, whatever the file does."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from nas import check as checks
from nas.errors import ConfigError, SpaceError
from nas.protocols import TaskShape

SHAPE = TaskShape((1, 4, 4), 3)
GOOD = """
from __future__ import annotations
from dataclasses import dataclass
import torch

@dataclass(frozen=True)
class Spec:
    width: int
    deep: bool

class Space:
    name = "mine"
    {init}
    def decide(self, choose):
        {decide}
        return Spec(choose("width", [4, 8, 12]), choose("deep", [False, True]))
    def build(self, spec, task):
        {build}
        size = 1
        for side in task.input_shape:
            size *= side
        body = [torch.nn.Linear(size, spec.width), torch.nn.Tanh()]
        if spec.deep:
            body += [torch.nn.Linear(spec.width, spec.width), torch.nn.Tanh()]
        return torch.nn.Sequential(torch.nn.Flatten(), *body, torch.nn.Linear(spec.width, task.num_outputs))
"""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "SAMPLES", 60)
    monkeypatch.setattr(checks, "BUILDS", 4)
    monkeypatch.setattr(sys, "path", list(sys.path))


def target(folder: Path, text: str, name: str = "my_space", what: str = "Space") -> str:
    (folder / f"{name}.py").write_text(text)
    return f"{folder / name}.py:{what}"


def space(init: str = "", decide: str = "pass", build: str = "pass") -> str:
    return GOOD.format(init=init, decide=decide, build=build)


def test_a_sound_space_is_said_to_be_sound_with_its_size(tmp_path):
    verdict = checks.check(target(tmp_path, space()), SHAPE)
    assert verdict.startswith("mine: sound. 60 architectures")
    assert verdict.endswith("; 6 architectures in all.")


@pytest.mark.parametrize(
    "options, part",
    [
        ({"decide": "raise ValueError('bad\\nluck')"}, "ValueError: bad luck"),
        ({"decide": "choose('none', [])"}, "choice 'none' has no options"),
        ({"decide": "choose('width', [1])"}, "choice 'width' is made twice"),
        ({"decide": "[choose(f'{i}', [1]) for i in range(10**6)]"}, "more than 10000 choices"),
        ({"decide": "choose.reject('never')"}, "rejected 1000 in a row"),
        ({"decide": "return object()"}, "spec must compare by value"),
        ({"decide": "return __import__('random').random()"}, "nothing but its choices"),
        ({"decide": "return choose(str(__import__('random').random()), [1, 2])"}, "is missing"),
        ({"decide": "raise SystemExit(3)"}, "SystemExit: 3"),
        ({"decide": "self.decide(choose)"}, "RecursionError"),
        ({"build": "return None"}, "TypeError"),
        ({"build": "raise KeyError('w')"}, "KeyError: 'w'"),
        ({"build": "return torch.nn.Flatten()"}, "16"),
        ({"build": "return torch.nn.Linear(7, 3)"}, "RuntimeError"),
        ({"init": "name = property(lambda self: 1 / 0)"}, "needs a `name`, a text"),
        ({"init": "def __init__(self, size): ..."}, "cannot be made: TypeError"),
        ({"init": "def __init__(self): raise SystemExit"}, "cannot be made: SystemExit"),
        ({"init": "1 / 0"}, "cannot be imported: ZeroDivisionError"),
        ({"init": ")"}, "cannot be imported: SyntaxError"),
        ({"init": "import no_such_module_here"}, "cannot be imported: ModuleNotFoundError"),
    ],
)
def test_an_unsound_space_is_refused_with_the_law_it_breaks(tmp_path, options, part):
    with pytest.raises((SpaceError, ConfigError)) as caught:
        checks.check(target(tmp_path, space(**options)), SHAPE)
    message = str(caught.value)
    assert part in message
    assert caught.value.exit_status == 2
    assert len(message) < 700


def test_a_space_that_breaks_on_a_rare_path_only_is_unsound(tmp_path):
    """One architecture of 4,096: random ones miss it, counting does not."""
    rare = "bits = [choose(f'b{i}', [0, 1]) for i in range(12)]\n        assert not all(bits), 'all of them'"
    with pytest.raises(SpaceError, match="'mine' is not sound: all of them"):
        checks.check(target(tmp_path, space(decide=rare)), SHAPE)


def test_a_space_too_large_to_count_is_sound(tmp_path, monkeypatch):
    few: Any = checks.count
    monkeypatch.setattr(checks, "count", lambda space: few(space, limit=100, samples=200))
    large = "[choose(f'c{i}', list(range(10))) for i in range(20)]"
    assert "about 6.00E+20" in checks.check(target(tmp_path, space(decide=large)), SHAPE)
    huge = "[choose(f'c{i}', list(range(10))) for i in range(400)]"
    assert "about 6.00E+400" in checks.check(target(tmp_path, space(decide=huge)), SHAPE)
