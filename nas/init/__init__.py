"""A first config for a person's own data."""

from typing import TYPE_CHECKING

from ..lazy import lazy_attributes

__all__ = ["first_config"]

if TYPE_CHECKING:
    from .writing import first_config
else:
    __getattr__, __dir__ = lazy_attributes(__name__, {"writing": __all__})
