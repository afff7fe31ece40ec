"""Functions that documents name and link to: each linked file defines its function, with the line that is quoted."""

from __future__ import annotations

import ast
import re

import pytest
from helpers.docs import documents
from helpers.project import ROOT, needs_checkout

LINK = re.compile(r"\[`([\w.]+)`\]\(([^)\s]+\.py)\)")
ROW = re.compile(rf"^\| (\d)\. .* \| {LINK.pattern} \| `(.+)` \|$", re.MULTILINE)
MODULE = """
class Loop:
    def start(self):
        return 1

def start():
    return 2
"""


def source_of(name: str, module: str) -> str:
    """Source of a class or function by its dotted name in a module; empty where the module does not define it."""
    body: list[ast.stmt] = ast.parse(module).body
    found: ast.ClassDef | ast.FunctionDef | None = None
    for part in name.split("."):
        definitions = [node for node in body if isinstance(node, ast.ClassDef | ast.FunctionDef)]
        found = next((node for node in definitions if node.name == part), None)
        if found is None:
            return ""
        body = found.body
    return "" if found is None else ast.get_source_segment(module, found) or ""


def test_a_function_is_found_by_its_dotted_name() -> None:
    assert "return 1" in source_of("Loop.start", MODULE)
    assert "return 2" in source_of("start", MODULE)
    assert source_of("Loop.stop", MODULE) == source_of("stop", MODULE) == ""


@needs_checkout
@pytest.mark.parametrize("path", documents(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_linked_files_define_the_functions(path) -> None:
    for name, target in LINK.findall(path.read_text("utf-8")):
        module = (path.parent / target).read_text("utf-8")
        assert source_of(name, module), f"{path.name} links to {name} in {target}, which does not define it"


@needs_checkout
def test_the_lines_of_the_two_loops_are_in_their_functions() -> None:
    path = ROOT / "docs" / "concepts" / "two-loops.md"
    rows = ROW.findall(path.read_text("utf-8"))
    assert [row[0] for row in rows] == [*"123455", *"1233455"]  # MAML, then Reptile
    for _, name, target, line in rows:
        lines = source_of(name, (path.parent / target).read_text("utf-8")).splitlines()
        assert line in map(str.strip, lines), f"{name} in {target} has no line {line}"
