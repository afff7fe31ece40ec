"""A controller of this project as the strategy of an NNI experiment."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from nas.controllers import RandomSearch, RegularizedEvolution
from nas.search_spaces.nni import space as nni_space

if find_spec("nni") is None:
    pytest.skip("NNI is not installed; pip install 'adaptnas[nni]'", allow_module_level=True)

nni_space.nni_hub()  # imports NNI, without its warnings

import nni  # noqa: E402
from nni.nas.evaluator import FunctionalEvaluator  # noqa: E402
from nni.nas.execution import SequentialExecutionEngine  # noqa: E402
from nni.nas.nn.pytorch import LayerChoice, ModelSpace  # noqa: E402
from nni.nas.space import RawFormatModelSpace  # noqa: E402
from torch import nn  # noqa: E402

from nas.search_spaces.nni.strategy import ControllerStrategy  # noqa: E402


class Chain(ModelSpace):
    """Four choices between two layers."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            *(LayerChoice({"linear": nn.Linear(2, 2), "relu": nn.ReLU()}, label=f"layer{i}") for i in range(4))
        )

    def forward(self, x):
        return self.layers(x)


def linears(model):
    """A metric that is highest where all four layers are linear; one network fails."""
    count = sum(isinstance(module, nn.Linear) for module in model.modules())
    if count == 0:
        raise ValueError("nothing to learn")
    nni.report_final_result(float(count))


def explored(controller, trials, **options):
    strategy = ControllerStrategy(controller, seed=1, **options)
    engine = SequentialExecutionEngine(max_model_count=trials, continue_on_failure=True)
    space = RawFormatModelSpace(Chain(), FunctionalEvaluator(linears))
    strategy(space, engine)
    return strategy, list(strategy.list_models(sort=False))


def test_a_controller_that_learns_proposes_better_models_later():
    _, models = explored(RegularizedEvolution, 40, population=4, tournament=2)
    metrics = [model.metrics.final for model in models if model.metrics.final is not None]
    assert max(metrics) == 4.0
    assert sum(metrics[-10:]) > sum(metrics[:10]) + 5


def test_it_ends_with_the_space_and_tells_of_failures(monkeypatch):
    told = []
    ordinary = RandomSearch.tell
    monkeypatch.setattr(RandomSearch, "tell", lambda self, trials: (told.extend(trials), ordinary(self, trials))[1])
    explored(RandomSearch, 100)
    assert len(told) == 16
    assert len({trial.architecture for trial in told}) == 16
    assert [trial.state for trial in told].count("failed") == 1
    assert sorted(t.value for t in told if t.state == "done") == [1.0] * 4 + [2.0] * 6 + [3.0] * 4 + [4.0]
