"""Networks of NNI's spaces, adapted to few-shot tasks."""

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

from .layers import replacement


class Repeated(nn.Module):
    """Network for images of several channels that takes images of one channel and repeats it."""

    def __init__(self, network: nn.Module, channels: int) -> None:
        super().__init__()
        self.network, self.channels = network, channels

    def forward(self, x: Tensor) -> Tensor:
        """(examples, 1, height, width) to the network's output of (examples, channels, height, width)."""
        output: Tensor = self.network(x.expand(-1, self.channels, -1, -1))
        return output


def network_of(
    model: type[ModelSpace], options: Mapping[str, Any], sample: dict[str, Any], task: TaskShape
) -> nn.Module:
    """The network of a complete sample, for inputs and outputs of the task.

    The last linear layer is replaced if it has another number of outputs, so are the layers that `layers.replacement`
    names, and activations no longer work in place. Weights without an effect on the output, which NNI leaves in some
    cells, keep their names and are not learned.

    Args:
        model: Class of the space.
        options: Arguments of its constructor.
        sample: A value for every label.
        task: Shapes of the task's inputs and outputs.

    Raises:
        SpaceError: The network takes another number of channels than the task's images have, and those have several.
    """
    with model_context(sample):
        network: nn.Module = model(**options)
    _tidy(network)
    _set_outputs(network, task.num_outputs)
    network = _for_channels(network, task)
    network.eval()  # so that running statistics do not change
    attempt(_freeze_unused, network, torch.zeros(2, *task.input_shape))  # if it fails, the evaluator reports why
    return network.train()


def _tidy(network: nn.Module) -> None:
    for name, module in list(network.named_modules()):
        new = replacement(module)
        if new is not None:
            network.set_submodule(name, new)
        elif isinstance(getattr(module, "inplace", None), bool):
            module.inplace = False
        elif isinstance(module, ParametrizedModule) and not hasattr(module, "trace_args"):
            module.save_init_arguments()  # NNI does not in a frozen network, whose repr would then fail


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
            "take tasks whose images have as many, or one, which is then repeated"
        )
    return Repeated(network, convolution.in_channels)


def _freeze_unused(network: nn.Module, x: Tensor) -> None:
    learned = [p for p in network.parameters() if p.requires_grad]
    gradients = torch.autograd.grad(network(x).sum(), learned, allow_unused=True)
    for parameter, gradient in zip(learned, gradients, strict=True):
        parameter.requires_grad_(gradient is not None)


def _last(modules: Iterable[tuple[str, nn.Module]], kind: type[nn.Linear]) -> tuple[str, nn.Linear | None]:
    layers = [(name, module) for name, module in modules if isinstance(module, kind)]
    return layers[-1] if layers else ("", None)
