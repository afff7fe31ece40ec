"""The space `augmentation-policy`: augmentation policies for the training of one fixed network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nas.augmentation_policy import AugmentationPolicy, AugmentationStep, SubPolicy
from nas.bounds import LARGEST_WIDTH, check_number
from nas.space import Choose
from nas.task import TaskShape

from ..input_checks import check_images
from .spec import PAIRS, AugmentedNetwork, diagram

if TYPE_CHECKING:
    import networkx as nx
    from torch import nn


@dataclass(frozen=True)
class AugmentationPolicySpace:
    """Augmentation policies for the training of the network of `conv4`, which is the same for all of them.

    Each sub-policy is one of the 105 pairs of two operations, with a probability and a magnitude for each of the two
    (AutoAugment, Cubuk et al., arXiv 1805.09501, section 3.1, with the pairs of DADA, Li et al., arXiv 2003.03780).
    With s sub-policies and l levels the number of architectures is (105 l^4)^s, about 8.6e30 by default.

    Attributes:
        sub_policies: Number of sub-policies, from 1 to 25.
        levels: Number of options of a probability and of a magnitude, evenly spaced from 0 to 1; from 2 to 101.
        width: Channels of the network's convolutions.
    """

    sub_policies: int = 5
    levels: int = 11
    width: int = 64
    name = "augmentation-policy"

    def __post_init__(self) -> None:
        check_number(self.name, "sub_policies", self.sub_policies, 1, 25)
        check_number(self.name, "levels", self.levels, 2, 101)
        check_number(self.name, "width", self.width, 1, LARGEST_WIDTH)

    def decide(self, choose: Choose) -> AugmentedNetwork:
        """For each sub-policy its operations, then probability and magnitude of the first and of the second."""
        rows = tuple(self._sub_policy(choose, number) for number in range(self.sub_policies))
        return AugmentedNetwork(AugmentationPolicy(rows), self.width)

    def _sub_policy(self, choose: Choose, number: int) -> SubPolicy:
        levels = [level / (self.levels - 1) for level in range(self.levels)]

        def step(operation: str, place: str) -> AugmentationStep:
            probability = choose(f"{number}.{place}_probability", levels)
            return AugmentationStep(operation, probability, choose(f"{number}.{place}_magnitude", levels))

        first, second = choose(f"{number}.operations", PAIRS).split("+")
        return SubPolicy(step(first, "first"), step(second, "second"))

    def augmentation(self, spec: AugmentedNetwork) -> AugmentationPolicy:
        """The decided policy."""
        return spec.policy

    def build(self, spec: AugmentedNetwork, task: TaskShape) -> nn.Module:
        """The network, whatever the policy.

        Raises:
            SpaceError: The task's inputs are not images.
        """
        from ..plain.network import conv4

        check_images(self.name, task)
        return conv4(spec.width, task)

    def graph(self, spec: AugmentedNetwork) -> nx.DiGraph:
        """The sub-policies side by side, and the network; policies that differ in their order are the same."""
        return diagram(spec)
