"""Tables of what a network that is read from a file may call: layers, functions, operators and methods, by name.

Whatever is not in these tables is refused, so a file can name nothing that reads, writes or executes something else.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import nn


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_LAYERS: Final = _words(
    "AdaptiveAvgPool1d AdaptiveAvgPool2d AdaptiveAvgPool3d AdaptiveMaxPool1d AdaptiveMaxPool2d "
    "AdaptiveMaxPool3d AlphaDropout AvgPool1d AvgPool2d AvgPool3d BatchNorm1d BatchNorm2d BatchNorm3d Bilinear "
    "CELU ChannelShuffle CircularPad1d CircularPad2d ConstantPad1d ConstantPad2d Conv1d Conv2d Conv3d "
    "ConvTranspose1d ConvTranspose2d ConvTranspose3d Dropout Dropout1d Dropout2d ELU Embedding Flatten GELU GLU "
    "GRU GRUCell GroupNorm Hardshrink Hardsigmoid Hardswish Hardtanh Identity InstanceNorm1d InstanceNorm2d "
    "InstanceNorm3d LPPool1d LPPool2d LSTM LSTMCell LayerNorm LeakyReLU Linear LocalResponseNorm LogSigmoid "
    "LogSoftmax MaxPool1d MaxPool2d MaxPool3d Mish PReLU PixelShuffle RMSNorm RNN RNNCell RReLU ReLU ReLU6 "
    "ReflectionPad1d ReflectionPad2d ReplicationPad1d ReplicationPad2d SELU SiLU Sigmoid Softmax Softmin "
    "Softplus Softshrink Softsign Tanh Tanhshrink Threshold Unflatten Upsample ZeroPad1d ZeroPad2d"
)
_TORCH: Final = _words(
    "abs add addmm amax amin arange arctan argmax argmin atan bmm cat ceil chunk clamp clip clone concat "
    "concatenate cos cosh cumsum diff div dot einsum eq erf exp expm1 eye flatten flip floor full full_like ge gt "
    "hstack index_select le lerp log log1p log_softmax logical_and logical_not logical_or logsumexp lt "
    "masked_fill matmul max maximum mean min minimum mm movedim mul narrow ne neg norm ones ones_like outer "
    "permute pow prod reciprocal relu repeat_interleave reshape roll rsqrt rsub scalar_tensor selu sigmoid sign "
    "sin sinh softmax split sqrt square squeeze stack std sub sum swapaxes swapdims t tan tanh tensor tile topk "
    "transpose tril triu unbind unflatten unsqueeze var var_mean vstack where zeros zeros_like"
)
_FUNCTIONAL: Final = _words(
    "adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d "
    "avg_pool1d avg_pool2d avg_pool3d batch_norm bilinear celu conv1d conv2d conv3d conv_transpose1d "
    "conv_transpose2d cosine_similarity dropout dropout1d dropout2d elu gelu glu group_norm hardshrink "
    "hardsigmoid hardswish hardtanh instance_norm interpolate layer_norm leaky_relu linear log_softmax logsigmoid "
    "max_pool1d max_pool2d max_pool3d mish normalize one_hot pad pairwise_distance pixel_shuffle prelu relu relu6 "
    "rms_norm rrelu scaled_dot_product_attention selu sigmoid silu softmax softmin softplus softshrink softsign "
    "tanh tanhshrink threshold unfold"
)
_OPERATORS: Final = (
    *("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "neg", "pos", "getitem"),
    *("lt", "le", "gt", "ge", "eq", "ne"),
)
LAYERS: Final[Mapping[str, type[nn.Module]]] = {name: getattr(nn, name) for name in _LAYERS}
FUNCTIONS: Final[Mapping[str, Callable[..., Any]]] = {
    **{f"torch.{name}": getattr(torch, name) for name in _TORCH},
    **{f"F.{name}": getattr(F, name) for name in _FUNCTIONAL},
    **{f"operator.{name}": getattr(operator, name) for name in _OPERATORS},
}
METHODS: Final = frozenset(
    {
        *(name for name in _TORCH if hasattr(torch.Tensor, name)),
        *("contiguous", "detach", "dim", "expand", "expand_as", "float", "gather", "index_add", "item", "new_ones"),
        *("new_zeros", "numel", "repeat", "scatter", "size", "sum", "to", "type_as", "unfold", "view", "view_as"),
    }
)
ATTRIBUTES: Final = frozenset({"shape", "device", "dtype", "ndim", "mT", "T", "H", "mH"})
DTYPES: Final[Mapping[str, torch.dtype]] = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.bool)
}


def function_key(function: object) -> str | None:
    """The name of a function in FUNCTIONS; None where it is not in the table."""
    return next((name for name, known in FUNCTIONS.items() if known is function), None)
