"""EtinyNet and XiNet, made for microcontrollers, and small sequence networks: an LSTM, a GRU, a transformer.

Sources: Xu et al., "EtinyNet", AAAI 2022, github.com/aztc/EtinyNet; Ancilotto et al., "XiNet", ICCV 2023,
github.com/micromind-toolkit/micromind. The sequence networks are tinysim's own.
"""

from __future__ import annotations

from tinysim.network.builder import Builder
from tinysim.network.zoo.blocks import classifier
from tinysim.network.zoo.registry import network

__all__ = ["etinynet", "gru", "lstm", "tiny_transformer", "xinet"]

#: channels of the linear depthwise blocks by stage; from the third stage on with dense shortcuts
_ETINY = ((32, 32, 32, 32), (128, 128, 128, 128), (192, 192, 192), (256, 256, 512))
#: EtinyNet-0.75 is not 0.75 of that everywhere
_ETINY_075 = ((24, 24, 24, 24), (96, 96, 96, 96), (168, 168, 168), (192, 192, 384))


@network(
    "etinynet-{alpha:float}-{size:int}[-c{classes:int}]",
    names=("etinynet-0.75-224", "etinynet-1.0-224"),
    source="EtinyNet, AAAI 2022, github.com/aztc/EtinyNet",
)
def etinynet(b: Builder, *, alpha: float, size: int, classes: int = 1000) -> int:
    """Linear depthwise blocks: depthwise without activation, pointwise, depthwise."""
    stages = _ETINY_075 if alpha == 0.75 else tuple(tuple(int(w * alpha) for w in widths) for widths in _ETINY)
    x = b.max_pool(b.conv(b.input(1, size, size, 3), int(32 * alpha), 3, stride=2, activation="relu"), 2)
    for stage, widths in enumerate(stages):
        for i, filters in enumerate(widths):
            stride = 2 if i == 0 and stage > 0 else 1
            channels = b.shape(x)[3]
            y = b.conv(b.dw(x, 3, stride=stride), filters, 1, activation="relu")
            dense = stage > 1
            if dense and stride == 1 and channels == b.shape(y)[3]:
                y = b.add(y, x)
            x = b.dw(y, 3, activation="relu")
            x = b.add(x, y) if dense else x
    return classifier(b, x, classes)


@network(
    "xinet-a{alpha:float}-g{gamma:int}-l{layers:int}-{size:int}[-c{classes:int}]",
    names=("xinet-a1.0-g4-l5-224", "xinet-a0.5-g4-l5-128"),
    source="XiNet, ICCV 2023, github.com/micromind-toolkit/micromind",
)
def xinet(b: Builder, *, alpha: float, gamma: int, layers: int, size: int, classes: int = 1000) -> int:
    """Blocks of compression, convolution and attention, each fed by the first block's output too."""
    widths = [int(16 * 2**i * alpha) for i in range(layers)]
    x = _silu(b, b.conv(b.input(1, size, size, 3), int(16 * alpha), 7, stride=2, padding=(3, 3, 3, 3)))
    skip: int | None = None
    for filters in widths[1:-1]:
        for pool in (True, False):
            x = _xi_conv(b, x, skip, filters, gamma, pool=pool, attention=True)
            skip = x if skip is None else skip
    for _ in range(2):
        x = _xi_conv(b, x, skip, widths[-1], 4, pool=False, attention=False)
    return classifier(b, x, classes)


def _silu(b: Builder, x: int) -> int:
    return b.binary("mul", x, b.unary("logistic", x))


def _xi_conv(b: Builder, x: int, skip: int | None, filters: int, gamma: int, *, pool: bool, attention: bool) -> int:
    compressed = filters // gamma
    y = b.conv(x, compressed, 1, bias=False) if gamma > 1 else x
    if skip is not None:
        factor = b.shape(skip)[1] // b.shape(x)[1]
        pooled = b.avg_pool(skip, factor) if factor > 1 else skip
        y = b.add(y, b.conv(pooled, compressed, 1, bias=False))
    if pool:
        y = b.max_pool(y, 2)
    y = _silu(b, b.conv(y, filters, 3))
    if not attention:
        return y
    gate = b.conv(b.conv(y, compressed // 2, 1, bias=False), filters, 3, bias=False)
    return b.binary("mul", y, b.unary("logistic", gate))


@network(
    "lstm-{units:int}[-t{steps:int}][-f{features:int}]",
    names=("lstm-32", "lstm-64"),
    source="tinysim: an LSTM layer and a dense one over 49 frames of 10 features",
)
def lstm(b: Builder, *, units: int, steps: int = 49, features: int = 10, classes: int = 12) -> int:
    """One recurrent layer and a classifier of its last state."""
    return _recurrent(b, "lstm", units, steps, features, classes)


@network(
    "gru-{units:int}[-t{steps:int}][-f{features:int}]",
    names=("gru-32", "gru-64"),
    source="tinysim: a GRU layer and a dense one over 49 frames of 10 features",
)
def gru(b: Builder, *, units: int, steps: int = 49, features: int = 10, classes: int = 12) -> int:
    """One recurrent layer and a classifier of its last state."""
    return _recurrent(b, "gru", units, steps, features, classes)


def _recurrent(b: Builder, kind: str, units: int, steps: int, features: int, classes: int) -> int:
    x = b.recurrent(kind, b.input(1, steps, features), units)
    last = b.reshape(b.slice(x, (0, steps - 1, 0), (1, 1, units)), 1, units)
    return b.softmax(b.fc(last, classes))


@network(
    "tiny-transformer[-d{width:int}][-h{heads:int}][-l{layers:int}][-t{tokens:int}]",
    names=("tiny-transformer", "tiny-transformer-d128-h4-l4"),
    source="tinysim: pre-norm encoder over 16x16 patches of a 96x96 image, arXiv:2010.11929 in small",
)
def tiny_transformer(b: Builder, *, width: int = 64, heads: int = 2, layers: int = 2, tokens: int = 36) -> int:
    """Patch embedding, encoder blocks of attention and a 2x wide MLP, mean and classifier."""
    x = b.fc(b.input(1, tokens, 768), width)
    for _ in range(layers):
        x = b.add(x, attention(b, layer_norm(b, x), heads))
        x = b.add(x, b.fc(b.fc(layer_norm(b, x), 2 * width, activation="gelu"), width))
    return b.softmax(b.fc(b.reduce("mean", layer_norm(b, x), (1,)), 10))


def layer_norm(b: Builder, x: int) -> int:
    """Layer normalization over the last axis with scale and shift."""
    channels = b.shape(x)[-1]
    scale, shift = (b.weights(f"layer_norm_{x}/{name}", (channels,)) for name in ("gamma", "beta"))
    return b.op("layer_norm", [x, scale, shift], b.shape(x), function="none")


def attention(b: Builder, x: int, heads: int) -> int:
    """Multi-head self-attention: three projections, scores, softmax, weighted sum, output projection."""
    _, tokens, width = b.shape(x)
    query, key, value = (
        b.transpose(b.reshape(b.fc(x, width), 1, tokens, heads, width // heads), 0, 2, 1, 3) for _ in range(3)
    )
    scores = b.softmax(b.matmul(query, key, adj_y=True))
    merged = b.transpose(b.matmul(scores, value), 0, 2, 1, 3)
    return b.fc(b.reshape(merged, 1, tokens, width), width)
