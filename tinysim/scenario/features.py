"""What feature extraction costs on a core: operation counts of FFT and MFCC, priced by the core's timing table.

Counts are of textbook code (radix-2 FFT in place, one frame at a time, values in memory between stages); a tuned
library does better: radix-4 saves about a quarter of the multiplications.
"""

from __future__ import annotations

from dataclasses import fields

import numpy as np

from tinysim.cost.counts import Counts
from tinysim.cost.timing import CoreTiming, zero_wait_cycles
from tinysim.errors import InputError

__all__ = ["feature_cycles", "fft_counts", "mfcc_counts"]


def _counts(*, loads: float, stores: float, mac: float, mul: float, alu: float, branches: float) -> Counts:
    named = {
        "loads": loads,
        "stores": stores,
        "mac_instr": mac,
        "mul_instr": mul,
        "alu": alu,
        "branches": branches,
        "branches_taken": branches,
        "load_bytes": 4 * loads,
        "store_bytes": 4 * stores,
    }
    return Counts(*(np.array([named.get(f.name, 0.0)]) for f in fields(Counts)))


def fft_counts(points: int) -> Counts:
    """Real FFT of N points through a complex one of N/2 points.

    Butterflies: N/4 log2(N/2), each 1 complex multiplication (4 mul-class, of which 2 accumulate) and 2 complex
    additions, 6 loads (2 complex operands, 1 twiddle), 4 stores, 1 loop branch. Split into the real spectrum: N/4
    pairs with one complex multiplication and 2 complex additions each.
    Source: Cooley, Tukey 1965; real split after Sorensen et al. 1987.

    >>> float(fft_counts(512).mac_instr[0])
    2304.0
    """
    if points < 4 or points & (points - 1):
        raise InputError(f"FFT of {points} points: accepted is a power of two from 4 up")
    butterflies = points / 4 * (np.log2(points) - 1) + points / 4
    return _counts(
        loads=6 * butterflies,
        stores=4 * butterflies,
        mac=2 * butterflies,
        mul=2 * butterflies,
        alu=(4 + 3) * butterflies,
        branches=butterflies,
    )


def mfcc_counts(*, samples: int, points: int, mels: int, coefficients: int) -> Counts:
    """One frame of mel-frequency cepstral coefficients.

    Window: one multiplication per sample. FFT. Power spectrum: 2 multiply-accumulates per bin. Triangular mel filters:
    each of N/2 + 1 bins feeds two. Logarithm: table and polynomial of degree 3 per mel. DCT: mels x coefficients MACs.
    Source: Davis, Mermelstein 1980.

    >>> a = mfcc_counts(samples=480, points=512, mels=40, coefficients=10)
    >>> b = mfcc_counts(samples=480, points=512, mels=40, coefficients=20)
    >>> float(b.mac_instr[0] - a.mac_instr[0])
    400.0
    """
    if min(samples, mels, coefficients) < 1 or samples > points:
        raise InputError(f"MFCC: {samples} samples must fit the {points} points; mels and coefficients at least 1")
    bins = points // 2 + 1
    window = _counts(loads=2 * samples, stores=samples, mac=0, mul=samples, alu=2 * samples, branches=samples)
    power = _counts(loads=2 * bins, stores=bins, mac=bins, mul=bins, alu=bins, branches=bins)
    filters = _counts(loads=4 * bins, stores=mels, mac=2 * bins, mul=0, alu=2 * bins, branches=2 * bins)
    logs = _counts(loads=5 * mels, stores=mels, mac=3 * mels, mul=0, alu=6 * mels, branches=mels)
    macs = mels * coefficients
    dct = _counts(loads=2 * macs, stores=coefficients, mac=macs, mul=0, alu=macs, branches=macs)
    return window + fft_counts(points) + power + filters + logs + dct


def feature_cycles(counts: Counts, timing: CoreTiming) -> float:
    """Cycles on a core with memory that never makes it wait."""
    return float(zero_wait_cycles(counts, timing).sum())
