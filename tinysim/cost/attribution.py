"""How much of a difference between two products each factor makes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["divisia"]

Floats = NDArray[np.float64]


def divisia(before: Floats, after: Floats) -> Floats:
    """Contribution of each factor to the difference of two products; they sum to the difference.

    D_k = L(V1, V0) ln(x1_k / x0_k),   V = prod_k x_k,   L(u, v) = (u - v) / ln(u / v), L(u, u) = u

    before, after: factors, not negative, shape (k, n). Returns shape (k, n), in the unit of the product. Where a
    product is 0, the whole difference belongs to the first factor that is 0 on one side only: the limit of small
    values.
    Source: Ang, The LMDI approach to decomposition analysis: a practical guide, Energy Policy 33 (2005) 867, eq. 4.

    >>> divisia(np.array([[2.0], [5.0]]), np.array([[4.0], [5.0]])).round(9).tolist()
    [[10.0], [0.0]]
    """
    first, last = before.prod(axis=0), after.prod(axis=0)
    smooth = (first > 0) & (last > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.log(after / before)
        same = np.isclose(first, last, rtol=1e-9, atol=0.0)
        mean = np.where(same, (first + last) / 2, (last - first) / np.log(last / first))
        shares = np.where(smooth, mean * ratios, 0.0)
    vanishes = np.argmax((before == 0) != (after == 0), axis=0)
    rest = last - first - shares.sum(axis=0)
    # The rest is the whole difference where a product is 0, and rounding elsewhere.
    owner = np.where(smooth, np.argmax(np.abs(shares), axis=0), vanishes)
    shares[owner, np.arange(len(first))] += rest
    return shares
