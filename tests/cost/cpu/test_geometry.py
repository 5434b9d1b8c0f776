"""Taps inside the image against a count tap by tap."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tinysim.cost.cpu.geometry import taps_inside_axis


def counted(size, outputs, kernel, stride, dilation, pad):
    return sum(0 <= o * stride - pad + k * dilation < size for o in range(outputs) for k in range(kernel))


@given(
    size=st.integers(1, 20),
    outputs=st.integers(1, 20),
    kernel=st.integers(1, 9),
    stride=st.integers(1, 4),
    dilation=st.integers(1, 3),
    pad=st.integers(0, 8),
)
def test_equals_brute_force(size, outputs, kernel, stride, dilation, pad):
    # a window that lies wholly outside the image occurs in no network
    windows = [o * stride - pad for o in range(outputs)]
    if any(w >= size or w + (kernel - 1) * dilation < 0 for w in windows):
        return
    row = [np.array([value, 3]) for value in (size, outputs, kernel, stride, dilation, pad)]
    assert taps_inside_axis(*row)[0] == counted(size, outputs, kernel, stride, dilation, pad)
