"""A found network as a folder that works without this project: architecture, picture, source or program, weights."""

from .form import Form, form_of, source
from .naming import flat_name
from .python_source import Source
from .reading import Exported, load, meta_learned, restore
from .writing import export

__all__ = ["Exported", "Form", "Source", "export", "flat_name", "form_of", "load", "meta_learned", "restore", "source"]
