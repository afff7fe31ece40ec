"""Adaptation of an exported network to a user's own examples."""

from typing import TYPE_CHECKING

from ..lazy import lazy_attributes

__all__ = ["Adapted", "Prediction", "Quality", "adapt", "load"]

if TYPE_CHECKING:
    from .adaptation import Adapted, Prediction, Quality, adapt
    from .predictor import load
else:
    __getattr__, __dir__ = lazy_attributes(
        __name__, {"adaptation": ("Adapted", "Prediction", "Quality", "adapt"), "predictor": ("load",)}
    )
