"""Tests of the wheel: its contents, and that it works without the rest of the project."""

from __future__ import annotations

import ast
import configparser
import json
import re
import shutil
import sys
import sysconfig
import venv
import zipfile
from email import message_from_string
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from helpers.project import FOLDERS, ROOT, SIBLINGS, TOY_OPTIONS, module_name, needs_checkout, run, source_files

import nas

pytestmark = needs_checkout


def option(section: str, name: str, root: Path = ROOT) -> list[str]:
    """The lines of an option of setup.cfg."""
    parser = configparser.ConfigParser()
    parser.read(root / "setup.cfg", encoding="utf-8")
    return [line for line in parser.get(section, name).splitlines() if line]


def packages_on_disk(root: Path) -> set[str]:
    """Every folder with modules in it, by its import name."""
    found = set()
    for folder in FOLDERS:
        for path in (root / folder).rglob("*.py"):
            parts = path.parent.relative_to(root).parts
            if not any((root / Path(*parts[:n])).is_symlink() for n in range(1, len(parts) + 1)):
                found.add(".".join([*(["nas"] if folder in SIBLINGS else []), *parts]))
    return found


def tree_copy(folder: Path) -> Path:
    """A copy of what a build reads, with the links in it, and nothing built before."""
    ignored = shutil.ignore_patterns("__pycache__", "*.pyc")
    for name in FOLDERS:
        shutil.copytree(ROOT / name, folder / name, symlinks=True, ignore=ignored)
    for path in ROOT.iterdir():
        if path.is_file():
            shutil.copy(path, folder)
    return folder


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A wheel built from a copy of the tree, without a network and without an isolated build environment."""
    source, out = tree_copy(tmp_path_factory.mktemp("source")), tmp_path_factory.mktemp("wheel")
    offline = ["--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    built = run([sys.executable, "-m", "pip", "wheel", *offline, "--wheel-dir", out, source], out)
    assert built.returncode == 0, built.stderr + built.stdout
    [path] = out.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """A new virtual environment with the wheel installed; the other packages are seen through a path file.

    Path files in a folder that is named by one are not read, so the editable installation stays out.
    """
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    interpreter = folder / "bin" / "python"
    offline = ["--no-deps", "--no-index", "--disable-pip-version-check"]
    done = run([sys.executable, "-m", "pip", "--python", interpreter, "install", *offline, wheel], folder)
    assert done.returncode == 0, done.stderr + done.stdout
    [site] = folder.glob("lib/python*/site-packages")
    paths = dict.fromkeys(sysconfig.get_path(name) for name in ("purelib", "platlib"))
    (site / "dependencies.pth").write_text("\n".join(paths) + "\n", encoding="utf-8")
    return folder


@pytest.fixture
def metadata(wheel):
    with zipfile.ZipFile(wheel) as file:
        [name] = [name for name in file.namelist() if name.endswith(".dist-info/METADATA")]
        return message_from_string(file.read(name).decode("utf-8"))


def test_every_folder_is_listed():
    listed = option("options", "packages")
    assert len(set(listed)) == len(listed)
    assert set(listed) == packages_on_disk(ROOT)


def test_every_package_has_an_init():
    assert {path.parent for path in source_files()} == {p.parent for p in source_files() if p.name == "__init__.py"}


def test_a_forgotten_folder_is_seen(tmp_path):
    root = tree_copy(tmp_path)
    (root / "evaluators" / "new" / "deep").mkdir(parents=True)
    (root / "evaluators" / "new" / "deep" / "module.py").touch()
    assert packages_on_disk(root) - set(option("options", "packages")) == {"nas.evaluators.new.deep"}


def test_the_folders_are_mapped():
    mapping = dict(re.split(r"\s*=\s*", line) for line in option("options", "package_dir"))
    assert mapping == {"nas": "nas", **{f"nas.{folder}": folder for folder in SIBLINGS}}


def test_the_wheel_holds_the_package_and_nothing_else(wheel):
    expected = {module_name(path).replace(".", "/") + "/__init__.py" for path in source_files() if _is_init(path)}
    expected |= {module_name(path).replace(".", "/") + ".py" for path in source_files() if not _is_init(path)}
    expected |= {"nas/py.typed", "nas/executors/nni_loopback.js"}
    for package in ("nas/export", "nas/init", "nas/report"):
        expected |= {path.relative_to(ROOT).as_posix() for path in (ROOT / package / "templates").iterdir()}
    expected |= {f"nas/{path.relative_to(ROOT).as_posix()}" for path in (ROOT / "experiments").rglob("*.toml")}
    with zipfile.ZipFile(wheel) as file:
        names = file.namelist()
    assert len(set(names)) == len(names)
    assert {name for name in names if ".dist-info/" not in name} == expected
    assert {name.split("/")[0] for name in names} == {"nas", f"adaptnas-{nas.__version__}.dist-info"}


def test_metadata(wheel, metadata):
    assert metadata["Name"] == "adaptnas"
    assert metadata["Version"] == nas.__version__
    assert metadata["Requires-Python"] == ">=3.11"
    assert "MIT" in (metadata["License-Expression"], metadata["License"])
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert metadata.get_payload().strip() == (ROOT / "README.md").read_text("utf-8").strip()
    assert {"nni", "ray", "onnx", "optuna", "series", "dev"} <= set(metadata.get_all("Provides-Extra"))
    with zipfile.ZipFile(wheel) as file:
        [licence] = [name for name in file.namelist() if name.endswith("LICENSE")]
        assert file.read(licence) == (ROOT / "LICENSE").read_bytes()
        [points] = [name for name in file.namelist() if name.endswith("entry_points.txt")]
        assert file.read(points).decode().split() == ["[console_scripts]", "nas", "=", "nas.cli:main"]


def test_what_is_imported_is_required(metadata):
    """Of other packages, the modules import those in install_requires, and each of those is imported somewhere."""
    required = {_plain(line) for line in metadata.get_all("Requires-Dist") if "extra ==" not in line}
    extras = {_plain(line) for line in metadata.get_all("Requires-Dist") if "extra ==" in line}
    names = {name for path in source_files() for name in _imported(path)} - {*sys.stdlib_module_names, "nas"}
    owners = packages_distributions()
    imported = {_plain(distribution) for name in names for distribution in owners.get(name, [name])}
    assert imported <= required | extras
    assert required <= imported


def test_the_installed_package_is_the_wheels(installed, tmp_path):
    script = "import json, nas, sys; print(json.dumps([nas.__file__, *sys.path]))"
    file, *path = json.loads(run([installed / "bin" / "python", "-I", "-c", script], tmp_path).stdout)
    assert Path(file).is_relative_to(installed)
    assert not any(Path(entry).resolve() == ROOT for entry in path)


def test_every_module_can_be_imported(installed, tmp_path):
    modules = [module_name(path) for path in source_files() if path.name != "__main__.py"]
    script = (
        "import importlib, json, sys; print(json.dumps([importlib.import_module(m).__file__ for m in sys.argv[1:]]))"
    )
    ended = run([installed / "bin" / "python", "-I", "-c", script, *modules], tmp_path)
    assert ended.returncode == 0, ended.stderr
    files = json.loads(ended.stdout)
    assert len(files) == len(modules)
    assert all(Path(file).is_relative_to(installed) for file in files)


def test_the_command_lists(installed, tmp_path):
    ended = run([installed / "bin" / "nas", "list"], tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")
    for word in ("few-shot-cell", "evolution", "meta", "glyphs", "maml", "omniglot_5way_1shot", "quickstart"):
        assert word in ended.stdout


def test_the_command_searches(installed, tmp_path):
    ended = run([installed / "bin" / "nas", "search", "quickstart", "--json", *TOY_OPTIONS], tmp_path)
    assert ended.returncode == 0, ended.stderr
    summary = json.loads(ended.stdout)
    assert (summary["name"], summary["state"]) == ("quickstart-1", "done")
    assert [trial["state"] for trial in summary["trials"]] == ["done"] * 3
    assert (tmp_path / "runs" / "quickstart-1" / "report.html").is_file()
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


def _is_init(path: Path) -> bool:
    return path.name == "__init__.py"


def _plain(requirement: str) -> str:
    """The normal form of the name that a requirement begins with."""
    return re.sub(r"[-_.]+", "-", re.split(r"[^\w.-]", requirement, maxsplit=1)[0]).lower()


def _imported(path: Path) -> set[str]:
    """The top-level names that a module imports from other packages, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add(str(node.module).split(".")[0])
    return found
