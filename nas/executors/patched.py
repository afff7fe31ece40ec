"""Functions and classes of modules that a call has replaced, which are put back."""

from __future__ import annotations

import sys
from types import BuiltinFunctionType, FunctionType
from typing import Any

MODULES = ("builtins", "math", "os", "random", "time", "torch", "torch.nn", "torch.nn.functional", "numpy")
"""Modules that are watched beside those of this project."""
CLASSES = (("torch", "Tensor"), ("torch.nn", "Module"), ("torch.nn", "Linear"), ("torch.nn", "Conv2d"))
"""Classes, by module and name, whose methods are watched."""
KINDS = (FunctionType, BuiltinFunctionType, type)
OWN = "nas."


def watched() -> dict[Any, dict[str, Any]]:
    """The attributes of the watched modules and classes, as they are now."""
    owners: list[Any] = [
        module
        for name, module in list(sys.modules.items())
        if module is not None and (name in MODULES or name.startswith(OWN)) and hasattr(module, "__dict__")
    ]
    for module_name, name in CLASSES:
        cls = getattr(sys.modules.get(module_name), name, None)
        if isinstance(cls, type):
            owners.append(cls)
    return {owner: dict(vars(owner)) for owner in owners}


def put_back(before: dict[Any, dict[str, Any]]) -> None:
    """Gives watched modules and classes the functions and classes back that were replaced. Other values are left:
    modules keep what they have computed."""
    for owner, attributes in before.items():
        now = vars(owner)
        for name, value in attributes.items():
            if now.get(name) is not value and isinstance(value, KINDS):
                setattr(owner, name, value)
