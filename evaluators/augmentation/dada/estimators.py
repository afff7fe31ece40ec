"""Estimators of the gradient of an expected loss by the parameters of the distribution over augmentations.

The loss h of an image depends on discrete choices: its sub-policy s and the decisions b whether each of its two
operations is applied. RELAX (Grathwohl et al., arXiv 1711.00123) estimates the gradient of E[h(s, b)] without bias:

    (h - c(z given the choice)) * gradient of log p(choice) + gradient of c(z) - gradient of c(z given the choice)

where z is the relaxed choice and c a control variate, a network that is trained to reduce the variance. The two kinds
of parameters have a control variate each. That of the decisions is conditional on the sub-policy, whose decisions alone
matter; so both estimates are unbiased, and no decision of another sub-policy adds variance.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .distribution import Draw, PolicyParameters, category_given, gate_given, relaxed_category, relaxed_gate

HIDDEN = 100
"""Width of the control variates, as in DADA."""


@dataclass(frozen=True, eq=False)
class Gradients:
    """Estimated gradients of each image.

    Attributes:
        logits: (images, sub-policies) by `PolicyParameters.logits`.
        gates: (images, 2) by the gates of the image's sub-policy.
    """

    logits: Tensor
    gates: Tensor

    def mean(self, draw: Draw) -> tuple[Tensor, Tensor]:
        """The gradients of the mean loss over images: (sub-policies,) and (sub-policies, 2)."""
        images, sub_policies = self.logits.shape
        gates = self.gates.new_zeros(sub_policies, 2).index_add(0, draw.sub_policies, self.gates)
        return self.logits.mean(dim=0), gates / images

    def mean_square(self) -> Tensor:
        """Mean over images of the squared length. Since the mean is fixed, its gradient is that of the variance."""
        return self.logits.square().sum(dim=1).mean() + self.gates.square().sum(dim=1).mean()


class ControlVariate(nn.Module):
    """Control variates of RELAX: tanh networks of one hidden layer, zero before training, as in REINFORCE.

    Args:
        sub_policies: Number of sub-policies.
        temperature: Temperature of the relaxed choices, above 0.
    """

    def __init__(self, sub_policies: int, temperature: float = 0.5) -> None:
        super().__init__()
        self.temperature = temperature
        self.category_in, self.category_out = nn.Linear(sub_policies, HIDDEN), nn.Linear(HIDDEN, 1)
        self.gate_in, self.gate_out = nn.Linear(2, HIDDEN), nn.Linear(HIDDEN, 1)
        self.of_sub_policy = nn.Embedding(sub_policies, HIDDEN)
        for layer in (self.category_out, self.gate_out):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def category(self, z: Tensor) -> Tensor:
        """Values (images,) for relaxed sub-policies (images, sub-policies)."""
        relaxed = (z / self.temperature).softmax(dim=1)
        values: Tensor = self.category_out(self.category_in(relaxed).tanh())
        return values[:, 0]

    def gate(self, z: Tensor, sub_policies: Tensor) -> Tensor:
        """Values (images,) for relaxed decisions (images, 2) of sub-policies (images,)."""
        relaxed = (z / self.temperature).sigmoid()
        hidden = self.gate_in(relaxed) + self.of_sub_policy(sub_policies)
        values: Tensor = self.gate_out(hidden.tanh())
        return values[:, 0]


def relax(parameters: PolicyParameters, draw: Draw, losses: Tensor, control: ControlVariate) -> Gradients:
    """RELAX estimates, which can be differentiated by the control variate's weights.

    Args:
        parameters: Parameters from which the draw was made.
        draw: Choices of each image.
        losses: (images,) the loss h of each image with its choices.
        control: The control variate.

    Returns:
        The estimates of each image.
    """
    chosen = draw.sub_policies
    with torch.enable_grad():
        # A leaf of its own for each image, so that one backward pass gives the gradients of all of them.
        logits = parameters.logits.detach().expand(len(losses), -1).clone().requires_grad_()
        gates = parameters.gates.detach()[chosen].requires_grad_()
        category = control.category(relaxed_category(logits, draw.category))
        category_again = control.category(category_given(logits, chosen, draw.category_again))
        gate = control.gate(relaxed_gate(gates, draw.gate), chosen)
        gate_again = control.gate(gate_given(gates, draw.applied, draw.gate_again), chosen)
        difference = (category - category_again).sum() + (gate - gate_again).sum()
        by_logits, by_gates = torch.autograd.grad(difference, [logits, gates], create_graph=True)
        score = reinforce_scores(parameters, draw)
        return Gradients(
            (losses - category_again)[:, None] * score.logits + by_logits,
            (losses - gate_again)[:, None] * score.gates + by_gates,
        )


def reinforce(parameters: PolicyParameters, draw: Draw, losses: Tensor) -> Gradients:
    """REINFORCE estimates (Williams, 1992) without a baseline: the loss times the gradient of log p(choice)."""
    score = reinforce_scores(parameters, draw)
    return Gradients(losses[:, None] * score.logits, losses[:, None] * score.gates)


def reinforce_scores(parameters: PolicyParameters, draw: Draw) -> Gradients:
    """The gradients of log p(choice) of each image."""
    probabilities = parameters.logits.detach().softmax(dim=0)
    is_chosen = torch.zeros_like(draw.category).scatter(1, draw.sub_policies[:, None], 1.0)
    gates = draw.applied - parameters.gates.detach()[draw.sub_policies].sigmoid()
    return Gradients(is_chosen - probabilities, gates)
