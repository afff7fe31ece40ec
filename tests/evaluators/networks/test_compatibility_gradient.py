"""Refusals of networks without usable gradients, with the name of the layer; and no refusal of any other network."""

import pytest
import torch
from helpers.evaluators import CPU, Blobs, doubled, seeded, weights_of  # noqa: F401  # fixture
from helpers.learners import same, slow_meta_gradient, slow_predictions
from helpers.refusals import Does, X, network
from torch import nn
from torch.autograd.function import once_differentiable
from torch.utils.checkpoint import checkpoint

from nas.errors import SpaceError
from nas.evaluators.learners import Anil, Maml, MetaSgd, ProtoNet, Reptile, Scratch
from nas.evaluators.networks.compatibility import check_forward, check_gradient
from nas.evaluators.networks.weights import attach


def sine(*, batched=True, graph=True, keep=None):
    """The sine as a user's function, whose backward may have no rule for vmap, or leave no graph."""

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
    """Layer that computes in a tensor of its own, but does not read the tensor's earlier content."""

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
    # Layers, layers without a fault that compute the same (None: these), the checks that must refuse them, the message.
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
    """Whether a learner computes with a network what the slow loop computes with a network without a fault."""
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
    """Attention by one of the kernels that torch chooses, except where second derivatives are needed."""
    parts = x.unflatten(1, (1, 3, 2))
    return torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(parts, parts, parts)[0].flatten(1)


@pytest.mark.filterwarnings("ignore:There is a performance drop")
@pytest.mark.parametrize("name", LEARNERS)
def test_an_operation_of_torchs_that_has_one_derivative_is_enough_for_first_order(name):
    """This holds in float32 on the CPU."""
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
