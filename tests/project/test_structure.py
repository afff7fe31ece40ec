"""Who may know whom, what no module may do, and where the folders stand."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.project import FOLDERS, ROOT, SIBLINGS, module_name, needs_checkout, python, source_files

MAX_LINES = 420
HEAVY = {"torch", "nni", "ray", "onnx", "onnxruntime", "tensorboard", "matplotlib", "scipy", "networkx", "pandas"}

MAY_EXECUTE = {
    ("nas/executors/worker_main.py", "pickle.loads"),  # what comes from the master, through a pipe of their own
    ("nas/executors/worker_process.py", "pickle.loads"),  # the worker's answer, through the same pipe
    ("nas/testing/evaluators.py", "pickle.loads"),  # what it has just pickled itself
    (
        "nas/registry/user_files.py",
        "exec_module",
    ),  # FILE.py:NAME: a person's own file, which they name
    ("nas/registry/components.py", "importlib.import_module"),  # names of its own table
    ("nas/lazy.py", "importlib.import_module"),  # names that the face of a package gives
}
MAY_PRINT = (
    "nas/cli/commands.py",
    "nas/cli/progress.py",
    "experiments/command_line.py",
    "experiments/benchmarks/",
    "experiments/reproduce/",
    "experiments/coverage.py",
    "experiments/fidelity/__main__.py",
    "experiments/nas_bench_graph/__main__.py",
    "experiments/zero_cost.py",
)
MAY_SWALLOW = {"nas/failures.py"}

FORBIDDEN_MODULES = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "yaml"}
READERS = {"load", "loads", "Unpickler", "open", "full_load", "unsafe_load", "load_all"}
FORBIDDEN_NAMES = {"eval", "exec", "compile", "__import__"}
FORBIDDEN_ATTRIBUTES = {"exec_module", "run_path", "run_module"}


def imports(tree: ast.AST, module: str, is_package: bool) -> Iterator[tuple[str, int]]:
    """Every module that is imported anywhere in a tree, as an absolute name, and the level of a relative import.

    `from X import a` counts as X and as X.a, since `a` may be a module.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, 0) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                up = node.level - 1 if is_package else node.level
                package = module.split(".")[: len(module.split(".")) - up]
                base = ".".join([*package, *([node.module] if node.module else [])])
            yield base, node.level
            yield from ((f"{base}.{alias.name}", node.level) for alias in node.names)


def room_of(module: str) -> str | None:
    """The folder that a module of the package stands in; None for one of another package."""
    first, *rest = module.split(".")
    if first != "nas":
        return None
    return rest[0] if rest and rest[0] in SIBLINGS else "nas"


def broken_rules(source: str, module: str, is_package: bool = False) -> list[str]:
    """What a module imports that it must not, or in a way it must not."""
    here, tree, broken = room_of(module), ast.parse(source), []
    plain = {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    for name, level in imports(tree, module, is_package):
        there = room_of(name)
        if name.split(".")[0] in SIBLINGS:
            broken.append(f"{module} imports {name}: a second copy; its name is nas.{name}")
        if there is None:
            continue
        if there == "experiments" and here != "experiments":
            broken.append(f"{module} imports {name}: nothing imports experiments")
        elif there != here and there != "nas" and here != "experiments":
            broken.append(f"{module} imports {name}: {here} must not know {there}")
        elif level and there != here:
            broken.append(f"{module} imports {name} relatively; across folders it is `from nas.… import …`")
        elif not level and there == here:
            broken.append(f"{module} imports {name}; inside a folder imports are relative")
        elif name in plain:
            broken.append(f"{module} has `import {name}`; across folders it is `from nas.… import …`")
    return broken


@needs_checkout
def test_every_folder_has_modules():
    found = source_files()
    assert {path.relative_to(ROOT).parts[0] for path in found} == set(FOLDERS)
    assert len({path.resolve() for path in found}) == len(found) > 50


@needs_checkout
def test_who_may_know_whom():
    broken = [
        rule
        for path in source_files()
        for rule in broken_rules(path.read_text("utf-8"), module_name(path), path.name == "__init__.py")
    ]
    assert broken == []


@needs_checkout
def test_no_test_makes_a_second_copy():
    for path in sorted((ROOT / "tests").glob("*.py")):
        names = [name.split(".")[0] for name, _ in imports(ast.parse(path.read_text("utf-8")), path.stem, False)]
        assert not set(names) & set(SIBLINGS), path.name


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
def test_the_rules_catch(module, source):
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
def test_the_rules_allow(module, source):
    assert broken_rules(source, module) == []


@pytest.mark.parametrize("arguments", [["-c", "import nas"], ["-c", "import nas.cli"], ["-m", "nas", "--help"]])
def test_what_must_be_quick_imports_nothing_heavy(arguments, tmp_path):
    script = (
        "import atexit, runpy, sys\n"
        f"atexit.register(lambda: print('LOADED', *sorted({HEAVY} & sys.modules.keys())))\n"
        f"arguments = {arguments}\n"
        "sys.argv = ['nas', *arguments[2:]]\n"
        "exec(arguments[1]) if arguments[0] == '-c' else runpy.run_module(arguments[1], run_name='__main__')\n"
    )
    assert python(["-c", script], tmp_path).splitlines()[-1] == "LOADED"


def dangers(tree: ast.AST) -> set[str]:
    """What could execute something read from a file: names and attributes, called or handed on."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in FORBIDDEN_NAMES:
            found.add(node.id)
        elif isinstance(node, ast.Attribute):
            owner = ast.unparse(node.value)
            if node.attr in FORBIDDEN_ATTRIBUTES:
                found.add(node.attr)
            elif (owner in FORBIDDEN_MODULES and node.attr in READERS) or f"{owner}.{node.attr}" in (
                "torch.load",
                "importlib.import_module",
            ):
                found.add(f"{owner}.{node.attr}")
        elif isinstance(node, ast.ImportFrom) and node.module in {*FORBIDDEN_MODULES, "torch", "importlib"}:
            taken = {alias.name for alias in node.names}
            found |= {f"{node.module}.{name}" for name in taken & {*READERS, "import_module"}}
        elif isinstance(node, ast.keyword) and ast.unparse(node) == "allow_pickle=True":
            found.add("allow_pickle=True")
    return found


@needs_checkout
def test_nothing_read_from_a_file_is_executed():
    found = {(_short(path), danger) for path in source_files() for danger in dangers(_tree(path))}
    assert found == MAY_EXECUTE


@pytest.mark.parametrize(
    "source",
    [
        "eval(text)",
        "run = exec",
        "attempt(pickle.loads, data)",
        "with path.open() as f: pickle.load(f)",
        "from pickle import loads",
        "torch.load(path, weights_only=True)",
        "yaml.load(text, yaml.Loader)",
        "np.load(path, allow_pickle=True)",
        "importlib.import_module(config['class'])",
        "spec.loader.exec_module(module)",
    ],
)
def test_a_danger_is_seen(source):
    assert dangers(ast.parse(source))


def test_what_only_looks_dangerous_is_allowed():
    assert (
        dangers(ast.parse("network.eval(); np.load(path, allow_pickle=False); pickle.dumps(x); re.compile(y)")) == set()
    )


@needs_checkout
def test_only_the_command_line_prints():
    found = {_short(path) for path in source_files() for node in ast.walk(_tree(path)) if _prints(node)}
    assert [name for name in sorted(found) if not name.startswith(MAY_PRINT)] == []
    assert found, "the command line prints, so this test must see it"


@needs_checkout
def test_errors_are_swallowed_in_one_place():
    """A handler of every exception raises again, but for the one that makes a failed trial of it."""
    found = {_short(path) for path in source_files() for node in ast.walk(_tree(path)) if _swallows(node)}
    assert found == MAY_SWALLOW


def global_draws(tree: ast.AST) -> set[str]:
    """Uses of the global random generators, but for those in a `with torch.random.fork_rng(…)`, which restores it."""
    found = set()
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.With) and any("fork_rng" in ast.unparse(item) for item in node.items):
            continue
        if isinstance(node, ast.Attribute) and _is_global_draw(ast.unparse(node.value), node.attr):
            found.add(ast.unparse(node))
        found |= global_draws(node)
    return found


@needs_checkout
def test_no_global_generator_is_used():
    """A search must not depend on who else draws, nor disturb them."""
    assert {(_short(path), draw) for path in source_files() for draw in global_draws(_tree(path))} == set()


def test_a_global_draw_is_seen():
    source = "random.random(); random.Random(0); torch.manual_seed(0); np.random.rand(3); np.random.default_rng(0)"
    assert global_draws(ast.parse(source)) == {"random.random", "torch.manual_seed", "np.random.rand"}
    assert global_draws(ast.parse("with torch.random.fork_rng():\n    torch.manual_seed(0)")) == set()


@needs_checkout
@pytest.mark.parametrize("path", [pytest.param(path, id=module_name(path)) for path in source_files()])
def test_a_module_says_what_it_is_and_is_short(path):
    assert ast.get_docstring(_tree(path)), f"{_short(path)} has no docstring; say in a sentence what it holds"
    lines = len(path.read_text("utf-8").splitlines())
    assert lines <= MAX_LINES, f"{_short(path)} has {lines} lines; {MAX_LINES} are allowed: split it"


@needs_checkout
@pytest.mark.parametrize("folder", SIBLINGS)
def test_each_folder_is_linked_into_the_package(folder):
    link = ROOT / "nas" / folder
    assert link.is_symlink()
    assert link.readlink() == Path("..") / folder
    assert link.resolve() == ROOT / folder


def _short(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def _prints(node: ast.AST) -> bool:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return node.func.id == "print"
    return isinstance(node, ast.Attribute) and ast.unparse(node) in ("sys.stdout", "sys.stderr", "typer.echo")


def _swallows(node: ast.AST) -> bool:
    if not isinstance(node, ast.ExceptHandler):
        return False
    caught = {part.id for part in ast.walk(node.type) if isinstance(part, ast.Name)} if node.type else {"BaseException"}
    raises = any(isinstance(statement, ast.Raise) and statement.exc is None for statement in node.body)
    return bool(caught & {"Exception", "BaseException"}) and not raises


def _is_global_draw(owner: str, name: str) -> bool:
    if owner == "random":
        return name not in ("Random", "SystemRandom")
    if owner in ("np.random", "numpy.random"):
        return name not in ("default_rng", "Generator", "BitGenerator", "PCG64", "SeedSequence")
    return f"{owner}.{name}" in (
        "torch.manual_seed",
        "torch.seed",
        "torch.cuda.manual_seed",
        "torch.cuda.manual_seed_all",
    )
