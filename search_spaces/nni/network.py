"""Networks of NNI's spaces, made fit for a few-shot task. Kept apart as they need NNI and torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from nni.nas.nn.pytorch import ModelSpace, ParametrizedModule
from nni.nas.space import model_context
from torch import Tensor, nn

from nas.errors import SpaceError
from nas.failures import attempt
from nas.task import TaskShape

from .layers import stand_in


class Repeated(nn.Module):
    """A network for images of several channels, given images of one: that one, as often as needed."""

    def __init__(self, network: nn.Module, channels: int) -> None:
        super().__init__()
        self.network, self.channels = network, channels

    def forward(self, x: Tensor) -> Tensor:
        """(examples, 1, height, width) to what the network makes of (examples, channels, height, width)."""
        output: Tensor = self.network(x.expand(-1, self.channels, -1, -1))
        return output


def network_of(
    model: type[ModelSpace], options: Mapping[str, Any], sample: dict[str, Any], task: TaskShape
) -> nn.Module:
    """The network of a complete sample, for inputs and outputs of the task.

    Changed in it are the last linear layer, where it has another number of outputs; what `nni_layers` stands in for;
    and activations, which no longer work in place. Weights without an effect on the output, as NNI leaves some in its
    cells, keep their names and are not learned. Raises SpaceError where the network takes another number of channels,
    and the task's images have more than one.
    """
    with model_context(sample):
        network: nn.Module = model(**options)
    _tidy(network)
    _set_outputs(network, task.num_outputs)
    network = _for_channels(network, task)
    network.eval()  # running statistics stay as they are
    attempt(_fix_unused, network, torch.zeros(2, *task.input_shape))  # where it fails, the evaluator says why
    return network.train()


def _tidy(network: nn.Module) -> None:
    for name, module in list(network.named_modules()):
        replacement = stand_in(module)
        if replacement is not None:
            network.set_submodule(name, replacement)
        elif isinstance(getattr(module, "inplace", None), bool):
            module.inplace = False
        elif isinstance(module, ParametrizedModule) and not hasattr(module, "trace_args"):
            module.save_init_arguments()  # NNI forgets to in a frozen network, of which then no repr can be made


def _set_outputs(network: nn.Module, outputs: int) -> None:
    name, head = _last(network.named_modules(), nn.Linear)
    if head is not None and head.out_features != outputs:
        network.set_submodule(name, nn.Linear(head.in_features, outputs, bias=head.bias is not None))


def _for_channels(network: nn.Module, task: TaskShape) -> nn.Module:
    convolution = next((m for m in network.modules() if isinstance(m, nn.Conv2d)), None)
    channels = task.input_shape[0]
    if len(task.input_shape) != 3 or convolution is None or convolution.in_channels == channels:
        return network
    if channels != 1:
        raise SpaceError(
            f"{type(network).__name__} takes images of {convolution.in_channels} channels, not of {channels}; "
            "take tasks with as many, or with one, which is then repeated"
        )
    return Repeated(network, convolution.in_channels)


def _fix_unused(network: nn.Module, x: Tensor) -> None:
    learned = [p for p in network.parameters() if p.requires_grad]
    gradients = torch.autograd.grad(network(x).sum(), learned, allow_unused=True)
    for parameter, gradient in zip(learned, gradients, strict=True):
        parameter.requires_grad_(gradient is not None)


def _last(modules: Iterable[tuple[str, nn.Module]], kind: type[nn.Linear]) -> tuple[str, nn.Linear | None]:
    found = [(name, module) for name, module in modules if isinstance(module, kind)]
    return found[-1] if found else ("", None)
