"""Networks by name, built layer by layer from their public architectures."""

from tinysim.network.zoo import edgemark, mlperf_tiny
from tinysim.network.zoo.registry import build_network, describe, network_names

__all__ = ["build_network", "describe", "edgemark", "mlperf_tiny", "network_names"]
