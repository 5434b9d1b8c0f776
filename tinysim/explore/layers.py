"""Layers as rows, for blocks of a search space: shapes in, columns of a `LayerTable` out, padding "same"."""

from __future__ import annotations

from collections.abc import Sequence

from tinysim.explore.space import Row

__all__ = ["add", "conv", "depthwise", "head", "inverted_residual", "same"]


def same(size: int, kernel: int, stride: int) -> tuple[int, int, int]:
    """Outputs and padding (before, after) of a "same" window along one axis.

    >>> same(96, 3, 2), same(5, 3, 1)
    ((48, 0, 1), (5, 1, 1))
    """
    out = -(-size // stride)
    total = max((out - 1) * stride + kernel - size, 0)
    return out, total // 2, total - total // 2


def _window(
    kind: str, h: int, w: int, in_c: int, out_c: int, kernel: int | Sequence[int], stride: int | Sequence[int]
) -> Row:
    kernels = (kernel, kernel) if isinstance(kernel, int) else tuple(kernel)
    strides = (stride, stride) if isinstance(stride, int) else tuple(stride)
    out_h, top, bottom = same(h, kernels[0], strides[0])
    out_w, left, right = same(w, kernels[1], strides[1])
    return {
        "kind": kind, "in_h": h, "in_w": w, "in_c": in_c, "out_h": out_h, "out_w": out_w, "out_c": out_c,
        "kernel_h": kernels[0], "kernel_w": kernels[1], "stride_h": strides[0], "stride_w": strides[1],
        "pad_top": top, "pad_bottom": bottom, "pad_left": left, "pad_right": right,
    }  # fmt: skip


def conv(
    h: int, w: int, in_c: int, out_c: int, kernel: int | Sequence[int] = 1, stride: int | Sequence[int] = 1
) -> Row:
    """Convolution of an image of h x w x in_c."""
    return _window("conv2d", h, w, in_c, out_c, kernel, stride)


def depthwise(h: int, w: int, c: int, kernel: int | Sequence[int] = 3, stride: int | Sequence[int] = 1) -> Row:
    """Depthwise convolution."""
    return _window("depthwise_conv2d", h, w, c, c, kernel, stride)


def add(h: int, w: int, c: int, skip: int) -> Row:
    """Sum with the output `skip` rows back."""
    sizes = {"in_h": h, "in_w": w, "in_c": c, "out_h": h, "out_w": w, "out_c": c}
    return {"kind": "add", "n_inputs": 2, "in2_elements": h * w * c, "skip": skip, "has_bias": 1} | sizes


def head(h: int, w: int, c: int, classes: int, *, weight_bits: int = 8) -> list[Row]:
    """Global mean, fully connected layer, softmax."""
    return [
        {"kind": "mean", "in_h": h, "in_w": w, "in_c": c, "out_c": c, "kernel_h": h, "kernel_w": w},
        {"kind": "fully_connected", "in_c": c, "out_c": classes, "weight_bits": weight_bits},
        {"kind": "softmax", "in_c": classes, "out_c": classes},
    ]


def inverted_residual(
    h: int, w: int, in_c: int, out_c: int, *, expansion: int, kernel: int = 3, stride: int = 1
) -> list[Row]:
    """MobileNetV2's block: expand (not by 1), depthwise, project, and a sum where the shapes agree."""
    wide = in_c * expansion
    rows = [conv(h, w, in_c, wide)] if expansion > 1 else []
    rows.append(depthwise(h, w, wide, kernel, stride))
    out_h, out_w = rows[-1]["out_h"], rows[-1]["out_w"]
    rows.append(conv(out_h, out_w, wide, out_c))
    if stride == 1 and in_c == out_c:
        rows.append(add(out_h, out_w, out_c, len(rows) + 1))
    return rows
