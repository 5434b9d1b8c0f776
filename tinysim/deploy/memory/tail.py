"""The persistent part of TFLM's arena: interpreter objects, tensor and operator structures, kernel data, variables.

TFLM allocates it downwards from the arena's end, in this order: the allocator's own objects, 12 bytes per tensor,
32 bytes per operator, the parsed options of each operator, then per operator the kernel's data and its per-channel
multipliers and shifts (each 16-byte aligned), handles of scratch buffers, variables, and the input and output tensors.
Here the same allocations are made with the sizes of the C structures, so the sum is exact where these are known: all
40 models with both kernel sets on a 32-bit Cortex-M, and the x86-64 runs with reference kernels, agree to the byte.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

import numpy as np

from tinysim.deploy.memory.scratch import scratch_bytes
from tinysim.errors import SpecError, nearest
from tinysim.network.graph import Network, Op
from tinysim.network.kinds import FAMILY

__all__ = ["persistent_bytes", "prepared_bytes", "tflm_tail"]

_ALIGNMENT = 16


@dataclass(frozen=True, slots=True)
class _Abi:
    """Sizes of TFLM's C structures [B] on a target."""

    base: int
    """allocator, planner, subgraph table"""
    pointer: int
    eval_tensor: int
    node: int
    tensor: int
    """TfLiteTensor of a network input or output"""
    quantization: int
    """its affine quantization with one zero point"""
    options: Mapping[str, tuple[int, int]]
    """kind -> (size, alignment) of the parsed options"""
    data: Mapping[str, Mapping[str, int]]
    """kernel library -> kind -> size of the kernel's own structure"""


_OPTIONS_32 = {
    "conv2d": (28, 4),
    "depthwise_conv2d": (28, 4),
    "transpose_conv": (16, 4),
    "fully_connected": (5, 1),  # enums are single bytes on bare-metal Arm
    "softmax": (4, 4),
    "reshape": (36, 4),
    "add": (2, 1),
    "avg_pool2d": (40, 4),
    "max_pool2d": (40, 4),
    "mean": (1, 1),
    "svdf": (8, 4),
    "unidirectional_sequence_lstm": (20, 4),
}
_DATA_32 = {
    "conv2d": 60,
    "depthwise_conv2d": 60,
    "transpose_conv": 64,
    "fully_connected": 44,
    "softmax": 48,
    "add": 64,
    "avg_pool2d": 36,
    "max_pool2d": 36,
    "mean": 40,
    "hard_swish": 28,
    "logistic": 16,
    "quantize": 32,
    "svdf": 48,
    "unidirectional_sequence_lstm": 688,
}
_DATA_32_CMSIS_NN = _DATA_32 | {
    "conv2d": 56, "depthwise_conv2d": 56, "fully_connected": 68, "softmax": 52,
    "unidirectional_sequence_lstm": 944,
}  # fmt: skip
_OPTIONS_64 = _OPTIONS_32 | {"fully_connected": (16, 4), "add": (8, 4)}
_DATA_64 = _DATA_32 | {
    "conv2d": 72, "depthwise_conv2d": 72, "fully_connected": 64, "softmax": 72, "avg_pool2d": 32, "max_pool2d": 32,
}  # fmt: skip
_ABIS = MappingProxyType(
    {
        4: _Abi(136, 4, 12, 32, 32, 20, _OPTIONS_32, {"tflm-reference": _DATA_32, "cmsis-nn": _DATA_32_CMSIS_NN}),
        8: _Abi(248, 8, 24, 64, 64, 32, _OPTIONS_64, {"tflm-reference": _DATA_64, "cmsis-nn": _DATA_64}),
    }
)
#: kinds without kernel data
_NO_DATA = frozenset({"reshape", "squeeze", "expand_dims"})
#: a table of 513 values of 16 bits: the exponential, and 1 / (1 + x)
_LOOKUP_BYTES = 513 * 2
_QUANTIZED = frozenset({"int8", "uint8", "int16"})
#: what other kinds usually take
_USUAL_OPTIONS, _USUAL_DATA = (4, 4), 32


def tflm_tail(
    network: Network,
    kernels: str = "cmsis-nn",
    *,
    ptr_bytes: int = 4,
    core: str = "cortex-m4",
    n_scratch: int | None = None,
) -> int:
    """Bytes of the persistent part of TFLM's arena.

    T = base + 12 n_tensors + 32 n_ops + sum of options + sum of kernel data + 8 sum of per-channel output channels
    + 4 n_scratch + variables + inputs and outputs, with each allocation's alignment (figures for 32 bit).

    kernels: "cmsis-nn" or "tflm-reference". ptr_bytes: 4 on a microcontroller, 8 on x86-64. n_scratch: scratch
    buffers of all kernels; if not given, those of `kernels` on `core`. Fully connected layers have per-channel
    multipliers only if their weights' quantization has. Valid: tflite-micro of 2026 (90b983c2), one subgraph. Error:
    0 B on the models named above; structures of kinds outside the tables are taken as 36 B.

    Raises:
        SpecError: an unknown kernel library or pointer size.
    """
    if n_scratch is None:
        n_scratch = int(np.count_nonzero(scratch_bytes(network.table(), kernels=kernels, core=core)))
    return persistent_bytes(
        [op.kind for op in network.ops],
        kernels,
        ptr_bytes=ptr_bytes,
        n_tensors=len(network.tensors),
        n_scratch=n_scratch,
        prepared=[size for op in network.ops for size in prepared_bytes(network, op)],
        variables=[t.n_bytes for t in network.tensors if t.is_variable],
        inputs=[network.tensors[i].dtype for i in network.inputs],
        outputs=[network.tensors[i].dtype for i in network.outputs],
    )


def persistent_bytes(
    kinds: Sequence[str],
    kernels: str = "cmsis-nn",
    *,
    ptr_bytes: int = 4,
    n_tensors: int,
    n_scratch: int,
    prepared: Iterable[int] = (),
    variables: Iterable[int] = (),
    inputs: Sequence[str],
    outputs: Sequence[str],
) -> int:
    """`tflm_tail` from what it depends on, without a network.

    kinds: of the operators, in order. prepared, variables: bytes of each array that a kernel's preparation keeps, and
    of each variable. inputs, outputs: types of the network's own tensors.

    Raises:
        SpecError: an unknown kernel library or pointer size.
    """
    if ptr_bytes not in _ABIS:
        raise SpecError(f"TFLM tail: pointers of {ptr_bytes!r} bytes; accepted: 4, 8")
    abi = _ABIS[ptr_bytes]
    if kernels not in abi.data:
        raise SpecError(f"TFLM tail: kernel library {kernels!r} is unknown; {nearest(kernels, abi.data)}")
    used = _structures(tuple(kinds), kernels, ptr_bytes, n_tensors)
    for size in prepared:
        used = _up(used + size, _ALIGNMENT)
    used = _up(used, abi.pointer) + abi.pointer * n_scratch
    for size in variables:
        used = _up(used + size, _ALIGNMENT)
    for dtypes in (inputs, outputs):
        used = _up(used + abi.pointer * len(dtypes), _ALIGNMENT)
        used += sum(abi.tensor + (abi.quantization if dtype in _QUANTIZED else 0) for dtype in dtypes)
    return used


@lru_cache(maxsize=4096)
def _structures(kinds: tuple[str, ...], kernels: str, ptr_bytes: int, n_tensors: int) -> int:
    """The interpreter's own structures, parsed options and kernel data: the same for networks that differ in sizes."""
    abi = _ABIS[ptr_bytes]
    used = abi.base + abi.eval_tensor * n_tensors + abi.node * len(kinds)
    for kind in kinds:
        size, alignment = abi.options.get(kind, _USUAL_OPTIONS)
        used = _up(used + size, alignment)
    data = abi.data[kernels]
    for kind in kinds:
        if kind not in _NO_DATA:
            used = _up(used + data.get(kind, _USUAL_DATA), _ALIGNMENT)
    return used


def prepared_bytes(network: Network, op: Op) -> tuple[int, ...]:
    """Arrays that a kernel's preparation keeps: per-channel multipliers and shifts, tables of a 16-bit softmax."""
    if op.kind == "softmax" and network.tensors[op.inputs[0]].dtype == "int16":
        return (_LOOKUP_BYTES, _LOOKUP_BYTES)
    if FAMILY[op.kind] not in {"conv", "matmul"} or op.kind == "batch_matmul":
        return ()
    weights = network.tensors[op.inputs[1]]
    per_channel = weights.quantization is not None and len(weights.quantization.scale) > 1
    if weights.dtype.startswith("float") or (FAMILY[op.kind] == "matmul" and not per_channel):
        return ()
    channels = network.tensors[op.outputs[0]].shape[-1]
    return (4 * channels, 4 * channels)


def _up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple
