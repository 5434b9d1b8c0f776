"""`compiled`: functions over arrays that numba compiles, where it is installed."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import cache
from typing import Any

__all__ = ["compiled"]


@cache
def compiled(function: Callable[..., Any]) -> Any:
    """The function compiled, without Python's lock; None without numba (extra `explore`).

    Loading takes some 0.5 s, compiling seconds, once: the result is kept on disk.
    """
    if importlib.util.find_spec("numba") is None:
        return None
    import numba

    return numba.njit(nogil=True, cache=True)(function)
