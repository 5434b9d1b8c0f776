"""`estimate`: the closed-form engine, `Deployment -> Estimate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinysim.deploy.deployment import Deployment, deploy
from tinysim.estimate.result import Estimate
from tinysim.network.graph import Network
from tinysim.network.load import load_network

if TYPE_CHECKING:
    from tinysim.deploy.target import Target
    from tinysim.device.spec import Device

__all__ = ["estimate", "estimate_deployment"]


def estimate(
    network: Network | str | Path, device: str | Device | Target, runtime: str | None = None, **options: Any
) -> Estimate:
    """Predict what one inference costs.

    Args:
        network: `Network`, path of a model file, or name in the zoo.
        device: name, path of a YAML file, `Device` or resolved `Target`.
        runtime: name of a runtime of the device; its first one if None.
        **options: clock_hz, code_in, weights_in, activations_in (see `resolve_target`); offload, accelerator_model,
            accelerator_system, memory_mode, stored_weight_bytes, accelerator_weight_bits, activation_sparsity (see
            `OffloadOptions`).

    Raises:
        NetworkError, UnsupportedOperator, UnknownNetwork: the model cannot be read.
        UnknownDevice, UnknownRuntime, SpecError: the device cannot be resolved.
    """
    net = network if isinstance(network, Network) else load_network(network)
    return estimate_deployment(deploy(net, device, runtime, **options))


def estimate_deployment(deployment: Deployment) -> Estimate:
    """Price a deployment.

    Raises:
        UnsupportedOperator: a kind that the kernel library cannot price.
    """
    return Estimate(deployment, deployment.costs)
