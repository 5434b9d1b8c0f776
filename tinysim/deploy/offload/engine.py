"""Costs of layers on the board's accelerator, in whole cycles of the core's clock."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from tinysim.cost.accelerator.ethos.estimate import VelaEstimate
from tinysim.cost.accelerator.ethos.systems import load_system
from tinysim.cost.accelerator.layer_cost import layer_cost
from tinysim.cost.accelerator.machine import machine_of
from tinysim.cost.accelerator.spec import Accelerator, load_accelerator
from tinysim.cost.accelerator.work import columns_of, supported, work_of
from tinysim.cost.latency import CpuCycles
from tinysim.cost.traffic import Traffic
from tinysim.deploy.offload.compiler import vela_cost
from tinysim.deploy.offload.options import OffloadOptions
from tinysim.deploy.target import Target
from tinysim.errors import SpecError, nearest
from tinysim.network.table import LayerTable

__all__ = ["EngineCosts", "Model", "accelerator_of", "engine_costs"]

Floats = NDArray[np.float64]
Model = Literal["measured", "vela"]


@dataclass(frozen=True, eq=False)
class EngineCosts:
    """Columns over all n layers of a table; zero where the accelerator does not run the layer."""

    spec: Accelerator
    model: Model
    clock_hz: float
    """clock of the accelerator; that of the compiler's configuration if one was named [Hz]"""
    runs: NDArray[np.bool_]
    """whether the accelerator can run the layer"""
    why: NDArray[Any]
    """why it cannot, or nothing"""
    cycles: CpuCycles
    """core cycles by cause; `overhead` is the set-up of operators"""
    traffic: Traffic
    energy_j: Floats
    """energy of each layer [J]; not a number if a figure is unknown"""
    level_energy_j: dict[str, Floats]
    """energy by level: `mac`, memories, `active` [J]"""
    port_cycles: dict[str, Floats]
    """core cycles of each memory's transfers"""
    port_bytes: dict[str, Floats]
    """bytes of each memory's transfers"""
    start_cycles: int
    """core cycles per inference outside the layers"""
    start_energy_j: float
    """their energy [J]; not a number if unknown"""
    compiled: VelaEstimate | None = None
    """the compiler's view of the layers that can run, if the costs are based on it"""
    spilled: bool = False
    """whether the network's input and output lie outside the fast memory"""


def accelerator_of(target: Target) -> Accelerator | None:
    """The accelerator that the target's runtime drives on its board; None if all runs on the core."""
    name = target.device.accelerator
    if name is None or not target.runtime.accelerators:
        return None
    spec = target.accelerator or load_accelerator(name)
    return spec if any(fnmatchcase(spec.name, pattern) for pattern in target.runtime.accelerators) else None


def _checked_model(spec: Accelerator, model: str | None) -> Model:
    if model is None:
        return "vela" if spec.vela is not None and spec.silicon_ratio is None else "measured"
    if model not in get_args(Model):
        raise SpecError(f"accelerator_model {model!r}; {nearest(model, get_args(Model))}")
    if model == "vela" and spec.vela is None:
        raise SpecError(f"accelerator_model 'vela': {spec.name} is no Ethos-U; it has 'measured'")
    return model  # type: ignore[return-value]


def engine_costs(
    table: LayerTable,
    spec: Accelerator,
    clock_hz: float,
    *,
    core_share: float = 1.0,
    encoded: Floats | None = None,
    live_bytes: Floats | None = None,
    options: OffloadOptions | None = None,
) -> EngineCosts:
    """Cost on an accelerator of every layer that it can run.

    table: n layers of one network. clock_hz: clock of the core, in whose cycles costs are given [Hz]. core_share: that
    clock over the core's highest; an accelerator on the core's clock slows alike. encoded: weights of each layer as the
    decoder reads them [byte], not a number where unknown; `stored_weight_bytes` goes before it: if less than their
    plain size, each layer shrinks alike, if more, each has the same padding. live_bytes: activations alive while each
    layer runs [byte], which decide in which memory they lie; by default its own inputs and output.

    The model is `measured` (the description's figures) or `vela` (the compiler's estimate); by default `vela` for an
    Ethos-U whose silicon nobody timed. Where it was timed, `measured` is the compiler's estimate times what silicon
    took longer.

    cycles = round(accelerator's cycles * core clock / accelerator's clock), each cause by itself
    energy = that at the description's clock * (supply / supply)^2, see `Accelerator.energy_scale`

    Raises:
        SpecError: an unknown model, configuration or memory mode.
    """
    options = options or OffloadOptions()
    chosen = _checked_model(spec, options.accelerator_model)
    columns: dict[str, Any] = columns_of(table)
    if spec.vela is not None:
        pads = ("pad_top", "pad_bottom", "pad_left", "pad_right")
        columns |= {name: getattr(table, name) for name in pads}
    if options.accelerator_weight_bits is not None:
        columns["weight_bits"] = np.full(len(table), options.accelerator_weight_bits)
    if any(engine.skips for engine in spec.engines):
        columns["activation_sparsity"] = np.full(len(table), options.activation_sparsity)
    runs, why = supported(spec, **columns)
    if live_bytes is not None and spec.vela is None:
        columns["live_bytes"] = live_bytes
    if options.stored_weight_bytes is not None:
        columns["encoded_weight_bytes"] = _stored(columns, options.stored_weight_bytes)
    elif encoded is not None and np.isfinite(encoded).any():
        columns["encoded_weight_bytes"] = encoded
    inside = {name: values[runs] for name, values in columns.items()}
    system, mode = options.accelerator_system, options.memory_mode or spec.memory_mode
    by_compiler = chosen == "vela" or spec.silicon_ratio is not None
    cost = vela_cost(spec, inside, system, mode) if by_compiler else _described(spec, inside)
    if chosen == "measured" and spec.silicon_ratio is not None:
        cost = _slowed(cost, spec.silicon_ratio.si)
    own_hz = spec.clock.si if system is None or not by_compiler else load_system(system, mode)[1]
    if spec.clock_of_core:
        own_hz *= core_share
    ratio, dearer = clock_hz / own_hz, spec.energy_scale(own_hz)

    def spread(values: Any) -> Floats:
        full = np.zeros(len(table))
        full[runs] = values
        return full

    total = spread(cost["op_cycles"]) * ratio
    overhead = np.rint(spread(cost["setup_cycles"]) * ratio)
    waits = [spread(cost[name]) * ratio for name in ("weight_cycles", "data_cycles")]
    whole = np.maximum(np.rint(total), overhead)
    compute = np.minimum(np.rint(spread(cost["compute_cycles"]) * ratio), whole - overhead)
    stall = whole - overhead - compute
    with np.errstate(divide="ignore", invalid="ignore"):
        weight_stall = np.rint(stall * np.nan_to_num(waits[0] / (waits[0] + waits[1])))
    machine = machine_of(spec)
    weights = spread(cost["weight_bytes"])
    start_s, power_w = float(machine.start_s), float(machine.active_power_w)
    return EngineCosts(
        spec=spec,
        model=chosen,
        clock_hz=own_hz,
        runs=runs,
        why=why,
        cycles=CpuCycles(compute, weight_stall, np.zeros(len(table)), stall - weight_stall, overhead),
        traffic=Traffic(weights, spread(cost["read_bytes"]), spread(cost["write_bytes"]), weight_reuse_bytes=weights),
        energy_j=spread(cost["energy_j"]) * dearer,
        level_energy_j={name: spread(values) * dearer for name, values in cost["levels"].items()},
        port_cycles={name: spread(values) * ratio for name, values in cost["memory_cycles"].items()},
        port_bytes={name: spread(values) for name, values in cost["memory_bytes"].items()},
        start_cycles=int(np.rint(start_s * clock_hz)),
        start_energy_j=start_s * power_w * dearer if start_s else 0.0,
        compiled=cost.get("compiled"),
        spilled="Dedicated" in mode,
    )


def _stored(columns: dict[str, Any], total_bytes: float) -> Floats:
    """Stored weights of each layer."""
    plain = work_of(**columns).weight_bytes
    shrunk: Floats = plain * min(1.0, total_bytes / max(plain.sum(), 1.0))
    padding = max(total_bytes - plain.sum(), 0.0) / max(np.count_nonzero(plain), 1)
    stored: Floats = shrunk + (plain > 0) * padding
    return stored


def _slowed(cost: dict[str, Any], ratio: float) -> dict[str, Any]:
    """The compiler's estimate, all its cycles `ratio` times as long."""
    longer = ("op_cycles", "compute_cycles", "weight_cycles", "data_cycles")
    waits = {name: cycles * ratio for name, cycles in cost["memory_cycles"].items()}
    return cost | {name: cost[name] * ratio for name in longer} | {"memory_cycles": waits}


def _described(spec: Accelerator, columns: dict[str, Any]) -> dict[str, Any]:
    """The description's figures."""
    cost = layer_cost(spec, **columns)
    moved = cost.weight_read_bytes + cost.input_read_bytes + cost.output_write_bytes
    waiting = sum(cost.memory_cycles.values(), np.zeros(len(moved)))
    with np.errstate(divide="ignore", invalid="ignore"):
        shared = np.nan_to_num(cost.weight_read_bytes / moved)
    of_weights = sum(
        (cost.memory_cycles[m.name] * (1.0 if m.holds == ("weights",) else shared) for m in spec.memories
         if "weights" in m.holds),
        np.zeros(len(moved)),
    )  # fmt: skip
    return {
        "op_cycles": cost.op_cycles,
        "setup_cycles": cost.setup_cycles,
        "compute_cycles": cost.compute_cycles,
        "weight_cycles": of_weights,
        "data_cycles": waiting - of_weights,
        "weight_bytes": cost.weight_read_bytes,
        "read_bytes": cost.input_read_bytes,
        "write_bytes": cost.output_write_bytes,
        "energy_j": cost.energy_j,
        "levels": cost.level_energy_j,
        "memory_cycles": cost.memory_cycles,
        "memory_bytes": cost.memory_bytes,
    }
