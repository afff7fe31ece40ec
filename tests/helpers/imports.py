"""Import statements of the project's modules, read from their source."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from helpers.project import ROOT, SIBLINGS, source_files

VERSION = "nas.__version__"
"""The one name that the kernel imports from a face: packaging tools read the version in nas/__init__.py."""
Sources = Mapping[str, str]
"""Text of each Python file by its path from the root, such as 'nas/space/__init__.py'."""


@dataclass(frozen=True)
class Import:
    """One import statement's reference to a module of the project.

    Attributes:
        importer: Absolute name of the module with the statement.
        from_face: Whether that module is the `__init__` of a package.
        imported: Absolute name of the module that is imported.
        of_face: Whether that module is the `__init__` of a package.
    """

    importer: str
    from_face: bool
    imported: str
    of_face: bool

    def __str__(self) -> str:
        return f"{self.importer} imports {self.imported}"


@cache
def project_sources() -> dict[str, str]:
    return {path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in source_files()}


@cache
def parsed(source: str) -> ast.Module:
    return ast.parse(source)


def name_of(path: str) -> str:
    """The name that the module in a file is imported by."""
    name = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    return f"nas.{name}" if path.split("/")[0] in SIBLINGS else name


def imported_names(tree: ast.AST, module: str, is_package: bool) -> Iterator[tuple[str, str, int]]:
    """Every import in a tree, also in functions and under TYPE_CHECKING, with absolute names.

    Yields:
        The module that the statement names, the name that it takes from there ("" for `import X`), and the level of a
        relative import.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "", 0) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = module.split(".")[: len(module.split(".")) - node.level + is_package]
                base = ".".join([*parents, *([node.module] if node.module else [])])
            yield from ((base, alias.name, node.level) for alias in node.names)


def project_imports(sources: Sources) -> list[Import]:
    """The imports among a project's modules. `from package import name` imports the module `package.name` if there is
    one, else the face of `package`."""
    faces = {name_of(path): path.endswith("__init__.py") for path in sources}
    found = []
    for path, source in sources.items():
        importer = name_of(path)
        for base, name, _ in imported_names(parsed(source), importer, faces[importer]):
            imported = f"{base}.{name}" if f"{base}.{name}" in faces else base
            if imported in faces and imported != importer and f"{base}.{name}" != VERSION:
                found.append(Import(importer, faces[importer], imported, faces[imported]))
    return found
