"""Layers of the measured networks that are not in the zoo, and rows of measurements as columns."""

from pathlib import Path

import numpy as np
import pandas as pd

from tinysim.cost.accelerator.work import columns_of, work_of
from tinysim.network.zoo import build_network

DATA = Path(__file__).parent / "data"


def op(kind, size, in_c, out_c, *, kernel=1, stride=1, second=0, width=None, out=None):
    """One layer on a square map (or a row of `width`)."""
    rows, wide = (size, size) if width is None else (1, width)
    out_h, out_w = (-(-rows // stride), -(-wide // stride)) if out is None else (1 if width else out, out)
    return {
        "kind": kind,
        "in_h": rows,
        "in_w": wide,
        "in_c": in_c,
        "out_h": out_h,
        "out_w": out_w,
        "out_c": out_c,
        "kernel_h": 1 if width else kernel,
        "kernel_w": kernel,
        "stride_h": stride,
        "stride_w": stride,
        "in2_elements": second,
    }


def yolo_v8n(size, classes=1):
    """YOLOv8n as published by Ultralytics: C2f backbone, SPPF, PAN neck, decoupled heads, SiLU as logistic and mul."""
    layers = []

    def conv(at, in_c, out_c, kernel=1, stride=1, active=True):
        layers.append(op("conv2d", at, in_c, out_c, kernel=kernel, stride=stride))
        at = -(-at // stride)
        if active:
            layers.append(op("logistic", at, out_c, out_c))
            layers.append(op("mul", at, out_c, out_c, second=at * at * out_c))
        return at

    def c2f(at, in_c, out_c, repeats, shortcut):
        half = out_c // 2
        conv(at, in_c, out_c)
        for _ in range(repeats):
            conv(at, half, half, 3)
            conv(at, half, half, 3)
            if shortcut:
                layers.append(op("add", at, half, half, second=at * at * half))
        conv(at, (2 + repeats) * half, out_c)

    at = conv(conv(size, 3, 16, 3, 2), 16, 32, 3, 2)
    c2f(at, 32, 32, 1, True)
    levels = []
    for in_c, out_c, repeats in ((32, 64, 2), (64, 128, 2), (128, 256, 1)):
        at = conv(at, in_c, out_c, 3, 2)
        c2f(at, out_c, out_c, repeats, True)
        levels.append(at)
    p3, p4, p5 = levels
    conv(p5, 256, 128)
    layers.extend(op("max_pool2d", p5, 128, 128, kernel=5) for _ in range(3))
    conv(p5, 512, 256)
    for below, above, in_c, out_c in ((p5, p4, 384, 128), (p4, p3, 192, 64)):
        layers.append(op("resize_nearest_neighbor", below, out_c * 2, out_c * 2, out=above))
        c2f(above, in_c, out_c, 1, False)
    for above, below, channels in ((p3, p4, 64), (p4, p5, 128)):
        conv(above, channels, channels, 3, 2)
        c2f(below, 3 * channels, 2 * channels, 1, False)
    for at, in_c in ((p3, 64), (p4, 128), (p5, 256)):
        for outputs in (64, classes):
            conv(at, in_c, 64, 3)
            conv(at, 64, 64, 3)
            conv(at, 64, outputs, 1, active=False)
    return layers


def ultraface_slim(height, width):
    """UltraFace slim (github.com/Linzaer/Ultra-Light-Fast-Generic-Face-Detector-1MB, vision/ssd/mb_tiny_fd.py)."""
    layers, heads = [], []

    def conv(at, in_c, out_c, *, kernel=1, stride=1, depthwise=False):
        after = tuple(-(-side // stride) for side in at)
        layer = op("depthwise_conv2d" if depthwise else "conv2d", 1, in_c, out_c, kernel=kernel, stride=stride)
        layers.append(layer | dict(zip(("in_h", "in_w", "out_h", "out_w"), (*at, *after), strict=True)))
        return after

    def separable(at, in_c, out_c, stride=1):
        return conv(conv(at, in_c, in_c, kernel=3, stride=stride, depthwise=True), in_c, out_c)

    at = conv((height, width), 3, 16, kernel=3, stride=2)
    at = separable(separable(separable(at, 16, 32), 32, 32, 2), 32, 32)
    at = separable(at, 32, 64, 2)
    for channels, anchors, repeats in ((64, 3, 3), (128, 2, 2), (256, 2, 1)):
        for _ in range(repeats):
            at = separable(at, channels, channels)
        heads.append((at, channels, anchors))
        at = separable(at, channels, 2 * channels, 2) if channels < 256 else at
    last = separable(conv(at, 256, 64), 64, 256, 2)
    for place, channels, anchors in heads:
        for values in (4, 2):
            separable(place, channels, anchors * values)
    for values in (4, 2):
        conv(last, 256, 3 * values, kernel=3)
    return layers


def _simplenet(widths, tail, *, residual=()):
    """SimpleNet of ai8x-training on 32 x 32 x 3: ten layers of 3 x 3, pooled before some, and a tail of four."""
    sizes = (32, 32, 32, 32, 16, 16, 16, 8, 8, 4)
    layers, in_c = [], 3
    for i, (size, out_c) in enumerate(zip(sizes, widths, strict=True)):
        layers.append(op("conv2d", size, in_c, out_c, kernel=3))
        if i in residual:
            layers.append(op("add", size, out_c, out_c, second=size * size * out_c))
        in_c = out_c
    for size, out_c, kernel in zip((2, 2, 1, 1), tail, (1, 1, 3, 1), strict=True):
        layers.append(op("conv2d", size, in_c, out_c, kernel=kernel))
        in_c = out_c
    return layers


def _conv1d(widths, linear):
    """A chain of 1-D convolutions: (input positions, input channels, filters, kernel, output positions)."""
    layers = [op("conv2d", 1, i, o, kernel=k, width=n, out=m) for n, i, o, k, m in widths]
    return [*layers, op("fully_connected", 1, *linear)]


_NARROW = (16, 20, 20, 20, 20, 20, 44, 48, 48, 96)
#: Networks of ai8x-training (github.com/analogdevicesinc/ai8x-training, models/), layer by layer.
OTHERS = {
    "ai8x-simplenet": _simplenet(_NARROW, (512, 128, 128, 100)),
    "ai8x-simplenet-residual": _simplenet(_NARROW, (512, 128, 128, 100), residual=(2, 5, 8)),
    "ai8x-simplenet-wide2x": _simplenet((24, 32, 32, 32, 32, 32, 64, 64, 64, 128), (512, 192, 192, 100)),
    "ai8x-kws20-v3": _conv1d(
        [(128, 128, 100, 1, 128), (128, 100, 96, 3, 126), (63, 96, 64, 3, 63), (62, 64, 48, 3, 60), (30, 48, 64, 3, 30),
         (30, 64, 96, 3, 28), (14, 96, 100, 3, 14), (7, 100, 64, 6, 4)],
        (256, 21),
    ),
    "ai8x-kws20-v2": _conv1d(
        [(128, 128, 100, 1, 128), (128, 100, 48, 3, 126), (63, 48, 96, 3, 63), (62, 96, 128, 3, 60),
         (30, 128, 160, 3, 30), (30, 160, 192, 3, 28), (14, 192, 192, 3, 14), (14, 192, 32, 3, 12)],
        (384, 21),
    ),
    # The sums of Inception v4 (42.7 M weights, 12.3 G multiply-accumulates) and v1 (6.6 M, 1.5 G) as one layer each.
    "inception-v4-sum": [op("conv2d", 17, 6534, 6534)],
    "inception-v1-sum": [op("conv2d", 15, 2570, 2570)],
}  # fmt: skip

_KEPT = ("kind", "in_h", "in_w", "in_c", "out_h", "out_w", "out_c", "kernel_h", "kernel_w", "stride_h", "stride_w",
         "in2_elements", "groups", "batch")  # fmt: skip


def layers_of(name):
    """Columns of a network of the zoo or of this file."""
    if name.startswith("yolov8n"):
        rows = yolo_v8n(int(name.split("-")[1]))
    elif name.startswith("ultraface-slim"):
        rows = ultraface_slim(*(int(side) for side in reversed(name.split("-")[2].split("x"))))
    elif name in OTHERS:
        rows = OTHERS[name]
    else:
        columns = columns_of(build_network(name).table())
        return pd.DataFrame({column: columns[column] for column in _KEPT})
    return pd.DataFrame(rows).assign(groups=1, batch=1)[list(_KEPT)]


def stacked(names, *, weight_bits=8):
    """Columns of several networks, one after the other, numbered in `network`."""
    bits = np.broadcast_to(weight_bits, len(names))
    tables = [layers_of(name).assign(network=i, weight_bits=bits[i]) for i, name in enumerate(names)]
    table = pd.concat(tables, ignore_index=True)
    return {column: table[column].to_numpy() for column in table.columns}


def with_stored_weights(columns, stored_bytes, share_of_4_bit):
    """Columns with the stored size that the tool reports; what exceeds the weights is spread over the layers."""
    work = work_of(**columns)
    size = work.weight_bytes * (1 - 0.5 * np.asarray(share_of_4_bit)[work.network])
    total, layers = (np.bincount(work.network, weights=x) for x in (size, size > 0))
    extra = np.maximum(np.asarray(stored_bytes) - total, 0) / layers
    return columns | {"encoded_weight_bytes": size + (size > 0) * extra[work.network]}
