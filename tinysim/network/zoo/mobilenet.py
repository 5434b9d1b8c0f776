"""MobileNetV1, MobileNetV2, FD-MobileNet: the networks, and as exported in ST's model zoo (`st-...`).

Sources: Howard et al., arXiv:1704.04861; Sandler et al., arXiv:1801.04381; Qin et al., arXiv:1802.03750; widths and
padding as in keras.applications. ST's exports have uint8 input, QUANTIZE and DEQUANTIZE, and PAD before stride 2.
"""

from __future__ import annotations

from collections.abc import Sequence

from tinysim.network.builder import Builder
from tinysim.network.zoo.blocks import (
    classifier,
    dequantized,
    divisible,
    inverted_residual,
    quantized_image,
    separable,
    strided_dw,
)
from tinysim.network.zoo.registry import network

__all__ = ["fd_mobilenet", "mobilenet_v1", "mobilenet_v2", "mobilenet_v2_body", "st_fd_mobilenet_v1"]

_ST = "ST model zoo (github.com/STMicroelectronics/stm32ai-modelzoo)"
_V1 = "MobileNetV1, arXiv:1704.04861, as keras.applications.MobileNet"
_V2 = "MobileNetV2, arXiv:1801.04381, as keras.applications.MobileNetV2"
_TAIL = "{alpha:float}-{size:int}[-c{classes:int}][-{channels:int}ch]"

_WIDTHS_V1 = (64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)
_STRIDED_V1 = (1, 3, 5, 11)
#: expansion, channels, repeats, stride
_STAGES_V2 = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


@network(
    f"mobilenet-v1-{_TAIL}",
    names=tuple(f"mobilenet-v1-{member}" for member in ("0.25-96", "0.25-128", "0.25-224", "0.5-224", "1.0-224")),
    source=_V1,
)
def mobilenet_v1(
    b: Builder, *, alpha: float, size: int, classes: int = 1000, channels: int = 3, st: bool = False
) -> int:
    """A convolution and 13 depthwise-separable blocks."""
    x = quantized_image(b, size, size, channels) if st else b.input(1, size, size, channels)
    x = mobilenet_v1_body(b, x, alpha, keras_pad=st)[-1]
    return dequantized(b, classifier(b, x, classes)) if st else classifier(b, x, classes)


def mobilenet_v1_body(b: Builder, x: int, alpha: float, *, keras_pad: bool = False) -> list[int]:
    """The outputs of the first convolution and of the 13 blocks."""
    outs = [b.conv(x, int(32 * alpha), 3, stride=2, activation="relu6")]
    for i, filters in enumerate(_WIDTHS_V1):
        stride = 2 if i in _STRIDED_V1 else 1
        y = strided_dw(b, outs[-1], 3, stride, activation="relu6", keras_pad=keras_pad)
        outs.append(b.conv(y, int(filters * alpha), 1, activation="relu6"))
    return outs


@network(
    f"mobilenet-v2-{_TAIL}",
    names=tuple(f"mobilenet-v2-{member}" for member in ("0.35-96", "0.35-128", "0.35-224", "1.0-224", "1.4-224")),
    source=_V2,
)
def mobilenet_v2(
    b: Builder, *, alpha: float, size: int, classes: int = 1000, channels: int = 3, st: bool = False
) -> int:
    """17 inverted residual blocks between two convolutions."""
    x = quantized_image(b, size, size, channels) if st else b.input(1, size, size, channels)
    x = mobilenet_v2_body(b, x, alpha, keras_pad=st)[-1]
    x = b.conv(x, divisible(1280 * alpha) if alpha > 1 else 1280, 1, activation="relu6")
    return dequantized(b, classifier(b, x, classes)) if st else classifier(b, x, classes)


def mobilenet_v2_body(b: Builder, x: int, alpha: float, *, keras_pad: bool = False) -> list[int]:
    """The outputs of the first convolution and of the 17 blocks."""
    outs = [b.conv(x, divisible(32 * alpha), 3, stride=2, activation="relu6")]
    for expansion, width, repeats, stride in _STAGES_V2:
        for i in range(repeats):
            x = outs[-1]
            step = stride if i == 0 else 1
            expanded, filters = expansion * b.shape(x)[3], divisible(width * alpha)
            outs.append(inverted_residual(b, x, expanded, filters, stride=step, keras_pad=keras_pad))
    return outs


@network(
    f"fd-mobilenet-{_TAIL}",
    names=("fd-mobilenet-0.25-128", "fd-mobilenet-0.25-224"),
    source="FD-MobileNet, arXiv:1802.03750",
)
def fd_mobilenet(
    b: Builder, *, alpha: float, size: int, classes: int = 1000, channels: int = 3, st: bool = False
) -> int:
    """Fast-downsampling MobileNet: 1/32 resolution after 12 layers."""
    widths = [int(w * alpha) for w in (32, 64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 1024)]
    return _fast_downsampling(b, widths, size, classes, channels, st)


@network(
    "st-fd-mobilenet-v1-{size:int}[-c{classes:int}]",
    names=("st-fd-mobilenet-v1-128-c5", "st-fd-mobilenet-v1-224-c5"),
    source=f"{_ST}: ST FdMobileNet v1, a width per layer",
)
def st_fd_mobilenet_v1(b: Builder, *, size: int, classes: int = 1000) -> int:
    """FD-MobileNet with a width multiplier per layer."""
    widths = (16, 48, 80, 64, 96, 64, 128, 128, 128, 128, 128, 256)
    return _fast_downsampling(b, widths, size, classes, 3, True)


def _fast_downsampling(b: Builder, widths: Sequence[int], size: int, classes: int, channels: int, st: bool) -> int:
    x = quantized_image(b, size, size, channels) if st else b.input(1, size, size, channels)
    x = b.conv(x, widths[0], 3, stride=2, activation="relu")
    for i, filters in enumerate(widths[1:]):
        x = separable(b, x, filters, stride=2 if i in (0, 1, 3, 5) else 1, inner="none", outer="relu")
    x = b.softmax(b.conv(b.global_pool(x, keep_dims=True), classes, 1))
    x = b.reshape(x, 1, classes)
    return dequantized(b, x) if st else x


@network(
    f"st-mobilenet-v1-{_TAIL}",
    names=tuple(f"st-mobilenet-v1-{m}" for m in ("0.25-96-c5", "0.25-96-c5-1ch", "0.25-224-c5", "0.5-224-c101")),
    source=f"{_ST}: {_V1}",
)
def st_mobilenet_v1(b: Builder, *, alpha: float, size: int, classes: int = 1000, channels: int = 3) -> int:
    """MobileNetV1 as ST exports it."""
    return mobilenet_v1(b, alpha=alpha, size=size, classes=classes, channels=channels, st=True)


@network(
    f"st-mobilenet-v2-{_TAIL}",
    names=("st-mobilenet-v2-0.35-128-c5", "st-mobilenet-v2-0.35-224-c5", "st-mobilenet-v2-0.35-224-c101"),
    source=f"{_ST}: {_V2}",
)
def st_mobilenet_v2(b: Builder, *, alpha: float, size: int, classes: int = 1000, channels: int = 3) -> int:
    """MobileNetV2 as ST exports it."""
    return mobilenet_v2(b, alpha=alpha, size=size, classes=classes, channels=channels, st=True)


@network(
    f"st-fd-mobilenet-{_TAIL}",
    names=("st-fd-mobilenet-0.25-128-c5", "st-fd-mobilenet-0.25-224-c5"),
    source=f"{_ST}: FD-MobileNet, arXiv:1802.03750",
)
def st_fd_mobilenet(b: Builder, *, alpha: float, size: int, classes: int = 1000, channels: int = 3) -> int:
    """FD-MobileNet as ST exports it."""
    return fd_mobilenet(b, alpha=alpha, size=size, classes=classes, channels=channels, st=True)
