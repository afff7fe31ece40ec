"""Checks of the folder of an export or a predictor before anything in it is used: files, rule, and saved adaptation."""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from ..bounds import LARGEST_RATE, MOST_STEPS, check_number
from ..data.preprocessing import from_json, to_json
from ..errors import ConfigError, DataError, shown
from ..export import reading, stage_two
from ..export.reading import Exported
from ..export.standalone import adapt as standalone
from ..regular_files import check_regular, read_json

MOST_INPUTS: Final = 2**26
"""Maximum of the numbers of an input."""
CHOICES: Final[Mapping[str, tuple[object, ...]]] = {
    "method": ("gradient", "prototypes", "ridge"),
    "head_only": (True, False),
    "batch_statistics": (True, False),
    "optimizer": ("sgd", "adam"),
    "reduction": ("mean", "sum"),
    "head_start": ("trained", "zero"),
}
REQUIRED: Final = (
    *("method", "head", "head_only", "batch_statistics", "steps", "optimizer", "reduction", "rate", "adapts"),
    "temperature",
)
"""Entries of every rule. An export of an earlier version may lack others, which have a usual value."""
NUMBERS: Final[Mapping[str, tuple[float, float]]] = {
    "steps": (0, MOST_STEPS),
    "rate": (-LARGEST_RATE, LARGEST_RATE),
    "temperature": (0.0, LARGEST_RATE),
}


def check_files(folder: Path) -> None:
    """Checks that the files that are read or copied are regular ones of a bounded size, inside the folder.

    Raises:
        DataError: One is a pipe, a device or a folder, is too large, or is a link that leads out of the folder.
    """
    root = Path(os.path.realpath(folder))
    for name in (*standalone.FILES, standalone.PREDICTOR, standalone.STATE):
        path = folder / name
        if not os.path.lexists(path):
            continue
        if stat.S_ISLNK(path.lstat().st_mode) and not Path(os.path.realpath(path)).is_relative_to(root):
            raise DataError(f"{path} is a link that leads out of the folder; {reading.REMEDY}")
        tensors = path.suffix == ".safetensors"
        try:
            check_regular(path, reading.MOST_TENSOR_BYTES if tensors else reading.MOST_JSON_BYTES)
        except DataError as error:
            raise DataError(f"{error}; {reading.REMEDY}") from None


def check_sizes(folder: Path, exported: Exported) -> None:
    """Raises DataError where an input of the network would be too large to make."""
    if math.prod(exported.shape.input_shape) > MOST_INPUTS:
        raise DataError(
            f"{folder} takes inputs of shape {exported.shape.input_shape}; {MOST_INPUTS:,} numbers are the most"
        )


def check_saved(folder: Path, exported: Exported) -> None:
    """Checks the files of tensors, the preprocessing and the saved adaptation, of those that there are.

    Args:
        folder: The export.
        exported: Its content.

    Raises:
        DataError: One is damaged, or its entries are of another kind; the message names it.
    """
    for name in (stage_two.LEARNED, standalone.STATE):
        if (folder / name).exists():
            reading.tensors_of(folder / name)
    for name in (stage_two.PREPROCESSING, standalone.PREDICTOR):
        path = folder / name
        if not path.exists():
            continue
        content = _json(path)
        if not isinstance(content, dict):
            raise DataError(f"{path} cannot be used: it is no object; {reading.REMEDY}")
        if name == stage_two.PREPROCESSING:
            _check_preprocessing(path, content, exported)
    path = folder / standalone.PREDICTOR
    content = _json(path) if path.exists() else {"classes": [], "threshold": None}
    classes, threshold = content.get("classes"), content.get("threshold")
    if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
        raise DataError(f"{path} cannot be used: classes is {shown(classes)}, no list of texts; {reading.REMEDY}")
    if threshold is not None and (type(threshold) not in (int, float) or math.isnan(threshold)):
        raise DataError(f"{path} cannot be used: threshold is {shown(threshold)}, no number; {reading.REMEDY}")


def _check_preprocessing(path: Path, content: Mapping[str, Any], exported: Exported) -> None:
    try:
        preprocessing = from_json({key: value for key, value in content.items() if key != "format"})
    except DataError as error:
        raise DataError(f"{path} cannot be used: {error}; {reading.REMEDY}") from None
    missing = sorted({"fit", "polarity", "scale"} & to_json(preprocessing).keys() - content.keys())
    if missing:  # what adapt.py of the export needs
        raise DataError(f"{path} cannot be used: {missing[0]} is missing; {reading.REMEDY}")
    if preprocessing.input_shape != exported.shape.input_shape:
        raise DataError(
            f"{path} cannot be used: it makes inputs of shape {preprocessing.input_shape}, and the network takes "
            f"{exported.shape.input_shape}; {reading.REMEDY}"
        )


def _json(path: Path) -> Any:
    try:
        return read_json(path, reading.MOST_JSON_BYTES)
    except DataError as error:
        raise DataError(f"{error}; {reading.REMEDY}") from None


def check_rule(folder: Path, exported: Exported, names: frozenset[str]) -> None:
    """Checks the rule of adaptation.

    Args:
        folder: The export.
        exported: Its content.
        names: The names of the network's parameters.

    Raises:
        DataError: An entry is missing, of another kind, out of bounds, or not that of the network.
    """
    path = folder / stage_two.RULE
    rule = _json(path)
    fault = _fault(rule, exported, names) if isinstance(rule, dict) else "it is no object"
    if fault:
        raise DataError(f"{path} cannot be used: {fault}; {reading.REMEDY}")


def _fault(rule: Mapping[str, Any], exported: Exported, names: frozenset[str]) -> str:
    shape = exported.shape
    expected = {"task": shape.kind, "input_shape": list(shape.input_shape), "outputs": shape.num_outputs}
    for key, value in expected.items():
        if rule.get(key) != value:
            return f"{key} is {shown(rule.get(key))}, and the network's is {shown(value)}"
    missing = sorted(key for key in REQUIRED if key not in rule)
    if missing:
        return f"{missing[0]} is missing"
    for key, choices in CHOICES.items():
        if key in rule and not any(rule[key] is each or rule[key] == each != 1 for each in choices):
            return f"{key} is {shown(rule[key])}; it must be one of {', '.join(map(str, choices))}"
    for key, bounds in NUMBERS.items():
        try:
            check_number("the rule's", key, rule.get(key, 0), *bounds)
        except ConfigError as error:
            return str(error)
    adapts = rule.get("adapts", [])
    if not isinstance(adapts, list) or not all(isinstance(name, str) and name in names for name in adapts):
        return f"adapts is {shown(adapts)}; it must be a list of the network's parameters"
    if not adapts and rule["method"] == "gradient" and not rule["head_only"]:
        return "adapts is empty, so that no step would change anything"
    head = rule.get("head")
    if head is not None and (not isinstance(head, str) or f"{head}.weight" not in names):
        return f"head is {shown(head)}, which is no layer of the network with a weight"
    if head is None and rule.get("head_only"):
        return "head is null, although the head alone is adapted"
    return ""
