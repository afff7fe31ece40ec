"""What is refused before training, with the layer by name; and that no more is refused than fails."""

import pytest
import torch
from helpers_evaluators import CPU, Blobs, doubled, only, weights_of
from helpers_learners import same, slow_meta_gradient, slow_predictions
from torch import nn
from torch.autograd.function import once_differentiable
from torch.utils.checkpoint import checkpoint

from nas.errors import SpaceError
from nas.evaluators.candidate import attach, build
from nas.evaluators.learners import Anil, Maml, MetaSgd, ProtoNet, Reptile, Scratch
from nas.evaluators.refusals import check_forward, check_gradient
from nas.protocols import TaskShape

SHAPE = TaskShape((1, 4, 4), 3)
X = torch.rand(2, 1, 4, 4, generator=torch.Generator().manual_seed(0))


@pytest.fixture(autouse=True)
def seeded():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


class Does(nn.Module):
    """A layer that is a function of its input."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def network(*middle):
    """Layer '2' and on of a network are those given, on features (examples, 6)."""
    layers = [layer if isinstance(layer, nn.Module) else Does(layer) for layer in middle]
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 6), *layers, nn.Linear(6, 3))


def refused(made):
    with pytest.raises(SpaceError) as caught:
        check_forward(made, X, 3, "makes")
    return str(caught.value)


# --- one run ---------------------------------------------------------------------------------------------------------


class Remembers(nn.Module):
    """Keeps a running mean in a buffer."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.zeros(6))

    def forward(self, x):
        self.mean = 0.9 * self.mean + 0.1 * x.mean(0)
        return x - self.mean


class Counts(nn.Module):
    """Has a counter of its own, that is a buffer or not, and does or does not multiply by it."""

    def __init__(self, *, buffer, tells):
        super().__init__()
        self.tells = tells
        if buffer:
            self.register_buffer("calls", torch.tensor(0))
        else:
            self.calls = 0

    def forward(self, x):
        self.calls += 1
        return x * self.calls if self.tells else x


class Clamps(nn.Module):
    """Keeps its weights small, in place: by `data`, which torch does not take notice of, or not."""

    def __init__(self, *, data):
        super().__init__()
        self.weight, self.data = nn.Parameter(torch.full((6,), 0.9)), data

    def forward(self, x):
        if self.data:
            self.weight.data.clamp_(max=0.8)
        else:
            with torch.no_grad():
                self.weight.clamp_(max=2.0)  # no number is changed, and it is no less a change
        return x * self.weight


@pytest.mark.parametrize(
    "made, state, kind",
    [
        (network(nn.Tanh(), Remembers()), "3.mean", r"layer '3' \(Remembers\)"),
        (network(nn.Sequential(Counts(buffer=True, tells=False))), "2.0.calls", r"layer '2.0' \(Counts\)"),
        (network(Clamps(data=True)), "2.weight", r"layer '2' \(Clamps\)"),
        (network(Clamps(data=False)), "2.weight", r"layer '2' \(Clamps\)"),
        (
            network(nn.utils.parametrizations.spectral_norm(nn.Linear(6, 6))),
            "2.parametrizations.weight.0._u",
            "layer '2.parametrizations.weight.0'",
        ),
    ],
)
def test_a_layer_that_changes_its_state_is_named(made, state, kind):
    with pytest.raises(SpaceError, match=f"space 'makes' changes its own '{state}' when it runs, in {kind}"):
        check_forward(made, X, 3, "makes")


@pytest.mark.parametrize(
    "made",
    [
        nn.Sequential(nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(16, 3)),  # no input is below zero
        nn.Sequential(nn.Flatten(), nn.Dropout(0.0), nn.Sequential(nn.Hardtanh(inplace=True)), nn.Linear(16, 3)),
        nn.Sequential(Does(lambda x: x.sub_(1)), nn.Flatten(), nn.Linear(16, 3)),
    ],
)
def test_a_layer_that_changes_the_inputs_is_named(made):
    name = "2.0" if isinstance(made[0], nn.Flatten) else "0"
    before = X.clone()
    assert f"changes its inputs in place, in layer '{name}' (" in refused(made)
    assert torch.equal(X, before)


def test_a_change_of_the_inputs_before_a_layer_is_not_that_layers():
    class Halves(nn.Sequential):
        def forward(self, x):
            return super().forward(x.mul_(0.5))

    made = nn.Sequential(Halves(nn.Flatten(), nn.Tanh()), nn.Linear(16, 3))
    assert "changes its inputs in place, in layer '0' (Halves)" in refused(made)


def test_a_network_may_change_in_place_what_it_made_itself():
    check_forward(nn.Sequential(Does(torch.clone), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(16, 3)), X, 3, "s")
    check_forward(network(nn.ReLU(inplace=True)), X, 3, "s")


@pytest.mark.parametrize(
    "made, told",
    [
        (
            nn.Sequential(nn.Flatten(), nn.Linear(16, 7)),
            r"gives \(2, 7\) for 2 .* needs \(2, 3\). It ends with layer '1' ",
        ),
        (
            nn.Sequential(nn.Flatten(), nn.Linear(16, 3), nn.Flatten(0)),
            r"gives \(6,\) .* layer '2' \(Flatten\), which gi",
        ),
        (
            nn.Sequential(nn.Flatten(), nn.Linear(16, 3), Does(lambda x: (x, x))),
            r"gives a tuple; .* layer '2' \(Does\)",
        ),
        (nn.Sequential(nn.Flatten(), nn.Linear(16, 3), Does(torch.Tensor.long)), r"gives torch.int64 numbers; .* '2'"),
        (
            Does(lambda x: x.flatten(1) @ torch.ones(16, 3) * nn.Parameter(torch.ones(2))[:, None, None]),
            "its forward|own",
        ),
        (network(lambda x: (x - 50).log(), nn.Tanh()), r"not finite for inputs .* first in layer '2' \(Does\)"),
        (
            network(nn.Sequential(nn.Linear(5, 6))),
            r"does not take this task's inputs \(1, 4, 4\): .*in layer '2.0' \(Lin",
        ),
        (network(lambda x: x.nothing), r"'Tensor' object has no attribute 'nothing' \(in layer '2' \(Does\)\)"),
        (network(nn.LazyLinear(6)), r"takes the size of layer '2' \(LazyLinear\) from its first input"),
    ],
)
def test_an_output_that_cannot_be_used_names_the_layer(made, told):
    with pytest.raises(SpaceError, match=told):
        check_forward(made, X, 3, "makes")


def test_a_refusal_of_the_networks_own_stays_what_it_is():
    def refuses(x):
        raise SpaceError("not these")

    with pytest.raises(SpaceError, match=r"^not these$"):
        check_forward(network(refuses), X, 3, "makes")


def draws(x):
    return x + 0 * torch.rand(())  # it makes no difference, yet


@pytest.mark.parametrize("layer", [nn.Dropout(0.5), nn.AlphaDropout(0.1), draws, Counts(buffer=False, tells=True)])
def test_a_layer_that_gives_two_outputs_for_one_input_is_named(layer):
    made = network(nn.Tanh(), nn.Sequential(layer) if isinstance(layer, nn.Module) else nn.Sequential(Does(layer)))
    with torch.random.fork_rng(devices=[]):
        before = torch.random.get_rng_state()
        assert "gives two outputs for one input, in layer '3.0' (" in refused(made)
        assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize(
    "sees",
    [
        lambda x: x - x.mean(0),
        lambda x: x / x.max().item(),
        lambda x: nn.functional.batch_norm(x, None, None, training=True),
    ],
)
def test_a_layer_that_lets_examples_see_each_other_is_named(sees):
    """But of batch normalisation, whose mode is set: learners that run all tasks at once would mix these."""
    assert "lets the examples of a batch see each other, in layer '3' (Does)" in refused(network(nn.Tanh(), sees))
    check_forward(network(nn.BatchNorm1d(6, track_running_stats=False)), X, 3, "makes")


def test_what_is_refused_is_refused_when_a_candidate_is_built():
    class Space:
        name = "makes"

        def decide(self, choose):
            return choose("only", [0])

        def build(self, spec, task):
            return network(Remembers())

    with pytest.raises(SpaceError, match=r"changes its own '2\.mean'"):
        build(Space(), only(Space()), SHAPE, norm="group", head_norm=True, learner=Anil(), seed=0)


# --- gradients: what is refused fails, and what is not works ---------------------------------------------------------


def sine(*, batched=True, graph=True, keep=None):
    """The sine as a function of the person's own, whose backward may know nothing of vmap, or leave no graph."""

    class Sine(torch.autograd.Function):
        generate_vmap_rule = batched

        @staticmethod
        def forward(x):
            return x.sin()

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.save_for_backward(*inputs)

        @staticmethod
        def backward(ctx, gradient):
            (x,) = ctx.saved_tensors
            return gradient * x.cos() if graph else (gradient * x.cos()).detach()

    if keep:
        Sine.backward = staticmethod(keep(Sine.backward))
    return Sine.apply


class OldSine(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.sin()

    @staticmethod
    def backward(ctx, gradient):
        return gradient * ctx.saved_tensors[0].cos()


def written_into(make):
    def function(x):
        out = make(x)
        out[:, :4] = x[:, :4]
        return out

    return function


class Scribbles(nn.Module):
    """Computes in a tensor that it keeps, but not from what it finds there."""

    def __init__(self):
        super().__init__()
        self.space = torch.zeros(6, dtype=torch.float64)

    def forward(self, x):
        self.space.zero_()
        self.space += x.detach()[0]
        return x.tanh() + 0 * self.space


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.GRU(6, 6, batch_first=True)

    def forward(self, x):
        return self.inner(x[:, None])[0][:, 0]


def first_four(x):
    return torch.cat([x[:, :4], torch.zeros_like(x[:, 4:])], dim=1)


VMAP, TWICE = "cannot run on many tasks at once", "cannot be differentiated twice"
IN_PLACE = "changes in place what the gradient of another needs"
SECOND = {"maml, order 2", "meta-sgd"}
BATCHED = SECOND | {"maml, order 1", "maml, head", "reptile", "scratch"}
ALL = BATCHED | {"anil", "protonet"}
HERE = r"layer '2' \(Does\) "
SMALL = nn.Sequential(nn.Tanh(), nn.ReLU())
NOT_OWN = written_into(lambda x: torch.zeros(len(x), 6, dtype=x.dtype))
CASES = {
    # Layers, what computes the same and has no fault (none: these), who must refuse them, and in what words.
    "in place": ([nn.ReLU(inplace=True)], [nn.ReLU()], set(), ""),
    "in place on another's output": (
        [
            nn.ReLU(inplace=True),
            nn.Linear(6, 6),
            nn.Sequential(nn.Tanh(), nn.Sequential(nn.ReLU(inplace=True))),
        ],
        [nn.ReLU(), nn.Linear(6, 6), SMALL],
        ALL,
        rf"layer '4\.1\.0' \(ReLU\) {IN_PLACE}",
    ),
    "in place in a forward": ([lambda x: x.tanh().add_(x)], [lambda x: x.tanh() + x], ALL, HERE + IN_PLACE),
    "own function": ([sine()], [torch.sin], set(), ""),
    "own function, once": ([sine(keep=once_differentiable)], [torch.sin], SECOND, HERE + TWICE + ".* of Sine has no"),
    "own function, no graph": ([sine(keep=lambda f: torch.no_grad()(f))], [torch.sin], SECOND, HERE + TWICE),
    "own function, detached": ([SMALL, nn.Sequential(Does(sine(graph=False)))], [SMALL, torch.sin], SECOND, r"'3\.0' "),
    "own function, not batched": ([sine(batched=False)], [torch.sin], BATCHED, HERE + VMAP + ".*vmap support"),
    "own function of old": ([OldSine.apply], [torch.sin], BATCHED, HERE + VMAP + ".*setup_context"),
    "detached in forward": ([lambda x: x + (x.sign() - x).detach()], [], set(), ""),
    "written into nothing": ([NOT_OWN], [first_four], BATCHED, HERE + VMAP),
    "written into its like": ([written_into(torch.zeros_like)], [first_four], set(), ""),
    "mask": ([lambda x: x.masked_fill(x < 0, 0)], [nn.ReLU()], set(), ""),
    "boolean index": ([lambda x: x.index_put((x < 0,), x.new_zeros(()))], [nn.ReLU()], BATCHED, HERE + VMAP),
    "checkpoint": ([lambda x: checkpoint(torch.tanh, x, use_reentrant=False)], [torch.tanh], BATCHED, HERE + VMAP),
    "scratch space": ([Scribbles()], [nn.Tanh()], BATCHED, rf"layer '2' \(Scribbles\) {VMAP}"),
    "recurrent": ([Recurrent()], [], BATCHED, rf"layer '2\.inner' \(GRU\) {VMAP}"),
}
LEARNERS = {
    "maml, order 2": Maml(inner_lr=0.3, steps=2),
    "maml, order 1": Maml(order=1, inner_lr=0.3, steps=2),
    "maml, head": Maml(inner_lr=0.3, adapted="head"),
    "meta-sgd": MetaSgd(inner_lr=0.3),
    "anil": Anil(inner_lr=0.3, steps=2),
    "protonet": ProtoNet(),
    "reptile": Reptile(inner_lr=0.02, train_steps=2, steps=2),
    "scratch": Scratch(inner_lr=0.3, steps=2),
}


def works(learner, made, twin):
    """Whether it computes with a network what the slow loop computes with one that has no fault."""
    weights = weights_of(attach(made, learner.initial(made, Blobs())))
    batch = doubled(Blobs(shots=2).tasks("train", range(2), CPU))
    try:
        _, gradients = learner.meta_gradient(made, weights, batch, "classification")
        curve = learner.adapt(made, weights, batch, "classification", 2)
    except RuntimeError:
        return False
    attach(twin, learner.initial(twin, Blobs())).double()
    _, expected = slow_meta_gradient(learner, twin, weights, batch)
    right = same(curve, slow_predictions(learner, twin, weights, batch, 2))
    return right and all(same(gradients[name], expected[name]) for name in expected)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", LEARNERS)
def test_what_is_refused_fails_and_what_is_not_works(name, case):
    learner, (layers, others, refusing, told) = LEARNERS[name], CASES[case]
    made, twin = network(*layers).double(), network(*(others or layers)).double()
    twin.load_state_dict(made.state_dict())
    check_forward(made, X.double(), 3, "makes")
    if name in refusing:
        with pytest.raises(SpaceError, match=told):
            learner.check(made, X.double())
    else:
        learner.check(made, X.double())
    assert works(learner, made, twin) == (name not in refusing)


def attention(x):
    parts = x.unflatten(1, (1, 3, 2))
    return nn.functional.scaled_dot_product_attention(parts, parts, parts).flatten(1)


@pytest.mark.filterwarnings("ignore:There is a performance drop")
@pytest.mark.parametrize("name", LEARNERS)
def test_an_operation_of_torchs_that_has_one_derivative_is_enough_for_first_order(name):
    """In float32, on the CPU."""
    learner, made = LEARNERS[name], network(nn.Tanh(), attention)
    batch = Blobs(shots=2).tasks("train", range(2), CPU)
    weights = weights_of(attach(made, learner.initial(made, Blobs())))
    if name not in SECOND:
        learner.check(made, X)
        learner.meta_gradient(made, weights, batch, "classification")
        return
    with pytest.raises(SpaceError, match=rf"layer '3' \(Does\) {TWICE}.*an operation of torch"):
        learner.check(made, X)
    with pytest.raises(RuntimeError, match="not implemented"):
        learner.meta_gradient(made, weights, batch, "classification")


@pytest.mark.parametrize("learner", [Anil(), ProtoNet()], ids=lambda learner: learner.name)
def test_a_body_that_sees_its_batch_runs_task_by_task_and_must_be_able_to(learner):
    [branch], _, _, _ = CASES["boolean index"]
    made = network(nn.BatchNorm1d(6, affine=False, track_running_stats=False), branch)
    with pytest.raises(SpaceError, match=rf"layer '3' \(Does\) {VMAP}"):
        learner.check(made, X)


def test_nothing_is_left_on_a_network_that_was_taken_apart():
    made = network(nn.Tanh(), nn.ReLU(inplace=True))
    before = weights_of(made)
    with pytest.raises(SpaceError, match=IN_PLACE):
        check_gradient(made, X, batched=True, twice=True)
    assert all(torch.equal(w, before[name]) and w.grad is None for name, w in weights_of(made).items())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in made.modules())
