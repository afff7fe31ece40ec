"""Laws of imports: the order of the packages, no cycles, the folders beside the kernel, and what a face may load."""

from __future__ import annotations

from collections.abc import Sequence
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from helpers.imports import Sources, imported_names, name_of, parsed, project_imports, project_sources
from helpers.project import FOLDERS, ROOT, SIBLINGS, needs_checkout, python, source_files

LEVELS = (
    ("nas", "__main__"),
    ("cli",),
    ("compare",),
    ("runs", "adapt", "init"),
    ("config", "checks"),
    ("search", "report", "export", "testing"),
    ("networks",),
    ("space", "store"),
    ("protocols", "analysis"),
    ("training_recipe",),
    ("adaptation_rule", "optimizers", "augmentation_policy", "trial"),
    ("architecture", "choose", "data", "executors", "registry"),
    ("failures", "provenance", "regular_files", "task", "bounds", "labels", "lazy", "locations", "options"),
    ("errors",),
)
"""Packages and modules of the kernel from top to bottom; each imports only what stands on a lower level. `nas` is the
package's own face, nas/__init__.py."""

HEAVY = {"torch", "nni", "ray", "onnx", "onnxruntime", "tensorboard", "matplotlib", "scipy", "networkx", "pandas"}


def folder_of(module: str) -> str | None:
    """The folder at the root that a module stands in; None for a module of another project."""
    first, *rest = module.split(".")
    if first != "nas":
        return None
    return rest[0] if rest and rest[0] in SIBLINGS else "nas"


# --- the order of the kernel's packages ------------------------------------------------------------------------------


def kernel_packages(sources: Sources) -> dict[str, str]:
    """The package of each module of the kernel, by the names in LEVELS."""
    modules = [name_of(path) for path in sources]
    return {name: name.split(".")[1] if "." in name else name for name in modules if folder_of(name) == "nas"}


def upward_imports(sources: Sources) -> list[str]:
    """Imports of the kernel that do not go to a lower level of LEVELS, and packages that have no level."""
    level = {name: number for number, names in enumerate(LEVELS) for name in names}
    kernel = kernel_packages(sources)
    missing = sorted(set(kernel.values()) - level.keys())
    if missing:
        return [f"{name} has no level; add it to LEVELS" for name in missing]
    return [
        str(each)
        for each in project_imports(sources)
        if each.importer in kernel
        and each.imported in kernel
        and kernel[each.importer] != kernel[each.imported]
        and level[kernel[each.importer]] >= level[kernel[each.imported]]
    ]


@needs_checkout
def test_each_package_of_the_kernel_imports_only_what_stands_below_it():
    sources = project_sources()
    assert upward_imports(sources) == []
    assert {name for names in LEVELS for name in names} <= set(kernel_packages(sources).values())


@pytest.mark.parametrize(
    "path, source",
    [
        ("nas/trial.py", "from .protocols import Controller"),
        ("nas/space/sampling.py", "from ..search.loop import search"),
        ("nas/space/sampling.py", "from ..search import loop"),
        ("nas/space/sampling.py", "from ..search import search"),
        ("nas/space/sampling.py", "if TYPE_CHECKING:\n    from ..search.loop import search"),
        ("nas/space/sampling.py", "def f():\n    from ..search.loop import search"),
        ("nas/space/__init__.py", "from ..search.loop import search"),
        ("nas/space/sampling.py", "from ..store.sqlite_store import Store"),
        ("nas/space/sampling.py", "from .. import Trial"),
        ("nas/unheard_of.py", ""),
    ],
)
def test_an_import_upward_is_seen(path, source):
    modules = ("__init__", "protocols", "search/__init__", "search/loop", "store/sqlite_store")
    others = {f"nas/{module}.py": "" for module in modules}
    assert upward_imports(others) == []
    assert upward_imports({**others, path: source})


def test_an_import_downward_or_inside_a_package_is_allowed():
    sources = {
        "nas/__init__.py": "from .trial import Trial",
        "nas/trial.py": "",
        "nas/search/plan.py": "from ..trial import Trial\nfrom . import loop",
        "nas/search/loop.py": "import torch\nfrom .. import __version__",
        "controllers/grid.py": "from nas.search.loop import search",
    }
    assert upward_imports(sources) == []


# --- no cycles -------------------------------------------------------------------------------------------------------


def cycle(sources: Sources) -> list[str]:
    """Modules that import each other in turn, the first again at the end; empty where there are none.

    A face counts where a statement names it; that Python runs it before each module of its package does not.
    """
    graph: dict[str, set[str]] = {}
    for each in project_imports(sources):
        graph.setdefault(each.importer, set()).add(each.imported)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        modules: list[str] = error.args[1]
        return modules
    return []


@needs_checkout
def test_no_modules_import_each_other():
    assert cycle(project_sources()) == []


@pytest.mark.parametrize(
    "sources",
    [
        {"nas/a.py": "from .b import B", "nas/b.py": "from .a import A"},
        {"nas/a.py": "from .b import B", "nas/b.py": "from .c import C", "nas/c.py": "from . import a"},
        {"nas/a.py": "from .b import B", "nas/b.py": "def f():\n    from .a import A"},
        {"nas/a.py": "from .b import B", "nas/b.py": "if TYPE_CHECKING:\n    from .a import A"},
        {"nas/a.py": "import nas.b", "nas/b.py": "from nas import a"},
        {"nas/p/__init__.py": "from .a import A", "nas/p/a.py": "from . import A"},
        {"controllers/a.py": "from .b import B", "controllers/b.py": "from nas.controllers.a import A"},
    ],
)
def test_a_cycle_is_seen(sources):
    found = cycle(sources)
    assert found[0] == found[-1]
    assert {*found} == {name_of(path) for path in sources}


def test_a_module_may_use_another_of_its_package_whose_face_imports_both():
    assert cycle({"nas/p/__init__.py": "from .a import A", "nas/p/a.py": "from .b import B", "nas/p/b.py": ""}) == []


# --- faces -----------------------------------------------------------------------------------------------------------


def imports_of_faces(sources: Sources) -> list[str]:
    """Imports from the face of a package by modules of the kernel, which import the module that defines the name."""
    return [
        str(each)
        for each in project_imports(sources)
        if folder_of(each.importer) == "nas" and each.of_face and not each.from_face
    ]


@needs_checkout
def test_modules_of_the_kernel_import_modules_and_not_faces():
    assert imports_of_faces(project_sources()) == []


@pytest.mark.parametrize("source", ["from ..space import sample", "from .. import Trial", "import nas.space"])
def test_an_import_of_a_face_is_seen(source):
    kernel = {"nas/__init__.py": "", "nas/space/__init__.py": "", "nas/space/sampling.py": ""}
    assert imports_of_faces({**kernel, "nas/search/loop.py": source})
    allowed = "from ..space import sampling\nfrom ..space.sampling import sample\nfrom .. import __version__"
    assert imports_of_faces({**kernel, "nas/search/loop.py": allowed, "controllers/grid.py": source}) == []


MADE_OF_TORCH = ("nas.evaluators.learners", "nas.evaluators.tasks")
"""Packages whose public classes all compute with tensors."""

IMPORT_FACES = """
import importlib, sys

class Refusal:
    # Refuses the libraries, so that every face that asks for one is seen, not only the first.
    def find_spec(self, name, path=None, target=None):
        if name in libraries:
            print(f"{face} loads {name}")
            raise ImportError(name)

libraries = sys.argv[1].split(",")
sys.meta_path.insert(0, Refusal())
for face in sys.argv[2:]:
    try:
        importlib.import_module(face)
    except ImportError as error:
        if error.args[0] not in libraries:
            raise
"""


def loads(faces: Sequence[str], libraries: Sequence[str], folder: Path) -> list[str]:
    """Which faces load which of some libraries when a fresh Python process imports them."""
    return sorted(set(python(["-c", IMPORT_FACES, ",".join(libraries), *faces], folder).splitlines()))


@needs_checkout
def test_no_face_imports_torch_or_networkx(tmp_path):
    """A user of one name of a package does not wait for libraries that only its other names need.

    A space draws its graph with networkx, so that the faces of search_spaces are held to torch alone.
    """
    faces = [name_of(path) for path in project_sources() if path.endswith("__init__.py")]
    faces = [face for face in faces if not face.startswith((*MADE_OF_TORCH, "nas.experiments"))]
    spaces = [face for face in faces if face.startswith("nas.search_spaces")]
    others = [face for face in faces if face not in spaces]
    assert loads(others, ["torch", "networkx"], tmp_path) + loads(spaces, ["torch"], tmp_path) == []


def test_a_face_that_imports_torch_or_networkx_is_seen(tmp_path):
    for name, source in {
        "first": "from . import part",
        "second": "try:\n    import networkx\nexcept ImportError:\n    pass",
        "third": "import json",
        "fourth": "import torch",
    }.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(source, "utf-8")
    (tmp_path / "first" / "part.py").write_text("from torch import nn", "utf-8")
    found = loads(["first", "second", "third", "fourth"], ["torch", "networkx"], tmp_path)
    assert found == ["first loads torch", "fourth loads torch", "second loads networkx"]


def test_the_command_line_starts_without_heavy_libraries(tmp_path):
    """`nas --help` imports `nas` and `nas.cli` on its way, so neither loads one of them either."""
    script = (
        "import atexit, runpy, sys\n"
        f"atexit.register(lambda: print('LOADED', *sorted({HEAVY} & sys.modules.keys())))\n"
        "sys.argv = ['nas', '--help']\n"
        "runpy.run_module('nas', run_name='__main__')\n"
    )
    assert python(["-c", script], tmp_path).splitlines()[-1] == "LOADED"


# --- the folders beside the kernel -----------------------------------------------------------------------------------


def broken_rules(source: str, module: str, is_package: bool = False) -> list[str]:
    """Imports of a module that cross the folders where they must not, or in a form that they must not have.

    The kernel imports no other folder; search_spaces, controllers and evaluators import the kernel and never each
    other; nothing imports experiments. Imports are relative inside a folder and `from nas.… import …` across folders.
    """
    here, tree, broken = folder_of(module), parsed(source), []
    for base, name, level in imported_names(tree, module, is_package):
        target = f"{base}.{name}" if folder_of(f"{base}.{name}") != folder_of(base) else base
        there = folder_of(target)
        if base.split(".")[0] in SIBLINGS:
            broken.append(f"{module} imports {base}: a second copy; its name is nas.{base}")
        if there is None:
            continue
        if there == "experiments" and here != "experiments":
            broken.append(f"{module} imports {target}: nothing imports experiments")
        elif there != here and there != "nas" and here != "experiments":
            broken.append(f"{module} imports {target}: {here} must not import {there}")
        elif level and there != here:
            broken.append(f"{module} imports {target} relatively; across folders it is `from nas.… import …`")
        elif not level and there == here:
            broken.append(f"{module} imports {target}; inside a folder imports are relative")
        elif not name:
            broken.append(f"{module} has `import {base}`; across folders it is `from nas.… import …`")
    return broken


@needs_checkout
def test_every_folder_has_modules():
    paths = source_files()
    assert {path.relative_to(ROOT).parts[0] for path in paths} == set(FOLDERS)
    assert len({path.resolve() for path in paths}) == len(paths) > 50


@needs_checkout
def test_folders_import_the_kernel_and_never_each_other():
    broken = [
        rule
        for path, source in project_sources().items()
        for rule in broken_rules(source, name_of(path), path.endswith("__init__.py"))
    ]
    assert broken == []


@needs_checkout
def test_tests_import_no_second_copy_and_no_other_test():
    """What two test files share is a helper: another test file can only be imported if its folder is collected too."""
    for path in sorted((ROOT / "tests").rglob("*.py")):
        tree = parsed(path.read_text("utf-8"))
        names = {base.split(".")[0] for base, _, _ in imported_names(tree, path.stem, False)}
        assert not names & set(SIBLINGS), path
        assert [name for name in names if name.startswith("test_")] == [], path


@pytest.mark.parametrize(
    "module, source",
    [
        ("nas.search", "from .controllers import Evolution"),
        ("nas.search", "def f():\n    from nas.evaluators.meta import MetaEvaluator"),
        ("nas.search", "from . import search_spaces"),
        ("nas.executors.inline_executor", "from ..controllers.evolution import Evolution"),
        ("nas.search", "from nas.store import Store"),
        ("nas.search", "import controllers"),
        ("nas.controllers.evolution", "from nas.search_spaces import Mlp"),
        ("nas.controllers.evolution", "from nas import evaluators"),
        ("nas.controllers.evolution", "from ..search_spaces import Mlp"),
        ("nas.controllers.evolution", "from ..space import sample"),
        ("nas.controllers.evolution", "import nas.space"),
        ("nas.controllers.evolution", "from nas.controllers.policies.reward_baseline import Baseline"),
        ("nas.evaluators.tasks.glyphs", "from ...space import sample"),
        ("nas.evaluators.meta", "from nas.experiments import benchmarks"),
        ("nas.evaluators.meta", "import evaluators.tasks"),
        ("nas.experiments.benchmarks.b", "from search_spaces import Mlp"),
        ("nas.experiments.benchmarks.b", "from ...registry import create"),
    ],
)
def test_an_import_across_folders_is_seen(module, source):
    assert broken_rules(source, module)


@pytest.mark.parametrize(
    "module, source",
    [
        ("nas.search", "from .store import Store\nfrom . import registry\nimport torch"),
        ("nas.executors.inline_executor", "from ..errors import NasError"),
        ("nas.controllers.evolution", "from nas.space import sample\nfrom nas import space\nfrom .baseline import B"),
        ("nas.evaluators.tasks.glyphs", "from ..devices import device_of\nfrom .images import Images"),
        ("nas.experiments.benchmarks.b", "from nas.controllers import Evolution\nfrom nas.registry import create"),
    ],
)
def test_an_import_of_the_kernel_or_inside_a_folder_is_allowed(module, source):
    assert broken_rules(source, module) == []
