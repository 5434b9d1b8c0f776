"""Hypothesis strategies that make networks."""

from hypothesis import strategies as st

from tinysim.network.builder import Builder
from tinysim.network.graph import Network
from tinysim.network.zoo.tiny import attention, layer_norm

ACTIVATIONS = ("none", "relu", "relu6", "hard_swish")


@st.composite
def networks(draw: st.DrawFn, dtypes: tuple[str, ...] = ("int8", "float32", "int16x8")) -> Network:
    """A convolutional network with branches, then dense layers, or one of sequences: recurrence or attention."""
    b = Builder("made", dtype=draw(st.sampled_from(dtypes)), source="hypothesis")
    if draw(st.integers(0, 7)) == 0:
        x = b.input(1, draw(st.integers(1, 6)), draw(st.integers(1, 5)))
        x = b.recurrent(
            draw(st.sampled_from(("lstm", "gru", "rnn"))), x, draw(st.integers(1, 6)), bias=draw(st.booleans())
        )
        return b.build(b.fc(b.reshape(x, 1, -1), 3))
    if draw(st.integers(0, 7)) == 0:
        heads = draw(st.integers(1, 2))
        x = b.input(1, draw(st.integers(1, 6)), heads * draw(st.integers(1, 4)))
        x = b.add(x, attention(b, layer_norm(b, x), heads))
        return b.build(b.fc(x, draw(st.integers(1, 5)), activation=draw(st.sampled_from(ACTIVATIONS))))
    x = b.input(1, draw(st.integers(3, 12)), draw(st.integers(3, 12)), draw(st.integers(1, 6)))
    for _ in range(draw(st.integers(1, 6))):
        x = draw(st.sampled_from(STEPS))(draw, b, x)
    x = b.flatten(x) if draw(st.booleans()) else b.global_pool(x)
    return b.build(b.softmax(b.fc(x, draw(st.integers(1, 5)), activation=draw(st.sampled_from(ACTIVATIONS)))))


def conv(draw: st.DrawFn, b: Builder, x: int) -> int:
    filters, kernel, stride = draw(st.integers(1, 8)), draw(st.integers(1, 3)), draw(st.integers(1, 2))
    padding = draw(st.sampled_from(("same", (1, 1, 2, 1))))
    activation, bias = draw(st.sampled_from(ACTIVATIONS)), draw(st.booleans())
    return b.conv(x, filters, kernel, stride=stride, padding=padding, activation=activation, bias=bias)


def depthwise(draw: st.DrawFn, b: Builder, x: int) -> int:
    return b.dw(x, draw(st.integers(1, 3)), multiplier=draw(st.integers(1, 2)), activation="relu")


def residual(draw: st.DrawFn, b: Builder, x: int) -> int:
    y = b.conv(b.dw(x, 3, activation="relu6"), b.shape(x)[3], 1)
    return b.add(x, y, activation=draw(st.sampled_from(ACTIVATIONS)))


def branches(draw: st.DrawFn, b: Builder, x: int) -> int:
    return b.concat(
        [b.conv(x, draw(st.integers(1, 4)), 1, activation="relu"), b.max_pool(x, 2, stride=1, padding="same")]
    )


def pool(draw: st.DrawFn, b: Builder, x: int) -> int:
    return b.pool(draw(st.sampled_from(("max_pool2d", "avg_pool2d"))), x, 2, stride=2, padding="same")


def squeeze(draw: st.DrawFn, b: Builder, x: int) -> int:
    gate = b.unary("logistic", b.conv(b.global_pool(x, keep_dims=True), b.shape(x)[3], 1))
    return b.binary("mul", x, gate)


def padded(draw: st.DrawFn, b: Builder, x: int) -> int:
    return b.conv(b.pad(x, 0, 1, 0, 1), draw(st.integers(1, 6)), 2, padding="valid", activation="relu")


STEPS = (conv, depthwise, residual, branches, pool, squeeze, padded)
