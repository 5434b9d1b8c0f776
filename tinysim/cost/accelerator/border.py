"""What it costs that a tensor, or the control flow, passes from a core to an accelerator or back. Core cycles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["INTERRUPT_CYCLES", "Border", "cache_maintenance_cycles", "copy_cycles"]

Array = npt.NDArray[Any]

#: Entry and exit of an interrupt: 12 + 12 cycles on a Cortex-M with zero-wait-state memory (Arm 100166, sec. 3.9).
INTERRUPT_CYCLES = 24


def cache_maintenance_cycles(size_bytes: npt.ArrayLike, *, line_bytes: float, bus_bytes: float) -> Array:
    """Cleaning or invalidating the lines of a buffer in a core's data cache.

    N = ceil(size / line) * (1 + line / bus)

    One cycle to issue each line's operation, and its write-back over the bus. size_bytes, line_bytes, bus_bytes [byte];
    line_bytes 0: no cache, nothing to do.
    Valid: an upper bound; clean lines need no write-back. Source: Armv7-M ARM (DDI 0403), sec. B2.2.7, DCCIMVAC.

    >>> float(cache_maintenance_cycles(100, line_bytes=32, bus_bytes=8))
    20.0
    """
    size = np.asarray(size_bytes, dtype=float)
    if line_bytes <= 0:
        return np.zeros_like(size)
    return np.asarray(np.ceil(size / line_bytes) * (1 + line_bytes / bus_bytes))


def copy_cycles(size_bytes: npt.ArrayLike, *, word_bytes: float = 4) -> Array:
    """Copying a buffer by the core into the layout and memory of the other side: a load and a store per word.

    N = 2 * ceil(size / word)

    size_bytes, word_bytes [byte]. Valid: zero-wait-state memories, unrolled loop.

    >>> float(copy_cycles(10))
    6.0
    """
    return np.asarray(2 * np.ceil(np.asarray(size_bytes, dtype=float) / word_bytes))


@dataclass(frozen=True)
class Border:
    """Between a core and an accelerator."""

    copied: bool
    """whether tensors are copied because the two don't share the memory or the layout of activations"""
    line_bytes: float
    """line of the core's data cache, 0 for none [byte]"""
    bus_bytes: float
    """width of the core's port to the activations [byte]"""
    start_cycles: int
    """core cycles of a run of operators on the accelerator: driver and interrupt [cycle]"""

    def tensor_cycles(self, size_bytes: npt.ArrayLike) -> Array:
        """Whole core cycles of handing tensors over, either way."""
        kept = cache_maintenance_cycles(size_bytes, line_bytes=self.line_bytes, bus_bytes=self.bus_bytes)
        copied = copy_cycles(size_bytes) if self.copied else 0.0
        return np.asarray(np.rint(kept + copied))
