"""Search spaces in users' files, named FILE.py:NAME: import, pickling, every command, and changes of the file."""

from __future__ import annotations

import json
import pickle
import random
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers.cli import Said, command, command_here, run  # noqa: F401  # fixture
from helpers.project import TOY, TOY_OPTIONS
from helpers.user_components import CONFIG

from nas import config as configs
from nas import registry
from nas.checks import space as conformance
from nas.errors import ConfigError
from nas.executors import InlineExecutor, ProcessExecutor
from nas.registry import user_files
from nas.runs import launch
from nas.space import sample

MINE = """
from __future__ import annotations
from dataclasses import dataclass
from beside import ACTIVATION

@dataclass(frozen=True)
class Spec:
    width: int

@dataclass(frozen=True)
class Mine:
    widths: tuple[int, ...] = (4, 8)
    favourite: Spec = Spec(4)
    name = "mine"

    def decide(self, choose):
        return Spec(choose("width", self.widths))

    def build(self, spec, task):
        from torch import nn
        first = nn.Linear(task.input_shape[0], spec.width)
        return nn.Sequential(first, getattr(nn, ACTIVATION)(), nn.Linear(spec.width, task.num_outputs))
"""
SCRIPT = """
from nas.runs import run_search
from my_space import Mine

if __name__ == "__main__":
    run = run_search("toy.toml", space=Mine, overrides={toy!r}, name="script")
    print(run.state, run.winner.architecture.space)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return filled(tmp_path)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished run `first` of the own space, by the real command."""
    folder = filled(tmp_path_factory.mktemp("own"))
    ended = command(folder, "search", "toy.toml", "--space", "my_space.py:Mine", "--name", "first", *TOY_OPTIONS)
    assert ended.returncode == 0, ended.stderr
    assert "my_space.py:Mine on sinusoid" in ended.stderr
    return folder


@pytest.fixture
def nas(place: Path, call: Callable[..., Said], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Said]:
    monkeypatch.chdir(place)
    return call


def filled(folder: Path) -> Path:
    (folder / "my_space.py").write_text(MINE)
    (folder / "beside.py").write_text("ACTIVATION = 'Tanh'\n")
    (folder / "toy.toml").write_text(CONFIG)
    (folder / "mine.csv").write_text("0,1\n1,2\n2,1\n")
    return folder


def made(name: str = "my_space.py:Mine", **options: Any) -> Any:
    return registry.create("space", name, options)


def test_a_class_in_a_file_is_a_component_with_options(folder):
    assert made(widths=[2, 3, 5]).widths == (2, 3, 5)
    assert made().name == "mine"
    assert type(made()) is type(made())
    with pytest.raises(ConfigError, match="has no option 'width'; did you mean 'widths'"):
        made(width=3)
    with pytest.raises(ConfigError, match="option 'widths' is 3"):
        made(widths=3)


def test_its_instances_come_back_from_pickle_equal_and_from_another_process_too(folder):
    space = made(widths=[2, 3, 5])
    copy = pickle.loads(pickle.dumps(space))
    assert copy == space
    assert type(copy) is type(space)
    with ProcessExecutor(1) as executor:
        assert executor.submit(getattr, space, "widths").result() == (2, 3, 5)
        assert executor.submit(tuple, (space,)).result() == (space,)


def test_an_instance_does_not_go_to_a_file_that_has_changed(folder):
    data = pickle.dumps(made())
    (folder / "my_space.py").write_text(MINE.replace("(4, 8)", "(4, 16)"))
    with pytest.raises(ConfigError, match=r"my_space\.py has changed while the run goes on"):
        pickle.loads(data)
    assert made().widths == (4, 16)


def test_an_inherited_class_of_another_module_is_found_and_travels(folder):
    (folder / "again.py").write_text("from nas.search_spaces import Mlp\n")
    space = made("again.py:Mlp")
    assert pickle.loads(pickle.dumps(space)) == space


@pytest.mark.parametrize(
    ("name", "text", "part"),
    [
        ("none.py:Mine", "", "there is no file "),
        ("my_space.py:Other", MINE, "has no class 'Other'; it has Spec, Mine"),
        ("my_space.py:dataclass", MINE, "has no class 'dataclass'"),
        ("my_space.py:Spec", MINE, "is no search space: it has no method 'decide'"),
        ("my_space.py:Mine", MINE.replace("def build", "def make"), "it has no method 'build'"),
        ("my_space.py:Mine", MINE.replace('name = "mine"', "pass"), "needs a `name`"),
        ("my_space.py:Mine", MINE.replace('name = "mine"', "name = 3"), "needs a `name`"),
        ("my_space.py:Mine", MINE + "1 / 0", "cannot be imported: ZeroDivisionError"),
        ("my_space.py:Mine", MINE + ")", "cannot be imported: SyntaxError"),
        ("my_space.py:Mine", "import no_such_module", "cannot be imported: ModuleNotFoundError"),
        ("my_space.py:Mine", "raise SystemExit(3)", "cannot be imported: SystemExit: 3"),
        ("my_space.py:Mine", "# \udcff", "cannot be read"),
        ("my_space:Mine", MINE, "is not known: .*, or a class of yours as FILE.py:NAME"),
        ("my_space.py:", MINE, "is not known"),
    ],
)
def test_what_is_no_space_is_refused_with_the_reason(folder, name, text, part):
    (folder / "my_space.py").write_text(text, errors="surrogateescape")
    with pytest.raises(ConfigError, match=part):
        made(name)


def test_a_config_keeps_the_absolute_path_and_the_space_in_place_of_its_own(folder):
    config = configs.load("toy.toml", space="my_space.py:Mine")
    assert config.space.name == f"{folder}/my_space.py:Mine"
    assert config.space.options == {}
    beside = {f"{folder}/beside.py": "ACTIVATION = 'Tanh'\n"}
    assert config.files == {f"{folder}/my_space.py": MINE, **beside}
    assert configs.from_json(json.loads(json.dumps(config.to_json()))) == config
    with_options = configs.load("toy.toml", ["space.widths=[3]"], space="my_space.py:Mine")
    assert configs.build(with_options).space.widths == (3,)
    as_baseline = configs.load("toy.toml", ["final.baseline=my_space.py:Mine", "final.baseline.widths=[9]"])
    assert as_baseline.files == config.files
    assert configs.load("toy.toml").files == {}
    for arguments, place in (((["space.widths=3"],), "--set space.widths"), (([],), "--space")):
        with pytest.raises(ConfigError, match=f"^{place}: "):
            configs.load("toy.toml", *arguments, space="my_space.py:" + ("Mine" if arguments[0] else "Nobody"))


@pytest.mark.parametrize("name", ["random", "dataclasses", "torch", "nas", "my-space"])
def test_a_file_may_be_called_as_a_module_of_others(folder, name):
    before = sys.modules.get(name)
    (folder / f"{name}.py").write_text(MINE)
    assert made(f"{name}.py:Mine").name == "mine"
    assert sys.modules.get(name) is before


def test_a_class_knows_its_name_and_one_without_a_file_is_refused(folder):
    assert user_files.name_of(type(made())) == f"{folder}/my_space.py:Mine"
    for cls in (type("Nowhere", (), {}), int):
        with pytest.raises(ConfigError, match=r"is not at the top of a \.py file"):
            user_files.name_of(cls)


def test_every_command_works_on_a_run_of_an_own_space(place, nas):
    document = json.loads(nas("show", "first", "--json")[1])
    assert document["state"] == "done"
    assert document["config"]["space"]["name"] == f"{place}/my_space.py:Mine"
    assert {trial["architecture"]["space"] for trial in document["trials"]} == {"mine"}
    assert nas("export", "first", "--out", "net")[0] == 0
    assert "class Network" in (place / "net" / "model.py").read_text()
    for arguments in (["resume", "first"], ["report", "first"], ["adapt", "net", "--support", "mine.csv"]):
        status, out, err = nas(*arguments)
        assert status == 0, err
        assert out


def test_a_changed_or_moved_file_is_named_before_anything_is_done(place, nas):
    path = place / "my_space.py"
    commands = [["resume", "first"], ["report", "first"], ["export", "first", "--out", "other"]]
    adapt = ["adapt", "copy", "--support", "mine.csv"]
    assert nas("export", "first", "--out", "copy")[0] == 0
    try:
        path.write_text(MINE.replace("(4, 8)", "(4, 16)"))
        for arguments in commands:
            status, out, err = nas(*arguments)
            assert (status, out) == (2, "")
            assert f"{path} has changed since this run was started: line 12 was " in err
            assert "(4, 16)" in err
        assert nas(*adapt)[0] == 0  # an export needs no source of its space
        path.unlink()
        for arguments in commands:
            status, _, err = nas(*arguments)
            assert status == 2
            assert f"there is no file '{path}' with which this run was started; put it back" in err
        assert nas(*adapt)[0] == 0
        assert nas("show", "first")[0] == 0
    finally:
        path.write_text(MINE)
    assert nas("resume", "first")[0] == 0


def test_a_moved_space_is_used_where_it_is_now(place, nas):
    beside = place / "beside.py"
    (place / "new").mkdir()
    now = str(shutil.move(place / "my_space.py", place / "new"))
    shutil.move(beside, place / "new")
    try:
        for arguments in (["report", "first"], ["resume", "first"], ["export", "first", "--out", "elsewhere"]):
            assert "put it back" in nas(*arguments)[2]
            assert nas(*arguments, "--space", now)[0] == 0
        recipe = json.loads((place / "elsewhere" / "architecture.json").read_text())["recipe"]
        assert recipe["config"]["space"]["name"] == "my_space.py:Mine"
        assert recipe["files"].keys() == {"my_space.py", "beside.py"}
        for file in (place / "elsewhere").iterdir():
            assert str(place).encode() not in file.read_bytes(), file.name
        for wrong in ("none.py", "new/beside.py", "toy.toml"):
            status, out, err = nas("report", "first", "--space", wrong)
            assert (status, out) == (2, "")
            assert "there is no file my_space.py; give the path that" in err
        Path(now).write_text(MINE.replace("(4, 8)", "(4, 16)"))
        status, _, err = nas("report", "first", "--space", "new")
        assert status == 2
        assert f"{now} has changed since this run was started" in err
    finally:
        (place / "my_space.py").write_text(MINE)
        shutil.move(place / "new" / "beside.py", beside)


@pytest.mark.parametrize(
    ("old", "new", "part"),
    [
        (
            "return Spec(choose",
            "choose('width', [1]); return Spec(choose",
            "'width' is made twice in one architecture; ",
        ),
        ("from torch import nn", "while True: pass", "build has not ended after 1 s (unsound.py:20); does a loop end?"),
    ],
)
def test_a_search_of_an_unsound_space_refuses_to_start(place, nas, monkeypatch, old, new, part):
    monkeypatch.setattr(launch, "engine_of", lambda *_: InlineExecutor())
    monkeypatch.setattr(conformance, "BUILD_S", 1.0)
    (place / "unsound.py").write_text(MINE.replace(old, new))
    before = sorted(place.rglob("*"))
    status, out, err = nas("search", "toy.toml", "--space", "unsound.py:Mine", "--name", "unsound")
    assert (status, out) == (2, "")
    assert part in err
    assert "unsound.py:" in err
    assert "Traceback" not in err
    assert [path for path in sorted(place.rglob("*")) if "__pycache__" not in path.parts] == [
        path for path in before if "__pycache__" not in path.parts
    ]


def test_a_script_searches_a_class_of_its_own_module(folder):
    (folder / "script.py").write_text(SCRIPT.format(toy=list(TOY)))
    ended = run(folder, "script.py")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == "done mine\n"
    assert (folder / "runs" / "script" / "report.html").exists()


def test_a_package_offers_its_space_by_an_entry_point(folder, nas):
    """An installed package, as far as Python can tell: modules and a .dist-info folder on the import path."""
    (folder / "plugin.py").write_text(MINE.replace("from beside import ACTIVATION", "ACTIVATION = 'Tanh'"))
    info = folder / "plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[nas.search_spaces]\nmine = plugin:Mine\n")
    sys.path.append(str(folder))
    assert "\n  mine " in nas("list", "spaces")[1]
    config = configs.load("toy.toml", ["space.widths=[3]"], space="mine")
    parts = configs.build(config)
    assert (parts.space.name, parts.space.widths, config.files) == ("mine", (3,), {})
    architecture = sample(parts.space, random.Random(0))
    with ProcessExecutor(1) as executor:
        score = executor.submit(parts.evaluator.evaluate, architecture, 1, 0).result()
    assert score.metrics["parameters"] == 3 * 2 + 4
