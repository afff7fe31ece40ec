"""Export of a found network as a folder that works without this project: architecture, picture, source, weights."""

from typing import TYPE_CHECKING

from ..lazy import lazy_attributes

__all__ = [
    "Exported",
    "Extras",
    "Form",
    "Source",
    "export",
    "flat_name",
    "form_of",
    "load",
    "meta_learned",
    "restore",
    "source",
]

if TYPE_CHECKING:
    from .form import Form, form_of, source
    from .naming import flat_name
    from .python_source import Source
    from .reading import Exported, load, meta_learned, restore
    from .writing import Extras, export
else:
    __getattr__, __dir__ = lazy_attributes(
        __name__,
        {
            "form": ("Form", "form_of", "source"),
            "naming": ("flat_name",),
            "python_source": ("Source",),
            "reading": ("Exported", "load", "meta_learned", "restore"),
            "writing": ("Extras", "export"),
        },
    )
