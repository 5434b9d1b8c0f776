"""Size of weights behind a decoder, from the values themselves.

Source: the formats that Arm's compiler writes (Vela 5.2, `mlw_codec`): Golomb-Rice codes of the weights, the zeros
among them either coded alike or as runs between the others, whichever is shorter; the divisor is chosen per tensor.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["encoded_bytes", "entropy_bits", "golomb_rice_bits", "rice_coded_bytes", "zero_map_bytes"]

Array = npt.NDArray[Any]

#: Largest divisor of a code, as a power of two.
_MOST_SHIFT = 7
#: Weights are stored in lines of this many bytes.
_LINE_BYTES = 16


def golomb_rice_bits(counts: npt.ArrayLike) -> float:
    """Bits of coded whole numbers 0, 1, 2 ... with the best divisor.

    B = min over d of sum of counts[v] * (floor(v / 2^d) + 1 + d)

    counts [1]: how often each number occurs. Source: R. F. Rice, JPL Publication 79-22, 1979.

    >>> golomb_rice_bits([4, 2, 1, 0])
    11.0
    """
    n = np.asarray(counts, dtype=float)
    value = np.arange(len(n))
    return float(min(((value >> d) + 1 + d) @ n for d in range(_MOST_SHIFT + 1)))


def entropy_bits(values: npt.ArrayLike) -> float:
    """Shannon's bound of coding the values one by one [bit].

    H = -sum of n_v log2(n_v / n)

    >>> entropy_bits([0, 0, 1, 1])
    4.0
    """
    _, n = np.unique(np.asarray(values), return_counts=True)
    return float(-(n * np.log2(n / n.sum())).sum()) if n.size > 1 else 0.0


def _folded(values: Array) -> Array:
    """Signed numbers as whole ones, small magnitudes first: 0, -1, 1, -2, 2 ..."""
    return np.where(values < 0, -2 * values - 1, 2 * values)


def rice_coded_bytes(values: npt.ArrayLike) -> int:
    """Bytes of a tensor of whole-numbered weights in Golomb-Rice codes, in lines of 16 bytes.

    values [1]: output channels first, as they are read; zero is the value that stands for nothing (subtract the zero
    point first). Errors: within 1 % of the compiler on tensors of 4 KiB or more whose channels fill its bricks; the
    padding of bricks is not counted, so small, depthwise and three-channel layers are larger (see tests).

    >>> rice_coded_bytes(np.zeros(1024, dtype=np.int8)), rice_coded_bytes(np.arange(-128, 128))
    (16, 272)
    """
    v = np.asarray(values).reshape(-1)
    if not v.size:
        return 0
    number, often = np.unique(v, return_counts=True)
    folded = _folded(number.astype(np.int64))
    counts = np.bincount(folded, weights=often)
    bits = golomb_rice_bits(counts)
    # A run costs a bit or more per value that is not zero, and saves at most a byte per zero.
    if counts[0] > v.size / 16:
        others = np.flatnonzero(v)
        runs = np.diff(np.concatenate([[-1], others, [v.size]])) - 1
        bits = min(bits, golomb_rice_bits(counts[1:]) + golomb_rice_bits(np.bincount(_long_runs(runs))))
    return int(-(-bits // (8 * _LINE_BYTES)) * _LINE_BYTES)


def _long_runs(runs: Array, longest: int = 255) -> Array:
    """Runs cut into pieces that a code can hold."""
    whole, left = runs // longest, runs % longest
    return np.concatenate([left, np.full(int(whole.sum()), longest)])


def zero_map_bytes(elements: npt.ArrayLike, *, sparsity: npt.ArrayLike, bits: npt.ArrayLike = 8) -> Array:
    """Bytes of weights of which only those that are not zero are kept, with a bit per weight that says which.

    B = n * (1 + (1 - s) * bits) / 8, and never more than n * bits / 8

    elements [1], sparsity [1], bits [bit].

    >>> zero_map_bytes(800, sparsity=0.5).tolist(), zero_map_bytes(800, sparsity=0.0).tolist()
    (500.0, 800.0)
    """
    n, s, b = (np.asarray(x, dtype=float) for x in (elements, sparsity, bits))
    return np.asarray(n * np.minimum(1 + (1 - s) * b, b) / 8)


def encoded_bytes(values: npt.ArrayLike, decoder: str) -> float:
    """Bytes of 8-bit weights behind a decoder: `golomb_rice` (see `rice_coded_bytes`) or `zero_map`.

    >>> encoded_bytes(np.zeros(800), "zero_map")
    100.0
    """
    v = np.asarray(values)
    if decoder == "golomb_rice":
        return float(rice_coded_bytes(v))
    return float(zero_map_bytes(v.size, sparsity=np.mean(v == 0)))
