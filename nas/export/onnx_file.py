"""ONNX files of networks: written by torch, compared with torch in onnxruntime, and without paths of the machine."""

from __future__ import annotations

import contextlib
import copy
import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from typing import Any, Final

import torch
from torch import Tensor, nn

from ..errors import NasError
from ..failures import attempt, reason
from .standalone.adapt import Predictor

PACKAGES: Final = ("onnx", "onnxscript", "onnxruntime")
BATCHES: Final = (1, 2, 7)
"""Batch sizes at which a file is compared with its network."""
TOLERANCE: Final = 1e-4
"""Largest difference, relative to the larger of 1 and the output's largest magnitude."""
OUTPUT, FEATURES = "output", "features"


class Body(nn.Module):
    """A network without its head: its output is the head's input."""

    def __init__(self, network: nn.Module, head: str) -> None:
        """Copies the network; `head` is the path of a linear layer in it."""
        super().__init__()
        self.network = copy.deepcopy(network)
        parent, _, last = head.rpartition(".")
        setattr(self.network.get_submodule(parent), last, nn.Identity())

    def forward(self, x: Tensor) -> Any:
        return self.network(x)


class BodyAndHead(nn.Module):
    """A network that gives its output and the features from which its head makes it."""

    def __init__(self, network: nn.Module, head: str) -> None:
        super().__init__()
        self.body, self.head = Body(network, head), copy.deepcopy(network.get_submodule(head))

    def forward(self, x: Tensor) -> tuple[Any, Any]:
        features = self.body(x)
        return self.head(features), features


class AdaptedNetwork(nn.Module):
    """A predictor's network with its adapted head, or its adapted parameters."""

    def __init__(self, predictor: Predictor) -> None:
        """Copies the network of a predictor that is fitted. Raises NasError where it is not."""
        super().__init__()
        if predictor.fitted is None:
            raise NasError("the network is not adapted yet; call fit(examples, labels) first")
        self._predictor, self._ways = predictor, len(predictor.fitted.classes)
        self._names = list(predictor.fitted.tensors)
        for number, tensor in enumerate(predictor.fitted.tensors.values()):
            self.register_buffer(f"adapted_{number}", tensor.detach().clone())
        self._head_only = bool(predictor.rule["head_only"])
        if self._head_only:
            self.network: nn.Module = Body(predictor.network, predictor.rule["head"])
        else:
            self.network = copy.deepcopy(predictor.network)
            for name, tensor in predictor.fitted.tensors.items():
                layer, _, last = name.rpartition(".")  # a head for other classes has another shape
                setattr(self.network.get_submodule(layer), last, nn.Parameter(tensor.detach().clone()))

    def forward(self, x: Tensor) -> Any:
        outputs = self.network(x)
        if not self._head_only:
            return outputs[:, : self._ways] if self._ways else outputs
        adapted = {name: self.get_buffer(f"adapted_{number}") for number, name in enumerate(self._names)}
        return self._predictor.outputs_of(outputs, adapted, self._ways)


def network_onnx(network: nn.Module, input_shape: tuple[int, ...], head: str | None = None) -> bytes:
    """The ONNX file of a network, with the input 'input' (batch, *input_shape) and the output 'output'.

    Args:
        network: The network; it is not changed.
        input_shape: Shape of one input.
        head: Path of the linear layer that makes the output. The file then has the layer's input as a second output,
            'features', as far as the output is that layer's.

    Raises:
        NasError: A package is missing, torch cannot convert the network, or onnxruntime computes something else.
    """
    if head is not None:
        split = attempt(_split, network, head, input_shape)
        if split.error is None and split.value is not None:
            return _converted(split.value, input_shape, (OUTPUT, FEATURES))
    return _converted(copy.deepcopy(network), input_shape, (OUTPUT,))


def predictor_onnx(predictor: Predictor) -> bytes:
    """The ONNX file of an adapted predictor, for preprocessed inputs: logits, or in regression scaled targets.

    Raises:
        NasError: The predictor is not fitted; else as for `network_onnx`.
    """
    return _converted(AdaptedNetwork(predictor), tuple(predictor.rule["input_shape"]), (OUTPUT,))


def missing_packages() -> list[str]:
    """The packages that an ONNX file needs and that are not installed."""
    return [name for name in PACKAGES if find_spec(name) is None]


def _split(network: nn.Module, head: str, input_shape: tuple[int, ...]) -> nn.Module | None:
    """The network with features, where its output is that of its head."""
    split, x = BodyAndHead(network, head).cpu().eval(), _inputs(2, input_shape)
    with torch.no_grad():
        same = torch.allclose(split(x)[0], copy.deepcopy(network).cpu().eval()(x), atol=1e-6)
    return split if same else None


def _converted(module: nn.Module, input_shape: tuple[int, ...], outputs: Sequence[str]) -> bytes:
    missing = missing_packages()
    if missing:
        raise NasError(f"{', '.join(missing)} cannot be imported; pip install 'adaptnas[onnx]'")
    module = module.cpu().eval()
    with _quiet():
        made = attempt(_onnx_bytes, module, input_shape, outputs)
        if made.error is not None:
            raise NasError(f"torch.onnx cannot convert the network: {reason(made.error)}") from made.error
        difference = attempt(_largest_difference, made.value, module, input_shape)
    if difference.error is not None:
        raise NasError(f"onnxruntime cannot run the network: {reason(difference.error)}") from difference.error
    if not difference.value <= TOLERANCE:
        raise NasError(f"onnxruntime's outputs differ from torch's by {difference.value:.1e}, above {TOLERANCE:.0e}")
    return made.value


def _onnx_bytes(module: nn.Module, input_shape: tuple[int, ...], outputs: Sequence[str]) -> bytes:
    program = torch.onnx.export(
        module,
        (_inputs(2, input_shape),),
        dynamo=True,
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        input_names=["input"],
        output_names=list(outputs),
        verbose=False,
    )
    assert program is not None
    model = program.model_proto
    _without_traces(model)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def _without_traces(message: Any) -> None:
    """Clears descriptions and metadata in all parts of a message: torch writes paths of source files there."""
    for field, value in list(message.ListFields()):
        if field.name in ("doc_string", "metadata_props"):
            message.ClearField(field.name)
        elif field.type == field.TYPE_MESSAGE:
            for part in [value] if hasattr(value, "ListFields") else value:
                _without_traces(part)


def _largest_difference(content: bytes, module: nn.Module, input_shape: tuple[int, ...]) -> float:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    largest = 0.0
    for size in BATCHES:
        x = _inputs(size, input_shape)
        with torch.no_grad():
            expected = module(x)
        found = session.run(None, {"input": x.numpy()})
        for ours, theirs in zip(expected if isinstance(expected, tuple) else (expected,), found, strict=True):
            error = (torch.from_numpy(theirs) - ours).abs().max() / ours.abs().max().clamp(min=1.0)
            largest = max(largest, float(error.nan_to_num(nan=torch.inf)))
    return largest


def _inputs(size: int, input_shape: tuple[int, ...]) -> Tensor:
    return torch.rand(size, *input_shape, generator=torch.Generator().manual_seed(size))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silences the converter, which prints, warns and logs whatever it does."""
    before = logging.root.manager.disable
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        logging.disable(logging.ERROR)
        try:
            yield
        finally:
            logging.disable(before)
