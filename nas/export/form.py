"""Forms of an exported network: source where it can be written, else a program, else weights alone."""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import fx, nn

from ..errors import NasError
from ..failures import attempt, reason
from .graph_json import encode
from .python_source import Source, write
from .trace import BATCH, REMEDY, TRIED, check_same, prune, trace

if TYPE_CHECKING:
    from torch.export import ExportedProgram

log = logging.getLogger(__name__)
MODEL, PROGRAM = "model.py", "model.pt2"
"""File names of the two forms."""


@dataclass(frozen=True)
class Form:
    """The form in which an export holds a network's forward.

    Attributes:
        source: Source for model.py; None where it cannot be written.
        program: Program for model.pt2, where there is no source; None where there is no program either.
        why: Why there is no source, with the layer or line; empty where there is one.
        graph: The forward as JSON values for network.json, where there is source; None where it cannot be given.
    """

    source: Source | None
    program: ExportedProgram | None
    why: str = ""
    graph: Mapping[str, Any] | None = None

    @property
    def file(self) -> str | None:
        """The file of an export that holds the forward; None where none does."""
        return MODEL if self.source else PROGRAM if self.program else None


def form_of(network: nn.Module, input_shape: tuple[int, ...], about: Sequence[str] = ()) -> Form:
    """The first form that works: source of the layers (torch.fx), source of the operations, program (torch.export).

    Args:
        network: A module that maps `(batch, *input_shape)` to a tensor; it is not changed.
        input_shape: The shape of one input.
        about: Paragraphs for the docstring of the source.

    Raises:
        NasError: The network does not run on such inputs.
    """
    _check_runs(network, input_shape)
    try:
        return _source_form(*trace(network, input_shape), about)
    except NasError as error:
        untraced = str(error).removesuffix(f"; {REMEDY}")
    from .program import program, program_graph  # torch.export takes seconds to import, and most networks need none

    try:
        exported = program(network, input_shape)
    except NasError as error:
        return Form(None, None, f"{untraced}; and {error}")
    try:
        graph = program_graph(exported, network)
        prune(network, graph)
        for size in TRIED:
            check_same(network, graph, input_shape, size)
        return _source_form(network, graph, about)
    except NasError as error:
        return Form(None, exported, f"{untraced}; and {error}")


def _source_form(network: nn.Module, graph: fx.Graph, about: Sequence[str]) -> Form:
    """Source and description of a traced network. Raises NasError where the source cannot be written."""
    text = write(network, graph, about)
    try:
        return Form(text, None, graph=encode(network, graph, text))
    except NasError as error:
        log.info("no network.json: %s", error)
        return Form(text, None)


def source(network: nn.Module, *, input_shape: tuple[int, ...], about: Sequence[str] = ()) -> Source:
    """The source of a class `Network` that computes what a network does.

    It consists of the layers that the network calls; where the forward has conditions or loops on shapes, of the
    operations of one run.

    Args:
        network: A module that maps `(batch, *input_shape)` to a tensor; it is not changed.
        input_shape: The shape of one input.
        about: Paragraphs for the docstring of the source.

    Raises:
        NasError: The source cannot be written; the message names layer or line.
    """
    form = form_of(network, input_shape, about)
    if form.source is None:
        raise NasError(form.why)
    return form.source


def _check_runs(network: nn.Module, input_shape: tuple[int, ...]) -> None:
    x = torch.rand(BATCH, *input_shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        error = attempt(copy.deepcopy(network).cpu(), x).error
    if error is not None:
        raise NasError(f"the network does not run on inputs of shape {tuple(x.shape)}: {reason(error)}") from error
