"""Configs: from TOML files to components."""

from .parts import Parts, build, features_of, measures
from .reading import QUICK_START, from_json, load, shipped
from .schema import (
    Component,
    Config,
    ConstraintsTable,
    ContenderTable,
    EvaluatorTable,
    FinalTable,
    KeyFault,
    SearchTable,
    Table,
)

__all__ = [
    "QUICK_START",
    "Component",
    "Config",
    "ConstraintsTable",
    "ContenderTable",
    "EvaluatorTable",
    "FinalTable",
    "KeyFault",
    "Parts",
    "SearchTable",
    "Table",
    "build",
    "features_of",
    "from_json",
    "load",
    "measures",
    "shipped",
]
