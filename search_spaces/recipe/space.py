"""The space `recipe`: every part of a meta-training that a person would set by hand, chosen together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from nas.architecture import Architecture
from nas.augmentation_policy import AugmentationPolicy, read_policy
from nas.bounds import LARGEST_RATE, check_numbers
from nas.errors import ConfigError, SpaceError, nearest
from nas.protocols import FileSpace, GraphSpace, SearchSpace
from nas.space import Choose
from nas.task import TaskShape
from nas.training_recipe import Normalisation, OuterOptimizer, TrainingRecipe

from ..augmentation_policy.space import AugmentationPolicySpace
from ..few_shot_cell.space import FewShotCell
from .learners import LEARNERS, Grids, learner_choice
from .spec import Recipe, training_text

if TYPE_CHECKING:
    import networkx as nx
    from torch import nn

Norm = Literal["group", "batch", "none"]
MOST_STEPS = 1000


@dataclass(frozen=True)
class RecipeSpace:
    """A network and how it is meta-trained: learner, optimizers, augmentation and normalisation, each a choice.

    Choices open only what applies: a learner's own options, an optimizer's own rates. The choices of the network keep
    the names that its space gives them. Scores need the evaluator `recipe`, whose budget is one of computation, so that
    a recipe cannot win by longer steps.

    Attributes:
        architecture: Space of the networks; of a space of one network, such as conv4, only the training is chosen.
        learners: Learners to choose from (`learners.LEARNERS`).
        inner_rates: Rates of SGD's inner steps, a logarithmic grid, each above 0.
        adam_inner_rates: Rates of Adam's inner steps.
        inner_steps: Numbers of inner steps, each at least 1.
        learned_optimizer: Folder of a learned optimizer (`nas train-optimizer`), which MAML's inner steps may then use.
        outer_optimizers: Optimizers of the outer loop.
        adam_rates: Adam's outer rates.
        sgd_rates: SGD's outer rates.
        policy: File of an augmentation policy, which training images may then be changed by. The choice 'none' leaves
            them as the tasks have them, with the tasks' own augmentation where the config gives one.
        sub_policies: Number of sub-policies of a policy that is chosen here, from 0 for no such policies to 25.
        norms: Modes of the normalisation layers (evaluator's option `norm`).
        head_norms: Values of the evaluator's option `head_norm`.
        saved: The policy of the file `policy`.
    """

    architecture: SearchSpace = field(default_factory=FewShotCell)
    learners: tuple[str, ...] = ("anil", "maml", "protonet")
    inner_rates: tuple[float, ...] = (0.01, 0.03, 0.1, 0.3, 1.0)
    adam_inner_rates: tuple[float, ...] = (0.001, 0.003, 0.01, 0.03, 0.1)
    inner_steps: tuple[int, ...] = (1, 3, 5)
    learned_optimizer: Path | None = None
    outer_optimizers: tuple[Literal["adam", "sgd"], ...] = ("adam", "sgd")
    adam_rates: tuple[float, ...] = (0.0003, 0.001, 0.003, 0.01)
    sgd_rates: tuple[float, ...] = (0.01, 0.03, 0.1, 0.3, 1.0)
    policy: Path | None = None
    sub_policies: int = 0
    norms: tuple[Norm, ...] = ("group", "none")
    head_norms: tuple[bool, ...] = (False, True)
    saved: AugmentationPolicy | None = field(init=False, default=None, repr=False)
    name = "recipe"

    def __post_init__(self) -> None:
        for option in ("learners", "outer_optimizers", "norms", "head_norms"):
            value = getattr(self, option)
            if not value or len(set(value)) < len(value):
                raise ConfigError(f"{self.name} {option} = {list(value)}; give at least one value, each once")
        for learner in self.learners:
            if learner not in LEARNERS:
                raise ConfigError(f"{self.name} learners: {learner!r}; {nearest(learner, LEARNERS)}")
        for name in ("inner_rates", "adam_inner_rates", "adam_rates", "sgd_rates"):
            check_numbers(self.name, name, getattr(self, name), 0.0, LARGEST_RATE, above=True)
        check_numbers(self.name, "inner_steps", self.inner_steps, 1, MOST_STEPS)
        if self.sub_policies:
            AugmentationPolicySpace(self.sub_policies)
        if self.learned_optimizer is not None and not (self.learned_optimizer / "optimizer.json").is_file():
            raise ConfigError(
                f"{self.name} learned_optimizer = {self.learned_optimizer} holds no optimizer.json; give the folder "
                "that nas train-optimizer exported"
            )
        if self.policy is not None:
            object.__setattr__(self, "saved", read_policy(self.policy))

    def decide(self, choose: Choose) -> Recipe:
        """The network by its own space, then learner, outer optimizer, augmentation and normalisation.

        Raises:
            Rejected: The parts do not fit each other.
            SpaceError: The space of the networks gives a choice a name that is one of the recipe's.
        """
        layers = self.architecture.decide(choose)
        network = Architecture(self.architecture.name, dict(choose.picks))
        try:
            training = self._training(choose)
        except SpaceError as error:
            raise self._explained(error, network) from error
        return Recipe(network, layers, training)

    def _training(self, choose: Choose) -> TrainingRecipe:
        learner = learner_choice(choose, choose("learner", self.learners), self._grids)
        outer = choose("outer_optimizer", self.outer_optimizers)
        rates = self.adam_rates if outer == "adam" else self.sgd_rates
        optimizer = OuterOptimizer(outer, choose(f"outer_rate_{outer}", rates))
        augmentation = self._augmentation(choose)
        normalisation = Normalisation(choose("norm", self.norms), choose("head_norm", self.head_norms))
        if normalisation.norm == "none" and ("adapted", "norm") in learner.options:
            choose.reject("adapted_layers = 'norm' with norm = 'none': there are no normalisation layers to adapt")
        return TrainingRecipe(learner, optimizer, augmentation, normalisation)

    @property
    def _grids(self) -> Grids:
        return Grids(self.inner_rates, self.adam_inner_rates, self.inner_steps, self.learned_optimizer)

    def _augmentation(self, choose: Choose) -> AugmentationPolicy | None:
        saved = () if self.saved is None else ("saved",)
        chosen = ("chosen",) if self.sub_policies else ()
        source = choose("augmentation", ("none", *saved, *chosen))
        if source == "none":
            return None
        if source == "saved":
            return self.saved
        return AugmentationPolicySpace(self.sub_policies).decide(choose).policy

    def _explained(self, error: SpaceError, network: Architecture) -> SpaceError:
        both = [name for name in network.picks if f"choice {name!r} is made twice" in str(error)]
        if not both:
            return error
        return SpaceError(
            f"space {self.architecture.name!r} and the recipe both have a choice {both[0]!r}; give that of the space "
            "another name"
        )

    def network_of(self, spec: Recipe) -> Architecture:
        """The network, as an architecture of its own space."""
        return spec.network

    def recipe_of(self, spec: Recipe) -> TrainingRecipe:
        """How the network is trained."""
        return spec.training

    def build(self, spec: Recipe, task: TaskShape) -> nn.Module:
        """The network, whatever the training. Raises SpaceError where it does not fit the task."""
        return self.architecture.build(spec.layers, task)

    def graph(self, spec: Recipe) -> nx.DiGraph:
        """The network as its own space draws it, with the training as an attribute of the whole graph."""
        import networkx as nx

        if isinstance(self.architecture, GraphSpace):
            graph = self.architecture.graph(spec.layers)
        else:
            graph = nx.DiGraph([("input", "network"), ("network", "output")])
            operations = {"input": "input", "network": spec.network.key, "output": "output"}
            nx.set_node_attributes(graph, operations, "op")
        graph.graph["training"] = training_text(spec.training)
        return graph

    def files(self, spec: Recipe) -> Mapping[str, str]:
        """Files that the network's space adds to an export."""
        return self.architecture.files(spec.layers) if isinstance(self.architecture, FileSpace) else {}
