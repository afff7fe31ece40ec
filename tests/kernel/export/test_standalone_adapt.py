"""The file adapt.py of an export gives the predictions of the learners."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from nas.evaluators import MetaEvaluator
from nas.evaluators.learners.inner_loop import network_parameters
from nas.evaluators.tasks import Glyphs, Sinusoid
from nas.export.stage_two import rule_settings
from nas.export.standalone.adapt import Predictor
from nas.protocols import LEARNER, Portable
from nas.registry import components
from nas.search_spaces import FewShotCell, Mlp
from nas.space import sample

GLYPHS, SINUSOID = Glyphs(ways=3, shots=2, queries=4), Sinusoid(shots=5, queries=7)
LEARNERS = components.names("learner")
VARIANTS = [
    ("maml", {"adapted": "norm", "steps": 2, "learn_lr": True}),
    ("maml", {"adapted": "head", "steps": 3, "reduction": "sum", "inner_lr": 0.01}),
    ("maml", {"inner_optimizer": "adam", "steps": 3, "inner_lr": 0.01}),
    ("anil", {"learn_lr": True, "inner_optimizer": "adam"}),
    ("reptile", {"optimizer_state": "kept", "steps": 4}),
    ("protonet", {"temperature": 0.0}),
]


def predictor_and_learner(name, options, family, norm="group", seed=0):
    """A predictor, the learner, its network and parameters, with learned values that are not the initial ones."""
    learner = components.create("learner", name, options)
    space = FewShotCell(widths=(8,), depths=(2,)) if family is GLYPHS else Mlp(widths=(8,))
    evaluator = MetaEvaluator(space, family, learner, norm=norm)
    network = evaluator.network(sample(space, np.random.default_rng(seed)), seed).double()
    generator = torch.Generator().manual_seed(seed)
    parameters = {key: p.detach() for key, p in network.named_parameters() if p.requires_grad}
    for key, value in learner.initial(network, family).items():
        parameters[LEARNER + key] = value + 0.1 * torch.rand(value.shape, generator=generator).double()
    rule = learner.adaptation(network, parameters, family.shape.kind)
    names = {key: key for key in network_parameters(parameters)}
    settings, tensors = rule_settings(rule, family.shape, names)
    json.dumps(settings)
    return Predictor(network, None, {"rule": settings, "preprocessing": None}, tensors), learner, network, parameters


def in_double(batch):
    """The batch with floats of 64 bits, so that rounding cannot hide a difference or make one."""
    floats = {key: value.double() for key, value in vars(batch).items() if key.endswith("_x")}
    targets = {key: value.double() for key, value in vars(batch).items() if key.endswith("_y") and value.dim() == 3}
    return replace(batch, **floats, **targets)


def assert_equal_curves(predictor, learner, network, parameters, family):
    batch = in_double(family.tasks("test", [3], torch.device("cpu")))
    kind = family.shape.kind
    expected = learner.adapt(network, parameters, batch, kind, learner.steps)[:, 0]
    x, y, query = batch.support_x[0], batch.support_y[0], batch.query_x[0]
    ways = family.shape.num_outputs if kind == "classification" else 0
    with torch.no_grad():
        states = list(predictor.steps(x, y, ways))
        actual = [predictor.outputs_of(predictor.represented(query), state, ways) for state in states]
    assert len(actual) == len(expected)
    torch.testing.assert_close(torch.stack(actual), expected, rtol=1e-7, atol=1e-8)
    if kind == "regression":
        values = predictor.fit(x, y).predict(query).values
        torch.testing.assert_close(values, expected[-1], rtol=1e-7, atol=1e-8)
        return
    fitted = predictor.fit(list(x), [f"class {label}" for label in y.tolist()])
    predicted = fitted.predict(query)
    torch.testing.assert_close(predicted.probabilities, expected[-1].softmax(1), rtol=1e-7, atol=1e-8)
    assert predicted.labels == tuple(f"class {label}" for label in expected[-1].argmax(1).tolist())


@pytest.mark.parametrize("norm", ["group", "batch", "none"])
@pytest.mark.parametrize("name, options", [*((name, {}) for name in LEARNERS if "20way" not in name), *VARIANTS])
def test_classes_are_predicted_as_the_learner_does(name, options, norm):
    assert_equal_curves(*predictor_and_learner(name, options, GLYPHS, norm), GLYPHS)


@pytest.mark.parametrize("name, options", [(name, {}) for name in LEARNERS if name != "protonet" and "way" not in name])
def test_numbers_are_predicted_as_the_learner_does(name, options):
    assert_equal_curves(*predictor_and_learner(name, options, SINUSOID), SINUSOID)


def test_every_built_in_learner_says_how_it_adapts():
    assert all(isinstance(components.create("learner", name, {}), Portable) for name in LEARNERS)


@pytest.mark.parametrize("name", ["protonet", "ridge"])
def test_classes_are_added_and_removed_as_if_fitted_anew(name, tmp_path):
    predictor, *_ = predictor_and_learner(name, {}, GLYPHS)
    batch = Glyphs(ways=5, shots=3, queries=4).tasks("test", [0], torch.device("cpu"))
    x, y, query = batch.support_x[0], [f"c{label}" for label in batch.support_y[0].tolist()], batch.query_x[0]
    first = predictor.fit(x[:9], y[:9])
    grown = first.add("c3", x[9:11]).add("c3", x[11:12]).add("c4", x[12:])
    anew = predictor.fit(x, y)
    torch.testing.assert_close(
        grown.outputs(grown.inputs(query)), anew.outputs(anew.inputs(query)), rtol=1e-7, atol=1e-8
    )
    assert grown.fitted.classes == anew.fitted.classes
    shrunk = grown.remove("c1")
    kept = [i for i, label in enumerate(y) if label != "c1"]
    again = predictor.fit(x[kept], [y[i] for i in kept])
    torch.testing.assert_close(
        shrunk.outputs(shrunk.inputs(query)), again.outputs(again.inputs(query)), rtol=1e-7, atol=1e-8
    )
    assert first.fitted.classes == ("c0", "c1", "c2")  # the first one has not changed


@pytest.mark.parametrize("name", ["maml", "anil", "meta-sgd", "reptile", "finetune", "protonet", "ridge"])
@pytest.mark.parametrize("ways", [2, 5])
def test_another_number_of_classes_gets_a_head_of_its_own(name, ways):
    predictor, *_ = predictor_and_learner(name, {}, GLYPHS)
    batch = Glyphs(ways=ways, shots=2, queries=4).tasks("test", [0], torch.device("cpu"))
    fitted = predictor.fit(batch.support_x[0], batch.support_y[0].tolist())
    assert fitted.rebuilt
    assert fitted.predict(batch.query_x[0]).probabilities.shape == (4 * ways, ways)
    # With equal rows to begin with, the order of the classes cannot matter.
    renamed = predictor.fit(batch.support_x[0], [ways - label for label in batch.support_y[0].tolist()])
    torch.testing.assert_close(
        fitted.outputs(fitted.inputs(batch.query_x[0])), renamed.outputs(renamed.inputs(batch.query_x[0])).flip(1)
    )


@pytest.mark.parametrize(
    "examples, labels, message",
    [
        (torch.rand(2, 1, 28, 28), ["a", "a"], "all examples are of class 'a'"),
        (torch.rand(2, 1, 28, 28), ["a"], "2 examples and 1 labels"),
        ([], [], "there are no examples"),
        (torch.rand(2, 3, 28, 28), ["a", "b"], "has the shape"),
        (torch.full((2, 1, 28, 28), float("nan")), ["a", "b"], "not finite"),
    ],
)
def test_bad_examples_are_refused_in_words(examples, labels, message):
    predictor, *_ = predictor_and_learner("anil", {}, GLYPHS)
    with pytest.raises(ValueError, match=message):
        predictor.fit(examples, labels)


def test_classes_of_a_gradient_learner_cannot_be_added():
    predictor, *_ = predictor_and_learner("anil", {}, GLYPHS)
    with pytest.raises(ValueError, match="not adapted yet"):
        predictor.predict(torch.rand(1, 1, 28, 28))
    fitted = predictor.fit(torch.rand(3, 1, 28, 28), ["a", "b", "c"])
    with pytest.raises(ValueError, match="call fit with all examples again"):
        fitted.add("d", torch.rand(1, 1, 28, 28))


def test_an_example_below_the_threshold_is_unknown():
    predictor, *_ = predictor_and_learner("protonet", {}, GLYPHS)
    batch = GLYPHS.tasks("test", [0], torch.device("cpu"))
    fitted = predictor.fit(batch.support_x[0], batch.support_y[0].tolist())
    scores = fitted.predict(batch.query_x[0]).scores
    sure = fitted.with_threshold(float(scores.median()))
    labels = sure.predict(batch.query_x[0]).labels
    assert [label == "unknown" for label in labels] == (scores < scores.median()).tolist()
    assert "unknown" not in fitted.predict(batch.query_x[0]).labels
