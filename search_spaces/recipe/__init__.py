"""Space `recipe`: a network of another space together with the learner, optimizer and data that train it."""

from .space import RecipeSpace
from .spec import Recipe

__all__ = ["Recipe", "RecipeSpace"]
