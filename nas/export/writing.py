"""Writing of export folders."""

from __future__ import annotations

import io
import json
import logging
import shutil
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import networkx as nx
import torch

from .. import __version__
from ..adaptation_rule import AdaptationRule
from ..architecture import Architecture
from ..data.preprocessing import Preprocessing
from ..errors import ConfigError, NasError
from ..protocols.learners import LEARNER
from ..provenance import versions
from ..space.drawing import draw, to_dot
from ..space.graph import live
from ..task import TaskShape
from .card import Card, card_text
from .checksums import SUMS, sums_of
from .contents import CARD, ONNX, PICTURE, SOURCE
from .form import MODEL, PROGRAM, Form, form_of
from .naming import named_tensors, tensor_names
from .stage_two import SOURCES, stage_two_files
from .tensor_file import PLAIN, tensor_file

log = logging.getLogger(__name__)
FORMAT = 1
"""Version of the content of architecture.json."""
NETWORK = "network.json"
"""The network's forward as data, of which `graph_network` makes the network again."""
PATHS = "paths"
"""Key of the metadata of weights.safetensors with the path of each tensor in the network that was exported."""
ARCHITECTURE, WEIGHTS, LEARNED = "architecture.json", "weights.safetensors", "learner.safetensors"
MODEL_ONNX, PRETRAINED = "model.onnx", "pretrained.safetensors"
LINE_LETTERS, RECIPE_LINES = 110, 60
"""Maximum length and number of the recipe's lines in model.py's docstring; architecture.json has all of them."""


@dataclass(frozen=True)
class Extras:
    """Optional content of an export folder.

    Attributes:
        graph: The diagram of the architecture (`nas.space.graph`), for `cell.dot`, `cell.svg` and `cell.png`.
        rule: How the learner adapts the network, for `adapt.py`, `adaptation.json` and `adaptation.safetensors`.
        preprocessing: How data become inputs, for `preprocessing.json`.
        card: The content of `card.md`.
        texts: Further files, by name.
        pretrained: The same network after plain pre-training, for `pretrained.safetensors`.
        parts: The parts to write (`nas.export.contents`).
        options: The options that the architecture took, by choice, as JSON values; empty where they are not known.
    """

    graph: nx.DiGraph | None = None
    rule: AdaptationRule | None = None
    preprocessing: Preprocessing | None = None
    card: Card | None = None
    texts: Mapping[str, str] = field(default_factory=dict)
    pretrained: torch.nn.Module | None = None
    parts: tuple[str, ...] = (SOURCE, PICTURE, CARD)
    options: Mapping[str, Any] = field(default_factory=dict)


NO_EXTRAS = Extras()


def export(
    folder: Path,
    *,
    network: torch.nn.Module,
    architecture: Architecture,
    shape: TaskShape,
    recipe: Mapping[str, Any],
    extras: Extras = NO_EXTRAS,
) -> list[Path]:
    """Writes a network as a folder, which appears complete or not at all.

    It holds `architecture.json`, `weights.safetensors` and the network's forward: `model.py` or, where it cannot be
    written as source, `model.pt2`, a program that torch.export.load reads. Where neither can be written, a warning is
    logged and the folder has weights alone; `architecture.json` names the file that there is. Where the network has
    parameters of its learner (their names begin with LEARNER), `learner.safetensors` holds those. `SHA256SUMS` has the
    checksums of all files.

    Args:
        folder: A folder that does not exist yet, or is empty.
        network: Maps `(batch, *shape.input_shape)` to (batch, shape.num_outputs).
        architecture: Its architecture.
        shape: Inputs and outputs of the tasks that it is for.
        recipe: Information for adapting it (learner, norm, inner steps and rate, protocol, score), as JSON values.
        extras: Further content of the folder.

    Returns:
        The paths of the files.

    Raises:
        ConfigError: The folder cannot be used, or the recipe is no JSON.
        NasError: The network does not run on inputs of the task.
    """
    folder = Path(folder)
    check_target(folder)
    recipe = _plain(recipe)
    form = form_of(network, shape.input_shape, _about(architecture, shape, recipe))
    names = form.source.weights if form.source else {name: name for name in named_tensors(network)}
    weights, learned = _weights(network, names), _learned(network)
    contents = {
        ARCHITECTURE: _description(architecture, extras.options, shape, recipe, (weights, learned), form).encode(),
        WEIGHTS: tensor_file(weights, {**PLAIN, PATHS: json.dumps(names)}),
        **({LEARNED: tensor_file(learned)} if learned else {}),
        **_forward(form),
        **_stage_two(form, shape, names, extras),
        **_optional(network, shape, names, form, extras),
    }
    contents = {name: content for name, content in contents.items() if _wanted(name, extras)}
    contents[SUMS] = sums_of(contents)
    write_folder(folder, contents)
    if form.why and SOURCE in extras.parts:
        log.warning("%s has no %s: %s", folder, MODEL if form.program else f"{MODEL} and no {PROGRAM}", form.why)
    return sorted(folder / name for name in contents)


def check_target(folder: Path) -> None:
    """Raises ConfigError where a folder exists and is not an empty one."""
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise ConfigError(f"{folder} exists and is not an empty folder; choose another one, or empty it")


def write_folder(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Writes files by name to a folder that appears complete or not at all. Raises ConfigError where it cannot."""
    target = folder.resolve()
    temporary = target.with_name(f".{target.name}-{uuid.uuid4().hex[:12]}")
    try:
        temporary.mkdir(parents=True)
        for name, content in contents.items():
            (temporary / name).write_bytes(content)
        temporary.rename(target)
    except OSError as error:
        raise ConfigError(f"{folder} cannot be written: {error.strerror or error}; choose another folder") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _forward(form: Form) -> dict[str, bytes]:
    if form.source is not None:
        graph = {} if form.graph is None else {NETWORK: (json.dumps(form.graph, indent=1) + "\n").encode()}
        return {MODEL: form.source.text.encode(), **graph}
    if form.program is None:
        return {}
    from .program import program_bytes

    return {PROGRAM: program_bytes(form.program)}


def _stage_two(form: Form, shape: TaskShape, names: Mapping[str, str], extras: Extras) -> dict[str, bytes]:
    if extras.rule is None or form.source is None:
        return {}
    by_path = {path: name for name, path in names.items()}
    return stage_two_files(extras.rule, shape, by_path, extras.preprocessing)


def _optional(
    network: torch.nn.Module, shape: TaskShape, names: Mapping[str, str], form: Form, extras: Extras
) -> dict[str, bytes]:
    """The files that an export may lack."""
    contents = {name: text.encode() for name, text in extras.texts.items()}
    if CARD in extras.parts and extras.card:
        contents["card.md"] = card_text(extras.card, _no_python(form, extras)).encode()
    if PICTURE in extras.parts:
        contents |= _pictures(extras.graph)
    if ONNX in extras.parts:
        contents |= _onnx(network, shape, None if extras.rule is None else extras.rule.head)
    if extras.pretrained is not None:
        contents[PRETRAINED] = tensor_file(_weights(extras.pretrained, names))
    return contents


def _no_python(form: Form, extras: Extras) -> str:
    """Why an export has no adapt.py; empty where it has one."""
    if SOURCE not in extras.parts:
        return "It was exported without its sources, adapt.py among them."
    if extras.rule is None:
        return "Its learner does not say how it adapts as data, so there is no adapt.py."
    return "" if form.source else "Its forward could not be written as source, so there is no adapt.py."


def _onnx(network: torch.nn.Module, shape: TaskShape, head: str | None) -> dict[str, bytes]:
    from .onnx_file import network_onnx

    try:
        return {MODEL_ONNX: network_onnx(network, shape.input_shape, head)}
    except NasError as error:
        log.warning("no %s is written: %s", MODEL_ONNX, error)
        return {}


def _wanted(name: str, extras: Extras) -> bool:
    """Whether a file is of the chosen parts."""
    return SOURCE in extras.parts or name not in (MODEL, PROGRAM, *SOURCES, *extras.texts)


def _pictures(graph: nx.DiGraph | None) -> dict[str, bytes]:
    if graph is None:
        return {}
    shown = live(graph) or graph  # Dead nodes are left out of the picture, unless all are dead.
    pictures = {"cell.dot": to_dot(shown).encode()}
    for kind in ("png", "svg"):
        file = io.BytesIO()
        draw(shown, file, kind)
        pictures[f"cell.{kind}"] = file.getvalue()
    return pictures


def _weights(network: torch.nn.Module, paths: Mapping[str, str]) -> dict[str, torch.Tensor]:
    tensor_names(network)  # raises where a reader could not tell two tensors apart
    tensors = named_tensors(network)
    # Cloned, because safetensors refuses tensors that share memory.
    return {
        flat: tensors[path].detach().cpu().clone(memory_format=torch.contiguous_format) for flat, path in paths.items()
    }


def _learned(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {
        name.removeprefix(LEARNER): parameter.detach().cpu().contiguous()
        for name, parameter in network.named_parameters()
        if name.startswith(LEARNER)
    }


def _description(
    architecture: Architecture,
    options: Mapping[str, Any],
    shape: TaskShape,
    recipe: Mapping[str, Any],
    tensors: tuple[Mapping[str, torch.Tensor], Mapping[str, torch.Tensor]],
    form: Form,
) -> str:
    """The text of architecture.json; `tensors` are the network's and those of its learner."""
    weights, learned = tensors
    content = {
        "format": FORMAT,
        "architecture": architecture.to_json(),
        "key": architecture.key,
        **({"options": dict(options)} if options else {}),
        "task": {"input_shape": list(shape.input_shape), "num_outputs": shape.num_outputs, "kind": shape.kind},
        "recipe": recipe,
        "weights": _shapes(weights),
        **({"learner": _shapes(learned)} if learned else {}),
        "model": {"file": form.file, **({"why": form.why} if form.why else {})},
        "versions": versions(),
    }
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _shapes(tensors: Mapping[str, torch.Tensor]) -> dict[str, list[int]]:
    return {name: list(tensor.shape) for name, tensor in tensors.items()}


def _plain(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe as a reader of the JSON will see it: keys are strings, sequences are lists."""
    try:
        return dict(json.loads(json.dumps(dict(recipe), allow_nan=False)))
    except (TypeError, ValueError) as error:
        raise ConfigError(f"the recipe must hold JSON values alone: {error}") from error


def _about(architecture: Architecture, shape: TaskShape, recipe: Mapping[str, Any]) -> list[str]:
    """The paragraphs of the docstring of model.py."""
    size = ", ".join(map(str, shape.input_shape))
    if shape.kind == "classification":
        outputs, loss = f"{shape.num_outputs} class scores", "cross-entropy"
    else:
        outputs, loss = f"{shape.num_outputs} values", "mean squared error"
    lines = [line for line in _flattened(recipe) if len(line) <= LINE_LETTERS]
    if len(lines) > RECIPE_LINES:
        lines = [*lines[:RECIPE_LINES], "  …"]
    return [
        f"Architecture {architecture.key} of the search space {architecture.space}, written by adaptnas {__version__}.",
        f"Takes float32 inputs of shape (batch, {size}) and returns {outputs} each.",
        "To load the weights (pip install torch safetensors):",
        "    from safetensors.torch import load_file\n    network = Network()\n"
        "    network.load_state_dict(load_file('weights.safetensors'))",
        f"They are trained weights: the outputs are the scores of the recipe's {shape.num_outputs} classes."
        if "classes" in recipe
        else f"They are meta-learned initial weights, made to be adapted: before use, take the recipe's few gradient "
        f"steps on the {loss} of a few labelled examples of your own task.",
        *(["\n".join(["Recipe (the whole of it is in architecture.json):", *lines])] if lines else []),
    ]


def _flattened(values: Mapping[str, Any], prefix: str = "  ") -> Iterator[str]:
    """One line for each value, with its keys joined by dots."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flattened(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}: {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"
