"""Audio networks: YAMNet, MiniResNet, DS-CNN and the other keyword spotters of "Hello Edge".

Sources: ST model zoo; github.com/tensorflow/models YAMNet; Zhang et al., "Hello Edge", arXiv:1711.07128, with the layer
sizes of Arm's ML-Zoo.
"""

from __future__ import annotations

from functools import partial

from tinysim.network.builder import Builder
from tinysim.network.zoo.blocks import classifier, dequantized, separable
from tinysim.network.zoo.mobilenet import mobilenet_v1_body
from tinysim.network.zoo.registry import network

__all__ = ["cnn", "dnn", "ds_cnn", "miniresnet", "miniresnet_v2", "yamnet_256", "yamnet_1024"]

_ST = "ST model zoo (github.com/STMicroelectronics/stm32ai-modelzoo)"
_HELLO = "Hello Edge, arXiv:1711.07128, as in github.com/ARM-software/ML-zoo"


@network("yamnet-256[-c{classes:int}]", names=("yamnet-256",), source=f"{_ST}: YAMNet cut after 256 channels")
def yamnet_256(b: Builder, *, classes: int = 10) -> int:
    """The first six layers of YAMNet on a 64x96 patch."""
    x = b.transpose(b.input(1, 64, 96, 1), 0, 2, 1, 3)
    x = b.conv(x, 32, 3, stride=2, activation="relu")
    for filters, stride in ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1)):
        x = separable(b, x, filters, stride=stride, inner="relu", outer="relu")
    return dequantized(b, classifier(b, x, classes))


@network("yamnet-1024[-c{classes:int}]", names=("yamnet-1024",), source="YAMNet, github.com/tensorflow/models")
def yamnet_1024(b: Builder, *, classes: int = 10) -> int:
    """MobileNetV1's topology on 96x64x1."""
    return classifier(b, mobilenet_v1_body(b, b.input(1, 96, 64, 1), 1.0)[-1], classes)


@network(
    "miniresnet-{stacks:int}-64x50[-r{release:int}]",
    names=("miniresnet-1-64x50", "miniresnet-2-64x50", "miniresnet-1-64x50-r1", "miniresnet-2-64x50-r1"),
    source=f"{_ST}: MiniResNet v1 (r1: models of release 1.x, which stride later)",
)
def miniresnet(b: Builder, *, stacks: int, release: int = 2) -> int:
    """A 7x7 convolution, a pool and stacks of two residual blocks.

    From release 2 on the first block of a stack strides, before that the second.
    """
    x = _stem(b, "relu")
    for i in range(stacks):
        filters = 64 * 2**i
        for block in (1, 2):
            stride = 2 if block == (1 if release > 1 else 2) else 1
            shortcut = x if stride == 1 and block == 2 else b.conv(x, filters, 1, stride=stride, padding="valid")
            y = b.conv(x, filters, 1, stride=stride, padding="valid", activation="relu")
            x = b.add(shortcut, b.conv(y, filters, 3, activation="relu"), activation="relu")
    return dequantized(b, b.softmax(b.fc(b.flatten(x), 10)))


def _stem(b: Builder, activation: str) -> int:
    x = b.conv(b.pad(b.input(1, 64, 50, 1), 3, 3, 3, 3), 64, 7, stride=2, padding="valid", activation=activation)
    return b.max_pool(b.pad(x, 1, 1, 1, 1), 3, stride=2)


@network(
    "miniresnet-v2-{stacks:int}-64x50",
    names=("miniresnet-v2-1-64x50", "miniresnet-v2-2-64x50"),
    source=f"{_ST}: MiniResNetV2, batch norms kept",
)
def miniresnet_v2(b: Builder, *, stacks: int) -> int:
    """Pre-activation blocks; the second of a stack strides, its shortcut by a 1x1 pool."""
    x = _stem(b, "none")
    for i in range(stacks):
        filters = 64 * 2**i
        for stride in (1, 2):
            shortcut = x if stride == 1 else b.max_pool(x, 1, stride=2)
            y = b.scale_shift(x, activation="relu")
            if stride == 1:
                shortcut = b.conv(y, filters, 1, padding="valid")
            y = b.conv(y, filters, 1, padding="valid", activation="relu")
            y = b.conv(b.pad(y, 1, 1, 1, 1), filters, 3, stride=stride, padding="valid")
            x = b.add(shortcut, y)
    x = b.scale_shift(x, activation="relu")
    return dequantized(b, b.softmax(b.fc(b.flatten(x), 10)))


@network("ds-cnn-s", aliases=("ds-cnn-small",), source=_HELLO)
def ds_cnn_s(b: Builder) -> int:
    """DS-CNN small."""
    return ds_cnn(b, 64, 4, (2, 2), (1, 1))


@network("ds-cnn-m", aliases=("ds-cnn-medium",), source=_HELLO)
def ds_cnn_m(b: Builder) -> int:
    """DS-CNN medium."""
    return ds_cnn(b, 172, 4, (2, 1), (2, 2))


@network("ds-cnn-l", aliases=("ds-cnn-large",), source=_HELLO)
def ds_cnn_l(b: Builder) -> int:
    """DS-CNN large."""
    return ds_cnn(b, 276, 5, (2, 1), (2, 2))


def ds_cnn(b: Builder, filters: int, blocks: int, stride: tuple[int, int], second: tuple[int, int]) -> int:
    """A 10x4 convolution on 49x10 features and depthwise-separable blocks, the first with stride `second`."""
    x = b.conv(b.input(1, 49, 10, 1), filters, (10, 4), stride=stride, activation="relu")
    for i in range(blocks):
        x = separable(b, x, filters, stride=second if i == 0 else 1, inner="relu", outer="relu")
    _, height, width, _ = b.shape(x)
    return b.softmax(b.fc(b.flatten(b.avg_pool(x, (height, width))), 12))


def dnn(b: Builder, units: int) -> int:
    """Three dense layers on 25 frames of 10 features."""
    x = b.input(1, 250)
    for _ in range(3):
        x = b.fc(x, units, activation="relu")
    return b.softmax(b.fc(x, 12))


def cnn(b: Builder, first: int, second: int, linear: int, dense: int) -> int:
    """Two 10x4 convolutions on 49x10 features, a linear and a dense layer."""
    x = b.conv(b.input(1, 49, 10, 1), first, (10, 4), padding="valid", activation="relu")
    x = b.conv(x, second, (10, 4), stride=(2, 1), padding="valid", activation="relu")
    return b.softmax(b.fc(b.fc(b.fc(b.flatten(x), linear), dense, activation="relu"), 12))


for _size, _units in {"s": 144, "m": 256, "l": 436}.items():
    network(f"dnn-{_size}", source=_HELLO)(partial(dnn, units=_units))
for _size, _layers in {"s": (28, 30, 16, 128), "m": (64, 48, 16, 128), "l": (60, 76, 58, 128)}.items():
    _program = partial(cnn, first=_layers[0], second=_layers[1], linear=_layers[2], dense=_layers[3])
    network(f"cnn-{_size}", source=_HELLO)(_program)
