"""What a model takes of the flash: constants as the runtime stores them, and the code of runtime and kernels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinysim.deploy.memory import flatbuffer_bytes, parameter_bytes, weight_flash_bytes
from tinysim.deploy.memory.buffers import Ints
from tinysim.device.spec import Runtime
from tinysim.network.graph import Network
from tinysim.network.table import LayerTable

__all__ = ["ST_RUNTIMES", "FlashUse", "flash_use", "linked_code_bytes", "model_bytes"]

#: Code of TFLM's kernels that a network adds when it uses the operator, all types of each kernel at once [B].
#: Non-negative least squares on 46 programs of EdgeMark (-O3, NUCLEO-L4R5ZI), whose rest is the runtime's code_bytes.
_TFLM_KERNEL_BYTES = {
    "conv2d": 31_890,
    "avg_pool2d": 22_363,
    "softmax": 6_690,
    "mean": 5_412,
    "max_pool2d": 5_356,
    "depthwise_conv2d": 4_394,
}
#: -Os against -O3, the same programs
_OS_SHARE = 0.87

#: runtimes whose linked code depends on sizes
ST_RUNTIMES = ("x-cube-ai", "st-edge-ai")
#: What ST's generated code adds per operator that runs and per output channel of a layer with weights [B]; least
#: squares on 69 int8 rows of the ST model zoo.
_ST_OPERATOR_BYTES, _ST_CHANNEL_BYTES = 778, 3.15
#: Share of ST's code_bytes that is linked without integer convolutions (float and fully connected networks)
_ST_SHARE_WITHOUT_CONV = 0.3


@dataclass(frozen=True)
class FlashUse:
    """Bytes of flash."""

    weights_bytes: int
    """weights and biases, with their scales where the runtime stores them apart"""
    metadata_bytes: int
    """the rest of the model file, where the runtime keeps the file (graph, quantization, names)"""
    code_bytes: int | None
    """runtime and the kernels that this network links; None if unknown"""

    @property
    def model_bytes(self) -> int:
        """Weights and metadata."""
        return self.weights_bytes + self.metadata_bytes

    @property
    def total_bytes(self) -> int | None:
        """Model and code; None if the code size is unknown."""
        return None if self.code_bytes is None else self.model_bytes + self.code_bytes


def flash_use(network: Network, runtime: Runtime) -> FlashUse:
    """Flash of a network under a runtime.

    A runtime that interprets a flatbuffer keeps the whole file; one that generates code keeps weights and biases,
    TinyEngine a 32-bit scale per channel besides. Without a file, the flatbuffer's size is estimated.
    Error: weights within 0.1 % of 110 reports of ST's tools (SSD nets, whose anchors are constants too: 17 %).
    """
    weights, metadata = model_bytes(network, runtime)
    code = linked_code_bytes(network.table(), runtime)
    return FlashUse(weights, metadata, None if code is None else int(code[0]))


def model_bytes(network: Network, runtime: Runtime) -> tuple[int, int]:
    """Bytes of a model's weights, and of the rest of its file where the runtime keeps it."""
    if runtime.model_in_flash == "flatbuffer":
        weights = network.weight_bytes
        return weights, max(0, flatbuffer_bytes(network) - weights)
    if runtime.planner == "tinyengine":
        return weight_flash_bytes(network, "parameters-and-scales"), 0
    return parameter_bytes(network), 0


def linked_code_bytes(table: LayerTable, runtime: Runtime) -> Ints | None:
    """Code of a runtime and the kernels that each network of a table links [B], shape (n_networks,); None if unknown.

    TFLM: code_bytes + sum over used operators of their kernels. ST: code_bytes + 778 n_ops + 3.15 n_channels, where
    networks without an integer convolution link 30 % of code_bytes. Others: code_bytes.
    Errors left out by network: see docs/memory.md.
    """
    figure = runtime.code_bytes
    if figure is None or not figure.known:
        return None
    n, base = table.n_networks, figure.si
    if runtime.name in {"tflm-cmsis-nn", "tflm-reference"}:
        size = 1.0 if runtime.opt != "-Os" else _OS_SHARE
        kernels = sum(b * _any(table, table.is_kind(k)) for k, b in _TFLM_KERNEL_BYTES.items())
        return np.rint(size * (base + kernels)).astype(np.int64)
    if runtime.name.startswith(ST_RUNTIMES):
        runs = ~(table.is_family("view") | table.is_kind("pad"))
        weighted = table.is_family("conv") | table.is_kind("fully_connected")
        channels = np.bincount(table.network, np.where(weighted, table.out_c, 0), minlength=n)
        integer_conv = _any(table, table.is_family("conv") & (table.activation_bits < 32))
        share = np.where(integer_conv, 1.0, _ST_SHARE_WITHOUT_CONV)
        operators = np.bincount(table.network, runs, minlength=n)
        size_of_each = base * share + _ST_OPERATOR_BYTES * operators + _ST_CHANNEL_BYTES * channels
        return np.rint(size_of_each).astype(np.int64)
    return np.full(n, round(base), dtype=np.int64)


def _any(
    table: LayerTable, rows: np.ndarray[tuple[int], np.dtype[np.bool_]]
) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Whether a network has one of the rows, shape (n_networks,)."""
    return np.bincount(table.network, rows, minlength=table.n_networks) > 0
