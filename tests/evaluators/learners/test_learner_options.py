"""Options of learners: equal learners at the edges of options, published settings, and parameters of the learner."""

import pickle
from dataclasses import fields, replace

import pytest
import torch
from helpers.evaluators import CPU, NARROW, Blobs, TinyConv, doubled, weights_of
from helpers.learners import PRESETS, same
from helpers.meta import meta_train
from torch import nn

from nas import registry
from nas.errors import ConfigError, DataError, SpaceError
from nas.evaluators import MetaEvaluator
from nas.evaluators.learners import Anil, FineTune, Maml, MetaSgd, ProtoNet, Reptile, Ridge, Scratch
from nas.evaluators.meta_training.outer_loop import OuterLoop
from nas.evaluators.networks.building import build
from nas.evaluators.networks.normalisation import Normalisation
from nas.evaluators.networks.profile import size
from nas.evaluators.networks.weights import attach, read_weights, write_weights
from nas.evaluators.tasks import Glyphs, Sinusoid
from nas.protocols import LEARNER
from nas.task import Bank

OWN = {
    "maml": (Maml(learn_lr=True), {"log_rate"}),
    "anil": (Anil(learn_lr=True), {"log_rate"}),
    "meta-sgd": (MetaSgd(), {"0/weight", "1/weight", "1/bias", "4/linear/weight", "4/linear/bias"}),
    "ridge": (Ridge(), {"log_lambda", "scale", "shift"}),
    "finetune": (FineTune(), {"classifier"}),
}


def network_for(learner, norm="batch", family=None):
    family = family or Blobs(shots=2)
    network = build(TinyConv(), NARROW, family.shape, Normalisation(norm, True), learner=learner, seed=3)
    return attach(network, learner.initial(network, family))


def batch_of(family=None):
    return doubled((family or Blobs(shots=2)).tasks("train", range(3), CPU))


def results(learner, network, batch):
    """The curve, the outer loss and its gradients."""
    weights = weights_of(network)
    curve = learner.adapt(network, weights, batch, "classification", 3)
    return curve, *learner.meta_gradient(network, weights, batch, "classification")


# --- one learner as another ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", ["group", "batch", "none"])
def test_meta_sgd_with_all_rates_equal_is_maml(norm):
    one, other = Maml(inner_lr=0.2, steps=2), MetaSgd(inner_lr=0.2, steps=2)
    curve, loss, gradients = results(one, network_for(one, norm).double(), batch_of())
    network = network_for(other, norm)
    for name, p in network.named_parameters():
        if name.startswith(LEARNER):
            assert torch.equal(p, torch.full_like(p, 0.2))
            p.data = torch.full_like(p, 0.2, dtype=torch.float64)
    curve_, loss_, gradients_ = results(other, network.double(), batch_of())
    assert same(curve, curve_)
    assert same(loss, loss_)
    assert all(same(gradients[name], gradients_[name]) for name in gradients)
    assert len(gradients_) == 2 * len(gradients)


@pytest.mark.parametrize("norm", ["group", "batch", "none"])
@pytest.mark.parametrize("learn_lr", [False, True])
def test_maml_of_the_head_is_anil(norm, learn_lr):
    one = Maml(inner_lr=0.2, steps=2, learn_lr=learn_lr, adapted="head")
    other = Anil(inner_lr=0.2, steps=2, learn_lr=learn_lr)
    network = network_for(one, norm).double()
    curve, loss, gradients = results(one, network, batch_of())
    curve_, loss_, gradients_ = results(other, network, batch_of())
    assert same(curve, curve_)
    assert same(loss, loss_)
    assert gradients.keys() == gradients_.keys()
    assert all(same(gradients[name], gradients_[name]) for name in gradients)


@pytest.mark.parametrize("method", [Maml, Anil])
def test_a_learned_rate_starts_as_the_one_that_is_given(method):
    one, other = method(inner_lr=0.2, steps=2), method(inner_lr=0.2, steps=2, learn_lr=True)
    network, learning = network_for(one).double(), network_for(other).double()
    learning.get_parameter("learner:log_rate").data = torch.tensor(0.2, dtype=torch.float64).log()
    for fast, slow in zip(results(one, network, batch_of())[:2], results(other, learning, batch_of())[:2], strict=True):
        assert same(fast, slow)


@pytest.mark.parametrize("norm", ["group", "batch", "none"])
def test_maml_of_the_norms_moves_their_scales_and_shifts_alone(norm):
    """The predictions show it: only a step of exactly these parameters predicts the same."""
    learner = Maml(inner_lr=0.3, adapted="norm")
    network, batch = network_for(learner, norm).double(), batch_of()
    weights = weights_of(network)
    curve = learner.adapt(network, weights, batch, "classification", 1)
    norms = {f"1.affine.{own}" for own in ("weight", "bias")} if norm == "none" else {"1.weight", "1.bias"}
    for task in range(3):
        loss = nn.functional.cross_entropy(network(batch.support_x[task]), batch.support_y[task])
        gradients = dict(zip(weights, torch.autograd.grad(loss, list(network.parameters())), strict=True))
        moved = {n: w - 0.3 * gradients[n] if n in norms else w for n, w in weights.items()}
        expected = torch.func.functional_call(network, moved, (batch.query_x[task],)).detach()
        assert same(curve[1, task], expected)
        assert not same(curve[0, task], expected)


@pytest.mark.parametrize("name", registry.names("learner"))
def test_a_learner_is_the_same_all_along_unless_told_otherwise(name):
    learner = registry.create("learner", name, {})
    assert all(learner.at(progress) is learner for progress in (0.0, 0.5, 0.99))


@pytest.mark.parametrize("name", ["maml", *(name for name in PRESETS if name.startswith("maml"))])
def test_maml_switches_to_second_order_where_it_is_told_to(name):
    learner = registry.create("learner", name, {"first_order": 0.25, "learn_lr": True})
    for progress in (0.0, 0.24):
        assert vars(learner.at(progress)) == {**vars(learner), "order": 1, "first_order": 0.0}
        assert (learner.at(progress).name, type(learner.at(progress))) == (name, type(learner))
    assert learner.at(0.25) is learner.at(0.99) is learner
    assert replace(learner, first_order=1.0).at(0.999).order == 1
    with pytest.raises(ConfigError, match=f"{name} first_order = 0.25 with order = 1; .* for order = 2 only"):
        replace(learner, order=1)


def test_maml_refuses_a_network_without_the_layers_to_adapt():
    bare = nn.Sequential(nn.Flatten(), nn.PReLU())
    for adapted in ("head", "norm"):
        with pytest.raises(SpaceError, match=f"adapts the {adapted} layers, of which the network has none"):
            Maml(adapted=adapted).check(bare, torch.rand(2, 1))
    Maml().check(bare, torch.rand(2, 1))
    frozen = nn.Sequential(nn.GroupNorm(1, 2), nn.Linear(2, 2))
    frozen[0].requires_grad_(False)
    with pytest.raises(SpaceError, match="norm layers"):
        Maml(adapted="norm").check(frozen, torch.rand(2, 2))


def test_a_ridge_without_penalty_interpolates_the_support_set():
    """With as many features as examples, torch's least-squares solution passes through all of them."""
    learner = Ridge(penalty=1e-9)
    network, batch = network_for(learner, "group").double(), batch_of()
    on_itself = replace(batch, query_x=batch.support_x, query_y=batch.support_y)
    curve = learner.adapt(network, weights_of(network), on_itself, "classification", 1)
    assert torch.allclose(curve[1], nn.functional.one_hot(batch.support_y, 3).double(), atol=1e-5)
    features = network[:4](batch.support_x[0]).detach()
    features = torch.cat([nn.functional.layer_norm(features, features.shape[1:]), torch.ones(6, 1)], dim=1).double()
    solution = torch.linalg.lstsq(features, torch.eye(3, dtype=torch.float64)[batch.support_y[0]], driver="gelsd")
    queries = network[:4](batch.query_x[0]).detach()
    queries = torch.cat([nn.functional.layer_norm(queries, queries.shape[1:]), torch.ones(12, 1)], dim=1).double()
    curve = learner.adapt(network, weights_of(network), batch, "classification", 1)
    assert torch.allclose(curve[1, 0], queries @ solution.solution, atol=1e-5)


@pytest.mark.parametrize("learner", [ProtoNet(), Ridge()], ids=lambda learner: learner.name)
def test_fewer_classes_than_outputs_change_nothing_for_those_that_are_there(learner):
    network, batch = network_for(learner, "group").double(), batch_of()
    rows = {"support": batch.support_y[0] < 2, "query": batch.query_y[0] < 2}
    fewer = replace(
        batch,
        **{f"{part}_{what}": getattr(batch, f"{part}_{what}")[:, rows[part]] for part in rows for what in "xy"},
    )
    curve = learner.adapt(network, weights_of(network), fewer, "classification", 1)
    assert curve.shape == (2, 3, 8, 3)
    assert torch.isfinite(curve).all()
    if learner.name == "protonet":
        whole = learner.adapt(network, weights_of(network), batch, "classification", 1)
        assert same(curve[1, ..., :2], whole[1, :, rows["query"], :2])


# --- presets ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_has_the_published_values_and_each_can_be_set(name):
    preset = registry.create("learner", name, {})
    assert preset.name == name
    assert {option: getattr(preset, option) for option in PRESETS[name]} == PRESETS[name]
    method = Maml if name.startswith("maml") else Reptile
    assert isinstance(preset, method)
    known = {field.name for field in fields(method) if field.init}
    assert registry.options_of(registry.find("learner", name)).keys() == registry.options_of(method).keys() == known
    others = {option: value for option, value in vars(method()).items() if option not in {*PRESETS[name], "name"}}
    others |= {"optimizer_state": "kept"} if method is Reptile else {}
    assert {option: getattr(preset, option) for option in others} == others
    assert registry.create("learner", name, {"steps": 4}) == replace(preset, steps=4)
    with pytest.raises(ConfigError, match=f"learner '{name}' has no option 'step'"):
        registry.create("learner", name, {"step": 4})
    with pytest.raises(ConfigError, match=f"{name} steps = 0"):
        registry.create("learner", name, {"steps": 0})


def test_a_preset_is_its_method_with_its_options():
    preset = registry.create("learner", "maml-omniglot-5way", {})
    plain = Maml(inner_lr=2.0, train_steps=1, steps=10)
    network = network_for(plain).double()
    for one, other in zip(
        results(preset, network, batch_of())[:2], results(plain, network, batch_of())[:2], strict=True
    ):
        assert torch.equal(one, other)


def test_the_rate_on_a_mean_takes_the_step_that_the_published_rate_takes_on_a_sum_over_classes():
    """One shot a class: the authors' code sums the losses of the support examples and takes 0.4 of the gradient."""
    family = Blobs(ways=5)
    preset = registry.create("learner", "maml-omniglot-5way", {})
    network, batch = network_for(preset, "group", family).double(), batch_of(family)
    curve = preset.adapt(network, weights_of(network), batch, "classification", 1)
    loss = nn.functional.cross_entropy(network(batch.support_x[0]), batch.support_y[0], reduction="sum")
    gradients = torch.autograd.grad(loss, list(network.parameters()))
    moved = {n: p - 0.4 * g for (n, p), g in zip(network.named_parameters(), gradients, strict=True)}
    assert same(curve[1, 0], torch.func.functional_call(network, moved, (batch.query_x[0],)).detach())


# --- learners without meta-learning -----------------------------------------------------------------------------------


def test_scratch_moves_nothing_in_meta_training():
    network = network_for(Scratch())
    before = weights_of(network)
    meta_train(network, Blobs(), Scratch(), OuterLoop(5, 3, 0, True), seed=0)
    assert all(torch.equal(w, before[name]) for name, w in weights_of(network).items())


def test_fine_tuning_learns_the_classes_that_it_is_told():
    """After many steps on a few glyphs the classifier recognises them among all training classes."""
    family, learner = Glyphs(ways=2, shots=2, queries=2), FineTune(outer_lr=0.02)
    network = network_for(learner, "group", family)
    task = family.tasks("train", [0], CPU)
    first = learner.meta_gradient(network, weights_of(network), task, "classification")[0]
    assert float(first) == pytest.approx(torch.tensor(len(family.classes("train"))).log().item())
    optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
    for _ in range(60):
        loss, gradients = learner.meta_gradient(network, weights_of(network), task, "classification")
        for name, p in network.named_parameters():
            p.grad = gradients[name]
        optimizer.step()
    assert loss < 0.1
    with torch.no_grad():
        features = network[4].norm(network[:4](task.query_x[0]))
    matrix = network.get_parameter("learner:classifier").detach()
    named = (features @ matrix[:, :-1].T + matrix[:, -1]).argmax(dim=1)
    assert torch.equal(named, task.classes[0][task.query_y[0]])


def test_fine_tuning_in_regression_needs_nothing_of_its_own():
    assert FineTune().initial(nn.Linear(1, 1), Sinusoid()) == {}


# --- the learner's own parameters ------------------------------------------------------------------------


@pytest.fixture(params=OWN)
def own(request):
    """A learner with parameters of its own, and their names."""
    learner, names = OWN[request.param]
    return learner, {LEARNER + name for name in names}


def test_parameters_of_the_learner_are_attached_and_trained(own):
    learner, names = own
    network = network_for(learner)
    before = weights_of(network)
    assert {name for name in before if name.startswith(LEARNER)} == names
    meta_train(network, Blobs(shots=2), learner, OuterLoop(2, 3, 0, False), seed=0)
    after = weights_of(network)
    assert all(not torch.equal(after[name], before[name]) for name in names)


def test_parameters_of_the_learner_are_not_counted_and_do_not_change_the_network(own):
    learner, _ = own
    network = network_for(learner)
    bare = build(TinyConv(), NARROW, Blobs().shape, Normalisation("batch", True), learner=learner, seed=3)
    assert size(network, Blobs().shape) == size(bare, Blobs().shape)
    x = torch.rand(4, 1, 4, 4)
    assert torch.equal(network(x), bare(x))


def test_parameters_of_the_learner_survive_a_file_a_pickle_and_a_move(own, tmp_path):
    learner, names = own
    network = network_for(learner)
    for name in names:
        network.get_parameter(name).data += 0.5
    write_weights(network, tmp_path / "weights", {"a": "b"})
    bare = build(TinyConv(), NARROW, Blobs().shape, Normalisation("batch", True), learner=learner, seed=4)
    read_weights(bare, tmp_path / "weights", {"a": "b"})
    copies = [bare, pickle.loads(pickle.dumps(network)), network_for(learner).to("meta").to_empty(device="cpu")]
    copies[2].load_state_dict(network.state_dict())
    for copy in copies:
        actual = weights_of(copy)
        assert actual.keys() == weights_of(network).keys()
        assert all(torch.equal(actual[name], w) for name, w in weights_of(network).items())
        assert all(p.requires_grad for p in copy.parameters())
    assert all(p.dtype == torch.float64 for p in network.double().parameters())


def test_a_file_with_another_networks_weights_is_refused_whatever_the_learner_adds(own, tmp_path):
    learner, _ = own
    network = network_for(learner)
    write_weights(network, tmp_path / "weights", {})
    other = nn.Linear(3, 3)
    with pytest.raises(DataError, match="holds other weights than this network has"):
        read_weights(other, tmp_path / "weights", {})
    assert not any(name.startswith(LEARNER) for name, _ in other.named_parameters())


def test_the_trained_network_has_the_parameters_of_the_learner(own, tmp_path):
    learner, names = own
    chosen = MetaEvaluator(TinyConv(), Blobs(), learner, norm="batch", tasks_per_step=3, device="cpu")
    weights, bank = tmp_path / "weights", Bank("test", 0, 4)
    first = chosen.measure(NARROW, 3, 1, bank=bank, weights=weights)

    class Gone(Blobs):
        """The data is needed for training, not for the export of a trained network."""

        def classes(self, split):
            raise DataError("the disk is gone")

    without = replace(chosen, tasks=Gone())
    trained = weights_of(without.trained(NARROW, 3, 1, weights))
    assert names <= trained.keys()
    assert not any(name.startswith(LEARNER) for name in weights_of(without.network(NARROW, 1)))
    assert chosen.measure(NARROW, 3, 1, bank=bank, weights=weights).per_task == first.per_task
