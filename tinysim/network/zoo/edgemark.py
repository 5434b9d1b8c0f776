"""The EdgeMark benchmark's fully connected and convolutional networks.

Source: github.com/Black3rror/EdgeMark, target models; layer sizes agree with its published parameter counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from tinysim.network.builder import Builder
from tinysim.network.zoo.registry import network

__all__ = ["build_cnn", "build_fc"]

_SOURCE = "EdgeMark target model, github.com/Black3rror/EdgeMark"

#: units of the layers, the input's first
_FC = {0: (1, 1), 1: (1, 5, 1), 2: (1, 10, 10, 1), 3: (50, 16, 8, 10), 5: (13, 64, 32, 16, 1), 7: (128, 64, 32, 16, 10),
       8: (13, 128, 128, 128, 1), 9: (784, 60, 32, 16, 10)}  # fmt: skip

#: input; then (filters, stride) of 3x3 convolutions, "pool" for a 2x2 maximum, "mean" for the global mean; then the
#: units of the dense layers
_CNN: dict[int, tuple[tuple[int, int, int], tuple[tuple[int, int] | str, ...], tuple[int, ...]]] = {
    1: ((28, 28, 1), ((4, 2), (6, 2), (8, 2), "mean"), (10,)),
    2: ((28, 28, 1), ((6, 2), (8, 2), (8, 2), (10, 2)), (10,)),
    3: ((28, 28, 1), ((4, 1), (8, 2), (12, 2), (16, 2), (20, 2)), (10,)),
    5: ((32, 32, 3), ((16, 1), (16, 1), "pool", (32, 2), (32, 1), "mean"), (64, 32, 10)),
    7: (
        (32, 32, 3),
        ((16, 1), (16, 1), "pool", (32, 1), (32, 1), "pool", (64, 1), (64, 1), "pool", (128, 1), "mean"),
        (128, 64, 10),
    ),
}


def build_fc(b: Builder, *, index: int) -> int:
    """Dense layers with ReLU; the last one linear, or a softmax where there are classes."""
    first, *units = _FC[index]
    return _dense(b, b.input(1, first), units)


def build_cnn(b: Builder, *, index: int) -> int:
    """3x3 convolutions with ReLU and SAME padding, then dense layers."""
    size, steps, units = _CNN[index]
    x = b.input(1, *size)
    for step in steps:
        if step == "pool":
            x = b.max_pool(x, 2)
        elif step == "mean":
            x = b.global_pool(x)
        elif isinstance(step, tuple):
            x = b.conv(x, step[0], 3, stride=step[1], activation="relu")
    return _dense(b, b.flatten(x) if len(b.shape(x)) > 2 else x, units)


def _dense(b: Builder, x: int, units: Sequence[int]) -> int:
    for n in units[:-1]:
        x = b.fc(x, n, activation="relu")
    x = b.fc(x, units[-1])
    return b.softmax(x) if units[-1] > 1 else x


for _index in _FC:
    network(f"edgemark-fc-{_index}", source=_SOURCE)(partial(build_fc, index=_index))
for _index in _CNN:
    network(f"edgemark-cnn-{_index}", source=_SOURCE)(partial(build_cnn, index=_index))
