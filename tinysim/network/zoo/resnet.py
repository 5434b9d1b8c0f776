"""Residual networks and SqueezeNets.

Sources: He et al., arXiv:1512.03385 (CIFAR networks) and arXiv:1603.05027 (v2), as in keras; Iandola et al.,
arXiv:1602.07360, and its version 1.1.
"""

from __future__ import annotations

from tinysim.errors import UnknownNetwork
from tinysim.network.builder import Builder
from tinysim.network.zoo.blocks import dequantized, quantized_image
from tinysim.network.zoo.registry import network

__all__ = ["resnet50_v2", "resnet_cifar", "squeezenet_10", "squeezenet_11"]

_ST = "ST model zoo (github.com/STMicroelectronics/stm32ai-modelzoo)"


@network(
    "resnet-{depth:int}-32[-c{classes:int}]",
    names=("resnet-8-32", "resnet-20-32", "resnet-32-32"),
    source="ResNet v1 for CIFAR, arXiv:1512.03385, with 1x1 shortcuts as in keras",
)
def resnet_cifar(b: Builder, *, depth: int, classes: int = 10, st: bool = False) -> int:
    """Three stages of (depth - 2) / 6 blocks on 32x32x3."""
    blocks, rest = divmod(depth - 2, 6)
    if rest or blocks < 1:
        raise UnknownNetwork(
            f"resnet-{depth}-32: the depth is 6 n + 2; did you mean resnet-{6 * max(1, blocks) + 2}-32?"
        )
    x = quantized_image(b, 32, 32, 3) if st else b.input(1, 32, 32, 3)
    x = b.conv(x, 16, 3, activation="relu")
    for filters in (16, 32, 64):
        for i in range(blocks):
            stride = 2 if i == 0 and filters > 16 else 1
            y = b.conv(b.conv(x, filters, 3, stride=stride, activation="relu"), filters, 3)
            x = b.add(x if stride == 1 else b.conv(x, filters, 1, stride=stride), y, activation="relu")
    return _probabilities(b, b.fc(b.flatten(b.avg_pool(x, 8)), classes), st)


def _probabilities(b: Builder, x: int, st: bool) -> int:
    return dequantized(b, b.softmax(x)) if st else b.softmax(x)


@network(
    "st-resnet-{depth:int}-32[-c{classes:int}]",
    names=("st-resnet-8-32", "st-resnet-32-32-c100"),
    source=f"{_ST}: ResNet v1 for CIFAR, arXiv:1512.03385",
)
def st_resnet(b: Builder, *, depth: int, classes: int = 10) -> int:
    """ResNet for CIFAR as ST exports it."""
    return resnet_cifar(b, depth=depth, classes=classes, st=True)


@network(
    "resnet-50-v2-{size:int}[-c{classes:int}]",
    names=("resnet-50-v2-224",),
    source="ResNet50V2, arXiv:1603.05027, as keras.applications.ResNet50V2 (stride in the last block of a stage)",
)
def resnet50_v2(b: Builder, *, size: int, classes: int = 1000) -> int:
    """Pre-activation bottleneck blocks; their batch norms stay as multiply and add."""
    x = b.conv(b.pad(b.input(1, size, size, 3), 3, 3, 3, 3), 64, 7, stride=2, padding="valid")
    x = b.max_pool(b.pad(x, 1, 1, 1, 1), 3, stride=2)
    for stage, (filters, repeats) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3))):
        for i in range(repeats):
            stride = 2 if i == repeats - 1 and stage < 3 else 1
            y = b.scale_shift(x, activation="relu")
            if i == 0:
                shortcut = b.conv(y, 4 * filters, 1, padding="valid")
            else:
                shortcut = b.max_pool(x, 1, stride=2) if stride == 2 else x
            y = b.conv(y, filters, 1, padding="valid", activation="relu", bias=True)
            y = b.conv(b.pad(y, 1, 1, 1, 1), filters, 3, stride=stride, padding="valid", activation="relu")
            x = b.add(shortcut, b.conv(y, 4 * filters, 1, padding="valid"))
    return b.softmax(b.fc(b.global_pool(b.scale_shift(x, activation="relu")), classes))


#: squeeze and expand widths of the fire modules, "pool" between them
_FIRES_11 = (16, 64), (16, 64), "pool", (32, 128), (32, 128), "pool", (48, 192), (48, 192), (64, 256), (64, 256)
_FIRES_10 = (16, 64), (16, 64), (32, 128), "pool", (32, 128), (48, 192), (48, 192), (64, 256), "pool", (64, 256)
#: ST's version has one fire module less
_FIRES_10_ST = (*_FIRES_10[:7], "pool", (64, 256))


def _fires(b: Builder, x: int, fires: tuple[tuple[int, int] | str, ...], *, norm: bool, padding: str) -> int:
    for fire in fires:
        if isinstance(fire, str):
            x = b.max_pool(x, 3, stride=2)
            continue
        squeeze, expand = fire
        x = b.conv(x, squeeze, 1, padding="valid", activation="relu")
        x = b.scale_shift(x) if norm else x
        ones = b.conv(x, expand, 1, padding=padding, activation="relu")
        x = b.concat([ones, b.conv(x, expand, 3, activation="relu")])
    return x


@network(
    "squeezenet-1.1-{size:int}[-c{classes:int}]",
    names=("squeezenet-1.1-128", "squeezenet-1.1-224"),
    source="SqueezeNet 1.1, arXiv:1602.07360 and its repository",
)
def squeezenet_11(b: Builder, *, size: int, classes: int = 1000, st: bool = False) -> int:
    """Eight fire modules after a 3x3 convolution."""
    x = quantized_image(b, size, size, 3) if st else b.input(1, size, size, 3)
    x = b.max_pool(b.conv(x, 64, 3, stride=2, padding="valid", activation="relu"), 3, stride=2)
    x = _fires(b, x, _FIRES_11, norm=False, padding="valid")
    x = b.conv(x, classes, 1, padding="valid", activation="relu")
    return _probabilities(b, b.global_pool(x), st)


@network(
    "squeezenet-1.0-{size:int}[-c{classes:int}]",
    names=("squeezenet-1.0-224",),
    source="SqueezeNet 1.0, arXiv:1602.07360",
)
def squeezenet_10(b: Builder, *, size: int, classes: int = 1000, st: bool = False) -> int:
    """Eight fire modules after a 7x7 convolution."""
    x = quantized_image(b, size, size, 3) if st else b.input(1, size, size, 3)
    x = b.max_pool(b.conv(x, 96, 7, stride=2, padding="valid", activation="relu"), 3, stride=2)
    x = _fires(b, x, _FIRES_10_ST if st else _FIRES_10, norm=st, padding="same" if st else "valid")
    x = b.conv(x, classes, 1, padding="valid", activation="relu")
    x = b.scale_shift(x) if st else x
    return _probabilities(b, b.global_pool(x), st)


@network(
    "st-squeezenet-1.1-{size:int}[-c{classes:int}]",
    names=("st-squeezenet-1.1-128-c5", "st-squeezenet-1.1-224-c5"),
    source=f"{_ST}: SqueezeNet 1.1",
)
def st_squeezenet_11(b: Builder, *, size: int, classes: int = 5) -> int:
    """SqueezeNet 1.1 as ST exports it."""
    return squeezenet_11(b, size=size, classes=classes, st=True)


@network(
    "st-squeezenet-1.0-{size:int}[-c{classes:int}]",
    names=("st-squeezenet-1.0-128-c5",),
    source=f"{_ST}: SqueezeNet 1.0 with batch norms after the squeeze layers",
)
def st_squeezenet_10(b: Builder, *, size: int, classes: int = 5) -> int:
    """SqueezeNet 1.0 as ST exports it."""
    return squeezenet_10(b, size=size, classes=classes, st=True)
