"""Files of an export that adapt the network without this project: adapt.py, the learner's rule, the preprocessing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from ..adaptation_rule import AdaptationRule
from ..data.preprocessing import Preprocessing, to_json
from ..task import TaskShape

if TYPE_CHECKING:
    from torch import Tensor

FORMAT: Final = 1
"""Version of adaptation.json and preprocessing.json."""
RULE, LEARNED, PREPROCESSING = "adaptation.json", "adaptation.safetensors", "preprocessing.json"
SOURCES: Final = ("adapt.py", "preprocessing.py")
NAMED: Final = ("rate/", "square/")
"""Prefixes of the learned tensors that belong to a parameter."""


def rule_settings(
    rule: AdaptationRule, shape: TaskShape, names: Mapping[str, str]
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The content of adaptation.json and the tensors of adaptation.safetensors.

    Args:
        rule: The rule.
        shape: Inputs and outputs of the tasks.
        names: The name in the exported network of each parameter, by its path in the network.
    """
    content = {key: value for key, value in vars(rule).items() if key != "tensors"}
    head = None if rule.head is None else names[f"{rule.head}.weight"].rpartition(".")[0]
    settings = {
        "format": FORMAT,
        "task": shape.kind,
        "input_shape": list(shape.input_shape),
        "outputs": shape.num_outputs,
        **content,
        "head": head,
        "adapts": [names[path] for path in rule.adapts],
    }
    return settings, {_name(name, names): tensor.detach().cpu() for name, tensor in rule.tensors.items()}


def stage_two_files(
    rule: AdaptationRule, shape: TaskShape, names: Mapping[str, str], preprocessing: Preprocessing | None
) -> dict[str, bytes]:
    """The files by name; `names` as for `rule_settings`."""
    from safetensors.torch import save

    settings, tensors = rule_settings(rule, shape, names)
    contents = {name: source_text(name).encode() for name in SOURCES}
    contents[RULE] = _text(settings)
    if tensors:
        contents[LEARNED] = save({name: tensor.contiguous() for name, tensor in tensors.items()})
    if preprocessing is not None:
        contents[PREPROCESSING] = _text({"format": FORMAT, **to_json(preprocessing)})
    return contents


def source_text(name: str) -> str:
    """The text of a file of `nas.export.standalone` as it stands in a folder of its own."""
    text = (files("nas.export.standalone") / name).read_text(encoding="utf-8")
    return text.replace("from .preprocessing import", "from preprocessing import")


def _name(name: str, names: Mapping[str, str]) -> str:
    prefix = next((each for each in NAMED if name.startswith(each)), None)
    return name if prefix is None else prefix + names[name.removeprefix(prefix)]


def _text(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()
