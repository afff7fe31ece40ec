"""Search spaces, one folder each; `nas.registry` finds them by name."""

from .augmentation_policy.space import AugmentationPolicySpace
from .cell_pairs.darts import Darts
from .cell_pairs.nasnet import NasNet
from .conv_chain.space import ConvChain
from .few_shot_cell.space import FewShotCell
from .mobile.space import Mobile
from .nas_bench_101.space import NasBench101
from .nas_bench_201.space import NasBench201
from .nni.space import NniSpace, as_space
from .plain.fixed import Conv4, Mlp40
from .plain.mlp import Mlp
from .recipe.space import RecipeSpace
from .recurrent_cell.space import RecurrentCell
from .transformer.space import Transformer

__all__ = [
    "AugmentationPolicySpace",
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
    "RecipeSpace",
    "RecurrentCell",
    "Transformer",
    "as_space",
]
