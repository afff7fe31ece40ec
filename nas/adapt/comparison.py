"""The adapted network beside simpler ways to learn the same task from the same examples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..adaptation_rule import AdaptationRule
from ..analysis.intervals import paired_difference_interval, proportion_interval
from ..errors import DataError
from ..export import reading
from ..export.stage_two import rule_settings
from ..export.standalone.adapt import Predictor
from ..export.writing import PRETRAINED
from ..protocols.learners import Portable
from ..registry import components
from ..task import TaskShape
from .adaptation import AdaptedPredictor
from .leave_one_out import leave_one_out

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class Contender:
    """A way to learn the task.

    Attributes:
        name: What it is.
        accuracy: Its accuracy in [0, 1]; None where it was not measured.
        interval: Wilson's 95 % interval.
        better: Number of examples that the adapted network gets right and this one does not, and the reverse.
        difference: 95 % interval of the adapted network's accuracy less this one's, on the same examples.
        note: Why it was not measured, or with which settings.
    """

    name: str
    accuracy: float | None
    interval: tuple[float, float] | None = None
    better: tuple[int, int] | None = None
    difference: tuple[float, float] | None = None
    note: str = ""


def compare(adapted: AdaptedPredictor) -> tuple[Contender, ...]:
    """The adapted network, the same network from scratch and from plain pre-training, and the nearest neighbour.

    All are judged on the labelled queries, or by leave-one-out where there are none. Classification only.
    """
    predictor, support, query = adapted.predictor, adapted.support, adapted.query
    import torch

    if query is None:
        _, kept = leave_one_out(predictor, support.examples.x, support.y)
        truths = support.y[kept]
        if not len(truths):
            raise DataError("each class has one example; --compare needs two of a class to leave one out, or --query")
    else:
        truths = torch.tensor([support.classes.index(label) for label in query.labels])

    def right(contender: Predictor) -> Tensor:
        if query is None:
            outputs, kept = leave_one_out(contender, support.examples.x, support.y)
            return outputs[kept].argmax(dim=1) == truths
        fitted = contender.fit_inputs(support.examples.x, support.classes, support.y)
        return fitted.outputs(query.x).argmax(dim=1) == truths

    ours = right(predictor)
    contenders = [_contender("this network, adapted", ours, ours)]
    scratch = _scratch(predictor)
    contenders.append(_contender("the same network from scratch", right(scratch), ours, "random weights of seed 0"))
    pretrained = _pretrained(predictor)
    if pretrained is None:
        note = "not measured: export with `nas export --pretrained`, which trains it"
        contenders.append(Contender("the same network, plainly pre-trained", None, note=note))
    else:
        contenders.append(_contender("the same network, plainly pre-trained", right(pretrained), ours))
    nearest = _nearest(support.examples.x, support.y, None if query is None else query.x)
    nearest = nearest[kept] if query is None else nearest
    contenders.append(_contender("nearest neighbour of the inputs", nearest == truths, ours))
    return tuple(contenders)


def _contender(name: str, right: Tensor, ours: Tensor, note: str = "") -> Contender:
    count, correct = len(right), int(right.sum())
    better = int((ours & ~right).sum()), int((right & ~ours).sum())
    difference = paired_difference_interval(*better, count)
    return Contender(name, correct / count, proportion_interval(correct, count), better, difference, note)


def _nearest(x: Tensor, y: Tensor, query: Tensor | None) -> Tensor:
    """The class of the nearest support example; of the nearest other one where there are no queries."""
    import torch

    flat = x.flatten(1)
    distances = torch.cdist(flat if query is None else query.flatten(1), flat)
    if query is None:
        distances.fill_diagonal_(torch.inf)
    return y[distances.argmin(dim=1)]


def _scratch(predictor: Predictor) -> Predictor:
    """The network with random weights, all of which are trained on the support set."""
    import copy

    import torch

    network = copy.deepcopy(predictor.network)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for module in network.modules():
            reset = getattr(module, "reset_parameters", None)
            if callable(reset):
                reset()
                continue
            for parameter in module.parameters(recurse=False):
                # A layer that does not say how it starts: random numbers of the same mean and deviation.
                deviation, mean = torch.std_mean(parameter.detach(), correction=0)
                parameter.data = mean + deviation * torch.randn_like(parameter)
    return _with_learner(predictor, network, "scratch")


def _pretrained(predictor: Predictor) -> Predictor | None:
    """The network with the weights of plain pre-training; None where the export has none."""
    import copy

    path = Path(predictor.folder) / PRETRAINED
    if not path.is_file():
        return None
    network = copy.deepcopy(predictor.network)
    network.load_state_dict(reading.tensors_of(path))
    return _with_learner(predictor, network, "finetune")


def _with_learner(predictor: Predictor, network: nn.Module, name: str) -> Predictor:
    """The predictor with another network and the rule of a learner with its default options."""
    rule = predictor.rule
    learner = components.create("learner", name, {})
    assert isinstance(learner, Portable)
    parameters: Mapping[str, Tensor] = {key: p.detach() for key, p in network.named_parameters()}
    adaptation: AdaptationRule = learner.adaptation(network, parameters, rule["task"])
    shape = TaskShape(tuple(rule["input_shape"]), rule["outputs"], rule["task"])
    settings, learned = rule_settings(adaptation, shape, {key: key for key in parameters})
    settings |= {"head": rule["head"], "batch_statistics": rule["batch_statistics"]}
    return Predictor(network, predictor.folder, {**predictor.settings, "rule": settings}, learned)
