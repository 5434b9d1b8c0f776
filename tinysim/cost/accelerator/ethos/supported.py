"""Operators that the compiler leaves to the CPU, and why.

Source: Vela 5.2, SUPPORTED_OPS.md. Limits on quantization parameters and on the values of weights are not checked:
the columns of layers do not carry them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from tinysim.cost.accelerator.ethos.hardware import EthosHardware
from tinysim.cost.accelerator.ethos.lowering import LOWERED_KINDS

__all__ = ["ethos_supported"]

Array = npt.NDArray[Any]
Columns = dict[str, Array]

_WEIGHTED = ("conv2d", "depthwise_conv2d", "fully_connected", "transpose_conv")
_POOLS = ("avg_pool2d", "max_pool2d")
_DEFAULTS = {
    "in_h": 1, "in_w": 1, "in_c": 1, "out_h": 1, "out_w": 1, "kernel_h": 1, "kernel_w": 1, "stride_h": 1, "stride_w": 1,
    "dilation_h": 1, "dilation_w": 1, "pad_top": 0, "pad_bottom": 0, "pad_left": 0, "pad_right": 0, "weight_bits": 8,
    "activation_bits": 8, "batch": 1,
}  # fmt: skip


def _is(c: Columns, *kinds: str) -> Array:
    return np.isin(c["kind"], kinds)


def _padded(c: Columns) -> Array:
    return np.asarray((c["pad_top"] + c["pad_bottom"] + c["pad_left"] + c["pad_right"]) > 0)


def _longest_stride(c: Columns) -> Array:
    return np.maximum(c["stride_h"], c["stride_w"])


def _scale(c: Columns) -> Array:
    """Whether a resize enlarges both sides by one factor of 2, 4 or 8."""
    by_h, by_w = c["out_h"] / c["in_h"], c["out_w"] / c["in_w"]
    single = (c["in_h"] == 1) & (c["in_w"] == 1)
    return np.asarray(single | ((by_h == by_w) & np.isin(by_h, (1, 2, 4, 8))))


#: (what is wrong, families it holds for, where it is so)
_RULES: tuple[tuple[str, tuple[str, ...], Callable[[Columns], Array]], ...] = (
    ("operator not in the NPU's list", ("u55", "u65", "u85"), lambda c: ~np.isin(c["kind"], sorted(LOWERED_KINDS))),
    ("feature maps of 32 bit", ("u55", "u65"), lambda c: c["activation_bits"] >= 32),
    ("floating-point feature maps", ("u85",), lambda c: c["activation_bits"] >= 32),
    ("weights that are not of 8 bit", ("u55", "u65", "u85"), lambda c: _is(c, *_WEIGHTED) & (c["weight_bits"] != 8)),
    ("stride above 3", ("u55", "u65"), lambda c: _is(c, "depthwise_conv2d") & (_longest_stride(c) > 3)),
    (
        "stride above 3 with padding or dilation",
        ("u55", "u65"),
        lambda c: (
            _is(c, "conv2d", *_POOLS)
            & (_longest_stride(c) > 3)
            & (_padded(c) | (c["dilation_h"] > 1) | (c["dilation_w"] > 1))
        ),
    ),
    (
        "stride other than 1 or 2",
        ("u55", "u65"),
        lambda c: _is(c, "transpose_conv") & ((_longest_stride(c) > 2) | (c["stride_h"] != c["stride_w"])),
    ),
    (
        "window longer than 8 with padding",
        ("u55", "u65", "u85"),
        lambda c: _is(c, "avg_pool2d") & _padded(c) & (np.maximum(c["kernel_h"], c["kernel_w"]) > 8),
    ),
    (
        "window above 256 rows or 65536 elements",
        ("u55", "u65", "u85"),
        lambda c: _is(c, *_POOLS) & ((c["kernel_h"] > 256) | (c["kernel_h"] * c["kernel_w"] > 65536)),
    ),
    (
        "65536 rows of softmax or more",
        ("u55", "u65", "u85"),
        lambda c: _is(c, "softmax") & (c["in_h"] * c["in_w"] >= 65536),
    ),
    (
        "mean over an axis of 4096 or more",
        ("u55", "u65"),
        lambda c: _is(c, "mean") & (np.maximum(c["kernel_h"], c["kernel_w"]) >= 4096),
    ),
    ("batch above 1", ("u55", "u65"), lambda c: _is(c, "mean") & (c["batch"] > 1)),
    (
        "resize by other factors than 2, 4 or 8",
        ("u55", "u65"),
        lambda c: _is(c, "resize_bilinear", "resize_nearest_neighbor") & ~_scale(c),
    ),
)


def ethos_supported(hardware: EthosHardware, *, kind: npt.ArrayLike, **columns: npt.ArrayLike) -> tuple[Array, Array]:
    """Mask of the layers that the NPU runs, and for each other one the first reason it does not.

    >>> from tinysim.cost.accelerator.spec import load_accelerator
    >>> u55 = load_accelerator("ethos-u55-128").vela
    >>> mask, why = ethos_supported(u55, kind=["conv2d", "svdf"])
    >>> mask.tolist(), why.tolist()
    ([True, False], ['', "operator not in the NPU's list"])
    """
    kinds = np.atleast_1d(np.asarray(kind)).astype(str)
    c: Columns = {
        name: np.broadcast_to(np.asarray(columns.get(name, default)), kinds.shape)
        for name, default in _DEFAULTS.items()
    }
    c["kind"] = kinds
    reasons = np.full(kinds.shape, "", dtype=object)
    for text, families, broken in _RULES:
        if hardware.family in families:
            reasons[(reasons == "") & broken(c)] = text
    return np.asarray(reasons == "", dtype=bool), reasons
