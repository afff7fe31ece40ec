"""Laws of the source files: what no module may do, their sizes and their parameters, and where the folders stand."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from helpers.project import ROOT, SIBLINGS, module_name, needs_checkout, source_files

MAX_LINES = 420
MAX_PARAMETERS = 6
MAY_HAVE_MORE = "nas/runs/run.py: run_search has 7"
"""A person's one call for a whole run, whose parameters, but for the config, are keywords as on the command line."""

MAY_EXECUTE = {
    ("nas/executors/worker_main.py", "pickle.loads"),  # calls from the parent process, through a private pipe
    ("nas/executors/worker_process.py", "pickle.loads"),  # results of the worker, through the same pipe
    ("nas/executors/supervisor.py", "importlib.import_module"),  # modules of this project and torch, for its workers
    ("experiments/chaos/__main__.py", "importlib.import_module"),  # modules that its own table names
    ("nas/executors/carried_files.py", "pickle.Unpickler"),  # calls from the master's machine, in a slot of a cluster
    ("nas/executors/nni_executor.py", "pickle.loads"),  # results of its trials, through a socket in a private folder
    ("nas/executors/nni_trial.py", "pickle.loads"),  # calls from the parent process, through the same socket
    ("nas/executors/nni_messages.py", "importlib.import_module"),  # modules of NNI that its own table names
    ("nas/testing/evaluators.py", "pickle.loads"),  # a copy that the same function has just pickled
    (
        "nas/registry/user_files.py",
        "exec_module",
    ),  # the file that a user names as FILE.py:NAME
    ("nas/registry/components.py", "importlib.import_module"),  # modules that its own table names
    ("experiments/chaos/__main__.py", "importlib.import_module"),  # its own parts, from its own list
    ("nas/lazy.py", "importlib.import_module"),  # modules whose names the face of a package offers
    # In an export, for its user: imports the model.py beside it. nas.load passes the network, so it never comes here.
    ("nas/export/standalone/adapt.py", "run_path"),
}
MAY_PRINT = (
    "nas/cli/commands.py",
    "nas/cli/doctor.py",
    "nas/cli/learned_optimizers.py",
    "nas/cli/looking.py",
    "nas/cli/own_data.py",
    "nas/cli/progress.py",
    "nas/cli/stage_two.py",
    "nas/cli/streams.py",
    "nas/cli/watching.py",
    "nas/executors/process_state.py",  # gives the streams back that a call has replaced
    "nas/executors/supervisor.py",  # flushes them at a worker's end
    "experiments/chaos/__main__.py",
    "experiments/command_line.py",
    "experiments/benchmarks/",
    "experiments/chaos/__main__.py",
    "experiments/reproduce/",
    "experiments/interval_coverage.py",
    "experiments/fidelity/__main__.py",
    "experiments/nas_bench_graph/__main__.py",
    "experiments/own_images/__main__.py",
    "experiments/zero_cost.py",
)
MAY_SWALLOW = {"nas/failures.py"}
MAY_DRAW = {
    # The generators of a worker are the same at the beginning of every call.
    ("nas/executors/process_state.py", "random.getstate"),
    ("nas/executors/process_state.py", "random.setstate"),
    # Candidates that draw from global generators, as those of users do.
    ("experiments/chaos/misbehaving.py", "random.random"),
    ("experiments/chaos/misbehaving.py", "random.seed"),
    ("experiments/chaos/misbehaving.py", "torch.manual_seed"),
}

FORBIDDEN_MODULES = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "yaml"}
READERS = {"load", "loads", "Unpickler", "open", "full_load", "unsafe_load", "load_all"}
FORBIDDEN_NAMES = {"eval", "exec", "compile", "__import__"}
FORBIDDEN_ATTRIBUTES = {"exec_module", "run_path", "run_module"}


def dangers(tree: ast.AST) -> set[str]:
    """Names and attributes, called or passed on, that could execute something read from a file."""
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
    """Every handler of all exceptions raises again, except the one in `nas.failures.attempt`."""
    found = {_short(path) for path in source_files() for node in ast.walk(_tree(path)) if _swallows(node)}
    assert found == MAY_SWALLOW


def global_draws(tree: ast.AST) -> set[str]:
    """Uses of the global random generators, except in a `with torch.random.fork_rng(…)`, which restores their state."""
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
    """A search must neither depend on other users of the global generators nor change what they draw."""
    assert {(_short(path), draw) for path in source_files() for draw in global_draws(_tree(path))} == MAY_DRAW


def test_a_global_draw_is_seen():
    source = "random.random(); random.Random(0); torch.manual_seed(0); np.random.rand(3); np.random.default_rng(0)"
    assert global_draws(ast.parse(source)) == {"random.random", "torch.manual_seed", "np.random.rand"}
    assert global_draws(ast.parse("with torch.random.fork_rng():\n    torch.manual_seed(0)")) == set()


@needs_checkout
@pytest.mark.parametrize("path", [pytest.param(path, id=module_name(path)) for path in source_files()])
def test_a_module_has_a_docstring_and_is_short(path):
    assert ast.get_docstring(_tree(path)), f"{_short(path)} has no docstring; say in a sentence what it holds"
    lines = len(path.read_text("utf-8").splitlines())
    assert lines <= MAX_LINES, f"{_short(path)} has {lines} lines; {MAX_LINES} are allowed: split it"


def long_parameter_lists(tree: ast.AST) -> list[str]:
    """Functions of more than MAX_PARAMETERS, private ones and nested ones included.

    Constructors are not counted, whose parameters are a component's options, nor commands of the command line, whose
    parameters are its options. `self` and `cls` are no parameters.
    """
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or node.name == "__init__":
            continue
        if any(ast.unparse(decorator).startswith("app.command(") for decorator in node.decorator_list):
            continue
        arguments = node.args
        names = [each.arg for each in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
        number = len([name for name in names if name not in ("self", "cls")])
        if number > MAX_PARAMETERS:
            found.append(f"{node.name} has {number} parameters; {MAX_PARAMETERS} are allowed: make a dataclass of some")
    return found


@needs_checkout
def test_functions_have_few_parameters():
    found = [f"{_short(path)}: {text}" for path in source_files() for text in long_parameter_lists(_tree(path))]
    assert [text for text in found if not text.startswith(MAY_HAVE_MORE)] == []


@pytest.mark.parametrize(
    "source, names",
    [
        ("def f(a, b, c, d, e, g): ...", []),
        ("def f(a, b, c, /, d, e, *, g, h): ...", ["f"]),
        ("class C:\n def __init__(self, a, b, c, d, e, g, h): ...\n def _m(self, a, b, c, d, e, g): ...", []),
        ("class C:\n @classmethod\n def _m(cls, a, b, c, d, e, g, h): ...", ["_m"]),
        ("def f():\n async def inner(a, b, c, d, e, g, h): ...", ["inner"]),
        ("@app.command()\ndef search(a, b, c, d, e, g, h): ...", []),
        ("@cache\ndef search(a, b, c, d, e, g, h): ...", ["search"]),
    ],
)
def test_a_long_parameter_list_is_seen(source, names):
    assert [text.split()[0] for text in long_parameter_lists(ast.parse(source))] == names


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
