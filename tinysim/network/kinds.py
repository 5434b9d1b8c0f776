"""The vocabulary of operators: one row per kind, in the snake case of the TFLite operator.

A kind has a *family*, which says how its columns in a `LayerTable` are read and how its MACs are counted:

- `conv`: conv2d, depthwise_conv2d, transpose_conv: shapes, kernel, stride, padding, dilation.
- `matmul`: fully_connected, batch_matmul: `in_h * in_w` rows of depth `in_c` to `out_c` columns.
- `recurrent`: LSTM, GRU, RNN: `in_h` time steps of `in_c` features to `out_c` units.
- `pool`: windows over each channel.
- `elementwise`: one output per element of the (broadcast) inputs.
- `reduce`: mean, sum, ... over the window `kernel_h x kernel_w`.
- `softmax`: rows of depth `in_c`.
- `move`: bytes are copied, nothing is computed (pad, concat, transpose, resize nearest, ...).
- `view`: no byte moves (reshape, squeeze, expand_dims).
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

__all__ = ["FAMILY", "KINDS", "KIND_CODE", "Kind"]


@dataclass(frozen=True, slots=True)
class Kind:
    """One operator kind: its name, family, and arithmetic operations per output element (elementwise only)."""

    name: str
    family: str
    ops_per_output: float = 0.0


_ELEMENTWISE = (
    "add sub mul div maximum minimum squared_difference relu relu6 leaky_relu prelu elu hard_swish logistic tanh gelu "
    "exp log sqrt rsqrt square abs neg floor ceil round sin cos pow quantize dequantize cast equal not_equal greater "
    "greater_equal less less_equal logical_and logical_or logical_not select_v2 relu_n1_to_1 floor_div floor_mod sign"
).split()
_MOVE = (
    "pad padv2 mirror_pad concatenation transpose slice strided_slice split split_v pack unpack gather gather_nd "
    "resize_nearest_neighbor space_to_depth depth_to_space space_to_batch_nd batch_to_space_nd tile fill "
    "broadcast_to reverse_v2 reverse_sequence embedding_lookup scatter_nd assign_variable read_variable "
    "var_handle call_once zeros_like shape rank custom_unknown one_hot range"
).split()
_VIEW = "reshape squeeze expand_dims".split()

#: Kinds in the order of their codes. New ones go to the end of their group; codes are not stored in files.
KINDS: tuple[Kind, ...] = (
    Kind("conv2d", "conv"),
    Kind("depthwise_conv2d", "conv"),
    Kind("transpose_conv", "conv"),
    Kind("fully_connected", "matmul"),
    Kind("batch_matmul", "matmul"),
    Kind("unidirectional_sequence_lstm", "recurrent"),
    Kind("gru", "recurrent"),
    Kind("unidirectional_sequence_rnn", "recurrent"),
    Kind("svdf", "recurrent"),
    Kind("avg_pool2d", "pool"),
    Kind("max_pool2d", "pool"),
    Kind("l2_pool2d", "pool"),
    Kind("mean", "reduce"),
    Kind("sum", "reduce"),
    Kind("reduce_max", "reduce"),
    Kind("reduce_min", "reduce"),
    Kind("reduce_prod", "reduce"),
    Kind("arg_max", "reduce"),
    Kind("arg_min", "reduce"),
    Kind("cumsum", "reduce"),
    Kind("softmax", "softmax"),
    Kind("log_softmax", "softmax"),
    Kind("l2_normalization", "softmax"),
    Kind("layer_norm", "softmax"),
    Kind("resize_bilinear", "elementwise", 7.0),
    Kind("batch_norm", "elementwise", 2.0),
    *(Kind(name, "elementwise", 1.0) for name in _ELEMENTWISE),
    *(Kind(name, "move") for name in _MOVE),
    *(Kind(name, "view") for name in _VIEW),
)

#: name -> position in `KINDS`
KIND_CODE = MappingProxyType({kind.name: code for code, kind in enumerate(KINDS)})
#: name -> family
FAMILY = MappingProxyType({kind.name: kind.family for kind in KINDS})
