"""The part of TFLite's schema that tinysim reads and writes: codes, slots and options as tables.

Slots and codes are those of the public schema.fbs, version 3 (tensorflow/lite/schema/schema.fbs).
"""

from __future__ import annotations

from types import MappingProxyType
from typing import NamedTuple

__all__ = [
    "ACTIVATIONS", "BUILTIN_CODE", "BUILTIN_NAMES", "BUILTIN_OF_KIND", "CONTROL_FLOW", "DTYPES", "OPTIONS", "Option",
    "kind_of_builtin",
]  # fmt: skip

#: builtin operator names by code
BUILTIN_NAMES: tuple[str, ...] = tuple(
    """ADD AVERAGE_POOL_2D CONCATENATION CONV_2D DEPTHWISE_CONV_2D DEPTH_TO_SPACE DEQUANTIZE EMBEDDING_LOOKUP FLOOR
    FULLY_CONNECTED HASHTABLE_LOOKUP L2_NORMALIZATION L2_POOL_2D LOCAL_RESPONSE_NORMALIZATION LOGISTIC LSH_PROJECTION
    LSTM MAX_POOL_2D MUL RELU RELU_N1_TO_1 RELU6 RESHAPE RESIZE_BILINEAR RNN SOFTMAX SPACE_TO_DEPTH SVDF TANH
    CONCAT_EMBEDDINGS SKIP_GRAM CALL CUSTOM EMBEDDING_LOOKUP_SPARSE PAD UNIDIRECTIONAL_SEQUENCE_RNN GATHER
    BATCH_TO_SPACE_ND SPACE_TO_BATCH_ND TRANSPOSE MEAN SUB DIV SQUEEZE UNIDIRECTIONAL_SEQUENCE_LSTM STRIDED_SLICE
    BIDIRECTIONAL_SEQUENCE_RNN EXP TOPK_V2 SPLIT LOG_SOFTMAX DELEGATE BIDIRECTIONAL_SEQUENCE_LSTM CAST PRELU MAXIMUM
    ARG_MAX MINIMUM LESS NEG PADV2 GREATER GREATER_EQUAL LESS_EQUAL SELECT SLICE SIN TRANSPOSE_CONV SPARSE_TO_DENSE
    TILE EXPAND_DIMS EQUAL NOT_EQUAL LOG SUM SQRT RSQRT SHAPE POW ARG_MIN FAKE_QUANT REDUCE_PROD REDUCE_MAX PACK
    LOGICAL_OR ONE_HOT LOGICAL_AND LOGICAL_NOT UNPACK REDUCE_MIN FLOOR_DIV REDUCE_ANY SQUARE ZEROS_LIKE FILL FLOOR_MOD
    RANGE RESIZE_NEAREST_NEIGHBOR LEAKY_RELU SQUARED_DIFFERENCE MIRROR_PAD ABS SPLIT_V UNIQUE CEIL REVERSE_V2 ADD_N
    GATHER_ND COS WHERE RANK ELU REVERSE_SEQUENCE MATRIX_DIAG QUANTIZE MATRIX_SET_DIAG ROUND HARD_SWISH IF WHILE
    NON_MAX_SUPPRESSION_V4 NON_MAX_SUPPRESSION_V5 SCATTER_ND SELECT_V2 DENSIFY SEGMENT_SUM BATCH_MATMUL
    PLACEHOLDER_FOR_GREATER_OP_CODES CUMSUM CALL_ONCE BROADCAST_TO RFFT2D CONV_3D IMAG REAL COMPLEX_ABS HASHTABLE
    HASHTABLE_FIND HASHTABLE_IMPORT HASHTABLE_SIZE REDUCE_ALL CONV_3D_TRANSPOSE VAR_HANDLE READ_VARIABLE
    ASSIGN_VARIABLE BROADCAST_ARGS RANDOM_STANDARD_NORMAL BUCKETIZE RANDOM_UNIFORM MULTINOMIAL GELU
    DYNAMIC_UPDATE_SLICE RELU_0_TO_1 UNSORTED_SEGMENT_PROD UNSORTED_SEGMENT_MAX UNSORTED_SEGMENT_SUM ATAN2
    UNSORTED_SEGMENT_MIN SIGN BITCAST BITWISE_XOR RIGHT_SHIFT STABLEHLO_LOGISTIC STABLEHLO_ADD STABLEHLO_DIVIDE
    STABLEHLO_MULTIPLY STABLEHLO_MAXIMUM STABLEHLO_RESHAPE STABLEHLO_CLAMP STABLEHLO_CONCATENATE
    STABLEHLO_BROADCAST_IN_DIM STABLEHLO_CONVOLUTION STABLEHLO_SLICE STABLEHLO_CUSTOM_CALL STABLEHLO_REDUCE
    STABLEHLO_ABS STABLEHLO_AND STABLEHLO_COSINE STABLEHLO_EXPONENTIAL STABLEHLO_FLOOR STABLEHLO_LOG
    STABLEHLO_MINIMUM STABLEHLO_NEGATE STABLEHLO_OR STABLEHLO_POWER STABLEHLO_REMAINDER STABLEHLO_RSQRT
    STABLEHLO_SELECT STABLEHLO_SUBTRACT STABLEHLO_TANH STABLEHLO_SCATTER STABLEHLO_COMPARE STABLEHLO_CONVERT
    STABLEHLO_DYNAMIC_SLICE STABLEHLO_DYNAMIC_UPDATE_SLICE STABLEHLO_PAD STABLEHLO_IOTA STABLEHLO_DOT_GENERAL
    STABLEHLO_REDUCE_WINDOW STABLEHLO_SORT STABLEHLO_WHILE STABLEHLO_GATHER STABLEHLO_TRANSPOSE DILATE
    STABLEHLO_RNG_BIT_GENERATOR REDUCE_WINDOW STABLEHLO_COMPOSITE STABLEHLO_SHIFT_LEFT STABLEHLO_CBRT""".split()
)
#: name -> code
BUILTIN_CODE = MappingProxyType({name: code for code, name in enumerate(BUILTIN_NAMES)})

#: Operators whose cost lies in other subgraphs; a count of moved bytes would be far from the truth.
CONTROL_FLOW = frozenset({"IF", "WHILE", "CALL", "STABLEHLO_WHILE", "STABLEHLO_COMPOSITE"})

#: dtype by code of TensorType; None where tinysim has no such type
DTYPES: tuple[str | None, ...] = (
    "float32", "float16", "int32", "uint8", "int64", "string", "bool", "int16", None, "int8", "float64", None, None,
    "resource", None, "uint32", "uint16", "int4",
)  # fmt: skip

#: fused activation by code
ACTIVATIONS = ("none", "relu", "relu_n1_to_1", "relu6", "tanh", "sign_bit")

_KIND_OF_BUILTIN = {
    "AVERAGE_POOL_2D": "avg_pool2d",
    "CONV_2D": "conv2d",
    "DEPTHWISE_CONV_2D": "depthwise_conv2d",
    "L2_POOL_2D": "l2_pool2d",
    "MAX_POOL_2D": "max_pool2d",
    "SELECT": "select_v2",
}
#: kind -> builtin name, for the writer
BUILTIN_OF_KIND = MappingProxyType({kind: name for name, kind in _KIND_OF_BUILTIN.items() if name != "SELECT"})


def kind_of_builtin(name: str) -> str:
    """Kind of a builtin operator.

    >>> kind_of_builtin("CONV_2D"), kind_of_builtin("HARD_SWISH")
    ('conv2d', 'hard_swish')
    """
    return _KIND_OF_BUILTIN.get(name, name.lower())


class Option(NamedTuple):
    """A scalar field of an options table: slot, struct format, default, attribute name."""

    slot: int
    form: str
    default: float
    attribute: str


def _fields(spec: str) -> tuple[Option, ...]:
    """Read "slot:format:attribute=default" items."""
    made = []
    for item in spec.split():
        slot, form, rest = item.split(":")
        attribute, _, default = rest.partition("=")
        made.append(Option(int(slot), form, float(default or 0), attribute))
    return tuple(made)


_CONV = "0:b:padding 1:i:stride_w 2:i:stride_h 3:b:activation 4:i:dilation_w=1 5:i:dilation_h=1"
_DEPTHWISE = (
    "0:b:padding 1:i:stride_w 2:i:stride_h 3:i:depth_multiplier 4:b:activation 5:i:dilation_w=1 6:i:dilation_h=1"
)
_POOL = "0:b:padding 1:i:stride_w 2:i:stride_h 3:i:kernel_w 4:i:kernel_h 5:b:activation"
_REDUCE = "0:?:keep_dims"

#: builtin name -> (code in the BuiltinOptions union, scalar fields); operators without an entry have no options
OPTIONS: dict[str, tuple[int, tuple[Option, ...]]] = {
    name: (code, _fields(spec))
    for name, code, spec in (
        ("CONV_2D", 1, _CONV),
        ("DEPTHWISE_CONV_2D", 2, _DEPTHWISE),
        ("AVERAGE_POOL_2D", 5, _POOL),
        ("MAX_POOL_2D", 5, _POOL),
        ("L2_POOL_2D", 5, _POOL),
        ("SVDF", 6, "0:i:rank 1:b:activation 2:?:asymmetric_quantize_inputs"),
        ("FULLY_CONNECTED", 8, "0:b:activation 1:b:weights_format 2:?:keep_num_dims 3:?:asymmetric_quantize_inputs"),
        ("SOFTMAX", 9, "0:f:beta"),
        ("CONCATENATION", 10, "0:i:axis 1:b:activation"),
        ("ADD", 11, "0:b:activation 1:?:pot_scale_int16=1"),
        ("L2_NORMALIZATION", 12, "0:b:activation"),
        ("RESIZE_BILINEAR", 15, "2:?:align_corners 3:?:half_pixel_centers"),
        ("RESHAPE", 17, ""),
        ("SPACE_TO_DEPTH", 19, "0:i:block_size"),
        ("MUL", 21, "0:b:activation"),
        ("PAD", 22, ""),
        ("GATHER", 23, "0:i:axis 1:i:batch_dims"),
        ("BATCH_TO_SPACE_ND", 24, ""),
        ("SPACE_TO_BATCH_ND", 25, ""),
        ("TRANSPOSE", 26, ""),
        ("MEAN", 27, _REDUCE),
        ("SUM", 27, _REDUCE),
        ("REDUCE_MAX", 27, _REDUCE),
        ("REDUCE_MIN", 27, _REDUCE),
        ("REDUCE_PROD", 27, _REDUCE),
        ("REDUCE_ANY", 27, _REDUCE),
        ("REDUCE_ALL", 27, _REDUCE),
        ("SUB", 28, "0:b:activation 1:?:pot_scale_int16=1"),
        ("DIV", 29, "0:b:activation"),
        ("SQUEEZE", 30, ""),
        ("UNIDIRECTIONAL_SEQUENCE_RNN", 31, "0:?:time_major 1:b:activation 2:?:asymmetric_quantize_inputs"),
        (
            "STRIDED_SLICE",
            32,
            "0:i:begin_mask 1:i:end_mask 2:i:ellipsis_mask 3:i:new_axis_mask 4:i:shrink_axis_mask 5:?:offset",
        ),
        ("EXP", 33, ""),
        ("SPLIT", 35, "0:i:num_splits"),
        ("LOG_SOFTMAX", 36, ""),
        ("CAST", 37, "0:b:in_data_type 1:b:out_data_type"),
        ("DEQUANTIZE", 38, ""),
        ("MAXIMUM", 39, ""),
        ("MINIMUM", 39, ""),
        ("ARG_MAX", 40, "0:b:output_type"),
        ("LESS", 41, ""),
        ("NEG", 42, ""),
        ("PADV2", 43, ""),
        ("GREATER", 44, ""),
        ("GREATER_EQUAL", 45, ""),
        ("LESS_EQUAL", 46, ""),
        ("SELECT", 47, ""),
        ("SLICE", 48, ""),
        ("TRANSPOSE_CONV", 49, "0:b:padding 1:i:stride_w 2:i:stride_h 3:b:activation"),
        ("TILE", 51, ""),
        ("EXPAND_DIMS", 52, ""),
        ("EQUAL", 53, ""),
        ("NOT_EQUAL", 54, ""),
        ("SHAPE", 55, "0:b:out_type"),
        ("POW", 56, ""),
        ("ARG_MIN", 57, "0:b:output_type"),
        ("PACK", 59, "0:i:values_count 1:i:axis"),
        ("LOGICAL_OR", 60, ""),
        ("ONE_HOT", 61, "0:i:axis"),
        ("LOGICAL_AND", 62, ""),
        ("LOGICAL_NOT", 63, ""),
        ("UNPACK", 64, "0:i:num 1:i:axis"),
        ("FLOOR_DIV", 65, ""),
        ("SQUARE", 66, ""),
        ("ZEROS_LIKE", 67, ""),
        ("FILL", 68, ""),
        (
            "UNIDIRECTIONAL_SEQUENCE_LSTM",
            71,
            "0:b:activation 1:f:cell_clip 2:f:proj_clip 3:?:time_major 4:?:asymmetric_quantize_inputs "
            "5:?:diagonal_recurrent_tensors",
        ),
        ("FLOOR_MOD", 72, ""),
        ("RANGE", 73, ""),
        ("RESIZE_NEAREST_NEIGHBOR", 74, "0:?:align_corners 1:?:half_pixel_centers"),
        ("LEAKY_RELU", 75, "0:f:alpha"),
        ("SQUARED_DIFFERENCE", 76, ""),
        ("MIRROR_PAD", 77, "0:b:mode"),
        ("ABS", 78, ""),
        ("SPLIT_V", 79, "0:i:num_splits"),
        ("REVERSE_V2", 81, ""),
        ("ADD_N", 82, ""),
        ("GATHER_ND", 83, ""),
        ("COS", 84, ""),
        ("RANK", 86, ""),
        ("REVERSE_SEQUENCE", 87, "0:i:seq_dim 1:i:batch_dim"),
        ("QUANTIZE", 89, ""),
        ("HARD_SWISH", 91, ""),
        ("DEPTH_TO_SPACE", 94, "0:i:block_size"),
        ("SCATTER_ND", 97, ""),
        ("SELECT_V2", 98, ""),
        ("BATCH_MATMUL", 101, "0:?:adj_x 1:?:adj_y 2:?:asymmetric_quantize_inputs"),
        ("CUMSUM", 102, "0:?:exclusive 1:?:reverse"),
        ("CALL_ONCE", 103, "0:i:init_subgraph_index"),
        ("BROADCAST_TO", 104, ""),
        ("VAR_HANDLE", 111, ""),
        ("READ_VARIABLE", 112, ""),
        ("ASSIGN_VARIABLE", 113, ""),
        ("GELU", 116, "0:?:approximate"),
        ("SIGN", 123, ""),
    )
}
