"""Who proposes: a learned policy and evolution, and the random search they must beat."""

from typing import TYPE_CHECKING

from .evolution import Evolution
from .random_search import RandomSearch

__all__ = ["Evolution", "RandomSearch", "Reinforce"]

if TYPE_CHECKING:
    from .reinforce import Reinforce
else:

    def __getattr__(name: str) -> object:
        # Reinforce needs torch, which takes seconds to import; the others must not pay for it.
        if name == "Reinforce":
            from .reinforce import Reinforce

            return Reinforce
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
