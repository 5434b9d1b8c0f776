"""Recurrent layers unrolled: the same small operators at every step, as Keras writes them with `unroll=True`.

Source: keras.layers SimpleRNN, LSTM and GRU (`reset_after`), one step each. This is how recurrent networks run where a
runtime has no operator for them: weights are shared, but every step has operators and tensors of its own.
"""

from __future__ import annotations

from typing import Any

from tinysim.network.builder import Builder

__all__ = ["unrolled"]


class _Shared:
    """A dense layer that several steps use."""

    def __init__(self, b: Builder, units: int, *, bias: bool) -> None:
        self.b, self.units, self.bias = b, units, bias
        self.constants: tuple[int, ...] = ()

    def __call__(self, x: int) -> int:
        if self.constants:
            inputs = [x, *self.constants]
            attrs: dict[str, Any] = {"activation": "none", "keep_num_dims": False}
            return self.b.op("fully_connected", inputs, (1, self.units), function="none", **attrs)
        y = self.b.fc(x, self.units, bias=self.bias)
        self.constants = self.b.constants_of(y)
        return y


def unrolled(b: Builder, cell: str, x: int, units: int) -> int:
    """(1, steps, features) to (1, steps, units), as `Builder.recurrent` but one step after the other."""
    _, steps, features = b.shape(x)
    major = b.reshape(x, steps, 1, features)  # time first: with one sequence nothing moves
    frames = b.several("unpack", [major], (1, features), steps, num=steps, axis=0)
    gates = {"rnn": 1, "lstm": 4, "gru": 3}[cell]
    given = _Shared(b, gates * units, bias=cell != "lstm")
    kept = _Shared(b, gates * units, bias=cell == "gru")
    state = memory = -1  # zeros, which a converter folds away
    bias = b.weights("bias", (4 * units,), dtype=b.format.activation) if cell == "lstm" else -1
    outputs = []
    for frame in frames:
        new, old = given(frame), kept(state) if state >= 0 else -1
        if cell == "gru":
            state = _gru_step(b, new, old, state)
        elif cell == "lstm":
            state, memory = _lstm_step(b, b.add(_sum(b, new, old), bias), memory)
        else:
            state = b.unary("tanh", _sum(b, new, old))
        outputs.append(state)
    packed = b.op("pack", outputs, (steps, 1, units), values_count=steps, axis=0)
    return b.reshape(packed, 1, steps, units)


def _sum(b: Builder, x: int, y: int) -> int:
    return b.add(x, y) if y >= 0 else x


def _parts(b: Builder, x: int, count: int) -> list[int]:
    _, width = b.shape(x)
    return b.several("split", [b.constant(1), x], (1, width // count), count, num_splits=count)


def _lstm_step(b: Builder, z: int, memory: int) -> tuple[int, int]:
    i, f, c, o = _parts(b, z, 4)
    learnt = b.binary("mul", b.unary("logistic", i), b.unary("tanh", c))
    memory = b.add(b.binary("mul", b.unary("logistic", f), memory), learnt) if memory >= 0 else learnt
    return b.binary("mul", b.unary("logistic", o), b.unary("tanh", memory)), memory


def _gru_step(b: Builder, given: int, kept: int, state: int) -> int:
    zx, rx, hx = _parts(b, given, 3)
    if kept < 0:  # only the biases of the kept state are there
        zh, rh, hh = (b.weights(f"bias_{i}", (1, b.shape(zx)[1]), dtype=b.format.activation) for i in range(3))
    else:
        zh, rh, hh = _parts(b, kept, 3)
    z, r = (b.unary("logistic", b.add(x, h)) for x, h in ((zx, zh), (rx, rh)))
    new = b.unary("tanh", b.add(hx, b.binary("mul", r, hh)))
    one = b.weights("one", (1,), dtype=b.format.activation)
    learnt = b.binary("mul", b.binary("sub", one, z), new)
    return b.add(b.binary("mul", z, state), learnt) if state >= 0 else learnt
