"""Trial run of an export's network, which may be a stranger's: sizes of its tensors first, without memory for them."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ..errors import DataError
from ..export import reading
from ..export.writing import NETWORK
from ..failures import attempt, reason
from ..task import TaskShape

EXAMPLES: Final = 2
MOST_NUMBERS: Final = 2**29
"""Maximum of the numbers in a tensor of the trial run."""


class _BoundedSizes(TorchDispatchMode):  # type: ignore[no-untyped-call]  # of torch
    """Refuses operations that give a tensor of more than MOST_NUMBERS numbers."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor) and tensor.numel() > MOST_NUMBERS:
                raise DataError(
                    f"{func} gives {tensor.numel():,} numbers for {EXAMPLES} examples; {MOST_NUMBERS:,} are the most"
                )
        return result


def check_runs(folder: Path, network: nn.Module, shape: TaskShape) -> None:
    """Runs the network of network.json, first on torch's meta device, then on zeros.

    Args:
        folder: The export, for the message.
        network: The network; it is put into evaluation mode.
        shape: Inputs and outputs of the tasks.

    Raises:
        DataError: It fails, makes a tensor that is too large, or has outputs of another shape.
    """
    sizes = (EXAMPLES, *shape.input_shape)
    with torch.no_grad():
        with torch.device("meta"), _BoundedSizes():  # type: ignore[no-untyped-call]  # of torch
            planned = attempt(copy.deepcopy(network).to("meta").eval(), torch.empty(sizes, device="meta"))
        # Other errors can come from operations that the meta device lacks; the run itself has the last word.
        ran = planned if isinstance(planned.error, DataError) else attempt(network.eval(), torch.zeros(sizes))
    if ran.error is not None:
        why = str(ran.error) if isinstance(ran.error, DataError) else reason(ran.error)
        raise DataError(f"{folder / NETWORK} cannot be run: {why}; {reading.REMEDY}")
    if not isinstance(ran.value, Tensor) or ran.value.shape != (EXAMPLES, shape.num_outputs):
        given = tuple(ran.value.shape) if isinstance(ran.value, Tensor) else type(ran.value).__name__
        raise DataError(
            f"{folder / NETWORK} cannot be run: its outputs for {EXAMPLES} examples are {given}, not of shape "
            f"{(EXAMPLES, shape.num_outputs)}; {reading.REMEDY}"
        )
