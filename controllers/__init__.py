"""Who proposes: a learned policy and evolution, and the random search they must beat."""

from typing import TYPE_CHECKING

from .evolution import Evolution
from .random_search import RandomSearch
from .regularized_evolution import RegularizedEvolution

__all__ = ["Evolution", "RandomSearch", "RegularizedEvolution", "Reinforce", "ReinforceNasBench201", "ZophLe"]

if TYPE_CHECKING:
    from .policy_gradient import ReinforceNasBench201, ZophLe
    from .reinforce import Reinforce
else:

    def __getattr__(name: str) -> object:
        # Policies need torch, which takes seconds to import; the others must not pay for it.
        if name == "Reinforce":
            from .reinforce import Reinforce

            return Reinforce
        if name in ("ReinforceNasBench201", "ZophLe"):
            from . import policy_gradient

            return getattr(policy_gradient, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
