"""network.json: the network that is built from it computes what the exported one does, and refuses what is odd."""

import copy
import json
from contextlib import suppress

import numpy as np
import pytest
import torch
from helpers.own_networks import SHAPE, WRITTEN, made
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from nas.errors import DataError
from nas.evaluators import MetaEvaluator
from nas.evaluators.tasks import Glyphs, Sequences, Sinusoid
from nas.export.form import form_of
from nas.export.graph_network import GraphNetwork, build
from nas.export.graph_tables import FUNCTIONS, LAYERS, METHODS
from nas.export.naming import named_tensors
from nas.failures import attempt
from nas.registry import components
from nas.space import sample

BATCHES = (1, 2, 7)
FAMILIES = [Glyphs(), Sequences(), Sinusoid()]


def rebuilt(network, input_shape):
    """The network built from what an export of `network` holds, by way of JSON text."""
    form = form_of(network, input_shape)
    assert form.graph is not None
    tensors = named_tensors(network)
    weights = {name: tensors[path].detach() for name, path in form.source.weights.items()}
    return build(json.loads(json.dumps(form.graph, allow_nan=False)), weights), form.source.weights


def assert_equal(again, network, input_shape, names):
    for size in BATCHES:
        x = torch.rand(size, *input_shape)
        for mode in (True, False):
            torch.manual_seed(0)
            expected = network.train(mode)(x)
            torch.manual_seed(0)
            torch.testing.assert_close(again.train(mode)(x), expected, rtol=1e-6, atol=1e-6)
    loss, again_loss = (each.train()(torch.ones(2, *input_shape)).square().sum() for each in (network, again))
    learned = dict(network.named_parameters())
    pairs = [(p, learned[names[name]]) for name, p in again.named_parameters() if names[name] in learned]
    gradients = torch.autograd.grad(loss, [p for _, p in pairs], materialize_grads=True)
    again_gradients = torch.autograd.grad(again_loss, [p for p, _ in pairs], materialize_grads=True)
    torch.testing.assert_close(again_gradients, gradients, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("norm", ["group", "batch", "none"])
@pytest.mark.parametrize("name", components.names("space"))
def test_networks_of_all_spaces_are_built_again(name, norm):
    space = components.create("space", name, {})
    built = 0
    for family in FAMILIES:
        evaluator = MetaEvaluator(space, family, components.create("learner", "maml", {"order": 1}), norm=norm)
        network = attempt(evaluator.network, sample(space, np.random.default_rng(3)), 0).value
        if network is None:  # a space of images does not take series
            continue
        again, names = rebuilt(network, family.shape.input_shape)
        if norm != "batch":  # which cannot normalise a batch of one value
            assert_equal(again, network, family.shape.input_shape, names)
        built += 1
    assert built


@pytest.mark.parametrize("name", WRITTEN)
def test_own_networks_are_built_again(name):
    network = made(name)
    form = form_of(network, SHAPE)
    if form.graph is None:
        pytest.skip("its forward uses a function that a file may not name")
    again, names = rebuilt(network, SHAPE)
    assert_equal(again, network, SHAPE, names)


def plain_content():
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    form = form_of(network, (1, 2, 2))
    tensors = network.state_dict()
    return form.graph, {name: tensors[path] for name, path in form.source.weights.items()}


def changed(path, value):
    content, _ = plain_content()
    content = json.loads(json.dumps(content))
    inner = content
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return content


FIRST = "linear_1"
DEEP = json.loads("[" * 40 + "]" * 40)


@pytest.mark.parametrize(
    "path, value, message",
    [
        (["format"], 2, "not of format 1"),
        (["layers", FIRST, "type"], "Module", "not among the layers"),
        (["layers", FIRST, "type"], ["Linear"], "not among the layers"),
        (["layers", FIRST, "args"], [10**9, 10**9], "limit is|not the one of the weights|cannot be made"),
        (["layers", FIRST, "args"], ["a", {}], "cannot be made|which is none"),
        (["layers", FIRST, "args"], [4, 5], "not the one of the weights"),
        (["layers", "forward"], {"type": "Linear", "args": [1, 1]}, "no name of a layer"),
        (["layers", "a.b"], {"type": "Linear", "args": [1, 1]}, "no name of a layer"),
        (["layers"], [], "must be an object"),
        (["tensors", "huge"], {"shape": [2**40], "dtype": "float32"}, "has the shape"),
        (["tensors", "odd"], {"shape": [1], "dtype": "object"}, "is of type"),
        (["calls", 1, "target"], "nothing", "is not listed"),
        (["calls", 1, "op"], "exec", "is a 'exec'"),
        (["calls", 1, "op"], "call_function", "is the function"),
        (["calls", 1], {"id": "v1", "op": "call_method", "target": "numpy", "args": [{"ref": "v0"}]}, "is the method"),
        (["calls", 1, "args"], [{"ref": "v9"}], "no earlier call"),
        (["calls", 1, "args"], [{"ref": "v1"}], "no earlier call"),
        (["calls", 1, "args"], [{"call": "v0"}], "unknown kind"),
        (["calls", 1, "args"], [DEEP], "nested more than"),
        (["calls", 1, "id"], "v0", "must be a new text"),
        (["calls"], None, "must be a list"),
        (["output"], {"ref": "v99"}, "no earlier call"),
        (["ties"], {"linear_1.weight": "head.weight"}, "not two names"),
    ],
)
def test_odd_content_is_refused_by_its_entry(path, value, message):
    _, weights = plain_content()
    with pytest.raises(DataError, match=message):
        build(changed(path, value), weights)


def test_weights_of_another_network_are_refused():
    content, weights = plain_content()
    with pytest.raises(DataError, match=r"linear_1\.weight"):
        build(content, {**weights, "linear_1.weight": torch.zeros(9, 9)})
    with pytest.raises(DataError, match=r"head\.bias"):
        build(content, {name: tensor for name, tensor in weights.items() if name != "head.bias"})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(value=JSON, key=st.sampled_from(["layers", "tensors", "calls", "output", "ties", "format"]))
def test_no_content_gives_another_error(value, key):
    content, weights = plain_content()
    with suppress(DataError):
        build({**content, key: value}, weights)


def test_the_tables_name_nothing_that_reads_writes_or_executes():
    words = ("load", "save", "from_file", "compile", "jit", "library", "numpy", "apply", "hub", "exec", "set_", "_")
    for table in (FUNCTIONS, LAYERS, dict.fromkeys(METHODS)):
        assert not [name for name in table if any(name.rpartition(".")[2].startswith(word) for word in words)]


def test_a_graph_network_can_be_copied():
    content, weights = plain_content()
    network = build(content, weights)
    assert isinstance(copy.deepcopy(network), GraphNetwork)
    x = torch.rand(2, 1, 2, 2)
    assert torch.equal(copy.deepcopy(network)(x), network(x))
