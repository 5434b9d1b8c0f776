"""Sizes of windows: what SAME and VALID padding mean, and what shape broadcasting gives."""

from __future__ import annotations

from tinysim.errors import NetworkError

__all__ = ["broadcast", "transpose_window", "window"]


def window(size: int, kernel: int, stride: int, dilation: int, padding: str) -> tuple[int, int, int]:
    """Output size and padding (before, after) of a convolution or pool along one axis.

    SAME: out = ceil(in / stride), the odd element of padding goes after. VALID: out = floor((in - reach) / stride) + 1
    with reach = (kernel - 1) dilation + 1. Sizes in elements.
    Source: TensorFlow API, tf.nn, "Notes on padding".

    Raises:
        NetworkError: the kernel reaches beyond a VALID input, or the padding is neither.

    >>> window(96, 3, 2, 1, "same"), window(97, 3, 2, 1, "valid")
    ((48, 0, 1), (48, 0, 0))
    """
    reach = (kernel - 1) * dilation + 1
    if padding == "same":
        out = -(-size // stride)
        total = max((out - 1) * stride + reach - size, 0)
        return out, total // 2, total - total // 2
    if padding != "valid":
        raise NetworkError(f"padding {padding!r} is not known; accepted: same, valid")
    if reach > size:
        raise NetworkError(
            f"a kernel that reaches over {reach} elements does not fit an input of {size} without padding"
        )
    return (size - reach) // stride + 1, 0, 0


def transpose_window(size: int, kernel: int, stride: int, padding: str) -> tuple[int, int, int]:
    """Output size and cropping (before, after) of a transposed convolution along one axis.

    SAME: out = in stride; VALID: out = (in - 1) stride + max(kernel, stride).

    >>> transpose_window(8, 3, 2, "same"), transpose_window(8, 3, 2, "valid")
    ((16, 0, 1), (17, 0, 0))
    """
    if padding == "same":
        out = size * stride
        total = max((size - 1) * stride + kernel - out, 0)
        return out, total // 2, total - total // 2
    return (size - 1) * stride + max(kernel, stride), 0, 0


def broadcast(shapes: list[tuple[int, ...]]) -> tuple[int, ...]:
    """Shape of an elementwise operator on `shapes`.

    Raises:
        NetworkError: the shapes do not fit each other.

    >>> broadcast([(1, 8, 8, 16), (16,)])
    (1, 8, 8, 16)
    """
    rank = max((len(shape) for shape in shapes), default=0)
    padded = [(1,) * (rank - len(shape)) + tuple(shape) for shape in shapes]
    out = tuple(max(sizes) for sizes in zip(*padded, strict=True))
    for shape in padded:
        if any(size not in (1, wanted) for size, wanted in zip(shape, out, strict=True)):
            raise NetworkError(f"shapes {' and '.join(map(str, shapes))} do not broadcast")
    return out
