"""What can be searched. One module a space; `nas.registry` finds them by name."""

from .baselines import Conv4, Mlp40
from .conv_chain import ConvChain
from .darts import Darts
from .few_shot_cell import FewShotCell
from .mlp import Mlp
from .mobile import Mobile
from .nas_bench_101 import NasBench101
from .nas_bench_201 import NasBench201
from .nasnet import NasNet
from .nni_space import NniSpace, as_space
from .recurrent_cell import RecurrentCell
from .transformer import Transformer

__all__ = [
    "Conv4",
    "ConvChain",
    "Darts",
    "FewShotCell",
    "Mlp",
    "Mlp40",
    "Mobile",
    "NasBench101",
    "NasBench201",
    "NasNet",
    "NniSpace",
    "RecurrentCell",
    "Transformer",
    "as_space",
]
