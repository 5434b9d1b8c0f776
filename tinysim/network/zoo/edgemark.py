"""The EdgeMark benchmark's fully connected, convolutional and recurrent networks.

Source: github.com/Black3rror/EdgeMark, target models; layer sizes agree with its published parameter counts. Those of
the recurrent networks follow from its counts of parameters and of operations, which they both meet.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from tinysim.network.builder import Builder
from tinysim.network.zoo.registry import network
from tinysim.network.zoo.unrolled import unrolled

__all__ = ["build_cnn", "build_fc", "build_recurrent"]

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


#: cell, steps, features (of an embedding of the vocabulary, if there is one), units, outputs of each step, vocabulary
_RECURRENT = {
    "simple-0": ("rnn", 2, 1, 1, 1, 0), "simple-1": ("rnn", 100, 32, 64, 32, 0),
    "simple-2": ("rnn", 100, 64, 128, 64, 0), "lstm": ("lstm", 100, 32, 64, 32, 0), "gru": ("gru", 100, 32, 64, 32, 0),
    "shakespeare-1": ("rnn", 100, 32, 64, 65, 65), "shakespeare-2": ("rnn", 100, 64, 128, 65, 65),
}  # fmt: skip


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


def build_recurrent(b: Builder, *, name: str, steps_apart: bool = False) -> int:
    """A recurrent layer and a dense one at each step; characters come as indices and leave as probabilities."""
    cell, steps, features, units, outputs, vocabulary = _RECURRENT[name]
    if vocabulary:
        table = b.weights("embedding/table", (vocabulary, features))
        tokens = b.input(1, steps, dtype="int32")
        shape = (1, steps, features)
        x = b.op("embedding_lookup", [tokens, table], shape, function="none", dtype=b.format.activation)
    else:
        x = b.input(1, steps, features)
    x = b.fc(unrolled(b, cell, x, units) if steps_apart else b.recurrent(cell, x, units), outputs)
    return b.softmax(x) if vocabulary else x


def _dense(b: Builder, x: int, units: Sequence[int]) -> int:
    for n in units[:-1]:
        x = b.fc(x, n, activation="relu")
    x = b.fc(x, units[-1])
    return b.softmax(x) if units[-1] > 1 else x


for _index in _FC:
    network(f"edgemark-fc-{_index}", source=_SOURCE)(partial(build_fc, index=_index))
for _index in _CNN:
    network(f"edgemark-cnn-{_index}", source=_SOURCE)(partial(build_cnn, index=_index))
for _name in _RECURRENT:
    network(f"edgemark-{_name}", source=_SOURCE)(partial(build_recurrent, name=_name))
    network(f"edgemark-{_name}-unrolled", source=f"{_SOURCE}, unrolled as its TFLite files are")(
        partial(build_recurrent, name=_name, steps_apart=True)
    )
