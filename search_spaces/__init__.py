"""What can be searched. One module a space; `nas.registry` finds them by name."""

from .baselines import Conv4, Mlp40
from .few_shot_cell import FewShotCell
from .mlp import Mlp
from .nni_space import NniSpace, as_space

__all__ = ["Conv4", "FewShotCell", "Mlp", "Mlp40", "NniSpace", "as_space"]
