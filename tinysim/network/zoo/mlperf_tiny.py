"""The MLPerf Tiny benchmark's five reference networks, operator for operator as in their TFLite files.

Source: github.com/mlcommons/tiny, benchmark/training; Banbury et al., "MLPerf Tiny Benchmark", arXiv:2106.07597.
"""

from __future__ import annotations

from tinysim.network.builder import Builder
from tinysim.network.zoo.registry import network

__all__ = ["anomaly_detection", "image_classification", "keyword_spotting", "streaming_wakeword", "visual_wakewords"]

_SOURCE = "MLPerf Tiny reference model, github.com/mlcommons/tiny, arXiv:2106.07597"


@network("mlperf-tiny-ad", aliases=("ad",), source=f"{_SOURCE}: ToyADMOS autoencoder", rice_bits=5.35)
def anomaly_detection(b: Builder) -> int:
    """Deep autoencoder: 640 -> 128 x 4 -> 8 -> 128 x 4 -> 640."""
    x = b.input(1, 640)
    for units in (128, 128, 128, 128, 8, 128, 128, 128, 128):
        x = b.fc(x, units, activation="relu")
    return b.fc(x, 640)


@network("mlperf-tiny-ic", aliases=("ic",), source=f"{_SOURCE}: CIFAR-10 ResNet-8", rice_bits=7.48)
def image_classification(b: Builder) -> int:
    """ResNet-8: three stages of one residual block."""
    x = b.conv(b.input(1, 32, 32, 3), 16, 3, activation="relu")
    for filters, stride in ((16, 1), (32, 2), (64, 2)):
        y = b.conv(x, filters, 3, stride=stride, activation="relu")
        y = b.conv(y, filters, 3)
        x = (
            b.add(x, y, activation="relu")
            if stride == 1
            else b.add(b.conv(x, filters, 1, stride=stride), y, activation="relu")
        )
    return b.softmax(b.fc(b.flatten(b.avg_pool(x, 8)), 10))


@network("mlperf-tiny-kws", aliases=("kws",), source=f"{_SOURCE}: Speech Commands DS-CNN", rice_bits=7.90)
def keyword_spotting(b: Builder) -> int:
    """DS-CNN small: a 10x4 convolution and four depthwise-separable blocks of 64 channels."""
    x = b.conv(b.input(1, 49, 10, 1), 64, (10, 4), stride=2, activation="relu")
    for _ in range(4):
        x = b.conv(b.dw(x, 3, activation="relu"), 64, 1, activation="relu")
    return b.softmax(b.fc(b.flatten(b.avg_pool(x, (25, 5))), 12))


@network(
    "mlperf-tiny-vww",
    aliases=("vww",),
    source=f"{_SOURCE}: Visual Wake Words MobileNetV1 0.25, 96x96",
    live="mlperf-tiny-vww-live",
    rice_bits=1.64,
)
def visual_wakewords(b: Builder) -> int:
    """MobileNetV1 0.25 at 96x96 with two classes; all channels live (the reference weights have dead ones)."""
    return _visual_wakewords(b, (16, 32, 32, 64, 64, 128, 128, 128, 128, 128, 128, 256, 256))


@network("mlperf-tiny-vww-live", source=f"{_SOURCE}: visual wake words without the all-zero channels of its weights")
def visual_wakewords_live(b: Builder) -> int:
    """The channels of vww_96_int8 that are not all zero, as stacks that remove dead channels run it."""
    return _visual_wakewords(b, (16, 32, 32, 64, 60, 107, 57, 30, 19, 16, 25, 32, 22))


def _visual_wakewords(b: Builder, widths: tuple[int, ...]) -> int:
    x = b.conv(b.input(1, 96, 96, 3), 8, 3, stride=2, activation="relu")
    for i, filters in enumerate(widths):
        stride = 2 if i in (1, 3, 5, 11) else 1
        x = b.conv(b.dw(x, 3, stride=stride, activation="relu"), filters, 1, activation="relu")
    return b.softmax(b.fc(b.flatten(b.avg_pool(x, 3)), 2))


@network(
    "mlperf-tiny-sww",
    aliases=("sww",),
    source=f"{_SOURCE}: streaming wake word, 1-D depthwise-separable",
    rice_bits=7.80,
)
def streaming_wakeword(b: Builder) -> int:
    """1-D DS-CNN over 30 frames of 40 features, unpadded; its last depthwise kernel spans all frames left."""
    x = b.input(1, 30, 1, 40)
    for kernel, filters in ((3, 128), (5, 128), (10, 128), (15, 32)):
        x = b.dw(x, (kernel, 1), padding="valid")
        x = b.conv(x, filters, 1, padding="valid", activation="relu")
    return b.softmax(b.fc(b.flatten(x), 3))
