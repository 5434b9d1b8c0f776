"""Deterministic pseudo-random weights for tensors that have none, so that a network can be written and run."""

from __future__ import annotations

import math
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinysim.network.graph import Tensor

__all__ = ["random_values"]


def random_values(tensor: Tensor, seed: int = 0) -> NDArray[Any]:
    """Values of the tensor's type and shape; the same for the same name and seed.

    Signed integers are uniform over their symmetric range, biases (int32, int64) small, floats normal with deviation
    1 / sqrt(fan-in). A fraction `tensor.sparsity` is zero, and no other element.
    """
    rng = np.random.default_rng((zlib.crc32(tensor.name.encode()), seed))
    shape = tensor.shape
    if tensor.dtype.startswith("float"):
        fan_in = max(1, tensor.elements // max(1, max(shape, default=1)))
        values = (rng.standard_normal(shape) / math.sqrt(fan_in)).astype(tensor.dtype)
    elif tensor.dtype == "bool":
        values = rng.integers(0, 2, shape).astype(np.bool_)
    else:
        top = {"int2": 1, "int4": 7, "int8": 127, "uint8": 255, "int16": 127}.get(tensor.dtype, 100)
        sign = 1 if tensor.dtype.startswith("u") else rng.choice((-1, 1), shape)
        stored = "int8" if tensor.dtype in {"int2", "int4"} else tensor.dtype
        values = (sign * rng.integers(1, top + 1, shape)).astype(stored)
    if tensor.sparsity > 0:
        zeros = rng.permutation(tensor.elements)[: round(tensor.sparsity * tensor.elements)]
        values.reshape(-1)[zeros] = 0
    return values
