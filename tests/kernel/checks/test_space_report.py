"""Tests of space checks: a sound space passes `nas check` and a launch; an unsound one fails by line and choice."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

from nas import registry
from nas.checks import space as conformance
from nas.checks import space_report as checks
from nas.checks.space import CheckedSpace, check_fingerprint, fingerprint, quick_check
from nas.errors import ConfigError, SpaceError
from nas.executors import InlineExecutor
from nas.space import Count
from nas.task import TaskShape

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
def small_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "SAMPLES", 60)
    monkeypatch.setattr(checks, "BUILDS", 4)
    monkeypatch.setattr(conformance, "DECIDE_S", 1.0)
    monkeypatch.setattr(sys, "path", list(sys.path))


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """`nas check` without a worker, whose start takes most of the time."""
    monkeypatch.setattr(checks, "ProcessExecutor", lambda workers, deadline_s: InlineExecutor())


def target(folder: Path, text: str, name: str = "my_space", what: str = "Space") -> str:
    (folder / f"{name}.py").write_text(text)
    return f"{folder / name}.py:{what}"


def space(init: str = "", decide: str = "pass", build: str = "pass") -> str:
    return GOOD.format(init=init, decide=decide, build=build)


def made(folder: Path, **options: str):
    return registry.create("space", target(folder, space(**options)), {})


def test_a_sound_space_is_said_to_be_sound_with_its_measures(tmp_path):
    text = checks.check(target(tmp_path, space()), SHAPE)
    lines = text.splitlines()
    assert lines[0].startswith("mine: sound. 60 architectures decided, replayed, mutated and crossed, 4 built")
    rows = {line[:15].strip(): line[15:] for line in lines[1:10]}
    assert rows["architectures"] == "6"
    assert rows["rejected"] == "0.0% of draws"
    assert rows["duplicates"] == "90.0% of samples make the choices of another, 90.0% are its network"
    assert re.fullmatch(r"decide \d+ µs · build .* · forward and backward of 10 inputs .* \(one thread\)", rows["time"])
    assert rows["parameters"].startswith("83 – 399, median ")
    assert rows["learners"].startswith("suits anil, finetune, maml, maml of first order, meta-sgd, protonet, ")
    assert rows["export"] == "model.py"
    assert sum(int(line.split()[-1]) for line in lines[10:18]) == 60
    assert "Consider: with 6 architectures" in lines[-1]


def test_measures_are_those_of_a_slow_count(tmp_path):
    mine = made(tmp_path)
    verdict, _ = checks.examine(mine, SHAPE, 60, 6)
    sizes = {w * 17 + 3 * (w + 1) + deep * w * (w + 1) for w in (4, 8, 12) for deep in (0, 1)}
    assert set(verdict.parameters) == sizes
    assert set(verdict.flops) == {2 * (16 * w + 3 * w + deep * w * w) for w in (4, 8, 12) for deep in (0, 1)}
    # Tensors kept for the gradient of each input, in float32: the input, the output of each hidden layer, that of the
    # last one after normalisation, and its mean and standard deviation.
    picks = [architecture.picks for architecture in checks._drawn(CheckedSpace(mine), 6, random.Random(0))[0]]
    assert verdict.kept_bytes == tuple(4 * (16 + (4, 8, 12)[p["width"]] * (2 + p["deep"]) + 2) for p in picks)
    assert verdict.size == Count(6, (6, 6), True)


UNSOUND = [
    # Code in `decide`, a part of the message, and the line and choice that it names.
    ("raise ValueError('bad\\nluck')", "decide raised ValueError: bad luck", "my_space.py:15)"),
    ("choose('none', [])", "choice 'none' has no options", "my_space.py:15)"),
    ("choose('width', [1])", "choice 'width' is made twice", "my_space.py:16, after choice 'width')"),
    ("[choose(f'{i}', [1]) for i in range(10**6)]", "more than 10000 choices", "my_space.py:15, after choice '9999')"),
    ("choose.reject('never')", "rejected 1000 in a row", "never"),
    ("return object()", "gave two results for the same picks", "my_space.py:14)"),
    ("return __import__('random').random()", "gave two results for the same picks", "my_space.py:14)"),
    (
        "choose(str(__import__('random').random()), [1, 2])",
        "after the same choices there came choice '0.",
        "my_space.py:15)",
    ),
    (
        "choose('rate', [0, __import__('random').random()])",
        "after the same choices there came choice 'rate' of [0, 0.",
        "my_space.py:15); decide may depend on nothing but its choices",
    ),
    (
        "choose('a', [1, 2]) if __import__('random').random() < 0.5 else 0",
        "after the same choices there came choice ",
        "my_space.py:1",
    ),
    (
        "self.__dict__['n'] = self.__dict__.get('n', 0) + 1; choose(f'{self.n}', [1])",
        "after the same choices there came choice ",
        "my_space.py:15)",
    ),
    ("raise SystemExit(3)", "decide raised SystemExit: 3", "my_space.py:15)"),
    ("self.decide(choose)", "RecursionError", "my_space.py:15)"),
    ("choose('x', 7)", "choice 'x' has the options 7, of type int; give them in a list", "my_space.py:15)"),
    ("choose(1, [1, 2])", "a choice is named 1, of type int; a choice's name must be a text", "my_space.py:15)"),
    ("choose.subset('x', [1], min=2)", "subset 'x' of 1 options has min = 2 and max = None", "my_space.py:15)"),
    ("return __import__('numpy').ones(2)", "the spec holds array([1., 1.]), of type ndarray", "my_space.py:14)"),
    ("choose('x', [1, 2]); 1 / 0", "ZeroDivisionError", "my_space.py:15, after choice 'x')"),
    (
        "choose('x', [1, 2])\n        while True: pass",
        "decide has not ended after 1 s",
        "my_space.py:16, after choice 'x'",
    ),
    (
        "while True:\n            try: choose('x', [1, 2])\n            except Exception: pass",
        "decide has not ended after 1 s",
        "after choice 'x'); does a loop end?",
    ),
]


@pytest.mark.parametrize("by", ["check", "launch"])
@pytest.mark.parametrize(("decide", "part", "place"), UNSOUND)
def test_a_decide_that_breaks_a_rule_is_named_with_line_and_choice(tmp_path, by, decide, part, place):
    mine = made(tmp_path, decide=decide)
    with pytest.raises(SpaceError) as caught:
        quick_check(mine) if by == "launch" else checks.examine(mine, SHAPE, 60, 4)
    assert part in str(caught.value)
    assert place in str(caught.value)


@pytest.mark.parametrize(
    ("build", "part", "place"),
    [
        ("return None", "build gave a NoneType; it must give a torch.nn.Module", "(my_space.py:17)"),
        ("raise KeyError('w')", "build raised KeyError: 'w'", "(my_space.py:18)"),
        ("1 / (task.num_outputs - 5)", "fails with SpaceError: build raised ZeroDivisionError", "(my_space.py:18)"),
        ("return torch.nn.Flatten()", "(4, 16); it must be (4, 3)", "(my_space.py:17)"),
        ("return torch.nn.Linear(7, 3)", "mat1 and mat2 shapes cannot be multiplied", "(my_space.py:17)"),
        ("task = type(task)(task.input_shape, 3)", "gives (2, 3) for 2 inputs", "task.num_outputs (my_space.py:17)"),
        ("task = type(task)((1, 4, 4), task.num_outputs)", "for inputs (2, 4, 4) and 3 outputs", "(my_space.py:17)"),
        ("while True: pass", "build has not ended after 0.25 s", "(my_space.py:18)"),
        (
            "return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 3), torch.nn.Dropout())",
            "finite|two outputs|it must be|ignores",
            "",
        ),
    ],
)
def test_a_build_that_breaks_a_rule_is_named_with_its_line(tmp_path, monkeypatch, build, part, place):
    if "while" in build:
        monkeypatch.setattr(conformance, "BUILD_S", 0.25)
    with pytest.raises(SpaceError) as caught:
        checks.examine(made(tmp_path, build=build), SHAPE, 60, 4)
    assert re.search("|".join(map(re.escape, part.split("|"))), str(caught.value))
    assert place in str(caught.value)


def test_a_build_may_refuse_other_inputs_with_an_error_of_its_own(tmp_path):
    refuses = (
        "from nas.errors import SpaceError\n"
        "        if task.input_shape != (1, 4, 4): raise SpaceError('images of 4 by 4 only')"
    )
    verdict, _ = checks.examine(made(tmp_path, build=refuses), SHAPE, 60, 4)
    assert verdict.name == "mine"


def test_a_space_for_other_tasks_is_not_called_unsound(in_this_process):
    with pytest.raises(SpaceError, match=r"^conv4 needs images.*this task's inputs are \(7,\).*by --inputs and"):
        checks.check("conv4", TaskShape((7,), 3))


def test_a_space_that_breaks_on_a_rare_path_only_is_unsound(tmp_path):
    """One architecture of 4,096: random ones miss it, counting does not."""
    rare = "bits = [choose(f'b{i}', [0, 1]) for i in range(12)]\n        assert not all(bits), 'all of them'"
    with pytest.raises(SpaceError, match=r"all of them \(my_space.py:16, after choice 'b11'\)"):
        checks.examine(made(tmp_path, decide=rare), SHAPE, 60, 4)


def test_a_space_too_large_to_count_is_sound(tmp_path, monkeypatch):
    """The larger of the two sizes is no float."""
    monkeypatch.setattr("nas.space.enumeration.WORK", 100_000)
    monkeypatch.setattr(checks, "SIZED", 2)
    for choices, size in ((20, "6.00E+20"), (400, "6.00E+400")):
        large = f"[choose(f'c{{i}}', list(range(10))) for i in range({choices})]"
        verdict, _ = checks.examine(made(tmp_path, decide=large), SHAPE, 10, 2)
        assert f"about {size} (95 % interval {size} – {size})" in str(verdict)


@pytest.mark.parametrize("what", ["", "my_space.py", "my_space.py:", "my_space.txt:Space", "nas.space.sampling:Space"])
def test_a_target_that_is_no_space_is_refused(tmp_path, monkeypatch, what):
    monkeypatch.chdir(tmp_path)
    target(tmp_path, space())
    with pytest.raises(ConfigError, match=r"is not known.*, or a class of yours as FILE\.py:NAME"):
        checks.check(what, SHAPE)


def test_a_space_that_ends_its_process_is_unsound(tmp_path):
    dies = "__import__('os')._exit(3)"
    with pytest.raises(SpaceError, match="space 'mine' is not sound: worker ended with exit status 3"):
        checks.check(target(tmp_path, space(build=dies)), SHAPE)


def test_choices_in_the_order_of_a_set_differ_between_processes(tmp_path):
    mine = made(tmp_path, decide="choose('letter', list({'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'}))")
    assert fingerprint(CheckedSpace(mine)) == quick_check(mine)
    check_fingerprint(mine, fingerprint(CheckedSpace(mine)))
    script = (
        "import sys; from nas import registry; from nas.checks.space import quick_check\n"
        "print(quick_check(registry.create('space', sys.argv[1], {})))"
    )
    path = tmp_path / "my_space.py"
    path.write_text(path.read_text().replace("import torch\n", "\n"))  # Nothing is built, and its import takes seconds.
    prints = {
        subprocess.run(
            [sys.executable, "-c", script, f"{tmp_path}/my_space.py:Space"],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert len(prints) == 2
    with pytest.raises(SpaceError, match=r"makes other choices in another process \(my_space.py:14\)"):
        check_fingerprint(mine, "another")


def test_functions_and_objects_may_be_options(tmp_path):
    quick_check(
        made(tmp_path, decide="choose('f', [lambda x: x, object(), torch.nn.ReLU()]); choose.subset('s', [1, 2])")
    )


@pytest.mark.parametrize("name", registry.names("space"))
def test_the_built_in_spaces_pass_before_a_launch(name):
    assert quick_check(registry.create("space", name, {})) == quick_check(registry.create("space", name, {}))


def test_the_histogram_has_every_size_once():
    for sizes in ([5], [1, 2, 3], [0, 4], list(range(100, 1000)), [10, 10**6]):
        lines = checks.histogram(sizes)
        assert sum(int(line.split()[-1]) for line in lines) == len(sizes)
        assert len(lines) <= checks.BARS


NETWORK = GOOD.replace(
    "return torch.nn.Sequential(torch.nn.Flatten(), *body, torch.nn.Linear(spec.width, task.num_outputs))",
    "return Net(torch.nn.Sequential(torch.nn.Flatten(), *body), torch.nn.Linear(spec.width, task.num_outputs))",
)
NET = """
class Net(torch.nn.Module):
    def __init__(self, body, head):
        super().__init__()
        self.body, self.head, self.cell = body, head, torch.nn.GRU(4, 2, batch_first=True)
    def forward(self, x):
        x = self.body(x)
        {forward}
        return self.head(x)
"""


def net(forward: str) -> str:
    return NETWORK.format(init="", decide="pass", build="pass") + NET.format(forward=forward)


RECURRENT = "x = x + self.cell(x.unflatten(1, (-1, 4)))[1][0].sum(1, keepdim=True)"


def test_the_learner_asked_for_is_tried_and_those_that_suit_are_named(tmp_path, in_this_process):
    path = target(tmp_path, net(RECURRENT))
    row = next(line for line in checks.check(path, SHAPE).splitlines() if line.startswith("learners"))
    assert "suits anil, finetune, protonet, ridge; not maml, maml of first order, meta-sgd, reptile, scratch: " in row
    assert "layer 'cell' (GRU)" in row
    assert "a loop over time with a cell such as nn.GRUCell" in row
    with pytest.raises(SpaceError, match=r"layer 'cell' \(GRU\).*with learner maml; the space suits anil, finetune"):
        checks.check(path, SHAPE, "maml")
    with pytest.raises(ConfigError, match="learner 'mamal' is not known"):
        checks.check(path, SHAPE, "mamal")


@pytest.mark.parametrize(
    ("forward", "said"),
    [
        ("assert x.dim() == 2", "model.py"),
        ("x = x + torch.linspace(0, 1, 300)[: x.shape[1]]", "model.py"),
        (
            "with torch.no_grad(): x = x + self.cell.weight_ih_l0.sum()",
            "model.pt2, without model.py: the network does ",
        ),
    ],
)
def test_the_form_in_which_networks_can_be_exported_is_reported(tmp_path, forward, said):
    verdict, _ = checks.examine(made_of(tmp_path, net(forward)), SHAPE, 20, 2)
    assert verdict.exported.startswith(said)


def made_of(folder: Path, text: str):
    return registry.create("space", target(folder, text), {})


def test_a_space_that_cannot_be_exported_is_refused_with_the_line(tmp_path, in_this_process):
    path = target(tmp_path, net("x = x if x.sum() < 1e9 else -x"))
    line = next(number for number, text in enumerate(Path(path[:-6]).read_text().splitlines(), 1) if "1e9" in text)
    match = rf"could not be exported: .*my_space\.py:{line}.*; write its forward with layers of torch\.nn"
    with pytest.raises(SpaceError, match=match):
        checks.check(path, SHAPE)
