"""`deploy`: a network on a device under a runtime: what runs where, and what lives where."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tinysim.deploy.flash import FlashUse, flash_use
from tinysim.deploy.memory import ArenaPlan, plan_arena
from tinysim.deploy.policy import arena_policy
from tinysim.deploy.target import Target, resolve_target
from tinysim.errors import DoesNotFit
from tinysim.network.graph import Network
from tinysim.network.kinds import FAMILY
from tinysim.network.load import load_network
from tinysim.network.table import LayerTable

if TYPE_CHECKING:
    from tinysim.device.spec import Device, Runtime

__all__ = ["Deployment", "deploy", "priced_rows", "runtime_network"]


@dataclass(frozen=True, eq=False)
class Deployment:
    """A network placed on a device."""

    network: Network
    target: Target
    table: LayerTable
    """A row per operator, in execution order."""
    priced: NDArray[np.bool_]
    """Whether each row runs; False where the compiler folds it away."""
    arena: ArenaPlan
    flash: FlashUse

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Name of each operator: its own, or kind and position."""
        return tuple(op.name or f"{position}_{op.kind}" for position, op in enumerate(self.network.ops))

    def check_fit(self) -> None:
        """Check that the arena and the flash fit their memories.

        Raises:
            DoesNotFit: the message names memory, need and have.
        """
        place = self.target.placement
        needs = (
            (place.activations, self.arena.peak_bytes, "arena"),
            (place.weights, self.flash.total_bytes, "model and code"),
        )
        for memory, need, what in needs:
            if memory.size.known and need is not None and need > memory.size.si:
                raise DoesNotFit(
                    f"{self.network.name} on {self.target.device.name}: the {what} needs {need:,} B of {memory.name}, "
                    f"which has {int(memory.size.si):,} B"
                )


def deploy(network: Network, device: str | Device | Target, runtime: str | None = None, **options: Any) -> Deployment:
    """Place a network on a device.

    Args:
        network: what runs.
        device: name, path, `Device`, or a resolved `Target`.
        runtime: name of a runtime of the device; its first one if None.
        **options: those of `resolve_target` (clock_hz, code_in, weights_in, activations_in).

    Raises:
        UnknownDevice, UnknownRuntime, SpecError: see `resolve_target`.
    """
    target = device if isinstance(device, Target) else resolve_target(device, runtime, **options)
    network = runtime_network(network, target.runtime)
    table = network.table()
    return Deployment(
        network=network,
        target=target,
        table=table,
        priced=priced_rows(table, target),
        arena=plan_arena(network, arena_policy(target)),
        flash=flash_use(network, target.runtime),
    )


def runtime_network(network: Network, runtime: Runtime) -> Network:
    """The network that a runtime runs: without dead channels if the runtime removes them and they are known.

    They are known from the values of the weights, or from the zoo where published weights have some.
    """
    if not runtime.removes_dead_channels:
        return network
    published = network.metadata.get("live")
    return load_network(published).rename(network.name) if published else network.live


def priced_rows(table: LayerTable, target: Target) -> NDArray[np.bool_]:
    """Mask of the rows that run, shape (n,): not those that the runtime's compiler folds."""
    folded = [kind for kind in target.runtime.folds if kind in FAMILY]
    return ~table.is_kind(*folded) if folded else np.ones(len(table), dtype=bool)
