"""Networks found by architecture search: MobileNetV3-small, MnasNet, EfficientNet-Lite, ProxylessNAS, MCUNet.

Sources: Howard et al., arXiv:1905.02244; Tan et al., arXiv:1807.11626 (as in torchvision); EfficientNet-Lite of
github.com/tensorflow/tpu; Cai et al., arXiv:1812.00332; Lin et al., arXiv:2007.10319 (github.com/mit-han-lab/mcunet).
"""

from __future__ import annotations

import math
from functools import partial

from tinysim.errors import UnknownNetwork
from tinysim.network.builder import Builder
from tinysim.network.zoo.blocks import classifier, divisible, inverted_residual, separable
from tinysim.network.zoo.registry import network

__all__ = ["efficientnet_lite", "mcunet", "mnasnet", "mobilenet_v3_small", "proxyless_mobile"]

#: kernel, expanded, channels, squeeze-excite, activation, stride
_V3_SMALL = (
    (3, 16, 16, True, "relu", 2), (3, 72, 24, False, "relu", 2), (3, 88, 24, False, "relu", 1),
    (5, 96, 40, True, "hard_swish", 2), (5, 240, 40, True, "hard_swish", 1), (5, 240, 40, True, "hard_swish", 1),
    (5, 120, 48, True, "hard_swish", 1), (5, 144, 48, True, "hard_swish", 1), (5, 288, 96, True, "hard_swish", 2),
    (5, 576, 96, True, "hard_swish", 1), (5, 576, 96, True, "hard_swish", 1),
)  # fmt: skip


@network(
    "mobilenet-v3-small-{size:int}[-c{classes:int}]",
    names=("mobilenet-v3-small-224",),
    source="MobileNetV3-Small 1.0, arXiv:1905.02244, as in torchvision",
)
def mobilenet_v3_small(b: Builder, *, size: int, classes: int = 1000) -> int:
    """Eleven blocks with hard swish and squeeze-excite."""
    x = b.conv(b.input(1, size, size, 3), 16, 3, stride=2, activation="hard_swish")
    for kernel, expanded, filters, squeeze, activation, stride in _V3_SMALL:
        width = divisible(expanded // 4) if squeeze else 0
        x = inverted_residual(
            b, x, expanded, filters, kernel=kernel, stride=stride, activation=activation, squeeze=width
        )
    x = b.global_pool(b.conv(x, 576, 1, activation="hard_swish"))
    return b.softmax(b.fc(b.fc(x, 1024, activation="hard_swish"), classes))


@network(
    "mnasnet-{alpha:float}-{size:int}[-c{classes:int}]",
    names=("mnasnet-0.5-224", "mnasnet-1.0-224"),
    source="MnasNet-B1, arXiv:1807.11626, as in torchvision",
)
def mnasnet(b: Builder, *, alpha: float, size: int, classes: int = 1000) -> int:
    """Inverted residuals with kernels of 3 and 5 and expansions of 3 and 6."""
    first, second, *widths = (divisible(w * alpha) for w in (32, 16, 24, 40, 80, 96, 192, 320))
    x = b.conv(b.input(1, size, size, 3), first, 3, stride=2, activation="relu")
    x = separable(b, x, second, inner="relu", outer="none")
    stages = ((3, 2, 3, 3), (5, 2, 3, 3), (5, 2, 6, 3), (3, 1, 6, 2), (5, 2, 6, 4), (3, 1, 6, 1))
    for width, (kernel, stride, expansion, repeats) in zip(widths, stages, strict=True):
        for i in range(repeats):
            step = stride if i == 0 else 1
            expanded = expansion * b.shape(x)[3]
            residual = i > 0
            x = inverted_residual(
                b, x, expanded, width, kernel=kernel, stride=step, activation="relu", residual=residual
            )
    return classifier(b, b.conv(x, 1280, 1, activation="relu"), classes)


#: variant -> width, depth, resolution
_LITE = {0: (1.0, 1.0, 224), 1: (1.0, 1.1, 240), 2: (1.1, 1.2, 260), 3: (1.2, 1.4, 280), 4: (1.4, 1.8, 300)}
#: kernel, stride, expansion, channels, repeats
_B0 = ((3, 1, 1, 16, 1), (3, 2, 6, 24, 2), (5, 2, 6, 40, 2), (3, 2, 6, 80, 3), (5, 1, 6, 112, 3), (5, 2, 6, 192, 4),
       (3, 1, 6, 320, 1))  # fmt: skip


@network(
    "efficientnet-lite{variant:int}[-{size:int}][-c{classes:int}]",
    names=tuple(f"efficientnet-lite{variant}" for variant in _LITE),
    source="EfficientNet-Lite, github.com/tensorflow/tpu efficientnet/lite",
)
def efficientnet_lite(b: Builder, *, variant: int, size: int = 0, classes: int = 1000) -> int:
    """EfficientNet without squeeze-excite; stem, head and the depth of the outer stages stay unscaled."""
    if variant not in _LITE:
        raise UnknownNetwork(f"efficientnet-lite{variant} does not exist; accepted: 0 to {max(_LITE)}")
    width, depth, resolution = _LITE[variant]
    side = size or resolution
    x = b.conv(b.input(1, side, side, 3), 32, 3, stride=2, activation="relu6")
    for stage, (kernel, stride, expansion, filters, repeats) in enumerate(_B0):
        for i in range(repeats if stage in (0, len(_B0) - 1) else math.ceil(depth * repeats)):
            expanded = expansion * b.shape(x)[3]
            step = stride if i == 0 else 1
            x = inverted_residual(b, x, expanded, divisible(width * filters), kernel=kernel, stride=step)
    return classifier(b, b.conv(x, 1280, 1, activation="relu6"), classes)


#: (kernel, expansion) of the blocks of each stage, with its channels and stride
_PROXYLESS = (
    (16, 1, ((3, 1),)),
    (32, 2, ((5, 3), (3, 3))),
    (40, 2, ((7, 3), (3, 3), (5, 3), (5, 3))),
    (80, 2, ((7, 6), (5, 3), (5, 3), (5, 3))),
    (96, 1, ((5, 6), (5, 3), (5, 3), (5, 3))),
    (192, 2, ((7, 6), (7, 6), (7, 3), (7, 3))),
    (320, 1, ((7, 6),)),
)


@network(
    "proxyless-mobile[-w{alpha:float}]-{size:int}[-c{classes:int}]",
    names=("proxyless-mobile-224", "proxyless-mobile-w0.3-64", "proxyless-mobile-w0.3-176"),
    source="ProxylessNAS (mobile), arXiv:1812.00332, github.com/mit-han-lab/proxylessnas",
)
def proxyless_mobile(b: Builder, *, size: int, alpha: float = 1.0, classes: int = 1000) -> int:
    """Inverted residuals with searched kernels and expansions; widths are rounded up to a multiple of 8."""
    x = b.conv(b.input(1, size, size, 3), _ceil(32 * alpha), 3, stride=2, activation="relu6")
    for filters, stride, blocks in _PROXYLESS:
        for i, (kernel, expansion) in enumerate(blocks):
            expanded, step = expansion * b.shape(x)[3], stride if i == 0 else 1
            x = inverted_residual(b, x, expanded, _ceil(filters * alpha), kernel=kernel, stride=step)
    return classifier(b, b.conv(x, _ceil(1280 * alpha), 1, activation="relu6"), classes)


def _ceil(width: float) -> int:
    return math.ceil(width / 8) * 8


#: resolution, classes, stem, and kernel, expanded, channels, stride of the blocks
_MCUNETS: dict[str, tuple[int, int, int, tuple[tuple[int, int, int, int], ...]]] = {
    "in0": (48, 1000, 24, (
        (3, 24, 16, 1), (5, 64, 16, 2), (3, 48, 16, 1), (3, 64, 16, 1), (7, 80, 24, 2), (5, 96, 24, 1),
        (5, 120, 24, 1), (7, 120, 48, 2), (5, 192, 48, 1), (3, 240, 56, 1), (5, 224, 56, 1), (3, 280, 56, 1),
        (3, 336, 112, 2), (5, 448, 112, 1), (3, 672, 192, 1))),
    "in1": (96, 1000, 16, (
        (3, 16, 8, 1), (3, 32, 16, 2), (3, 48, 16, 1), (7, 48, 24, 2), (3, 120, 24, 1), (3, 120, 40, 2),
        (7, 160, 40, 1), (5, 160, 48, 1), (3, 144, 48, 1), (3, 192, 48, 1), (7, 240, 96, 2), (5, 384, 96, 1),
        (5, 384, 96, 1), (3, 576, 160, 1))),
    "in2": (160, 1000, 16, (
        (3, 16, 8, 1), (5, 24, 16, 2), (7, 96, 16, 1), (3, 80, 16, 1), (5, 80, 16, 1), (3, 80, 24, 2),
        (7, 144, 24, 1), (5, 144, 24, 1), (7, 96, 40, 2), (5, 200, 40, 1), (3, 200, 48, 1), (5, 240, 48, 1),
        (3, 192, 48, 1), (5, 288, 96, 2), (5, 384, 96, 1), (5, 288, 96, 1), (3, 384, 96, 1), (5, 480, 160, 1))),
    "in3": (176, 1000, 16, (
        (3, 16, 8, 1), (7, 24, 16, 2), (3, 80, 16, 1), (7, 80, 16, 1), (5, 64, 16, 1), (5, 80, 24, 2),
        (5, 120, 24, 1), (5, 120, 24, 1), (3, 120, 40, 2), (7, 240, 40, 1), (5, 160, 40, 1), (5, 200, 48, 1),
        (7, 240, 48, 1), (3, 240, 48, 1), (3, 288, 96, 2), (7, 480, 96, 1), (3, 384, 96, 1), (7, 480, 160, 1))),
    "in4": (160, 1000, 32, (
        (3, 32, 16, 1), (7, 48, 24, 2), (3, 120, 24, 1), (5, 96, 24, 1), (7, 120, 40, 2), (3, 160, 40, 1),
        (7, 160, 40, 1), (7, 120, 80, 2), (3, 240, 80, 1), (7, 240, 80, 1), (3, 320, 96, 1), (5, 288, 96, 1),
        (5, 288, 96, 1), (7, 384, 192, 2), (7, 576, 192, 1), (5, 576, 192, 1), (5, 768, 320, 1))),
    "vww0": (64, 2, 16, (
        (3, 16, 8, 1), (5, 48, 16, 2), (3, 64, 16, 1), (3, 80, 24, 2), (3, 96, 24, 1), (3, 96, 24, 1),
        (3, 120, 40, 2), (3, 160, 40, 1), (7, 120, 40, 1), (3, 120, 48, 1), (3, 192, 48, 1), (7, 240, 96, 2),
        (5, 480, 96, 1), (7, 384, 160, 1))),
    "vww1": (80, 2, 16, (
        (3, 16, 8, 1), (3, 48, 16, 2), (3, 48, 16, 1), (3, 48, 16, 1), (7, 48, 24, 2), (3, 144, 24, 1),
        (5, 120, 24, 1), (7, 144, 40, 2), (7, 240, 40, 1), (3, 240, 48, 1), (3, 192, 48, 1), (5, 240, 96, 2),
        (3, 480, 96, 1), (3, 384, 96, 1), (7, 288, 160, 1))),
    "vww2": (144, 2, 16, (
        (3, 16, 8, 1), (3, 24, 16, 2), (3, 80, 16, 1), (5, 96, 16, 1), (3, 48, 16, 1), (7, 80, 24, 2),
        (5, 96, 24, 1), (3, 96, 24, 1), (7, 144, 24, 1), (3, 144, 40, 2), (7, 240, 40, 1), (5, 160, 40, 1),
        (3, 200, 40, 1), (5, 200, 48, 1), (5, 144, 48, 1), (3, 192, 48, 1), (5, 144, 48, 1), (3, 192, 96, 2),
        (5, 480, 96, 1), (5, 384, 96, 1), (3, 384, 96, 1), (3, 480, 160, 1))),
}  # fmt: skip


def mcunet(b: Builder, *, variant: str) -> int:
    """A TinyNAS network: inverted residuals with searched kernels and widths, no last 1x1 convolution."""
    size, classes, stem, blocks = _MCUNETS[variant]
    x = b.conv(b.input(1, size, size, 3), stem, 3, stride=2, activation="relu6")
    for kernel, expanded, filters, stride in blocks:
        x = inverted_residual(b, x, expanded, filters, kernel=kernel, stride=stride)
    return b.fc(b.global_pool(x), classes)


for _variant in _MCUNETS:
    network(f"mcunet-{_variant}", source="MCUNet, arXiv:2007.10319, github.com/mit-han-lab/mcunet")(
        partial(mcunet, variant=_variant)
    )
