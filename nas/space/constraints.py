"""Search space with limits on the costs of its networks."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, get_args

from ..architecture import Architecture
from ..choose import Choose
from ..errors import ConfigError, UncountedError
from ..failures import attempt
from ..protocols.evaluators import Cost, Costed
from ..protocols.spaces import GraphSpace, SearchSpace
from ..task import TaskShape

if TYPE_CHECKING:
    import torch


WORDS: Mapping[Cost, str] = {"parameters": "{:,.0f} parameters", "flops": "{:,.0f} FLOPs", "latency_ms": "{:.3g} ms"}


class Constrained:
    """A search space that rejects architectures whose costs are outside limits.

    They are rejected as by `choose.reject`, so that samples, mutations and policies draw again. An architecture whose
    cost is known only as a lower bound is rejected too. One without a network, whose cost cannot be computed, is
    allowed: as a candidate it fails with its reason.

    Args:
        space: The space without limits.
        limits: (least, most) by cost. They are checked in the order of `Cost`, the cheapest cost first.
        evaluator: Computes the costs.
        costs: Known costs by '<architecture key>/<cost>', to which new ones are added. With a stored mapping
            (`StoredCosts`) a decision that depends on a measured time is made once, and a resumed search repeats it.

    Raises:
        ConfigError: A limit is negative, or the upper one is below the lower.
    """

    def __init__(
        self,
        space: SearchSpace,
        limits: Mapping[Cost, tuple[float, float]],
        evaluator: Costed,
        costs: MutableMapping[str, float] | None = None,
    ) -> None:
        for cost, (least, most) in limits.items():
            if not 0 <= least <= most:
                raise ConfigError(f"the limits of {cost} are {least} to {most}; they must rise, from 0 on")
        self._space, self._evaluator = space, evaluator
        self._limits = {cost: limits[cost] for cost in get_args(Cost) if cost in limits}
        self._costs: MutableMapping[str, float] = {} if costs is None else costs
        if isinstance(space, GraphSpace):
            self.graph = space.graph

    @property
    def name(self) -> str:
        return self._space.name

    def decide(self, choose: Choose) -> Any:
        spec = self._space.decide(choose)
        architecture = Architecture(self._space.name, choose.picks)
        for cost, (least, most) in self._limits.items():
            try:
                value = self._cost(architecture, cost)
            except UncountedError as error:
                choose.reject(f"search.constraints limit {cost}, but {error}")
            if value is None:
                break
            if not least <= value <= most:
                choose.reject(
                    f"{WORDS[cost].format(value)}, where search.constraints allow {cost} from {least:,g} to {most:,g}"
                )
        return spec

    def build(self, spec: Any, task: TaskShape) -> torch.nn.Module:
        return self._space.build(spec, task)

    def _cost(self, architecture: Architecture, cost: Cost) -> float | None:
        key = f"{architecture.key}/{cost}"
        if key not in self._costs:
            measured = attempt(self._evaluator.cost, architecture, cost)
            if isinstance(measured.error, UncountedError):
                raise measured.error
            if measured.value is None:
                return None
            self._costs[key] = float(measured.value)
        return self._costs[key]
