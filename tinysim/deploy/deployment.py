"""`deploy`: a network on a device under a runtime: what runs where, and what lives where."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tinysim.deploy.costs import LayerCosts, layer_costs
from tinysim.deploy.flash import FlashUse, flash_use
from tinysim.deploy.layout import Layout, runtime_layout
from tinysim.deploy.memory import ArenaPlan, plan_arena
from tinysim.deploy.offload.options import OffloadOptions
from tinysim.deploy.policy import arena_policy
from tinysim.deploy.spread import Spread, core_spread
from tinysim.deploy.target import Target, precision_of, resolve_target
from tinysim.errors import DoesNotFit, SpecError
from tinysim.network.graph import Network
from tinysim.network.kinds import FAMILY
from tinysim.network.load import load_network
from tinysim.network.table import LayerTable

if TYPE_CHECKING:
    from tinysim.deploy.offload.plan import Offload
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
    layout: Layout
    """Which memory holds which tensor and which weights."""
    offload: Offload | None = None
    """What runs on the board's accelerator; None if all runs on the core."""

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Name of each operator: its own, or kind and position."""
        return tuple(op.name or f"{position}_{op.kind}" for position, op in enumerate(self.network.ops))

    @cached_property
    def engines(self) -> tuple[str, ...]:
        """Name of the engine of each operator: the core's, or the accelerator's."""
        core = self.target.core.name
        if self.offload is None:
            return (core,) * len(self.network.ops)
        return tuple(self.offload.name if chosen else core for chosen in self.offload.chosen.tolist())

    @property
    def once_cycles(self) -> int:
        """Core cycles per inference outside the operators."""
        if self.offload is not None:
            return self.offload.once_cycles
        return self.target.once_cycles

    @cached_property
    def spread(self) -> Spread:
        """What the intervals are made of: residuals of the engine that takes most of the time."""
        if self.offload is not None:
            cycles = self.costs.cycles.total
            if cycles[self.offload.chosen].sum() >= cycles.sum() / 2:
                return self.offload.spread
        return core_spread(self.table, self.target, self.priced, self.layout)

    @cached_property
    def costs(self) -> LayerCosts:
        """Cost of every operator on its engine; both engines of prediction read it.

        Raises:
            UnsupportedOperator: a kind that the kernel library cannot price.
        """
        if self.offload is None:
            return layer_costs(self.table, self.target, self.priced, layout=self.layout)
        from tinysim.deploy.offload.costs import offloaded_costs  # most boards never need it

        return offloaded_costs(self.table, self.offload, self.target, self.priced)

    def check_fit(self) -> None:
        """Check that the arena and the flash fit their memories.

        Raises:
            DoesNotFit: the message names memory, need, have and the three cheapest ways out.
        """
        from tinysim.deploy import fit  # the search is only needed where something does not fit

        wrong = fit.misfits(self)
        if wrong:
            arena, flash = fit.too_small(self)
            ways = [", ".join(map(str, fit.ways_out(self)))] if arena else []
            ways += ["for the flash " + ", ".join(map(str, fit.flash_ways_out(self)))] if flash else []
            what = f"{self.network.name} on {self.target.device.name}: {'; '.join(wrong)}"
            raise DoesNotFit(f"{what}; ways out: {'; '.join(ways)}")


def deploy(
    network: Network,
    device: str | Device | Target,
    runtime: str | None = None,
    *,
    placement: str = "runtime",
    **options: Any,
) -> Deployment:
    """Place a network on a device.

    Args:
        network: what runs.
        device: name, path, `Device`, or a resolved `Target`.
        runtime: name of a runtime of the device; its first one if None.
        placement: `runtime`: as the runtime's tools place things, what does not fit moved on; `fastest`: arena, code
            and each operator's weights in the memories of the board where they wait least.
        **options: fields of `Options` (clock_hz, weights_in, supply_v, ...) and of `OffloadOptions` (offload,
            accelerator_model, memory_mode, ...).

    Raises:
        UnknownDevice, UnknownRuntime, SpecError: see `resolve_target`; an unknown way of offload, model or mode.
        UnsupportedOperator: an operator that neither the core nor the accelerator runs.
    """
    accelerator = OffloadOptions.taken_from(options)
    if isinstance(device, Target):
        target = device
    else:
        target = resolve_target(device, runtime, **{"precision": precision_of(network.table()), **options})
    network = runtime_network(network, target.runtime)
    table = network.table()
    priced = priced_rows(table, target)
    arena, flash = plan_arena(network, arena_policy(target)), flash_use(network, target.runtime)
    layout = _placed(placement, network, table, priced, arena, flash, target)
    planned = None
    if target.device.accelerator is not None or accelerator.asked:
        from tinysim.deploy.offload.plan import plan_offload  # most boards never need it

        planned = plan_offload(network, table, target, priced, accelerator, outside=layout.outside)
    return Deployment(network, target, table, priced, arena, flash, layout, offload=planned)


def _placed(
    placement: str,
    network: Network,
    table: LayerTable,
    priced: NDArray[np.bool_],
    arena: ArenaPlan,
    flash: FlashUse,
    target: Target,
) -> Layout:
    if placement == "runtime":
        return runtime_layout(network, arena, flash, target)
    if placement != "fastest":
        raise SpecError(f"placement {placement!r}; accepted: runtime, fastest")
    from tinysim.deploy.place import fastest_layout  # most deployments don't search

    return fastest_layout(network, table, priced, arena, flash, target)


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
