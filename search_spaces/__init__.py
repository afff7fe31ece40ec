"""What can be searched. One module a space; `nas.registry` finds them by name."""

from .baselines import Conv4, Mlp40
from .darts import Darts
from .few_shot_cell import FewShotCell
from .mlp import Mlp
from .mobile import Mobile
from .nasnet import NasNet

__all__ = ["Conv4", "Darts", "FewShotCell", "Mlp", "Mlp40", "Mobile", "NasNet"]
