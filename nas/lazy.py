"""Lazy attributes of packages: their modules are imported when an attribute is first used (PEP 562)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module


def lazy_attributes(
    package: str, attributes: Mapping[str, Iterable[str]], modules: Iterable[str] = ()
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """The functions `__getattr__` and `__dir__` of a package.

    Args:
        package: The `__name__` of the package.
        attributes: Names of attributes by the module that defines them, such as {"adaptation": ("adapt",)}.
        modules: Names of modules that are attributes themselves.
    """
    modules = frozenset(modules)
    owners = {name: module for module, names in attributes.items() for name in names}

    def get_attribute(name: str) -> object:
        if name in owners:
            return getattr(import_module(f"{package}.{owners[name]}"), name)
        if name in modules:
            return import_module(f"{package}.{name}")
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    def list_attributes() -> list[str]:
        return sorted({*vars(sys.modules[package]), *owners, *modules})

    return get_attribute, list_attributes
