"""Networks of `darts` and `nasnet`."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nas.task import TaskShape

from .spec import NUM_INPUTS, SKIP, Block, Cell, CellPair, Stack


def convolve(inputs: int, outputs: int, kernel: tuple[int, int] | int, *, stride: int = 1) -> nn.Sequential:
    """ReLU, convolution with 'same' padding, normalisation, in the order of both papers, without a bias."""
    sides = (kernel, kernel) if isinstance(kernel, int) else kernel
    padding = ((sides[0] - 1) // 2, (sides[1] - 1) // 2)
    conv = nn.Conv2d(inputs, outputs, sides, stride=stride, padding=padding, bias=False)
    return nn.Sequential(nn.ReLU(), conv, _norm(outputs))


def depthwise(width: int, kernel: int, *, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    """ReLU, depthwise convolution, 1×1 convolution, normalisation."""
    padding = dilation * (kernel - 1) // 2
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(width, width, kernel, stride, padding, dilation, groups=width, bias=False),
        nn.Conv2d(width, width, 1, bias=False),
        _norm(width),
    )


class FactorizedReduce(nn.Module):
    """Layer that halves height and width, rounded up.

    Two 1×1 convolutions of stride 2, of pixels that are one apart, compute half of the channels each.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.even = nn.Conv2d(inputs, outputs // 2, 1, stride=2, bias=False)
        self.odd = nn.Conv2d(inputs, outputs - outputs // 2, 1, stride=2, bias=False)
        self.norm = _norm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(images, inputs, height, width) to (images, outputs, ceil(height / 2), ceil(width / 2))."""
        x = F.relu(x)
        shifted = F.pad(x, (0, 1, 0, 1))[:, :, 1:, 1:]
        y: Tensor = self.norm(torch.cat([self.even(x), self.odd(shifted)], 1))
        return y


def operation(name: str, width: int, stride: int) -> nn.Module:
    """Operation of a block, with `width` channels in and out. Names end in the sizes of their kernels."""
    kind, _, size = name.rpartition("_")
    if name == SKIP:
        return nn.Identity() if stride == 1 else FactorizedReduce(width, width)
    if name in ("conv_3x1_1x3", "conv_7x1_1x7"):  # the paper convolves along the rows first
        length = int(size[-1])
        return nn.Sequential(convolve(width, width, (1, length), stride=stride), convolve(width, width, (length, 1)))
    kernel = int(size[0])
    match kind:
        case "conv":
            return convolve(width, width, kernel, stride=stride)
        case "sep_conv":
            return nn.Sequential(depthwise(width, kernel, stride=stride), depthwise(width, kernel))
        case "dil_conv":
            return depthwise(width, kernel, stride=stride, dilation=2)
        case "avg_pool":
            return nn.AvgPool2d(kernel, stride, kernel // 2, count_include_pad=False)
        case "max_pool":
            return nn.MaxPool2d(kernel, stride, kernel // 2)
    raise ValueError(f"{name!r} is no operation of a block")


class BlockModule(nn.Module):
    """Block of two operations, whose concatenation a 1×1 convolution projects to `width` channels."""

    def __init__(self, block: Block, width: int, *, reduction: bool) -> None:
        super().__init__()
        strides = [2 if reduction and source < NUM_INPUTS else 1 for source in block.inputs]
        self.left = operation(block.operations[0], width, strides[0])
        self.right = operation(block.operations[1], width, strides[1])
        self.project = convolve(2 * width, width, 1) if block.join == "concat" else None

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        x, y = self.left(left), self.right(right)
        joined: Tensor = x + y if self.project is None else self.project(torch.cat([x, y], 1))
        return joined


class CellModule(nn.Module):
    """Cell of the stack.

    The inputs that it reads are projected to `width` channels first. With `halve`, input 0 comes from before a
    reduction cell and is twice as large as input 1, so it is halved.
    """

    def __init__(self, cell: Cell, inputs: tuple[int, int], width: int, *, reduction: bool, halve: bool) -> None:
        super().__init__()
        self.inputs, self.output = [block.inputs for block in cell.blocks], cell.output
        self.before = nn.ModuleDict()
        for state, channels in enumerate(inputs):
            if cell.reads(state):
                fit = FactorizedReduce(channels, width) if halve and state == 0 else convolve(channels, width, 1)
                self.before[f"state{state}"] = fit
        self.blocks = nn.ModuleList([BlockModule(block, width, reduction=reduction) for block in cell.blocks])

    def forward(self, inputs: dict[int, Tensor]) -> Tensor:
        """The inputs that the cell reads, by state, to (images, width * len(output), height, width)."""
        states = {state: self.before[f"state{state}"](x) for state, x in inputs.items()}
        for state, (block, (left, right)) in enumerate(zip(self.blocks, self.inputs, strict=True), NUM_INPUTS):
            states[state] = block(states[left], states[right])
        return torch.cat([states[state] for state in self.output], 1)


class PairNetwork(nn.Module):
    """Stem of stride 2, the stack of cells, ReLU, spatial mean, linear head. Cells without an effect are left out.

    The spatial mean is that of the papers. A pool to 3×3 would give the head so many features, as cells concatenate
    their blocks, that inner steps at the usual rates overshoot, even with normalised features.
    """

    def __init__(self, pair: CellPair, stack: Stack, task: TaskShape) -> None:
        super().__init__()
        width = stack.width
        self.stem = nn.Sequential(nn.Conv2d(task.input_shape[0], width, 3, 2, 1, bias=False), _norm(width))
        channels = {-2: width, -1: width}
        self.cells = nn.ModuleDict()
        self.reads: dict[str, dict[int, int]] = {}
        for index, reduction in enumerate(stack.reductions):
            width *= 2 if reduction else 1
            cell = pair.reduction if reduction else pair.normal
            channels[index] = width * len(cell.output)
            if index in stack.live:
                halve = index > 0 and stack.reductions[index - 1]
                inputs = channels[index - 2], channels[index - 1]
                self.cells[f"cell{index}"] = CellModule(cell, inputs, width, reduction=reduction, halve=halve)
                self.reads[f"cell{index}"] = {s: index - 2 + s for s in range(NUM_INPUTS) if cell.reads(s)}
        self.pool = nn.Sequential(nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Linear(channels[len(stack.reductions) - 1], task.num_outputs)

    def forward(self, x: Tensor) -> Tensor:
        stem = self.stem(x)
        outputs = {-2: stem, -1: stem}
        for name, cell in self.cells.items():
            outputs[int(name.removeprefix("cell"))] = cell({s: outputs[i] for s, i in self.reads[name].items()})
        logits: Tensor = self.head(self.pool(outputs[max(outputs)]))
        return logits


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, track_running_stats=False)
