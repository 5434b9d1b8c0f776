"""Blocks that several architectures share."""

from __future__ import annotations

from tinysim.network.builder import Builder, Pair

__all__ = ["classifier", "dequantized", "divisible", "inverted_residual", "quantized_image", "separable", "strided_dw"]


def divisible(value: float, divisor: int = 8) -> int:
    """Nearest multiple of `divisor`, never below 90 % of `value`, as MobileNetV2 and its kin round widths.

    >>> [divisible(32 * a) for a in (0.35, 0.5, 1.4)]
    [16, 16, 48]
    """
    rounded = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * value else rounded


def quantized_image(b: Builder, height: int, width: int, channels: int) -> int:
    """An image of bytes and its QUANTIZE operator, as in ST's model zoo; a plain input for float networks."""
    if b.format.activation != "int8":
        return b.input(1, height, width, channels)
    return b.cast("quantize", b.input(1, height, width, channels, dtype="uint8"), "int8")


def dequantized(b: Builder, x: int) -> int:
    """A DEQUANTIZE to float32 at the end of a quantized network."""
    return b.cast("dequantize", x, "float32") if b.format.activation == "int8" else x


def classifier(b: Builder, x: int, classes: int, *, activation: str = "none") -> int:
    """Global mean, fully connected layer, softmax."""
    return b.softmax(b.fc(b.global_pool(x), classes, activation=activation))


def strided_dw(b: Builder, x: int, kernel: int, stride: int, *, activation: str, keras_pad: bool) -> int:
    """Depthwise convolution; with `keras_pad`, a stride-2 one is a PAD operator and a VALID convolution.

    Keras pads after for an even size, on both sides for an odd one (its `correct_pad`).
    """
    if not keras_pad or stride == 1:
        return b.dw(x, kernel, stride=stride, activation=activation)
    _, height, width, _ = b.shape(x)
    half = kernel // 2
    x = b.pad(x, half - 1 + height % 2, half, half - 1 + width % 2, half)
    return b.dw(x, kernel, stride=stride, padding="valid", activation=activation)


def separable(b: Builder, x: int, filters: int, kernel: Pair = 3, *, stride: Pair = 1, inner: str, outer: str) -> int:
    """Depthwise-separable convolution with the activations after each half."""
    return b.conv(b.dw(x, kernel, stride=stride, activation=inner), filters, 1, activation=outer)


def inverted_residual(
    b: Builder,
    x: int,
    expanded: int,
    filters: int,
    *,
    kernel: int = 3,
    stride: int = 1,
    activation: str = "relu6",
    squeeze: int = 0,
    gate: str = "hard_sigmoid",
    keras_pad: bool = False,
    residual: bool = True,
) -> int:
    """MobileNetV2's block: expand, depthwise, [squeeze and excite], project, [add].

    No expansion if `expanded` equals the input's channels; `squeeze` > 0 is the width of the squeeze layer; the input
    is added where shapes agree and `residual` is true.
    """
    channels = b.shape(x)[3]
    y = x if expanded == channels else b.conv(x, expanded, 1, activation=activation)
    y = strided_dw(b, y, kernel, stride, activation=activation, keras_pad=keras_pad)
    if squeeze:
        y = squeeze_excite(b, y, squeeze, gate=gate, activation="relu6" if activation == "relu6" else "relu")
    y = b.conv(y, filters, 1)
    return b.add(x, y) if residual and stride == 1 and channels == filters else y


def squeeze_excite(b: Builder, x: int, width: int, *, gate: str, activation: str = "relu") -> int:
    """Scale channels by a gate of their means.

    `gate`: "logistic", "clipped_logistic" (of y clipped by minimum and maximum), or "hard_sigmoid" = relu6(y + 3) / 6.
    """
    channels = b.shape(x)[3]
    y = b.conv(b.global_pool(x, keep_dims=True), width, 1, activation=activation)
    y = b.conv(y, channels, 1)
    first, second = (f"gate_{y}/{i}" for i in (0, 1))
    if gate == "hard_sigmoid":
        y = b.add(y, b.weights(first, (1,), dtype=b.format.activation), activation="relu6")
        y = b.binary("mul", y, b.weights(second, (1,), dtype=b.format.activation))
    elif gate == "clipped_logistic":
        y = b.binary("minimum", y, b.weights(first, (1,), dtype=b.format.activation))
        y = b.unary("logistic", b.binary("maximum", y, b.weights(second, (1,), dtype=b.format.activation)))
    else:
        y = b.unary(gate, y)
    return b.binary("mul", x, y)
