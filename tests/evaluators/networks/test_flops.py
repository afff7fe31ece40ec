"""FLOPs of torch's layers against closed forms: 2 a multiply-add, for two inputs together."""

import copy
import pickle
import re
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn import functional

from nas.checks.space_report import examine
from nas.errors import Rejected, UncountedError
from nas.evaluators.networks.building import flops_of
from nas.evaluators.networks.flops import count, count_of
from nas.evaluators.networks.profile import size
from nas.report.formatting import mflops
from nas.space import enumerate_all, replay
from nas.space.constraints import Constrained
from nas.task import TaskShape
from nas.testing import ToySpace

N, T, D, H = 2, 10, 12, 16
"""Examples, steps, inputs of a step and hidden units."""
SHAPE = TaskShape((T, D), 3)


class Of(nn.Module):
    """Network that is a function of its layers and its input."""

    def __init__(self, forward, *layers):
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self._forward = forward

    def forward(self, x):
        return self._forward(x, *self.layers)


def layer(made):
    return Of(lambda x, one: one(x), made)


def recurrent(gates, inputs, hidden, *, layers=1, directions=1):
    """Every gate of every step is one product with the input and one with the last hidden state."""
    total = 0
    for number in range(layers):
        width = inputs if number == 0 else hidden * directions
        total += directions * 2 * N * T * gates * hidden * (width + hidden)
    return total


def attention(width, queries=T, keys=T):
    """Four projections, and for each head queries times keys, and the result times values."""
    projections = 2 * N * width * width * (2 * queries + 2 * keys)
    return projections + 2 * 2 * N * queries * keys * width


def encoder(width, inner):
    return attention(width) + 2 * 2 * N * T * width * inner


def decoder(width, inner):
    return 2 * attention(width) + 2 * 2 * N * T * width * inner


ENCODER = {"d_model": D, "nhead": 4, "dim_feedforward": 20, "batch_first": True}
LAYERS = {
    "LSTM": (layer(nn.LSTM(D, H, batch_first=True)), recurrent(4, D, H)),
    "LSTM, deep, both ways": (
        layer(nn.LSTM(D, H, num_layers=2, bidirectional=True)),
        recurrent(4, D, H, layers=2, directions=2),
    ),
    "GRU": (layer(nn.GRU(D, H, batch_first=True)), recurrent(3, D, H)),
    "GRU, deep, both ways": (
        layer(nn.GRU(D, H, num_layers=2, bidirectional=True)),
        recurrent(3, D, H, layers=2, directions=2),
    ),
    "RNN": (layer(nn.RNN(D, H, num_layers=3)), recurrent(1, D, H, layers=3)),
    "LSTMCell": (Of(lambda x, one: one(x[:, 0]), nn.LSTMCell(D, H)), recurrent(4, D, H) // T),
    "GRUCell": (Of(lambda x, one: one(x[:, 0]), nn.GRUCell(D, H)), recurrent(3, D, H) // T),
    "RNNCell": (Of(lambda x, one: one(x[:, 0]), nn.RNNCell(D, H)), recurrent(1, D, H) // T),
    "attention": (Of(lambda x, one: one(x, x, x), nn.MultiheadAttention(D, 4, batch_first=True)), attention(D)),
    "attention, no weights": (
        Of(
            lambda x, one: one(x, x[:, :5], x[:, :5], need_weights=False), nn.MultiheadAttention(D, 4, batch_first=True)
        ),
        attention(D, keys=5),
    ),
    "scaled dot product": (
        Of(lambda x: nn.functional.scaled_dot_product_attention(x[:, None], x[:, None], x[:, None])),
        2 * 2 * N * T * T * D,
    ),
    "encoder layer": (layer(nn.TransformerEncoderLayer(**ENCODER)), encoder(D, 20)),
    "encoder": (layer(nn.TransformerEncoder(nn.TransformerEncoderLayer(**ENCODER), 3)), 3 * encoder(D, 20)),
    "decoder layer": (Of(lambda x, one: one(x, x), nn.TransformerDecoderLayer(**ENCODER)), decoder(D, 20)),
    "decoder": (
        Of(lambda x, one: one(x, x), nn.TransformerDecoder(nn.TransformerDecoderLayer(**ENCODER), 2)),
        2 * decoder(D, 20),
    ),
    "transformer": (
        Of(lambda x, one: one(x, x), nn.Transformer(D, 4, 1, 2, 20, batch_first=True)),
        encoder(D, 20) + 2 * decoder(D, 20),
    ),
    "Bilinear": (
        Of(lambda x, one: one(x[:, 0, :5], x[:, 0, :7]), nn.Bilinear(5, 7, 3)),
        2 * N * 3 * 7 * (5 + 1),
    ),
    "Linear": (layer(nn.Linear(D, 5)), 2 * N * T * D * 5),
    "Conv1d": (layer(nn.Conv1d(T, 4, 3)), 2 * N * 4 * T * 3 * (D - 2)),
    "Conv1d, in groups": (layer(nn.Conv1d(T, 4, 3, groups=2)), 2 * N * 4 * (T // 2) * 3 * (D - 2)),
    "ConvTranspose1d": (layer(nn.ConvTranspose1d(T, 4, 3)), 2 * N * T * 4 * 3 * D),
    "Conv2d": (Of(lambda x, one: one(x[:, None]), nn.Conv2d(1, 6, 3, padding=1)), 2 * N * 6 * 9 * T * D),
    "Conv3d": (Of(lambda x, one: one(x[:, None, None]), nn.Conv3d(1, 2, 1)), 2 * N * 2 * T * D),
    "ConvTranspose2d": (Of(lambda x, one: one(x[:, None]), nn.ConvTranspose2d(1, 6, 3)), 2 * N * 6 * 9 * T * D),
    "ConvTranspose3d": (Of(lambda x, one: one(x[:, None, None]), nn.ConvTranspose3d(1, 2, 3)), 2 * N * 2 * 27 * T * D),
    "einsum": (Of(lambda x: torch.einsum("bij,bkj->bik", x, x)), 2 * N * T * T * D),
    "matrix times vector": (Of(lambda x: x[0] @ x[0, 0]), 2 * T * D),
    "added matrix times vector": (Of(lambda x: torch.addmv(x[0, :, 0], x[0], x[0, 0])), 2 * T * D),
    "vector times vector": (Of(lambda x: x[0, 0] @ x[0, 1]), 2 * D),
    "sum of products": (Of(lambda x: torch.addbmm(x[0, :, :1], x, x.mT)), 2 * N * T * T * D),
    "outer product, added": (Of(lambda x: torch.addr(x[0, :, :1], x[0, :, 0], x[0, :, 1])), 2 * T * T),
    "distances": (Of(lambda x: torch.cdist(x, x)), 2 * N * T * T * D),
    "many distances": (Of(lambda x: torch.cdist(x.flatten()[:, None], x.flatten()[:, None])), 2 * (N * T * D) ** 2),
    "distances within": (Of(lambda x: nn.functional.pdist(x[0])), T * (T - 1) * D),
    "none": (layer(nn.Sequential(nn.LayerNorm(D), nn.ReLU(), nn.Dropout(), nn.Softmax(-1), nn.AvgPool1d(2))), 0),
    "none, unit length": (Of(lambda x: nn.functional.normalize(x)), 0),
}


def test_every_layer_of_torch_that_computes_products_is_tested_here():
    products = re.compile("Conv|Linear|RNN|LSTM|GRU|Attention|Transformer")
    names = {name for name, made in vars(nn).items() if isinstance(made, type) and products.search(name)}
    no_layers = ("Base", "Loss", "Options")
    names = {name for name in names if not name.startswith("Lazy") and not name.endswith(no_layers)}
    tested = {type(module).__name__ for network, _ in LAYERS.values() for module in network.modules()}
    assert names <= tested | {"NonDynamicallyQuantizableLinear"}
    assert len(names) > 15


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("network, expected", LAYERS.values(), ids=LAYERS)
def test_flops_are_the_closed_form(network, expected, training):
    """This holds in both modes, for which torch has different implementations."""
    network = copy.deepcopy(network).train(training)
    actual = count(network, torch.rand(N, T, D))
    assert actual.counted == expected
    assert actual.uncounted == ()
    assert size(network, SHAPE)["flops"] == expected / N
    assert "flops_uncounted" not in size(network, SHAPE)


def test_counting_leaves_the_ways_of_attention_as_they_were():
    for enabled in (True, False):
        torch.backends.mha.set_fastpath_enabled(enabled)
        try:
            count(LAYERS["encoder layer"][0], torch.rand(N, T, D))
            assert torch.backends.mha.get_fastpath_enabled() is enabled
        finally:
            torch.backends.mha.set_fastpath_enabled(True)


UNCOUNTED = {
    "aten._linalg_solve_ex": lambda x: torch.linalg.solve(x[:, :, :T] + 9 * torch.eye(T), x),
    "aten._fft_r2c": lambda x: torch.fft.rfft(x).abs(),
    "aten.linalg_matrix_exp": lambda x: torch.matrix_exp(x[:, :, :T]),
    "aten._sparse_addmm": lambda x: torch.sparse.mm(torch.eye(T).to_sparse(), x[0])[None].expand(len(x), -1, -1),
}


@pytest.mark.parametrize("name", UNCOUNTED)
def test_what_cannot_be_counted_is_named_and_the_rest_is_at_least(name):
    network = Of(lambda x, one: UNCOUNTED[name](one(x)), nn.Linear(D, D))
    actual = count(network, torch.rand(N, T, D))
    assert name in actual.uncounted
    assert actual.counted == 2 * N * T * D * D
    metrics = size(network, SHAPE)
    assert metrics["flops_uncounted"] == len(actual.uncounted) > 0
    assert mflops(metrics) == "≥ 0.00"
    with pytest.raises(
        UncountedError, match=f"takes at least 2,880 FLOPs: those of .*{name}.* cannot be counted"
    ) as error:
        flops_of(network, SHAPE)
    again = pickle.loads(pickle.dumps(error.value))  # A worker process sends it so.
    assert (again.at_least, str(again)) == (2880, str(error.value))


def test_limits_refuse_what_cannot_be_counted():
    """This holds even where the known part lies within them, because the rest is unknown."""

    def cost(architecture, which):
        raise UncountedError("the network takes at least 7 FLOPs", 7)

    space = Constrained(ToySpace(), {"flops": (0, 100)}, SimpleNamespace(cost=cost))
    first = next(iter(enumerate_all(ToySpace())))
    with pytest.raises(Rejected, match="limit flops, but the network takes at least 7 FLOPs"):
        replay(space, first)


def test_numbers_that_are_all_counted_are_told_plainly():
    assert mflops({"flops": 12_345_678.0}) == "12.35"
    assert mflops({}) == "0.00"


class Fourier:
    """Space of networks with a Fourier transform, whose FLOPs cannot be counted."""

    name = "fourier"

    def decide(self, choose):
        return choose("width", [4, 8])

    def build(self, spec, task):
        first, last = nn.Linear(task.input_shape[0], spec), nn.Linear(spec, task.num_outputs)
        return Of(lambda x, one, other: other(torch.fft.fft(one(x)).real), first, last)


def test_the_check_of_a_space_says_at_least():
    verdict, _ = examine(Fourier(), TaskShape((6,), 3), samples=4, builds=1)
    assert not verdict.flops_counted
    assert set(verdict.flops) <= {2 * width * (6 + 3) for width in (4, 8)}
    assert "at least" in str(verdict)


@pytest.mark.parametrize("groups", [1, 4])
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("wanted", ["both", "weights"])
def test_each_derivative_of_a_convolution_costs_as_much_as_the_convolution(groups, transposed, wanted):
    """torch's own formula counts the derivative by the weights of four groups four times."""
    x = torch.randn(2, 12, 8, 8, requires_grad=wanted == "both")
    shape = (12, 20 // groups, 3, 3) if transposed else (20, 12 // groups, 3, 3)
    weight = torch.randn(*shape, requires_grad=True)
    convolve = functional.conv_transpose2d if transposed else functional.conv2d
    outputs = []
    once = count_of(lambda: outputs.append(convolve(x, weight, groups=groups))).counted
    assert once == 2 * 2 * (64 if transposed else 36) * weight.numel()
    assert count_of(lambda: outputs[0].sum().backward()).counted == (2 if wanted == "both" else 1) * once
