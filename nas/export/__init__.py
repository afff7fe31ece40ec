"""A found network as a folder that works without this project: architecture, picture, source and weights."""

from .folder import export
from .naming import flat_name
from .reading import Exported, load, meta_learned, restore
from .source import Source, source

__all__ = ["Exported", "Source", "export", "flat_name", "load", "meta_learned", "restore", "source"]
