"""Who proposes: a learned policy and evolution, those as they were published, and the controls they must beat."""

from typing import TYPE_CHECKING

from .evolution import Evolution
from .grid import Grid
from .local_search import LocalSearch
from .random_search import RandomSearch
from .regularized_evolution import RegularizedEvolution

__all__ = [
    "Evolution",
    "Grid",
    "LocalSearch",
    "OptunaSampler",
    "RandomSearch",
    "RegularizedEvolution",
    "Reinforce",
    "ReinforceNasBench201",
    "ZophLe",
]

if TYPE_CHECKING:
    from .optuna_sampler import OptunaSampler
    from .policy_gradient import ReinforceNasBench201, ZophLe
    from .reinforce import Reinforce
else:

    def __getattr__(name: str) -> object:
        # These need torch or optuna, which take seconds to import; the others must not pay for it.
        if name == "OptunaSampler":
            from .optuna_sampler import OptunaSampler

            return OptunaSampler
        if name == "Reinforce":
            from .reinforce import Reinforce

            return Reinforce
        if name in ("ReinforceNasBench201", "ZophLe"):
            from . import policy_gradient

            return getattr(policy_gradient, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
