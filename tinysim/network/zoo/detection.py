"""Object detectors: Tiny-YOLO v2, SSD-MobileNets, ST YOLO X.

Sources: Redmon and Farhadi, arXiv:1612.08242; Liu et al., arXiv:1512.02325; Ge et al., arXiv:2107.08430 (YOLOX); the
variants of ST's model zoo. Decoding of boxes is not part of the networks.
"""

from __future__ import annotations

from collections.abc import Sequence

from tinysim.network.builder import Builder
from tinysim.network.zoo.blocks import dequantized, quantized_image, separable
from tinysim.network.zoo.mobilenet import mobilenet_v1_body, mobilenet_v2_body
from tinysim.network.zoo.registry import network

__all__ = ["ssd_mobilenet_v1", "ssd_mobilenet_v2_fpnlite", "tiny_yolo_v2", "yolo_x"]

_ST = "ST model zoo (github.com/STMicroelectronics/stm32ai-modelzoo)"


@network(
    "tiny-yolo-v2-{size:int}",
    names=tuple(f"tiny-yolo-v2-{size}" for size in (192, 224, 416)),
    source=f"Tiny-YOLO v2, arXiv:1612.08242, as in {_ST}: one class, five anchors",
)
def tiny_yolo_v2(b: Builder, *, size: int) -> int:
    """Eight 3x3 convolutions with leaky ReLU and six pools."""
    x = b.input(1, size, size, 3)
    for filters in (16, 32, 64, 128, 256):
        x = b.max_pool(b.conv(x, filters, 3, activation="leaky_relu"), 2)
    x = b.max_pool(b.conv(x, 512, 3, activation="leaky_relu"), 2, stride=1, padding="same")
    for filters in (1024, 512):
        x = b.conv(x, filters, 3, activation="leaky_relu")
    return b.conv(x, 30, 1)


def _predictions(b: Builder, maps: Sequence[int], *, separate: bool = False, top: int = 3) -> tuple[int, ...]:
    """Scores (softmax of two classes) and boxes of five anchors per pixel on each map, concatenated, and in
    quantized networks the anchors.

    Predictors are 3x3 convolutions, `separate` ones if asked; `top` is the kernel on a 1x1 map. The anchors are
    constants of 4 bytes that the network hands on as floats (the operators that tile them are folded).
    """
    scores: list[int] = []
    boxes: list[int] = []
    for x in maps:
        kernel = top if b.shape(x)[1] == 1 else 3
        for found, channels, width in ((scores, 10, 2), (boxes, 20, 4)):
            y = separable(b, x, channels, inner="none", outer="none") if separate else b.conv(x, channels, kernel)
            found.append(b.reshape(y, 1, -1, width))
    probabilities = dequantized(b, b.softmax(b.concat(scores, axis=1)))
    found_boxes = dequantized(b, b.concat(boxes, axis=1))
    if b.format.activation != "int8":
        return probabilities, found_boxes
    return probabilities, found_boxes, dequantized(b, b.weights("anchors", b.shape(found_boxes)))


@network(
    "st-ssd-mobilenet-v1-0.25-{size:int}",
    names=tuple(f"st-ssd-mobilenet-v1-0.25-{size}" for size in (192, 224, 256)),
    source=f"{_ST}: ST SSD MobileNet v1 0.25",
)
def ssd_mobilenet_v1(b: Builder, *, size: int) -> tuple[int, ...]:
    """MobileNetV1 0.25 and a top-down pyramid of 32 channels with plain 3x3 heads."""
    body = mobilenet_v1_body(b, quantized_image(b, size, size, 3), 0.25, keras_pad=True)
    coarsest = b.shape(body[13])[1]
    maps = [_padded(b, body[i], (coarsest + coarsest % 2) * times) for i, times in ((5, 4), (11, 2), (13, 1))]
    x = maps[-1]
    while b.shape(x)[1] > 3:
        for stride in (2, 1):
            x = separable(b, x, 256, stride=stride, inner="relu6", outer="relu6")
        maps.append(x)
    maps.append(b.global_pool(x, keep_dims=True))
    laterals = [b.conv(y, 32, 1) for y in maps]
    merged = [laterals[-1]]
    for lateral in reversed(laterals[:-1]):
        merged.append(b.add(lateral, _upsample(b, merged[-1], b.shape(lateral)[1])))
    # The 192-pixel file has a 3x3 predictor even on the 1x1 map.
    return _predictions(b, merged[::-1], top=3 if size == 192 else 1)


def _padded(b: Builder, x: int, size: int) -> int:
    """The map with zeros around it up to `size`, so that the pyramid's factors are 2."""
    missing = size - b.shape(x)[1]
    return b.pad(x, missing // 2, missing - missing // 2, missing // 2, missing - missing // 2) if missing else x


def _upsample(b: Builder, x: int, size: int) -> int:
    """Twice the size by bilinear interpolation, then zeros up to `size`."""
    now = b.shape(x)[1]
    return _padded(b, b.resize(x, 2 * now, 2 * now, kind="resize_bilinear"), size)


@network(
    "ssd-mobilenet-v2-fpnlite-0.35-{size:int}",
    names=tuple(f"ssd-mobilenet-v2-fpnlite-0.35-{size}" for size in (192, 224, 256, 416)),
    source=f"SSDLite with MobileNetV2 0.35 and FPN, arXiv:1801.04381, as in {_ST}",
)
def ssd_mobilenet_v2_fpnlite(b: Builder, *, size: int) -> tuple[int, ...]:
    """MobileNetV2 0.35, a pyramid of 128 channels, towers of four separable convolutions per scale."""
    body = mobilenet_v2_body(b, quantized_image(b, size, size, 3), 0.35, keras_pad=True)
    top = b.conv(b.conv(body[-1], 1280, 1, padding="valid", activation="relu6"), 128, 1)
    coarse = [top]
    for _ in range(2):
        coarse.append(separable(b, coarse[-1], 128, stride=2, inner="none", outer="relu6"))
    fine = [top]
    for lateral in (body[13], body[6]):
        rows = b.shape(lateral)[1]
        up = b.resize(fine[-1], rows, rows, kind="resize_bilinear")
        fine.append(b.add(up, b.conv(lateral, 128, 1)))
    smooth = [separable(b, x, 128, inner="none", outer="relu6") for x in fine[:0:-1]]
    towers = []
    for x in (*smooth, *coarse):
        for _ in range(4):
            x = separable(b, x, 128, inner="none", outer="relu6")
        towers.append(x)
    return _predictions(b, towers, separate=True)


@network(
    "st-yolo-x-d{depth:float}-w{width:float}-{size:int}",
    names=(*(f"st-yolo-x-d0.33-w0.25-{size}" for size in (192, 256, 320, 416)), "st-yolo-x-d0.5-w0.4-256"),
    source=f"YOLOX, arXiv:2107.08430, in the depthwise-separable form of {_ST}",
)
def yolo_x(b: Builder, *, depth: float, width: float, size: int) -> tuple[int, ...]:
    """CSP backbone with SPP, PAFPN and decoupled heads."""
    base, n = int(64 * width), max(round(3 * depth), 1)
    x = b.conv(b.input(1, size, size, 3), 12, 3, stride=2, activation="relu6")
    x = b.conv(x, base, 3, activation="relu6")
    features = []
    for stage, (times, repeats) in enumerate(((2, n), (4, 3 * n), (8, 3 * n), (16, n))):
        x = _separable(b, x, times * base, stride=2)
        if stage == 3:
            x = _spatial_pyramid(b, x)
        x = _csp(b, x, times * base, repeats, shortcut=stage < 3)
        features.append(x)
    p3, p4, p5 = features[1:]
    lower5 = b.conv(p5, 8 * base, 1, activation="relu6")
    mid4 = _csp(b, b.concat([_double(b, lower5), p4]), 8 * base, n, shortcut=False)
    lower4 = b.conv(mid4, 4 * base, 1, activation="relu6")
    out3 = _csp(b, b.concat([_double(b, lower4), p3]), 4 * base, n, shortcut=False)
    out4 = _csp(b, b.concat([_separable(b, out3, 4 * base, stride=2), lower4]), 8 * base, n, shortcut=False)
    out5 = _csp(b, b.concat([_separable(b, out4, 8 * base, stride=2), lower5]), 16 * base, n, shortcut=False)
    return tuple(y for x in (out3, out4, out5) for y in _decoupled_head(b, x, int(256 * width)))


def _separable(b: Builder, x: int, filters: int, *, stride: int = 1) -> int:
    return separable(b, x, filters, stride=stride, inner="relu6", outer="relu6")


def _double(b: Builder, x: int) -> int:
    _, height, width, _ = b.shape(x)
    return b.resize(x, 2 * height, 2 * width)


def _spatial_pyramid(b: Builder, x: int) -> int:
    channels = b.shape(x)[3]
    y = b.conv(x, channels // 2, 1, activation="relu6")
    pools = [b.max_pool(y, kernel, stride=1, padding="same") for kernel in (5, 9, 13)]
    return b.conv(b.concat([y, *pools]), channels, 1, activation="relu6")


def _csp(b: Builder, x: int, filters: int, repeats: int, *, shortcut: bool) -> int:
    half = filters // 2
    short, deep = (b.conv(x, half, 1, activation="relu6") for _ in range(2))
    for _ in range(repeats):
        y = _separable(b, b.conv(deep, half, 1, activation="relu6"), half)
        deep = b.add(deep, y) if shortcut else y
    return b.conv(b.concat([deep, short]), filters, 1, activation="relu6")


def _decoupled_head(b: Builder, x: int, filters: int) -> list[int]:
    x = b.conv(x, filters, 1, activation="relu6")
    classes, boxes = (_separable(b, _separable(b, x, filters), filters) for _ in range(2))
    return [b.conv(classes, 1, 1), b.conv(boxes, 4, 1), b.conv(boxes, 1, 1)]
