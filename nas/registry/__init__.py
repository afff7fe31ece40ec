"""Registry of components by name: built-in ones, those of other packages, classes in a user's files."""

from .builtin import Room
from .components import create, find, is_controller, names, options_of

__all__ = ["Room", "create", "find", "is_controller", "names", "options_of"]
