"""Adaptation of an exported network to a user's own examples."""

from typing import TYPE_CHECKING

from ..lazy import lazy_attributes

__all__ = ["AdaptableNetwork", "Adapted", "Prediction", "adapt", "load"]

if TYPE_CHECKING:
    from .adaptation import AdaptableNetwork, Adapted, Prediction, adapt, load
else:
    __getattr__, __dir__ = lazy_attributes(__name__, {"adaptation": __all__})
