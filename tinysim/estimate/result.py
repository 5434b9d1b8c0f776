"""`Estimate`: what one inference costs, in total and layer by layer."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from functools import cached_property, reduce
from operator import add
from typing import TYPE_CHECKING, Any

import numpy as np

from tinysim.cost.energy import once_energy
from tinysim.deploy.costs import LayerCosts
from tinysim.deploy.deployment import Deployment
from tinysim.deploy.fit import misfits
from tinysim.deploy.offload.partition import overlap
from tinysim.deploy.prices import power_spread
from tinysim.errors import InputError, nearest
from tinysim.estimate.interval import conformal_factor, energy_factor
from tinysim.estimate.parts import Interval, LayerCost, MemoryUse
from tinysim.estimate.words import bottleneck_sentence, layer_sentence

if TYPE_CHECKING:
    import pandas as pd

    from tinysim.estimate.clock import ClockChoice
    from tinysim.estimate.roofline import Roofline
    from tinysim.estimate.sensitivity import Sensitivity

__all__ = ["Estimate", "Interval", "LayerCost", "MemoryUse"]

SCHEMA_VERSION = 1


@dataclass(frozen=True, eq=False)
class Estimate:
    """Costs of one inference.

    Totals are sums over the layers plus what the runtime spends once per inference.
    """

    deployment: Deployment
    costs: LayerCosts

    # ---------------------------------------------------------------- totals

    @property
    def network(self) -> str:
        """Name of the network."""
        return self.deployment.network.name

    @property
    def device(self) -> str:
        """Name of the device."""
        return self.deployment.target.device.name

    @property
    def runtime(self) -> str:
        """Name of the runtime."""
        return self.deployment.target.runtime.name

    @property
    def clock_hz(self) -> float:
        """Core clock [Hz]."""
        return self.deployment.target.clock_hz

    @cached_property
    def macs(self) -> int:
        """Multiply-accumulates of the operators that run."""
        return int((self.costs.table.macs * self.deployment.priced).sum())

    @cached_property
    def cycles(self) -> int:
        """Core cycles of one inference."""
        return int(self.costs.cycles.total.sum()) + self.inference_overhead_cycles

    @property
    def inference_overhead_cycles(self) -> int:
        """Cycles that the runtime spends once per inference."""
        return self.deployment.once_cycles

    @property
    def latency_s(self) -> float:
        """Time of one inference [s]."""
        return self.cycles / self.clock_hz

    @cached_property
    def energy_j(self) -> float | None:
        """Energy of one inference [J]; None if a figure that it needs is unknown (see `gaps`)."""
        parts = self.energy_by_component
        # added one by one: newer versions of `sum` compensate, and a batch must give the same bits
        return None if parts is None else reduce(add, parts.values())

    @cached_property
    def memory(self) -> MemoryUse:
        """SRAM and flash."""
        arena, flash, layout = self.deployment.arena, self.deployment.flash, self.deployment.layout
        return MemoryUse(
            sram_peak_bytes=layout.peak_bytes,
            arena_planned_bytes=layout.peak_bytes - arena.tail_bytes,
            arena_persistent_bytes=arena.tail_bytes,
            flash_bytes=flash.total_bytes,
            model_bytes=flash.model_bytes,
            weights_bytes=flash.weights_bytes,
            code_bytes=flash.code_bytes,
            arena_in={pool.memory.name: pool.peak_bytes for pool in layout.pools},
            weights_in=tuple(memory.name for memory in layout.weight_memories),
        )

    @property
    def fits(self) -> bool:
        """Whether arena and flash fit their memories (`deployment.check_fit()` says what would help)."""
        return not misfits(self.deployment)

    @property
    def notes(self) -> tuple[str, ...]:
        """What does not live where the linker script would put it, and where it lives instead."""
        return self.deployment.layout.moved

    @property
    def gaps(self) -> tuple[str, ...]:
        """Figures that are unknown and what they withhold, and what does not fit its memory."""
        code = (
            misfits(self.deployment)
            + self.deployment.layout.gaps
            + (
                ()
                if self.memory.code_bytes is not None
                else (f"code size of {self.runtime} is unknown: flash total withheld",)
            )
        )
        unknown = np.flatnonzero(self.costs.table.is_kind("custom_unknown")).tolist()
        if unknown:
            shown = ", ".join(f"{i} ({self.deployment.names[i]})" for i in unknown[:5])
            code += (f"operators nobody prices count as data movement: {shown}",)
        target, offload = self.deployment.target, self.deployment.offload
        if offload is None:
            return target.gaps + code
        known = self.energy_j is not None
        energy = () if known else (f"energy of {offload.name} or of {target.core.name} is unknown: energy withheld",)
        return (() if known else target.gaps) + energy + code

    @cached_property
    def cycles_by_cause(self) -> dict[str, int]:
        """Cycles by cause: compute, stalls on weights, code and activations, overhead."""
        c = self.costs.cycles
        return {
            "compute": int(c.compute.sum()),
            "weight_stall": int(c.weight_stall.sum()),
            "fetch_stall": int(c.fetch_stall.sum()),
            "data_stall": int(c.data_stall.sum()),
            "overhead": int(c.overhead.sum()) + self.inference_overhead_cycles,
        }

    @cached_property
    def energy_by_component(self) -> dict[str, float] | None:
        """Energy by component [J]: core, sram, flash, static, external, accelerator; None if a figure is unknown."""
        e, prices, offload = self.costs.energy, self.deployment.target.prices, self.deployment.offload
        accelerator = 0.0
        if offload is not None and self.costs.accelerator_energy_j is not None:
            accelerator = float(self.costs.accelerator_energy_j.sum()) + offload.engine.start_energy_j
        if math.isnan(accelerator) or (prices is None and offload is None):
            return None
        parts = dict.fromkeys(("core", "sram", "flash", "static", "external"), 0.0)
        if e is not None and prices is not None:
            once = self.inference_overhead_cycles if offload is None else offload.core_once_cycles
            core_j, static_j = once_energy(once / self.clock_hz, prices)
            parts = {
                "core": float(e.core.sum() + core_j),
                "sram": float(e.sram.sum()),
                "flash": float(e.flash.sum()),
                "static": float(e.static.sum() + static_j),
                "external": float(np.sum(e.external)),
            }
        return parts | {"accelerator": accelerator}

    @cached_property
    def energy_by_level(self) -> dict[str, float | None]:
        """Energy of the accelerator's layers by level [J]: `mac`, its memories, `active`; None where unknown."""
        offload = self.deployment.offload
        if offload is None:
            return {}
        there = offload.chosen & self.deployment.priced
        sums = {name: float(joules[there].sum()) for name, joules in offload.engine.level_energy_j.items()}
        if "active" in sums:
            sums["active"] += offload.engine.start_energy_j
        return {name: None if math.isnan(joules) else joules for name, joules in sums.items()}

    def interval(self, level: float = 0.9) -> Interval:
        """Prediction interval of latency and energy.

        Raises:
            InputError: a level outside 0 to 1.
        """
        spread = self.deployment.spread
        factor = conformal_factor(spread.residuals, level, widening=spread.widening)
        latency = (self.latency_s / factor, self.latency_s * factor)
        if self.energy_j is None:
            return Interval(level, latency, None, spread.basis)
        basis = spread.basis
        if self.deployment.offload is None:
            power = power_spread(self.deployment.target.device)
            factor = energy_factor(factor, power.residuals, level)
            basis = f"{basis}; {power.basis}"
        return Interval(level, latency, (self.energy_j / factor, self.energy_j * factor), basis)

    def best_clock(
        self, *, period_s: float | None = None, deadline_s: float | None = None, sleep: str | None = None
    ) -> ClockChoice:
        """The core clock at which one inference a period takes least energy (see `tinysim.estimate.clock`)."""
        from tinysim.estimate.clock import best_clock  # which makes estimates

        return best_clock(self, period_s=period_s, deadline_s=deadline_s, sleep=sleep)

    def sensitivity(self, step: float = 0.01) -> Sensitivity:
        """Change of latency and energy for a relative change of each figure: clock, wait states, caches, ...

        One figure at a time, by pricing the deployment again; `step` is 0.01 for one per cent more.

        Raises:
            InputError: a step that is 0, not above -1 or not finite.
        """
        from tinysim.estimate.sensitivity import sensitivity  # which makes estimates

        return sensitivity(self, step)

    # ---------------------------------------------------------------- layers

    @cached_property
    def layers(self) -> tuple[LayerCost, ...]:
        """Costs of each operator, in execution order."""
        rows = {name: values.tolist() for name, values in self._columns.items()}
        return tuple(LayerCost(**dict(zip(rows, row, strict=True))) for row in zip(*rows.values(), strict=True))

    @cached_property
    def _columns(self) -> dict[str, np.ndarray[Any, Any]]:
        costs, c, t = self.costs, self.costs.cycles, self.costs.traffic
        n = len(costs.table)

        def whole(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
            rounded: np.ndarray[Any, Any] = np.rint(values).astype(np.int64)
            return rounded

        energy = np.full(n, None, dtype=object)
        if costs.energy_j is not None:
            known = ~np.isnan(costs.energy_j)
            energy[known] = costs.energy_j[known]
        return {
            "index": np.arange(n),
            "name": np.array(self.deployment.names, dtype=object),
            "kind": np.array(costs.table.kind_names, dtype=object),
            "engine": np.array(self.deployment.engines, dtype=object),
            "macs": costs.table.macs * self.deployment.priced,
            "instructions": whole(costs.counts.instructions),
            "cycles": whole(c.total),
            "compute_cycles": whole(c.compute),
            "weight_stall_cycles": whole(c.weight_stall),
            "fetch_stall_cycles": whole(c.fetch_stall),
            "data_stall_cycles": whole(c.data_stall),
            "overhead_cycles": whole(c.overhead),
            "latency_s": costs.latency_s,
            "energy_j": energy,
            "sram_read_bytes": whole(t.sram_read_bytes),
            "sram_write_bytes": whole(t.sram_write_bytes),
            "flash_read_bytes": whole(t.weight_read_bytes),
            "bound_by": np.array(costs.bound_by, dtype=object),
            "bound_share": costs.bound_share,
        }

    def traffic(self) -> pd.DataFrame:
        """Bytes by operator, memory and direction (see `tinysim.deploy.traffic`)."""
        from tinysim.deploy.traffic import traffic_frame  # plain estimates don't need it

        return traffic_frame(self.deployment)

    def roofline(self) -> Roofline:
        """What arithmetic and memories allow each operator, and what it reaches (see `tinysim.estimate.roofline`)."""
        from tinysim.estimate.roofline import roofline  # plain estimates don't need it

        return roofline(self)

    def to_frame(self) -> pd.DataFrame:
        """A row per operator; the units are in the column names."""
        import pandas as pd

        return pd.DataFrame(self._columns).set_index("index")

    def explain(self, layer: int | str | None = None) -> str:
        """Say where the time goes: of the network, or of one layer by index or name.

        Raises:
            InputError: no such layer.
        """
        if layer is None:
            return bottleneck_sentence(self)
        names = [row.name for row in self.layers]
        if isinstance(layer, str) and layer not in names:
            raise InputError(f"{self.network} has no layer {layer!r}; {nearest(layer, names)}")
        position = names.index(layer) if isinstance(layer, str) else layer
        if not 0 <= position < len(names):
            raise InputError(f"{self.network} has no layer {layer}; it has 0 to {len(names) - 1}")
        return layer_sentence(self, self.layers[position])

    def to_dict(self, level: float = 0.9) -> dict[str, Any]:
        """The estimate as plain data: the document that ``--json`` prints (docs/json.md)."""
        return {
            "schema_version": SCHEMA_VERSION,
            "network": self.network,
            "device": self.device,
            "runtime": self.runtime,
            "clock_hz": self.clock_hz,
            "macs": self.macs,
            "cycles": self.cycles,
            "latency_s": self.latency_s,
            "energy_j": self.energy_j,
            "memory": asdict(self.memory),
            "interval": asdict(self.interval(level)),
            "cycles_by_cause": self.cycles_by_cause,
            "energy_by_component_j": self.energy_by_component,
            "accelerator": self.accelerator,
            "bottleneck": self.explain(),
            "gaps": list(self.gaps),
            "notes": list(self.notes),
            "layers": [asdict(row) for row in self.layers],
        }

    @property
    def accelerator(self) -> dict[str, Any] | None:
        """What runs on the accelerator and why the rest does not; None if all runs on the core.

        `overlapped_latency_s` and `overlapped_interval_s`: where the core need not wait (see `overlap`).
        """
        offload = self.deployment.offload
        if offload is None:
            return None
        once = self.deployment.once_cycles
        beside = overlap(offload.chosen.astype(np.int64), self.costs.cycles.total, offload.reads)
        return {
            "name": offload.name,
            "model": offload.engine.model,
            "clock_hz": offload.engine.clock_hz,
            "layers": int(offload.chosen.sum()),
            "runs": int(offload.starts.sum()),
            "handover_cycles": int(offload.handover_cycles.sum()),
            "fallback": {str(op): reason for op, reason in offload.fallback.items()},
            "energy_by_level_j": self.energy_by_level,
            "sram_used_bytes": offload.sram_used_bytes,
            "overlapped_latency_s": (beside.latency_cycles + once) / self.clock_hz,
            "overlapped_interval_s": (beside.interval_cycles + once) / self.clock_hz,
        }

    def __repr__(self) -> str:
        energy = "" if self.energy_j is None else f", {self.energy_j * 1e3:.3g} mJ"
        return (
            f"Estimate({self.network} on {self.device} with {self.runtime}: {self.latency_s * 1e3:.4g} ms{energy}, "
            f"{self.memory.sram_peak_bytes:,} B SRAM)"
        )
