"""Networks with weights of each task: outputs and derivatives equal those of one task at a time."""

import pytest
import torch
from torch import nn
from torch.autograd import gradcheck, gradgradcheck
from torch.nn import functional

from nas.evaluators.learners.vectorised import convolution
from nas.evaluators.learners.vectorised.channels_last import call_examples
from nas.evaluators.learners.vectorised.convolution import Convolution, Geometry
from nas.evaluators.learners.vectorised.per_task_weights import call, call_tasks
from nas.evaluators.learners.vectorised.standardise import Affine, Standardise

TASKS, IMAGES = 3, 2


def randn(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def leaf(x):
    return x.clone().requires_grad_()


GEOMETRIES = [
    Geometry((1, 1), (1, 1), (1, 1), 1),
    Geometry((2, 2), (1, 1), (1, 1), 1),
    Geometry((1, 2), (0, 2), (1, 1), 1),
    Geometry((1, 1), (2, 2), (2, 2), 1),
    Geometry((2, 1), (1, 0), (1, 1), 2),
    Geometry((1, 1), (1, 1), (1, 1), 4),
]


@pytest.fixture(params=["patches", "groups"])
def way(request, monkeypatch):
    """Both ways of computing a convolution of many tasks, whatever the shape."""
    monkeypatch.setattr(convolution, "FEW_ROWS", 10**6 if request.param == "patches" else 0)


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
@pytest.mark.parametrize("same", [False, True], ids=["of each task", "shared"])
def test_a_convolution_and_its_derivatives_are_torchs_one_task_at_a_time(way, geometry, same):
    x = leaf(randn(TASKS, IMAGES, 4, 7, 6))
    weight = leaf(randn(1 if same else TASKS, 6 if geometry.groups < 4 else 4, 4 // geometry.groups, 3, 3, seed=1))
    weights = weight.expand(TASKS, *weight.shape[1:])
    made = Convolution.apply(x, weights, geometry)
    expected = torch.stack([functional.conv2d(one, w, None, *geometry) for one, w in zip(x, weights, strict=True)])
    assert torch.allclose(made, expected)
    first, second = (
        torch.autograd.grad(y.tanh().square().sum(), (x, weight), create_graph=True) for y in (made, expected)
    )
    assert all(torch.allclose(a, b) for a, b in zip(first, second, strict=True))
    first, second = (torch.autograd.grad(sum(g.pow(3).sum() for g in both), (x, weight)) for both in (first, second))
    assert all(torch.allclose(a, b) for a, b in zip(first, second, strict=True))


def test_a_convolutions_derivatives_are_finite_differences(way):
    geometry = Geometry((2, 1), (1, 1), (1, 1), 1)
    inputs = leaf(randn(2, 1, 2, 4, 3)), leaf(randn(2, 3, 2, 2, 2, seed=1))
    assert gradcheck(lambda x, w: Convolution.apply(x, w, geometry), inputs)
    assert gradgradcheck(lambda x, w: Convolution.apply(x, w, geometry), inputs)


@pytest.mark.parametrize("dims", [(1, 3, 4), (2, 3, 4), (4,)], ids=["batch", "layer", "one"])
def test_standardisation_and_its_derivatives_are_finite_differences(dims):
    x = leaf(randn(2, 3, 2, 2, 4))
    z = Standardise.apply(x, dims, 1e-3)
    assert torch.allclose(z.mean(dims), torch.zeros(()).double(), atol=1e-12)
    variance = x.var(dims, correction=0)
    assert torch.allclose(z.var(dims, correction=0), variance / (variance + 1e-3))
    assert gradcheck(lambda x: Standardise.apply(x, dims, 1e-3), (x,))
    assert gradgradcheck(lambda x: Standardise.apply(x, dims, 1e-3), (x,))


def test_a_third_derivative_of_standardisation_is_refused_not_wrong():
    x = leaf(randn(2, 5))
    (first,) = torch.autograd.grad(Standardise.apply(x, (1,), 1e-3).pow(3).sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(first.pow(2).sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        second.sum().backward()


def test_numbers_too_large_to_standardise_do_not_become_zeros():
    assert Standardise.apply(torch.tensor([[1e30, -1e30]]), (1,), 1e-5).isnan().all()


def test_scale_and_shift_have_the_derivatives_of_finite_differences():
    inputs = leaf(randn(2, 3, 2, 2)), leaf(randn(2, 1, 2, 1, seed=1)), leaf(randn(2, 1, 2, 1, seed=2))
    assert gradcheck(Affine.apply, inputs)
    assert gradgradcheck(Affine.apply, inputs)


def without_shift(layer):
    layer.bias = None
    return layer


LAYERS = {
    "conv": lambda: nn.Conv2d(4, 6, 3, stride=2, padding=1),
    "conv without bias": lambda: nn.Conv2d(4, 4, 1, bias=False),
    "conv same": lambda: nn.Conv2d(4, 4, 3, padding="same"),
    "conv reflected": lambda: nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"),
    "depthwise": lambda: nn.Conv2d(4, 4, 3, padding=1, groups=4),
    "batch norm": lambda: nn.BatchNorm2d(4, track_running_stats=False),
    "batch norm without scale": lambda: nn.BatchNorm2d(4, affine=False, track_running_stats=False),
    "group norm": lambda: nn.GroupNorm(2, 4),
    "batch norm without shift": lambda: without_shift(nn.BatchNorm2d(4, track_running_stats=False)),
    "group norm without shift": lambda: without_shift(nn.GroupNorm(2, 4)),
    "layer norm": lambda: nn.LayerNorm([6, 6]),
    "layer norm without scale": lambda: nn.LayerNorm(6, elementwise_affine=False),
    "instance norm": lambda: nn.InstanceNorm2d(4, affine=True),
    "pool to one": lambda: nn.Sequential(nn.Conv2d(4, 4, 1), nn.AdaptiveAvgPool2d(1)),
    "pool to three": lambda: nn.Sequential(nn.Conv2d(4, 4, 1), nn.AdaptiveAvgPool2d(3)),
    "max pool": lambda: nn.Sequential(nn.Conv2d(4, 4, 1), nn.MaxPool2d(2)),
    "linear": lambda: nn.Sequential(nn.Flatten(), nn.Linear(144, 5)),
    "linear of tokens": lambda: nn.Linear(6, 5),
    "linear without bias": lambda: nn.Sequential(nn.Flatten(), nn.Linear(144, 5, bias=False)),
}


@pytest.mark.parametrize("same", [False, True], ids=["of each task", "shared"])
@pytest.mark.parametrize("layer", LAYERS)
def test_layers_give_what_they_give_one_task_at_a_time(layer, same):
    """Outputs, and first and second derivatives by all weights."""
    torch.manual_seed(0)
    network = LAYERS[layer]().double()
    x = leaf(randn(TASKS, IMAGES, 4, 6, 6))
    own = {name: leaf(randn(1 if same else TASKS, *p.shape)) for name, p in network.named_parameters()}
    weights = {name: p.expand(TASKS, *p.shape[1:]) for name, p in own.items()}
    made = call_tasks(network, weights, x, {})
    expected = torch.stack([call(network, {n: p[t] for n, p in weights.items()}, x[t]) for t in range(TASKS)])
    assert torch.allclose(made, expected)
    wanted = [x, *own.values()]
    first, second = (torch.autograd.grad(y.tanh().square().sum(), wanted, create_graph=True) for y in (made, expected))
    assert all(torch.allclose(a, b) for a, b in zip(first, second, strict=True))
    first, second = (
        torch.autograd.grad(sum(g.pow(3).sum() for g in both), wanted, materialize_grads=True)
        for both in (first, second)
    )
    assert all(torch.allclose(a, b) for a, b in zip(first, second, strict=True))


def test_one_set_of_weights_gives_the_same_in_every_layout():
    torch.manual_seed(0)
    network = nn.Sequential(nn.GroupNorm(1, 1), nn.Conv2d(1, 8, 3), nn.GroupNorm(2, 8), nn.MaxPool2d(2)).double()
    x = randn(5, 1, 9, 9)
    weights = {name: leaf(p.detach()) for name, p in network.named_parameters()}
    made, expected = call_examples(network, weights, x), call(network, weights, x)
    assert torch.allclose(made, expected)
    both = [torch.autograd.grad(y.square().sum(), list(weights.values())) for y in (made, expected)]
    assert all(torch.allclose(a, b) for a, b in zip(*both, strict=True))
