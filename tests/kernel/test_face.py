"""Face of the package: what `import nas` offers, and what it does not load."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.project import python

import nas
from nas import adapt, controllers, errors, export, lazy, testing
from nas.runs import run

PACKAGES = sorted(path.parent.name for path in Path(nas.__file__).parent.glob("*/__init__.py"))
HEAVY = ("torch", "numpy", "pydantic", "networkx", "typer", "sqlite3")


@pytest.mark.parametrize("name", PACKAGES)
def test_every_package_is_an_attribute_that_is_listed(name):
    assert name in nas.__all__
    assert name in dir(nas)
    assert getattr(nas, name).__name__ == f"nas.{name}"


def test_a_run_and_an_export_are_made_and_opened_from_the_face():
    assert nas.run_search is run.run_search
    assert nas.open_run is run.open_run
    assert nas.load is adapt.load


@pytest.mark.parametrize("face", [nas, adapt, export, testing], ids=lambda face: face.__name__)
def test_all_that_a_lazy_face_names_is_there(face):
    assert set(face.__all__) <= set(dir(face))
    for name in face.__all__:
        assert getattr(face, name) is not None
    with pytest.raises(AttributeError, match=f"module '{face.__name__}' has no attribute 'nothing'"):
        _ = face.nothing


def test_packages_are_reached_in_a_fresh_process(tmp_path):
    """Here other tests have imported them already."""
    script = "import nas; print(nas.controllers.Evolution.__name__, nas.search.search.__name__, nas.errors.__name__)"
    assert python(["-c", script], tmp_path) == f"{controllers.Evolution.__name__} search {errors.__name__}\n"


@pytest.mark.parametrize("module", ["nas", "nas.adapt", "nas.export", "nas.testing"])
def test_the_import_of_a_face_loads_nothing_heavy(module, tmp_path):
    script = f"import sys, {module}; print([name for name in {HEAVY} if name in sys.modules])"
    assert python(["-c", script], tmp_path) == "[]\n"


def test_a_module_that_cannot_be_imported_says_why():
    get_attribute, _ = lazy.lazy_attributes("nas", {"no_such_module": ("value",)})
    with pytest.raises(ModuleNotFoundError, match=r"nas\.no_such_module"):
        get_attribute("value")
