"""The roofline: what a core's arithmetic and its memories allow, by operational intensity.

Source: Williams, Waterman and Patterson, "Roofline", Comm. ACM 52 (2009) 65.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tinysim.errors import SpecError, nearest

__all__ = ["attainable", "line_bandwidth", "peak_macs_per_cycle"]

Floats = NDArray[np.float64]

#: Multiply-accumulates per cycle of a core's unit for (8 bit, 16 bit, float32). Arm: two 16-bit lanes of SMLAD; 128-bit
#: Helium in two beats (Cortex-M55 TRM). Espressif: 128-bit PIE (ESP32-S3 TRM, ch. 1). RI5CY: four 8-bit lanes (Gautschi
#: et al., TVLSI 2017). Andes: four 8-bit lanes of SMAQA (P extension).
_LANES = {"none": (1, 1, 1), "dsp": (2, 2, 1), "helium": (8, 4, 2), "pie": (16, 8, 1), "xpulp": (4, 2, 1),
          "rvp": (4, 2, 1)}  # fmt: skip


def peak_macs_per_cycle(vector: str, activation_bits: ArrayLike) -> Floats:
    """Multiply-accumulates that a core can make per cycle, by width of the activations, shape of `activation_bits`.

    vector: SIMD unit of the core, see `Core.vector`. Valid: one core; loads, stores and loops are not counted.

    Raises:
        SpecError: an unknown unit.

    >>> peak_macs_per_cycle("dsp", [8, 16, 32]).tolist()
    [2.0, 2.0, 1.0]
    """
    if vector not in _LANES:
        raise SpecError(f"vector unit {vector!r} is unknown; {nearest(vector, _LANES)}")
    bits = np.asarray(activation_bits)
    narrow, wide, real = _LANES[vector]
    return np.select([bits <= 8, bits <= 16], [float(narrow), float(wide)], float(real))


def line_bandwidth(*, line_bytes: float, bus_bytes: float, wait_cycles: float, clock_hz: float) -> float:
    """Bytes per second of a memory that is read line by line.

    B = line / (max(line / bus, 1) + wait) * clock

    line_bytes, bus_bytes [B], wait_cycles [cycle], clock_hz [Hz]. Valid: no prefetch, one access after the other.

    >>> line_bandwidth(line_bytes=8, bus_bytes=4, wait_cycles=5, clock_hz=120e6) / 1e6
    137.14285714285714
    """
    return line_bytes / (max(line_bytes / bus_bytes, 1.0) + wait_cycles) * clock_hz


def attainable(macs: ArrayLike, moved_bytes: ArrayLike, *, peak: ArrayLike, bandwidth: ArrayLike) -> Floats:
    """Multiply-accumulates per second that a roof allows.

    P = min(peak, bandwidth * macs / bytes)

    macs, moved_bytes [B]; peak [1/s]; bandwidth [B/s]; broadcasts. Without bytes, the peak.

    >>> attainable([100.0, 100.0], [10.0, 0.0], peak=500.0, bandwidth=20.0).tolist()
    [200.0, 500.0]
    """
    moved = np.asarray(moved_bytes, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        memory = np.where(moved > 0, np.asarray(bandwidth) * np.asarray(macs) / moved, np.inf)
    return np.minimum(peak, memory)
