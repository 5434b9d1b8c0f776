"""Traffic of external memory as a function of the buffer: layer by layer, or with runs of layers fused.

A fused run keeps its weights and a few lines of each intermediate map in the buffer, so that only its first input and
its last output pass to external memory. Which runs to fuse is a dynamic program over the layers.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tinysim.cost.accelerator.layer_cost import tiled_traffic

__all__ = ["ExternalTraffic", "external_traffic", "line_buffer_bytes"]

Array = npt.NDArray[Any]


class ExternalTraffic(NamedTuple):
    """Bytes to and from external memory, and how the layers were grouped."""

    total_bytes: Array
    """[buffer] bytes of one inference"""
    begins: Array
    """[buffer, layer] whether a run begins at the layer"""


def line_buffer_bytes(
    *, kernel_h: npt.ArrayLike, in_w: npt.ArrayLike, in_c: npt.ArrayLike, activation_bits: npt.ArrayLike = 8
) -> Array:
    """Lines of its input that a layer needs to make one line of its output.

    B = kernel_h * in_w * in_c * bits / 8

    Valid: rows made in order. Source: M. Alwani et al., "Fused-layer CNN accelerators", MICRO 2016, sec. III.

    >>> float(line_buffer_bytes(kernel_h=3, in_w=56, in_c=24))
    4032.0
    """
    elements = np.asarray(kernel_h, dtype=float) * np.asarray(in_w) * np.asarray(in_c)
    return np.asarray(elements * np.asarray(activation_bits) / 8)


def external_traffic(
    *,
    weights: npt.ArrayLike,
    inputs: npt.ArrayLike,
    outputs: npt.ArrayLike,
    second_inputs: npt.ArrayLike = 0.0,
    lines: npt.ArrayLike = 0.0,
    buffer_bytes: npt.ArrayLike,
    fused: bool = True,
) -> ExternalTraffic:
    """Least bytes to and from external memory for each buffer size, layers in order of execution.

    layer alone: the better of `tiled_traffic` that keeps weights or inputs, half of the buffer each, plus its output
    run i..j of one or more layers, if sum of weights and lines <= buffer: sum W + I_i + sum of second inputs + O_j
    total = min over groupings of the layers into runs

    weights, inputs (first input), outputs, second_inputs (of additions; read again from outside), lines (see
    `line_buffer_bytes`) [byte], shape (layer,); buffer_bytes [byte], shape (buffer,).
    Valid: chains and residual blocks; weights fetched anew each inference. Errors: a residual input that is still in
    the buffer is counted, so runs with additions are an upper bound.
    Source: Alwani et al., MICRO 2016; grouping by dynamic programming.

    >>> t = external_traffic(weights=[100., 100.], inputs=[1000., 1000.], outputs=[1000., 1000.], lines=[50., 50.],
    ...                      buffer_bytes=[150., 400.])
    >>> t.total_bytes.tolist(), t.begins.tolist()
    ([4200.0, 2200.0], [[True, True], [True, False]])
    """
    w, i, o, s, ln = np.broadcast_arrays(
        *(np.asarray(x, dtype=float) for x in (weights, inputs, outputs, second_inputs, lines))
    )
    buffer = np.atleast_1d(np.asarray(buffer_bytes, dtype=float))
    n = len(w)
    half = buffer[:, None] / 2
    by_weights, by_inputs = (
        np.add(*tiled_traffic(w, i, weight_buffer=half, input_buffer=half, keep=keep)) for keep in ("weights", "inputs")
    )
    alone = np.minimum(by_weights, by_inputs) + s + o
    best = np.zeros((n + 1, len(buffer)))
    begin = np.zeros((n, len(buffer)), dtype=np.int64)
    held, moved = np.cumsum(np.append(0.0, w + ln)), np.cumsum(np.append(0.0, w + s))
    for last in range(n):
        first = np.arange(last + 1)
        total = np.where(
            (held[last + 1] - held[first])[:, None] <= buffer,
            best[first] + (moved[last + 1] - moved[first] + i[first] + o[last])[:, None],
            np.inf,
        )
        if not fused:
            total[:last] = np.inf
        total[last] = np.minimum(total[last], best[last] + alone[:, last])
        begin[last] = np.argmin(total, axis=0)
        best[last + 1] = total.min(axis=0)
    begins = np.zeros((len(buffer), n), dtype=bool)
    for column in range(len(buffer)):
        last = n - 1
        while last >= 0:
            begins[column, begin[last, column]] = True
            last = int(begin[last, column]) - 1
    return ExternalTraffic(best[n], begins)
