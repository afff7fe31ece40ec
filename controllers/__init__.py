"""Controllers: REINFORCE, evolution, published methods, and baselines such as random search and grid."""

from typing import TYPE_CHECKING

from nas.lazy import lazy_attributes

from .evolution import Evolution
from .grid import Grid
from .local_search import LocalSearch
from .nas_bench_201_reinforce import ReinforceNasBench201
from .random_search import RandomSearch
from .regularized_evolution import RegularizedEvolution
from .reinforce import Reinforce
from .zoph_le import ZophLe

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
    from .optuna import OptunaSampler
else:
    # The other controllers must not pay for the import of optuna, which takes seconds.
    __getattr__, __dir__ = lazy_attributes(__name__, {"optuna": ("OptunaSampler",)})
