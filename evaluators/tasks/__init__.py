"""Task families, one in a module. `nas.registry` finds them by name."""

from .arrays import Arrays
from .glyphs import Glyphs
from .image_folder import ImageFolder
from .omniglot import Omniglot
from .sequences import Sequences
from .sinusoid import Sinusoid
from .system_identification import SystemIdentification

__all__ = ["Arrays", "Glyphs", "ImageFolder", "Omniglot", "Sequences", "Sinusoid", "SystemIdentification"]
