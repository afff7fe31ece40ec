"""Components by name: built-in ones, those of other packages, a person's own."""

from .builtin import Room
from .components import create, find, is_controller, names, options_of

__all__ = ["Room", "create", "find", "is_controller", "names", "options_of"]
