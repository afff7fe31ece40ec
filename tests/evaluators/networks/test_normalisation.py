"""Normalisation layers: the statistics that they use in each mode."""

import copy

import pytest
import torch
from helpers.evaluators import seeded  # noqa: F401  # fixture
from torch import nn

from nas.errors import SpaceError
from nas.evaluators.networks.normalisation import (
    BATCH_NORMS,
    SupportNorm,
    normalise_head_input,
    query_markers,
    sees_batch,
    set_normalisation,
)

MODES = ["group", "batch", "support", "none"]


def network(channels=16, **options):
    return nn.Sequential(
        nn.Conv2d(1, channels, 3), nn.BatchNorm2d(channels, **options), nn.ReLU(), nn.Flatten(), nn.LazyLinear(3)
    )


def ready(mode, **options):
    made = network(**options)
    made(images())  # The lazy layer takes its shape.
    return set_normalisation(made, mode)


def images(examples=6):
    return torch.rand(examples, 1, 6, 6, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("mode, independent", [("group", True), ("batch", False), ("support", False), ("none", True)])
def test_whether_an_example_depends_on_the_others(mode, independent):
    made = ready(mode)
    x = images()
    alone = torch.cat([made(x[i : i + 1]) for i in range(len(x))])
    assert torch.allclose(made(x), alone, atol=1e-5) is independent
    assert sees_batch(made) is not independent


def test_none_is_the_identity_until_it_learns():
    x = images() * 100
    layer = set_normalisation(nn.Sequential(nn.BatchNorm2d(1)), "none")
    assert torch.equal(layer(x), x)
    weight, bias = layer.parameters()
    with torch.no_grad():
        weight.fill_(-2.0)
        bias.fill_(3.0)
    assert torch.allclose(layer(x), 3 - 2 * x)


@pytest.mark.parametrize("dims", [1, 2, 3, 4])
def test_none_scales_channels_whatever_follows_them(dims):
    kind = (nn.BatchNorm1d, nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)[dims - 1]
    layer = set_normalisation(nn.Sequential(kind(3)), "none")
    with torch.no_grad():
        next(layer.parameters()).copy_(torch.tensor([1.0, 10.0, 100.0]))
    assert layer(torch.ones(2, 3, *[4] * (dims - 1))).transpose(0, 1).flatten(1)[:, 0].tolist() == [1, 10, 100]


@pytest.mark.parametrize("kind", [nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d])
def test_batch_is_torchs_own_in_training(kind):
    dims = {nn.BatchNorm1d: 1, nn.BatchNorm2d: 2, nn.BatchNorm3d: 3}[kind]
    layer = kind(4, eps=0.01)
    nn.init.uniform_(layer.weight)
    nn.init.uniform_(layer.bias)
    x = torch.rand(5, 4, *[3] * dims)
    expected = copy.deepcopy(layer)(x)
    assert torch.allclose(set_normalisation(nn.Sequential(layer), "batch")(x), expected, atol=1e-6)


@pytest.mark.parametrize("dims", [1, 2, 3, 4])
def test_support_normalises_queries_as_the_support_set(dims):
    """The reference is torch's layer with running statistics of the support set."""
    kind = (nn.BatchNorm1d, nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)[dims - 1]
    layer = kind(4, eps=0.01, momentum=1.0)
    nn.init.uniform_(layer.weight)
    nn.init.uniform_(layer.bias)
    x = torch.rand(9, 4, *[3] * (dims - 1))
    reference = copy.deepcopy(layer)
    support = reference(x[:5])
    values = 5 * 3 ** (dims - 1)
    reference.running_var *= (values - 1) / values  # torch keeps the unbiased variance.
    expected = torch.cat([support, reference.eval()(x[5:])])
    made = set_normalisation(nn.Sequential(layer), "support")
    told = query_markers(made, 4)
    assert {name: tensor.shape for name, tensor in told.items()} == {"0.norm.queries": (4,)}
    assert torch.allclose(torch.func.functional_call(made, told, (x,)), expected, atol=1e-6)
    assert torch.allclose(made(x[:5]), support, atol=1e-6)
    assert all(buffer.numel() == 0 for buffer in made.buffers())


def test_only_layers_that_normalise_by_the_support_set_have_query_markers():
    assert {mode: list(query_markers(ready(mode), 3)) for mode in MODES} == {
        "group": [],
        "batch": [],
        "support": ["1.norm.queries"],
        "none": [],
    }
    assert list(query_markers(SupportNorm(0.1), 3)) == ["queries"]


@pytest.mark.parametrize(
    "channels, groups", [(1, 1), (4, 1), (8, 1), (12, 1), (16, 2), (24, 3), (20, 2), (28, 2), (64, 8)]
)
def test_groups_have_about_eight_channels(channels, groups):
    layer = set_normalisation(nn.Sequential(nn.BatchNorm2d(channels, eps=0.01)), "group")[0]
    assert (layer.num_groups, layer.num_channels, layer.eps) == (groups, channels, 0.01)


@pytest.mark.parametrize("mode", MODES)
def test_no_running_statistics_are_left(mode):
    made = ready(mode)
    assert list(made.state_dict()) == [name for name, _ in made.named_parameters()]
    assert not any(buffer.numel() for buffer in made.buffers())
    x = images()
    before = made(x)
    made(10 * x)
    assert torch.equal(made(x), before)
    assert torch.equal(made.eval()(x), before)


@pytest.mark.parametrize("mode", MODES)
def test_initial_scale_and_shift_are_kept(mode):
    """A network may start a branch from zero, for example."""
    made = network()
    weight, bias = made[1].weight, made[1].bias
    nn.init.zeros_(weight)
    set_normalisation(made, mode)
    kept = {id(p) for p in made.parameters()}
    assert {id(weight), id(bias)} <= kept
    assert not made[1](torch.rand(2, 16, 4, 4)).any()


@pytest.mark.parametrize("mode", MODES)
def test_a_layer_without_scale_gets_none(mode):
    made = set_normalisation(network(affine=False), mode)
    assert list(made[1].parameters()) == []


@pytest.mark.parametrize("mode", MODES)
def test_a_layer_without_shift_gets_none(mode):
    layer = nn.BatchNorm2d(16)
    layer.bias = None
    made = set_normalisation(nn.Sequential(layer), mode)
    assert [p is layer.weight for p in made.parameters()] == [True]
    x = torch.rand(2, 16, 4, 4)
    plain = made(x)
    nn.init.constant_(layer.weight, 3)
    assert torch.allclose(made(x), 3 * plain, atol=1e-5)


@pytest.mark.parametrize("mode", MODES)
def test_a_layer_in_two_places_stays_one(mode):
    shared = nn.BatchNorm2d(2)
    made = set_normalisation(nn.ModuleDict({"a": shared, "deep": nn.Sequential(nn.ReLU(), shared)}), mode)
    assert made["a"] is made["deep"][1]
    assert shared not in list(made.modules())
    assert len(list(made.parameters())) == 2


@pytest.mark.parametrize("mode", MODES)
def test_other_layers_with_running_statistics_are_refused(mode):
    made = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Sequential(nn.InstanceNorm2d(4, track_running_stats=True)))
    with pytest.raises(SpaceError, match=r"layer '1\.0' \(InstanceNorm2d\) keeps running statistics"):
        set_normalisation(made, mode)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "layer",
    [
        nn.InstanceNorm2d(4),
        nn.InstanceNorm2d(4, affine=True, eps=0.01),
        nn.LayerNorm([4, 5, 5], eps=0.01),
        nn.LayerNorm(5, bias=False),
        nn.LayerNorm(5, elementwise_affine=False),
        nn.GroupNorm(2, 4),
    ],
    ids=repr,
)
def test_other_normalisations_compute_what_they_did(mode, layer):
    layer = copy.deepcopy(layer)
    for p in layer.parameters():
        nn.init.uniform_(p)
    x = torch.rand(3, 4, 5, 5)
    expected = layer(x)
    made = set_normalisation(nn.Sequential(copy.deepcopy(layer)), mode)
    assert torch.allclose(made(x), expected, atol=1e-6)
    assert len(list(made.parameters())) == len(list(layer.parameters()))


@pytest.mark.parametrize("mode", MODES)
def test_every_batch_normalisation_is_found(mode):
    made = nn.Sequential(nn.BatchNorm1d(2), nn.ModuleList([nn.BatchNorm2d(2), nn.Sequential(nn.BatchNorm3d(2))]))
    set_normalisation(made, mode)
    actual = [module for module in made.modules() if isinstance(module, BATCH_NORMS)]
    assert len(actual) == (3 if mode == "batch" else 0)


# --- the head's input ------------------------------------------------------------------------------------------------


def test_logits_do_not_depend_on_the_scale_of_the_features():
    made = nn.Sequential(nn.Linear(3, 8, bias=False), nn.Linear(8, 2))
    x = torch.rand(4, 3)
    bare = copy.deepcopy(made)
    normalise_head_input(made)
    before, bare_before = made(x), bare(x)
    for net in (made, bare):
        with torch.no_grad():
            net[0].weight *= 50
    assert torch.allclose(made(x), before, atol=1e-4)
    assert not torch.allclose(bare(x), bare_before, atol=1e-1)


def test_the_heads_input_is_layer_normalised_and_adds_no_parameters():
    made = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2))
    x = torch.rand(4, 3)
    features = made[:2](x)
    centred = features - features.mean(dim=1, keepdim=True)
    expected = made[2](centred / (features.var(dim=1, unbiased=False, keepdim=True) + 1e-5).sqrt())
    parameters = list(made.parameters())
    assert torch.allclose(normalise_head_input(made)(x), expected, atol=1e-5)
    assert [id(p) for p in made.parameters()] == [id(p) for p in parameters]


def test_a_network_without_a_linear_layer_is_left_as_it_is():
    made = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten())
    x = torch.rand(2, 1, 3, 3)
    before = made(x)
    assert torch.equal(normalise_head_input(made)(x), before)


def test_a_forward_may_read_what_its_head_is_like():
    class Reads(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.head = nn.Linear(4, 6), nn.Linear(6, 3)

        def forward(self, x):
            return self.head(self.body(x.flatten(1)).relu()[:, : self.head.in_features])

    network = Reads()
    plain = copy.deepcopy(network)
    normalised = normalise_head_input(network)
    x = torch.randn(5, 4)
    features = nn.functional.layer_norm(plain.body(x).relu(), (6,))
    assert torch.allclose(normalised(x), plain.head(features), atol=1e-6)
    assert [name for name, _ in normalised.named_parameters()] == [
        "body.weight",
        "body.bias",
        "head.linear.weight",
        "head.linear.bias",
    ]
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = normalised.head.nothing
