"""An LSTM of several layers in numpy: one step, whole sequences, and the way back through time.

Hochreiter & Schmidhuber (1997), "Long short-term memory", with the forget gate of Gers et al. (2000). It is that of
`torch.nn.LSTM`, but for one bias a layer, where torch adds up two.

A layer is one matrix (2 * hidden + 1, 4 * hidden). Its rows are for what it reads, for its own last output and for a
constant one, which makes the last row the bias; its columns are for the input, forget and output gates and for the
candidate. What it reads is as wide as what it puts out.

All products are of one step. For 35 units and batches below 26 OpenBLAS gives such a product one thread; a product over
all steps it would split, and keep other threads spinning on cores that worker processes need.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from scipy.special import expit

Array = npt.NDArray[np.float64]
State = Sequence[tuple[Array, Array]]
"""Of each layer its last output and its cell, (hidden,) both."""
Backward = Callable[[Array], tuple[list[Array], Array]]
"""From a loss's derivatives by the outputs to those by each layer's matrix and by the inputs."""

ONE = np.ones(1)


def shape(hidden: int) -> tuple[int, int]:
    """Of a layer's matrix."""
    return 2 * hidden + 1, 4 * hidden


def start(layers: Sequence[Array]) -> State:
    """The state before the first step: zeros."""
    zeros = [np.zeros(layer.shape[1] // 4) for layer in layers]
    return list(zip(zeros, zeros, strict=True))


def step(layers: Sequence[Array], read: Array, state: State) -> tuple[Array, State]:
    """The output (hidden,) after reading one input (hidden,), and the state then."""
    after = []
    for layer, (output, cell) in zip(layers, state, strict=True):
        read, cell, _ = _step(layer, np.concatenate((read, output, ONE)), cell)
        after.append((read, cell))
    return read, after


def forward(layers: Sequence[Array], inputs: Array) -> tuple[Array, Backward]:
    """The outputs (steps, sequences, hidden) for inputs of the same shape, and the way back."""
    backwards = []
    outputs = inputs
    for layer in layers:
        outputs, backward = _layer(layer, outputs)
        backwards.append(backward)

    def back(by_outputs: Array) -> tuple[list[Array], Array]:
        by_layers: list[Array] = []
        for backward in reversed(backwards):
            by_layer, by_outputs = backward(by_outputs)
            by_layers.insert(0, by_layer)
        return by_layers, by_outputs

    return outputs, back


def _step(layer: Array, read: Array, cell: Array) -> tuple[Array, Array, Array]:
    """Output and cell (…, hidden) and gates (…, 4 * hidden) after reading (…, 2 * hidden + 1)."""
    hidden = cell.shape[-1]
    gates: Array = read @ layer
    expit(gates[..., : 3 * hidden], out=gates[..., : 3 * hidden])
    np.tanh(gates[..., 3 * hidden :], out=gates[..., 3 * hidden :])
    take, keep, give, new = _parts(gates)
    cell = keep * cell + take * new
    return give * np.tanh(cell), cell, gates


def _layer(layer: Array, inputs: Array) -> tuple[Array, Callable[[Array], tuple[Array, Array]]]:
    """The outputs (steps, sequences, hidden) of one layer, and the way back."""
    steps, sequences, hidden = inputs.shape
    # Everything once more than there are steps: place t holds what step t starts from.
    reads = np.zeros((steps + 1, sequences, len(layer)))
    reads[:steps, :, :hidden], reads[:, :, -1] = inputs, 1
    outputs = reads[:, :, hidden:-1]
    cells = np.zeros((steps + 1, sequences, hidden))
    gates = np.empty((steps, sequences, 4 * hidden))
    for t in range(steps):
        outputs[t + 1], cells[t + 1], gates[t] = _step(layer, reads[t], cells[t])
    return outputs[1:], lambda by_outputs: _back(layer, reads, cells, gates, by_outputs)


def _back(layer: Array, reads: Array, cells: Array, gates: Array, by_outputs: Array) -> tuple[Array, Array]:
    """Backpropagation through time: derivatives by the layer's matrix and by its inputs (steps, sequences, hidden)."""
    hidden = cells.shape[2]
    take, keep, give, new = _parts(gates)
    bent = np.tanh(cells[1:])
    # What a gate's sum does to the cell, the output gate's to the output, and the cell to the output.
    slopes = np.concatenate(
        (new * take * (1 - take), cells[:-1] * keep * (1 - keep), bent * give * (1 - give), take * (1 - new**2)), axis=2
    )
    slope = give * (1 - bent**2)
    by_layer, by_inputs = np.zeros_like(layer), np.empty_like(by_outputs)
    by_cell, by_last = np.zeros_like(cells[0]), np.zeros_like(cells[0])
    for t in reversed(range(len(gates))):
        by_output = by_outputs[t] + by_last
        by_cell = by_cell + by_output * slope[t]
        by_sums = np.concatenate((by_cell, by_cell, by_output, by_cell), axis=1) * slopes[t]
        by_layer += reads[t].T @ by_sums
        by_read = by_sums @ layer.T
        by_inputs[t], by_last = by_read[:, :hidden], by_read[:, hidden:-1]
        by_cell = by_cell * keep[t]
    return by_layer, by_inputs


def _parts(gates: Array) -> tuple[Array, Array, Array, Array]:
    """Input, forget and output gate and the candidate, each (…, hidden)."""
    n = gates.shape[-1] // 4
    return gates[..., :n], gates[..., n : 2 * n], gates[..., 2 * n : 3 * n], gates[..., 3 * n :]
