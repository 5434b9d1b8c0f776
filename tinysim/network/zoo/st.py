"""Networks of ST's model zoo other than MobileNets, operator for operator as in its TFLite files.

Left out are the SHAPE, STRIDED_SLICE and PACK operators that compute constant shapes. Source: the TFLite files and
READMEs of github.com/STMicroelectronics/stm32ai-modelzoo.
"""

from __future__ import annotations

from tinysim.network.builder import Builder
from tinysim.network.zoo.blocks import (
    classifier,
    dequantized,
    divisible,
    inverted_residual,
    quantized_image,
    separable,
)
from tinysim.network.zoo.registry import network

__all__ = ["efficientnet_lc", "gmp", "hand_posture", "ign", "mnist", "yolo_lc"]

_ST = "ST model zoo (github.com/STMicroelectronics/stm32ai-modelzoo)"


@network(
    "st-efficientnet-lc-v1-{size:int}[-c{classes:int}]",
    names=("st-efficientnet-lc-v1-128-c5", "st-efficientnet-lc-v1-224-c5"),
    source=f"{_ST}: ST EfficientNet LC v1",
)
def efficientnet_lc(b: Builder, *, size: int, classes: int = 5) -> int:
    """EfficientNet-B0's block table at width 0.45 with expansion 3 and squeeze-excite."""
    x = b.conv(quantized_image(b, size, size, 3), 16, 3, stride=2, activation="relu6")
    repeats, kernels, strides = (1, 2, 2, 3, 3, 4, 1), (3, 3, 5, 3, 5, 5, 3), (1, 2, 2, 2, 1, 2, 1)
    for stage, width in enumerate((16, 24, 40, 80, 112, 192, 320)):
        for i in range(repeats[stage]):
            channels = b.shape(x)[3]
            x = inverted_residual(
                b, x, channels * (1 if stage == 0 else 3), divisible(0.45 * width), kernel=kernels[stage],
                stride=strides[stage] if i == 0 else 1, squeeze=channels // 4, gate="clipped_logistic",
            )  # fmt: skip
    return dequantized(b, classifier(b, b.conv(x, 576, 1, activation="relu6"), classes))


@network("st-mnist-v1-28", source=f"{_ST}: ST MNIST v1, EMNIST by class")
def mnist(b: Builder) -> int:
    """Five convolutions on 28x28x1."""
    x = b.conv(quantized_image(b, 28, 28, 1), 16, 3, stride=2, activation="relu")
    x = b.conv(b.dw(x, 3, activation="relu"), 32, 3, activation="relu")
    x = b.conv(b.dw(x, 3, stride=2, activation="relu"), 64, 1, padding="valid", activation="relu")
    return dequantized(b, classifier(b, x, 36))


@network(
    "st-yolo-lc-v1-{size:int}",
    names=tuple(f"st-yolo-lc-v1-{size}" for size in (192, 224, 256)),
    source=f"{_ST}: ST YOLO LC v1",
)
def yolo_lc(b: Builder, *, size: int) -> int:
    """A one-scale detector with a grid of 1/16."""
    x = quantized_image(b, size, size, 3)
    for filters in (16, 32, 64, 128):
        x = b.conv(x, filters, 3, stride=2, activation="relu")
    for filters in (256, 256):
        x = separable(b, x, filters, inner="none", outer="relu")
    x = b.max_pool(x, 2, stride=1, padding="same")
    for filters in (128, 256):
        x = separable(b, x, filters, inner="none", outer="relu")
    return dequantized(b, b.conv(x, 30, 1))


@network(
    "st-gmp-wl{window:int}[-c{classes:int}]",
    names=("st-gmp-wl24", "st-gmp-wl48"),
    source=f"{_ST}: GMP, human activity",
)
def gmp(b: Builder, *, window: int, classes: int = 4) -> int:
    """Two 5x1 convolutions and a global maximum."""
    x = b.conv(quantized_image(b, window, 3, 1), 16, (5, 1), padding="valid")
    x = b.conv(x, 16, (5, 1), padding="valid")
    return dequantized(b, b.softmax(b.fc(b.global_pool(x, kind="reduce_max"), classes)))


@network(
    "st-ign-wl{window:int}[-c{classes:int}]",
    names=("st-ign-wl24", "st-ign-wl48"),
    source=f"{_ST}: IGN, human activity",
)
def ign(b: Builder, *, window: int, classes: int = 4) -> int:
    """A 16x1 convolution, a pool and two dense layers."""
    x = b.conv(quantized_image(b, window, 3, 1), 24, (16, 1), padding="valid", activation="relu")
    x = b.flatten(b.max_pool(x, (3, 1)))
    return dequantized(b, b.softmax(b.fc(b.fc(x, 12), classes)))


@network("st-hand-posture", source=f"{_ST}: CNN2D_ST_HandPosture, 8 classes, published in float32")
def hand_posture(b: Builder) -> int:
    """A convolution on an 8x8 time-of-flight frame and two dense layers."""
    x = b.max_pool(b.conv(b.input(1, 8, 8, 2), 8, 3, padding="valid", activation="relu"), 2)
    return b.softmax(b.fc(b.fc(b.flatten(x), 32, activation="relu"), 8))
