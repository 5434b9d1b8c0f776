"""What a model takes of the flash: constants as the runtime stores them, and the code of runtime and kernels."""

from __future__ import annotations

from dataclasses import dataclass

from tinysim.device.spec import Runtime
from tinysim.network.graph import Network

__all__ = ["FlashUse", "flash_use"]


@dataclass(frozen=True)
class FlashUse:
    """Bytes of flash."""

    weights_bytes: int
    """constants that operators read: weights, biases, shape vectors"""
    metadata_bytes: int
    """the rest of the model file, where the runtime keeps the file (graph, quantization, names)"""
    code_bytes: int | None
    """runtime and kernels; None if unknown"""

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

    A runtime that interprets a flatbuffer keeps the whole file; one that generates code keeps the constants.
    Without a file (a zoo network), the flatbuffer's metadata are estimated from its tables.
    """
    weights = network.weight_bytes
    metadata = 0
    if runtime.model_in_flash == "flatbuffer":
        metadata = network.file_bytes - weights if network.file_bytes is not None else flatbuffer_metadata(network)
    code = runtime.code_bytes
    return FlashUse(weights, max(0, metadata), int(code.si) if code is not None and code.known else None)


def flatbuffer_metadata(network: Network) -> int:
    """Bytes of a TFLite file beside its buffers, for a network that has no file.

    Each tensor carries a table, a name, a shape and its quantization (scale 4 B, zero point 8 B per channel); each
    operator a table and its options; each buffer a table.
    Source: TFLite schema v3, sizes of its tables with vtables shared.
    """
    channels = sum(len(t.quantization.scale) for t in network.tensors if t.quantization is not None)
    return 1024 + 140 * len(network.tensors) + 80 * len(network.ops) + 12 * channels
