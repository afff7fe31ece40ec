"""An exported network on a person's own examples."""

from .adaptation import Adapted, Prediction, adapt

__all__ = ["Adapted", "Prediction", "adapt"]
