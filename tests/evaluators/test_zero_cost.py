"""Zero-cost scores against closed forms and slow versions, and a search by them."""

from __future__ import annotations

import itertools
import json
import math
import pickle
import random
from typing import get_args

import pytest
import torch
from helpers.evaluators import CPU, NARROW, WIDE, Blobs, TinyConv, seeded  # noqa: F401  # fixture
from helpers.project import TOY
from torch import nn
from torch.nn import functional as F

from nas import config as configs
from nas import registry
from nas.errors import NasError
from nas.evaluators import MetaEvaluator, ZeroCostEvaluator
from nas.evaluators.learners import Anil
from nas.evaluators.networks.building import build
from nas.evaluators.networks.normalisation import Normalisation
from nas.evaluators.networks.zero_cost_proxies import TASKS, grad_norm, naswot, scores, synflow
from nas.evaluators.tasks import Glyphs, Sinusoid, SystemIdentification
from nas.evaluators.tasks.drawing import draw
from nas.protocols import Featured, Resumable, ZeroCost
from nas.runs import folder, launch, progress
from nas.space import sample
from nas.store import Store
from nas.testing import check_evaluator

NAMES = get_args(ZeroCost)
FITTING = {"mlp": Sinusoid(), "mlp40": Sinusoid(), "recurrent-cell": SystemIdentification()}


def evaluator(kind=ZeroCostEvaluator, **options):
    usual = {"space": TinyConv(), "tasks": Blobs(), "learner": Anil(steps=1), "device": "cpu", "tasks_per_step": 2}
    return kind(**{**usual, "validation_tasks": 4, **options})


# --- synflow ---------------------------------------------------------------------------------------------------------


def test_the_flow_of_a_chain_is_its_paths_times_its_layers():
    """Every weight of a path passes the path's product on, so each layer has the sum over all paths once."""
    sizes = (3, 4, 5, 2)
    layers = [nn.Linear(a, b, bias=False) for a, b in itertools.pairwise(sizes)]
    network = nn.Sequential(layers[0], nn.ReLU(), layers[1], nn.ReLU(), layers[2])
    weights = [layer.weight.abs().tolist() for layer in layers]
    paths = sum(
        weights[0][j][i] * weights[1][k][j] * weights[2][n][k]
        for i, j, k, n in itertools.product(*(range(size) for size in sizes))
    )
    assert synflow(network, (3,)) == pytest.approx(math.log(3 * paths), rel=1e-6)


def test_a_bias_begins_a_path_of_its_own():
    network = nn.Linear(2, 1)
    w1, w2, b = (*network.weight[0].tolist(), network.bias.item())
    assert synflow(network, (2,)) == pytest.approx(math.log(abs(w1) + abs(w2) + abs(b)), rel=1e-6)


@pytest.mark.parametrize("norm", ["group", "batch", "support", "none"])
def test_the_flow_knows_of_no_normalisation(norm):
    """Neither of the layers, whatever the evaluator has put for them, nor of the one before the head."""
    network = build(TinyConv(), WIDE, Blobs().shape, Normalisation(norm, True), learner=Anil(), seed=3)
    kernel, head = network[0].weight.detach().double().abs(), network[-1].linear
    after = torch.tanh(kernel.sum(dim=(1, 2, 3))).requires_grad_()
    weight = head.weight.detach().double().abs()
    out = F.linear(after.repeat_interleave(9), weight, head.bias.detach().double().abs()).sum()
    [gradient] = torch.autograd.grad(out, after)
    through = (gradient * (1 - after**2) * kernel.sum(dim=(1, 2, 3))).sum()
    assert synflow(network, (1, 4, 4)) == pytest.approx(math.log((through + out).item()), rel=1e-6)


def test_the_flow_of_a_very_deep_network_is_finite_and_of_a_cut_one_minus_infinity():
    deep = nn.Sequential(*(nn.Linear(64, 64, bias=False) for _ in range(100)))
    for p in deep.parameters():
        p.data.fill_(8.0)
    # 64^101 paths of 8^100, and 100 layers
    assert synflow(deep, (64,)) == pytest.approx(math.log(100) + 101 * math.log(64) + 100 * math.log(8))
    nn.init.zeros_(deep[5].weight)
    assert synflow(deep, (64,)) == -math.inf


def test_a_score_leaves_the_network_as_it_was():
    network = build(TinyConv(), NARROW, Blobs().shape, Normalisation(), learner=Anil(), seed=0)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    scores(network, Blobs(), NAMES)
    after = network.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert all(p.grad is None for p in network.parameters())


# --- NASWOT ----------------------------------------------------------------------------------------------------------


def hamming(codes):
    """log |K + I| by a loop over pairs of examples, K_ij = units - Hamming distance."""
    units = len(codes[0])
    kernel = [[units - sum(a != b for a, b in zip(one, other, strict=True)) for other in codes] for one in codes]
    return float(torch.logdet(torch.tensor(kernel, dtype=torch.float64) + torch.eye(len(codes))))


CALLS = {
    "module": lambda x: nn.ReLU()(x),
    "function": F.relu,
    "torch": torch.relu,
    "method": lambda x: x.relu(),
    "in place": lambda x: x.clone().relu_(),
    "GELU": F.gelu,
    "SiLU module": lambda x: nn.SiLU()(x),
    "tanh": torch.tanh,
    "sigmoid": lambda x: nn.Sigmoid()(x),
    "hardswish": F.hardswish,
    "ReLU6": lambda x: nn.ReLU6()(x),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_codes_are_what_each_activation_is_given_however_it_is_called(call):
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(3, 7), nn.Linear(7, 4)

        def forward(self, x):
            return call(self.second(call(self.first(x))))

    network, x = Two(), torch.randn(6, 3)
    hidden = network.first(x)
    codes = torch.cat([hidden > 0, network.second(call(hidden)) > 0], dim=1).tolist()
    assert naswot(network, x) == pytest.approx(hamming(codes), rel=1e-9)


def test_all_pixels_of_all_channels_are_units():
    network, x = nn.Sequential(nn.Conv2d(1, 3, 2), nn.ReLU()), torch.randn(5, 1, 4, 4)
    assert naswot(network, x) == pytest.approx(hamming((network[0](x) > 0).flatten(1).tolist()), rel=1e-9)


def test_the_identity_matters_only_where_examples_cannot_be_told_apart():
    network, x = nn.Sequential(nn.Linear(5, 3000), nn.ReLU()), torch.randn(8, 5)
    codes = (network[0](x) > 0).double()
    published = float(torch.logdet(codes @ codes.T + (1 - codes) @ (1 - codes).T))
    assert naswot(network, x) == pytest.approx(published, rel=1e-3)
    assert naswot(network, x[[0] * 8]) == pytest.approx(math.log(8 * 3000 + 1))
    assert naswot(nn.Linear(5, 2), x) == 0  # no unit, nothing told apart


# --- gradient norm and parameters ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_the_gradient_norm_is_that_of_finite_differences(kind):
    network = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()
    x = torch.randn(5, 3, dtype=torch.float64)
    y = torch.tensor([0, 1, 1, 0, 1]) if kind == "classification" else torch.randn(5, 2, dtype=torch.float64)

    def loss():
        given = network(x)
        if kind == "regression":
            return float(((given - y) ** 2).mean())
        return float(-given.log_softmax(dim=1)[torch.arange(5), y].mean())

    total = 0.0
    with torch.no_grad():
        for p in network.parameters():
            squares = 0.0
            for place in range(p.numel()):
                ends = []
                for step in (1e-5, -2e-5):
                    p.view(-1)[place] += step
                    ends.append(loss())
                p.view(-1)[place] += 1e-5
                squares += ((ends[0] - ends[1]) / 2e-5) ** 2
            total += math.sqrt(squares)
    assert grad_norm(network, x, y, kind) == pytest.approx(total, rel=1e-6)


def test_each_task_is_seen_by_itself_and_parameters_are_counted():
    family = Blobs(shots=2)
    network = build(TinyConv(), NARROW, family.shape, Normalisation(), learner=Anil(), seed=1)
    actual = scores(network, family, NAMES)
    batch = draw(family, "train", range(TASKS), CPU)
    support = list(zip(batch.support_x, batch.support_y, strict=True))
    assert actual["naswot"] == tuple(naswot(network, x) for x, _ in support)
    assert actual["grad-norm"] == tuple(grad_norm(network, x, y, "classification") for x, y in support)
    assert len({*actual["naswot"]}) == len({*actual["grad-norm"]}) == TASKS
    assert actual["parameters"] == (sum(p.numel() for p in network.parameters()),)
    assert actual["synflow"] == (synflow(network, family.shape.input_shape),)


def test_no_task_but_those_of_training_is_drawn():
    class TrainOnly(Blobs):
        def tasks(self, split, indices, device):
            assert split == "train"
            return super().tasks(split, indices, device)

    assert evaluator(tasks=TrainOnly()).evaluate(NARROW, 1, 0).value
    assert evaluator(MetaEvaluator, tasks=TrainOnly()).features(NARROW, NAMES).keys() == {*NAMES}


# --- features of the evaluators --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", registry.names("space"))
def test_every_space_has_finite_scores(name):
    space, family = registry.create("space", name, {}), FITTING.get(name, Glyphs(ways=3))
    chosen = evaluator(MetaEvaluator, space=space, tasks=family)
    for seed in range(3):
        actual = chosen.features(sample(space, random.Random(seed)), NAMES)
        assert actual.keys() == {*NAMES}
        assert all(map(math.isfinite, actual.values())), actual
        assert min(actual["parameters"], actual["naswot"], actual["grad-norm"]) > 0


def test_features_are_the_same_whatever_came_before_and_only_those_asked_for():
    chosen = evaluator(MetaEvaluator)
    first = chosen.features(NARROW, NAMES)
    torch.rand(3)
    chosen.features(WIDE, NAMES)
    state = torch.random.get_rng_state()
    assert chosen.features(NARROW, ["naswot", "synflow"]) == {name: first[name] for name in ("naswot", "synflow")}
    assert torch.equal(torch.random.get_rng_state(), state)
    assert pickle.loads(pickle.dumps(chosen)).features(NARROW, NAMES) == first
    assert evaluator().features(NARROW, NAMES) == first
    assert first["parameters"] < chosen.features(WIDE, NAMES)["parameters"]
    assert isinstance(chosen, Featured)


# --- the evaluator ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", ["group", "batch", "support", "none"])
@pytest.mark.parametrize("name", NAMES)
def test_it_keeps_the_laws_of_evaluators(name, norm):
    check_evaluator(evaluator(score=name, norm=norm), NARROW, 3, seed=1, inner_steps=0)


def test_its_score_is_the_one_asked_for_and_its_metrics_are_all():
    actual = {name: evaluator(score=name).evaluate(NARROW, 3, 0) for name in NAMES}
    for name, score in actual.items():
        assert score.metrics[name] == score.value
        assert {*NAMES, "flops", "seconds"} == score.metrics.keys()
        assert (score.stderr > 0) == (name in ("naswot", "grad-norm"))
    assert len({json.dumps(score.protocol) for score in actual.values()}) == len(NAMES)
    assert evaluator().evaluate(NARROW, 99, 0).value == actual["synflow"].value
    assert evaluator().evaluate(NARROW, 3, 1).value != actual["synflow"].value


def test_there_is_nothing_to_go_on_with(tmp_path):
    chosen, file = evaluator(), tmp_path / "stage"
    assert isinstance(chosen, Resumable)
    there = chosen.advance(NARROW, 1, 0, schedule=9, checkpoint=file)
    assert there.value == chosen.evaluate(NARROW, 9, 0).value
    assert not file.exists()


def test_a_network_that_nothing_flows_through_has_no_synflow_to_rank_by():
    class Cut(TinyConv):
        def build(self, spec, task):
            network = super().build(spec, task)
            nn.init.zeros_(network[-1].weight)
            nn.init.zeros_(network[-1].bias)
            return network

    score = evaluator(space=Cut()).evaluate(NARROW, 1, 0)
    assert "synflow" not in score.metrics
    with pytest.raises(NasError, match="the score is -inf; it must be a finite number"):
        score.checked()


def test_a_search_by_it_trains_only_the_finalists_and_reports_both_scores(tmp_path, monkeypatch):
    monkeypatch.setenv("NAS_RUNS", str(tmp_path))
    table = {
        "space": {"name": "few-shot-cell", "widths": [4], "depths": [1]},
        "tasks": {"name": "glyphs", "ways": 3, "queries": 2},
        "controller": {"name": "random"},
        "evaluator": {"name": "zero-cost", "score": "naswot", "train_queries": 2},
        "final": {"baseline": {"name": "conv4", "width": 4}},
    }
    for override in TOY:
        key, value = override.split("=")
        room, option = key.split(".")
        table.setdefault(room, {})[option] = int(value)
    run = folder.new_run("cheap", "quickstart")
    table["search"]["device"] = "cpu"
    outcome = launch.start(configs.from_json(table), run, progress.Silence())
    with Store.open(run.store_path, readonly=True) as store:
        trials = store.trials()
    assert [trial.state for trial in trials] == ["done"] * 3
    assert all(trial.score.protocol["zero_cost"] == "naswot" for trial in trials)
    assert all("outer_steps" not in trial.score.metrics for trial in trials)
    best = max(trials, key=lambda trial: trial.value)
    [finalist] = outcome.final.finalists
    assert finalist.number == best.number
    assert finalist.protocol["learner"]["name"] == "anil"
    assert 0 <= outcome.final.winner.value <= 1
    page = (run.folder / "report.html").read_text("utf-8")
    assert f"{best.value:.4g} ± {best.score.stderr:.4g}" in page
    assert f"{100 * best.value:.1f} %" not in page
    assert f"{100 * outcome.final.winner.value:.1f} %" in page
