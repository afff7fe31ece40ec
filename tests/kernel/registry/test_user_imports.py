"""Imports of users' files from beside them: found by static analysis, and compared when a run is resumed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from helpers.cli import Said, command_here  # noqa: F401  # fixture
from helpers.launch import in_this_process, own_runs  # noqa: F401  # fixtures
from helpers.project import TOY_OPTIONS
from helpers.user_components import CONFIG

from nas import registry
from nas.errors import ConfigError
from nas.registry import user_files
from nas.registry.user_imports import module_name, sources

SPACE = """
from widths_here import WIDTHS
from parts_here.heads import head

class Mine:
    name = "mine"

    def decide(self, choose):
        return choose("width", WIDTHS)

    def build(self, spec, task):
        from lazy_here import layers
        return layers(spec, task)
"""
BESIDE = {
    "widths_here.py": "WIDTHS = (4, 8)\n",
    "parts_here/__init__.py": "",
    "parts_here/heads.py": "from . import sizes\n\ndef head(spec, task):\n    return sizes.SCALE * task.num_outputs\n",
    "parts_here/sizes.py": "SCALE = 1\n",
    "lazy_here.py": (
        "def layers(spec, task):\n    import deep_here.network\n    return deep_here.network.made(spec, task)\n"
    ),
    "deep_here/network.py": (
        "from torch import nn\n\ndef made(spec, task):\n    first = nn.Linear(task.input_shape[0], spec)\n"
        "    return nn.Sequential(first, nn.Tanh(), nn.Linear(spec, task.num_outputs))\n"
    ),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a space and what it imports, and without them among the imported modules before and after."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    written(tmp_path, {"space.py": SPACE, **BESIDE, "toy.toml": CONFIG})
    forgotten()
    yield tmp_path
    forgotten()


def written(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def forgotten() -> None:
    for name in [name for name in sys.modules if name.partition(".")[0].endswith("_here")]:
        del sys.modules[name]


def imported_names(folder: Path, text: str, files: dict[str, str]) -> set[str]:
    """The names of the files that a file of this text is said to depend on."""
    written(folder, {"main_file.py": text, **files})
    return {str(path.relative_to(folder)) for path in sources(folder / "main_file.py")} - {"main_file.py"}


def test_imports_of_a_file_that_begins_with_a_byte_order_mark_are_seen(folder):
    (folder / "space.py").write_text(SPACE, "utf-8-sig")
    names = {path.relative_to(folder).as_posix() for path in sources(folder / "space.py")}
    assert names == {"space.py", *BESIDE}


def test_they_are_those_that_python_imports(folder: Path) -> None:
    """The independent version runs the space, and sees which modules of the folder have come in."""
    space = registry.create("space", f"{folder / 'space.py'}:Mine", {})
    from nas.task import TaskShape

    space.build(space.decide(lambda _name, options: options[0]), TaskShape((1,), 1, "regression"))
    files = {Path(module.__file__ or "") for module in list(sys.modules.values()) if getattr(module, "__file__", None)}
    imported = {file for file in files if file.is_relative_to(folder)}
    assert set(sources(folder / "space.py")) == imported
    names = {module_name(file, folder) for file in imported if file.name != "space.py"}
    assert names == {name for name in sys.modules if name.endswith("_here") or "_here." in name} - {"deep_here"}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("import a", {"a.py"}),
        ("import a.b.c as d", {"a.py"}),
        ("import p.q", {"p/q.py"}),
        ("import p.q.r", {"p/q.py"}),
        ("from p import q", {"p/q.py"}),
        ("from p.q import r, s", {"p/q.py"}),
        ("import s.t.u", {"s/t/__init__.py", "s/t/u.py"}),
        ("from s import t, u", {"s/t/__init__.py"}),
        ("from s.t import u, v", {"s/t/__init__.py", "s/t/u.py"}),
        ("from a import *", {"a.py"}),
        ("def f():\n    class B:\n        def g(self):\n            if 0:\n                import a", {"a.py"}),
        ("try:\n    import a\nexcept ImportError:\n    import b", {"a.py", "b.py"}),
        ("import random, torch, nas, numpy.linalg", set()),
        ("import nowhere", set()),
        ("import main_file", set()),
        ("from ... import a", set()),
        ("import a; )", set()),
        ("import loop_one", {"loop_one.py", "loop_two.py"}),
    ],
)
def test_an_import_counts_where_its_name_leads_to_a_file_beside(folder: Path, text: str, names: set[str]) -> None:
    """Standard library, installed packages and adaptnas come first, as they do in the import path."""
    names_of_others = ("random.py", "torch.py", "nas.py", "numpy/linalg.py")
    beside = dict.fromkeys(("a.py", "b.py", "p/q.py", "p/q/r.py", "s/t/__init__.py", "s/t/u.py", *names_of_others), "")
    loops = {"loop_one.py": "import loop_two", "loop_two.py": "import loop_one"}
    assert imported_names(folder, text, {**beside, **loops}) == names


def test_relative_imports_are_those_of_their_package(folder: Path) -> None:
    files = {
        "p/__init__.py": "",
        "p/one.py": "from .two import x\nfrom ..q import y",
        "p/two.py": "from . import three, nothing",
        "p/three.py": "",
        "q.py": "",
    }
    assert imported_names(folder, "import p.one", files) == set(files)


def test_a_changed_module_changes_the_file_and_another_process_sees_it(folder: Path) -> None:
    name = f"{folder / 'space.py'}:Mine"
    before = user_files.find(name)
    assert user_files.find(name) is before
    (folder / "widths_here.py").write_text("WIDTHS = (4, 16)\n")
    now = user_files.find(name)
    assert now.__module__ != before.__module__
    options = now().decide(lambda _name, options: options)
    assert options == (4, 16)
    with pytest.raises(ConfigError, match=r"space\.py has changed while the run goes on"):
        user_files._new_instance(name, before.__module__, ())


def test_modules_of_two_folders_under_one_name_are_refused_where_they_differ(folder: Path) -> None:
    other = written(folder / "other", {"space.py": SPACE, **BESIDE})
    user_files.find(f"{folder / 'space.py'}:Mine")
    user_files.find(f"{other / 'space.py'}:Mine")
    (other / "widths_here.py").write_text("WIDTHS = (4, 16)\n")
    with pytest.raises(ConfigError, match=r"other/widths_here\.py cannot be imported: .* as 'widths_here' before"):
        user_files.find(f"{other / 'space.py'}:Mine")


@pytest.mark.parametrize("name", ["widths_here.py", "parts_here/sizes.py", "lazy_here.py", "deep_here/network.py"])
def test_every_command_refuses_a_run_whose_imported_module_has_changed(
    folder: Path, inline: None, call: Callable[..., Said], name: str
) -> None:
    assert call("search", "toy.toml", "--space", "space.py:Mine", "--name", "first", *TOY_OPTIONS).status == 0
    assert call("export", "first", "--out", "net").status == 0
    (folder / "mine.csv").write_text("0,1\n1,2\n2,1\n")
    commands = [["resume", "first"], ["report", "first"], ["export", "first", "--out", "other"]]
    adapt = ["adapt", "net", "--support", "mine.csv"]
    path = folder / name
    path.write_text(BESIDE[name] + "# another\n")
    for arguments in commands:
        status, out, err = call(*arguments)
        assert (status, out) == (2, "")
        assert f"{path} has changed since this run was started: line " in err
        assert err.count("\n") == 1
    assert call(*adapt).status == 0  # an export needs no source of its space
    path.unlink()
    for arguments in commands:
        assert f"there is no file '{path}' with which this run was started; put it back" in call(*arguments).err
    path.write_text(BESIDE[name])
    assert call("resume", "first").status == call(*adapt).status == 0


def test_a_module_that_was_not_there_before_is_refused_too(
    folder: Path, inline: None, call: Callable[..., Said]
) -> None:
    optional = "try:\n    from extra_here import WIDTHS\nexcept ImportError:\n    pass\n"
    (folder / "space.py").write_text(SPACE.replace("\nclass", f"{optional}\nclass"))
    assert call("search", "toy.toml", "--space", "space.py:Mine", "--name", "first", *TOY_OPTIONS).status == 0
    (folder / "extra_here.py").write_text("WIDTHS = (2, 3)\n")
    status, out, err = call("resume", "first")
    assert (status, out) == (2, "")
    assert f"{folder / 'extra_here.py'} was not there when this run was started" in err
