"""Networks by name, built layer by layer from their public architectures."""

from tinysim.network.zoo import audio, detection, edgemark, mlperf_tiny, mobilenet, resnet, searched, st, tiny
from tinysim.network.zoo.registry import build_network, describe, network_names

__all__ = [
    "audio", "build_network", "describe", "detection", "edgemark", "mlperf_tiny", "mobilenet", "network_names",
    "resnet", "searched", "st", "tiny",
]  # fmt: skip
