"""The unrolled step against exact derivatives of a smooth network in float64.

The finite difference has the error ε² in h and ε in its derivative by the pixels, with ε = 0.01 / |v|. So both are
checked at this ε, to 1e-3 and 2e-2 of the largest entry, and at one of 1e-5 / |v|, to 1e-8 and 1e-4.
"""

import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, jvp

from nas.evaluators.augmentation.dada import bilevel
from nas.evaluators.augmentation.dada.bilevel import unrolled_step

RATE = 0.3
# Forward-mode differentiation compiles decompositions by torch.jit.script when it is first used.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning")


def smooth_network(seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Conv2d(1, 3, 2), nn.Tanh(), nn.Flatten(), nn.Linear(27, 3)).double()


def batch(seed, images=7):
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(images, 1, 4, 4, dtype=torch.float64, generator=generator)
    return x, torch.randint(3, (images,), generator=generator)


def losses(network, weights, x, y):
    return nn.functional.cross_entropy(functional_call(network, weights, x), y, reduction="none")


def exact(network, train, validation):
    """h of each training image, its derivative by the pixels, and both losses, by forward-mode differentiation."""
    weights = {name: p.detach() for name, p in network.named_parameters()}
    by_weights = grad(lambda w: losses(network, w, *train).mean())(weights)
    moved = {name: w - RATE * by_weights[name] for name, w in weights.items()}
    direction = grad(lambda w: losses(network, w, *validation).mean())(moved)

    def h(x):
        return -RATE * jvp(lambda w: losses(network, w, x, train[1]), (weights,), (direction,))[1]

    by_x = grad(lambda x: h(x).sum())(train[0])
    means = losses(network, weights, *train).mean(), losses(network, moved, *validation).mean()
    return h(train[0]), by_x.flatten(1).sum(1), by_weights, means


def near(actual, expected, tolerance):
    return (actual - expected).abs().max() <= tolerance * expected.abs().max()


@pytest.mark.parametrize("epsilon, of_losses, of_pixels", [(bilevel.EPSILON, 1e-3, 2e-2), (1e-5, 1e-8, 1e-4)])
@pytest.mark.parametrize("seed", range(5))
def test_it_is_the_product_with_the_second_derivative(monkeypatch, seed, epsilon, of_losses, of_pixels):
    monkeypatch.setattr(bilevel, "EPSILON", epsilon)
    network, train, validation = smooth_network(seed), batch(seed + 10), batch(seed + 20, 9)
    step = unrolled_step(network, train, validation, RATE)
    h, by_pixels, by_weights, means = exact(network, train, validation)
    assert near(step.losses, h, of_losses)
    assert near(step.by_pixels, by_pixels, of_pixels)
    assert all(torch.allclose(*pair) for pair in zip(step.gradients, by_weights.values(), strict=True))
    assert torch.allclose(torch.stack([step.train_loss, step.validation_loss]), torch.stack(means))


def test_its_mean_is_the_derivative_of_the_validation_loss_by_a_change_of_the_images():
    """All pixels of the training images rise by φ: the derivative by φ, with the whole step differentiated."""
    network, (x, y), validation = smooth_network(), batch(1), batch(2)
    weights = {name: p.detach() for name, p in network.named_parameters()}

    def after(rise):
        by_weights = grad(lambda w: losses(network, w, x + rise, y).mean())(weights)
        moved = {name: w - RATE * by_weights[name] for name, w in weights.items()}
        return losses(network, moved, *validation).mean()

    expected = grad(after)(torch.zeros((), dtype=torch.float64))
    actual = unrolled_step(network, (x, y), validation, RATE).by_pixels.mean()
    assert actual.item() == pytest.approx(expected.item(), rel=2e-2)


def test_weights_are_unchanged_and_the_images_too():
    network, train, validation = smooth_network(), batch(1), batch(2)
    before, images = [p.clone() for p in network.parameters()], train[0].clone()
    unrolled_step(network, train, validation, RATE)
    assert all(torch.equal(*pair) for pair in zip(before, network.parameters(), strict=True))
    assert torch.equal(train[0], images)
    assert all(p.grad is None for p in network.parameters())
    assert not train[0].requires_grad


def test_weights_that_are_not_trained_or_not_used_are_allowed():
    network, train, validation = smooth_network(), batch(1), batch(2)
    network[0].bias.requires_grad_(False)
    network.register_parameter("unused", nn.Parameter(torch.ones(2, dtype=torch.float64)))
    step = unrolled_step(network, train, validation, RATE)
    trained = [p for p in network.parameters() if p.requires_grad]
    assert [g.shape for g in step.gradients] == [p.shape for p in trained]
    assert not step.gradients[0].any()  # the unused ones come first


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_the_step_is_the_same_on_the_gpu():
    network, train, validation = smooth_network(), batch(1), batch(2)
    on_cpu = unrolled_step(network, train, validation, RATE)
    on_gpu = unrolled_step(network.cuda(), tuple(t.cuda() for t in train), tuple(t.cuda() for t in validation), RATE)
    assert torch.allclose(on_gpu.losses.cpu(), on_cpu.losses, rtol=1e-6)
    assert torch.allclose(on_gpu.by_pixels.cpu(), on_cpu.by_pixels, rtol=1e-6)
