"""Estimators of the gradient: RELAX against enumeration, and its variance against REINFORCE and Gumbel-softmax.

There are 6 sub-policies, each with an own loss for each of the four decisions, so that the gradient of the mean loss is
a sum of 24 terms. Seeds were fixed before the first run. Within 3 standard errors means that a correct estimator would
fail one component of 18 by chance in 5 of 100 choices of the seed.
"""

import pytest
import torch
from torch import nn

from nas.evaluators.augmentation.dada.distribution import PolicyParameters, draw, relaxed_category, relaxed_gate
from nas.evaluators.augmentation.dada.estimators import ControlVariate, Gradients, reinforce, relax

S = 6
DRAWS = 100_000
TEMPERATURE = 0.5  # the paper's


def generator(seed):
    return torch.Generator().manual_seed(seed)


VALUES = torch.randn(S, 3, generator=generator(0))
PARAMETERS = PolicyParameters(VALUES[:, 0], VALUES[:, 1:], torch.full((S, 2), 0.5))
LOSSES = torch.rand(S, 2, 2, generator=generator(1))
"""Loss of each sub-policy for its two decisions."""


def losses_of(drawn):
    first, second = drawn.applied.long().T
    return LOSSES[drawn.sub_policies, first, second]


def enumerated():
    """The gradient of the mean loss by logits and gates, over all 24 choices in float64."""
    logits, gates = (p.double().requires_grad_() for p in (PARAMETERS.logits, PARAMETERS.gates))
    on = gates.sigmoid()
    decisions = torch.stack([1 - on, on], dim=-1)
    mean = torch.einsum("s,si,sj,sij->", logits.softmax(0), decisions[:, 0], decisions[:, 1], LOSSES.double())
    return torch.autograd.grad(mean, [logits, gates])


def flat(gradients, drawn):
    """The estimates of each image by all 18 parameters, (images, 18) float64."""
    gates = torch.zeros(len(drawn.applied), S, 2)
    gates[torch.arange(len(gates)), drawn.sub_policies] = gradients.gates.detach()
    return torch.cat([gradients.logits.detach(), gates.flatten(1)], dim=1).double()


def deviations(estimates):
    """Distances of the means from the gradient, in standard errors."""
    expected = torch.cat([part.flatten() for part in enumerated()])
    return (estimates.mean(0) - expected) / (estimates.std(0) / len(estimates) ** 0.5)


def variances(estimates):
    """Summed variance of the logits' estimates, and of the gates'."""
    by_parameter = estimates.var(0)
    return by_parameter[:S].sum().item(), by_parameter[S:].sum().item()


def gumbel(drawn):
    """Straight-through Gumbel-softmax (Jang et al., arXiv 1611.01144) where only the drawn choice's loss is known.

    The choice is replaced by its relaxation of temperature 0.5 in the backward pass, so that the gradient is that of
    the loss times the relaxed probability of what was drawn.
    """
    logits = PARAMETERS.logits.expand(len(drawn.applied), -1).clone().requires_grad_()
    gates = PARAMETERS.gates[drawn.sub_policies].requires_grad_()
    relaxed = (relaxed_category(logits, drawn.category) / TEMPERATURE).softmax(1)
    on = (relaxed_gate(gates, drawn.gate) / TEMPERATURE).sigmoid()
    of_drawn = relaxed.gather(1, drawn.sub_policies[:, None]).sum(1) + torch.where(drawn.applied > 0, on, 1 - on).sum(1)
    return Gradients(*torch.autograd.grad((losses_of(drawn) * of_drawn).sum(), [logits, gates]))


def gumbel_of_all(drawn):
    """The same by the logits, if the losses of all sub-policies were known, which takes S evaluations of an image."""
    logits = PARAMETERS.logits.expand(len(drawn.applied), -1).clone().requires_grad_()
    relaxed = (relaxed_category(logits, drawn.category) / TEMPERATURE).softmax(1)
    first, second = drawn.applied.long().T
    (by_logits,) = torch.autograd.grad((relaxed * LOSSES[:, first, second].T).sum(), [logits])
    return by_logits.double()


def seeded_control(seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return ControlVariate(S, TEMPERATURE)


@pytest.fixture(name="trained", scope="module")
def a_trained_control():
    """A control variate after 300 steps on the variance, as the search takes one at each of its steps."""
    control, numbers = seeded_control(), generator(2)
    optimizer = torch.optim.Adam(control.parameters(), 0.03)
    for _ in range(300):
        drawn = draw(PARAMETERS, 256, numbers)
        variance = relax(PARAMETERS, drawn, losses_of(drawn), control).mean_square()
        optimizer.zero_grad()
        variance.backward()
        optimizer.step()
    return control


@pytest.fixture(name="drawn", scope="module")
def many_draws():
    return draw(PARAMETERS, DRAWS, generator(3))


def test_relax_with_a_trained_control_variate_is_unbiased(trained, drawn):
    estimates = flat(relax(PARAMETERS, drawn, losses_of(drawn), trained), drawn)
    assert deviations(estimates).abs().max() < 3


def test_relax_with_any_control_variate_is_unbiased(drawn):
    control = seeded_control()
    for layer in (control.category_out, control.gate_out):
        nn.init.normal_(layer.weight, generator=generator(4))
    estimates = flat(relax(PARAMETERS, drawn, losses_of(drawn), control), drawn)
    assert deviations(estimates).abs().max() < 3
    assert estimates.var(0).sum() > 2 * sum(variances(flat(reinforce(PARAMETERS, drawn, losses_of(drawn)), drawn)))


def test_reinforce_is_unbiased_and_equals_relax_before_training(drawn):
    losses = losses_of(drawn)
    estimates = flat(reinforce(PARAMETERS, drawn, losses), drawn)
    assert deviations(estimates).abs().max() < 3
    assert torch.allclose(estimates, flat(relax(PARAMETERS, drawn, losses, seeded_control()), drawn), atol=1e-6)


def test_the_variance_of_relax_is_below_that_of_reinforce_and_of_gumbel(trained, drawn):
    """Of the logits and of the gates; Gumbel-softmax is also far from the gradient."""
    losses = losses_of(drawn)
    of_relax = variances(flat(relax(PARAMETERS, drawn, losses, trained), drawn))
    of_reinforce = variances(flat(reinforce(PARAMETERS, drawn, losses), drawn))
    by_gumbel = flat(gumbel(drawn), drawn)
    of_gumbel = variances(by_gumbel)
    for relaxed, scored, gumbels in zip(of_relax, of_reinforce, of_gumbel, strict=True):
        assert relaxed < 0.5 * scored, (of_relax, of_reinforce)
        assert relaxed < gumbels, (of_relax, of_gumbel)
    assert deviations(by_gumbel)[:S].abs().max() > 30
    assert deviations(by_gumbel)[S:].abs().max() > 30


def test_gumbel_is_biased_even_if_all_losses_were_known(drawn):
    """Its variance is then lower than RELAX's, which such an estimate is not compared with: it costs S evaluations."""
    by_logits = gumbel_of_all(drawn)
    bias = (by_logits.mean(0) - enumerated()[0]) / (by_logits.std(0) / DRAWS**0.5)
    assert bias.abs().max() > 10


def test_the_mean_over_images_is_that_of_the_estimates(drawn):
    few = draw(PARAMETERS, 50, generator(5))
    gradients = reinforce(PARAMETERS, few, losses_of(few))
    logits, gates = gradients.mean(few)
    assert torch.allclose(torch.cat([logits, gates.flatten()]).double(), flat(gradients, few).mean(0), atol=1e-7)


def test_the_mean_square_is_the_squared_length_of_the_estimates():
    few = draw(PARAMETERS, 50, generator(6))
    gradients = reinforce(PARAMETERS, few, losses_of(few))
    assert gradients.mean_square().item() == pytest.approx(flat(gradients, few).square().sum(1).mean().item())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_estimates_are_the_same_on_the_gpu():
    few = draw(PARAMETERS, 64, generator(7))
    on_gpu = relax(
        PolicyParameters(*(p.cuda() for p in vars(PARAMETERS).values())),
        type(few)(*(part.cuda() for part in vars(few).values())),
        losses_of(few).cuda(),
        seeded_control().cuda(),
    )
    on_cpu = relax(PARAMETERS, few, losses_of(few), seeded_control())
    assert torch.allclose(on_gpu.logits.cpu(), on_cpu.logits, atol=1e-5)
    assert torch.allclose(on_gpu.gates.cpu(), on_cpu.gates, atol=1e-5)
