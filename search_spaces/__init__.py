"""What can be searched. One module a space; `nas.registry` finds them by name."""

from .baselines import Conv4, Mlp40
from .few_shot_cell import FewShotCell
from .mlp import Mlp
from .nas_bench_101 import NasBench101
from .nas_bench_201 import NasBench201

__all__ = ["Conv4", "FewShotCell", "Mlp", "Mlp40", "NasBench101", "NasBench201"]
