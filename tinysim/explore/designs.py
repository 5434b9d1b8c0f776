"""Designs: devices and accelerators with some numbers changed, by names that sweeps and inverse questions share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from tinysim.cost.accelerator.energy import fill_energy
from tinysim.cost.accelerator.layer_cost import network_cost
from tinysim.cost.accelerator.machine import machine_of
from tinysim.cost.accelerator.spec import AXES, Accelerator, list_accelerators, load_accelerator
from tinysim.cost.accelerator.work import columns_of
from tinysim.deploy.offload.engine import accelerator_of
from tinysim.errors import SpecError, nearest
from tinysim.explore.cost_model import COLUMNS, Cost, CostModel
from tinysim.explore.encoded import Encoded, encode_table
from tinysim.explore.heads import BlockHeads
from tinysim.figures import Figure
from tinysim.network.graph import Network
from tinysim.network.load import load_network
from tinysim.network.table import Ints, LayerTable

__all__ = ["PARAMETERS", "WHOLE", "AcceleratorModel", "changed_accelerator", "model_of", "parameters_of"]

_PATH_UNITS = {"wait_cycles": "cycle", "line_bytes": "byte", "cache_bytes": "byte", "exposure": "1"}
_ACCELERATOR_UNITS = {
    "npu_clock_hz": "Hz",
    "npu_sram_bytes": "byte",
    "npu_sram_banks": "1",
    "npu_sram_width_bytes": "byte",
    "npu_dram_bytes_per_s": "byte/s",
} | {f"npu_array_{axis}": "1" for axis in AXES}
#: parameter -> SI unit. Of a core: its clock, and of the memories of weights, code and activations the wait states, the
#: bytes of a line (the width of the bus), the cache, and the share of waits that the core sees. Of an accelerator: its
#: clock, the elements of each loop axis that its first engine does at once, size, banks (that deliver at the same time)
#: and width of its first memory, bandwidth of its last.
PARAMETERS = (
    {"clock_hz": "Hz"}
    | {f"{path}_{field}": unit for path in ("weights", "code", "activations") for field, unit in _PATH_UNITS.items()}
    | _ACCELERATOR_UNITS
)
#: node at which energies that an example's description leaves out are estimated [nm]
_NODE_NM = 40.0
#: parameters that are whole numbers
WHOLE = ("npu_sram_banks", *(f"npu_array_{axis}" for axis in AXES))


def model_of(
    device: Any, runtime: str | None = None, parameters: Mapping[str, float] | None = None, **options: Any
) -> CostModel | AcceleratorModel:
    """The cost model of a device, or of an accelerator that stands alone, with some `PARAMETERS` changed.

    Raises:
        SpecError: an unknown parameter, one that the device does not have, or a design that contradicts itself.
        UnknownDevice, UnknownRuntime: see `resolve_target`.
    """
    paths: dict[str, dict[str, float]] = {}
    changes: dict[str, float] = {}
    for name, value in (parameters or {}).items():
        if name not in PARAMETERS:
            raise SpecError(f"{name!r} is no parameter of a device; {nearest(name, PARAMETERS)}")
        if name == "clock_hz":
            options[name] = value
        elif name in _ACCELERATOR_UNITS:
            changes[name] = value
        else:
            path, _, field = name.partition("_")
            paths.setdefault(path, {})[field] = value
    if isinstance(device, str) and device in list_accelerators():
        if paths or options:
            given = next(name for name in parameters or options if name not in _ACCELERATOR_UNITS)
            raise SpecError(f"{given}: {device} is an accelerator; it has {', '.join(_ACCELERATOR_UNITS)}")
        return AcceleratorModel(device, changes)
    redesign = (lambda spec: changed_accelerator(spec, changes)) if changes else None
    return CostModel(device, runtime, paths=paths, accelerator=redesign, **options)


def parameters_of(model: CostModel | AcceleratorModel) -> dict[str, float]:
    """Values of the `PARAMETERS` that a device or accelerator has.

    Not the width of an accelerator's memory, which follows from the array, nor what it has one of.

    >>> parameters_of(AcceleratorModel("systolic-16x16-ws"))["npu_sram_bytes"]
    65536.0
    """
    values: dict[str, float] = {}
    spec = model.spec if isinstance(model, AcceleratorModel) else accelerator_of(model.target)
    if isinstance(model, CostModel):
        values["clock_hz"] = model.target.clock_hz
        for path in ("weights", "code", "activations"):
            values |= {f"{path}_{field}": float(getattr(getattr(model.target, path), field)) for field in _PATH_UNITS}
    if spec is not None and spec.vela is None:
        near, far, lanes = spec.memories[0], spec.memories[-1], spec.engines[0].unroll
        values |= {"npu_clock_hz": spec.clock.si, "npu_sram_bytes": near.size.si, "npu_sram_banks": float(near.ports)}
        values |= {f"npu_array_{axis}": float(getattr(lanes, axis)) for axis in AXES if getattr(lanes, axis) > 1}
        if len(spec.memories) > 1:
            values["npu_dram_bytes_per_s"] = far.bandwidth_bytes_per_s
    return values


def changed_accelerator(spec: Accelerator, changes: Mapping[str, float]) -> Accelerator:
    """A description with the `npu_` parameters of `PARAMETERS` changed.

    The ports of the first memory widen with the array that they feed, unless their width is given.

    Raises:
        SpecError: an accelerator that is priced by its compiler's estimate, an unknown parameter, a number of lanes or
            banks that is not whole, a design that contradicts itself.
    """
    if not changes:
        return spec
    if spec.vela is not None:
        raise SpecError(f"{spec.name}: its time is its compiler's estimate, whose numbers cannot be changed")
    for name, value in changes.items():
        if name not in _ACCELERATOR_UNITS:
            raise SpecError(f"{spec.name}: no parameter {name!r}; {nearest(name, _ACCELERATOR_UNITS)}")
        if name in WHOLE and (value < 1 or value != round(value)):
            raise SpecError(f"{spec.name}: {name}: {value:g} is no whole number from 1 up")

    array, near, far = spec.engines[0], spec.memories[0], spec.memories[-1]
    lanes = {name.removeprefix("npu_array_"): int(v) for name, v in changes.items() if name.startswith("npu_array_")}
    clock_hz = changes.get("npu_clock_hz", spec.clock.si)
    try:
        if lanes:
            array = _with(array, unroll=_with(array.unroll, **lanes), also=())
        of_near: dict[str, Any] = {}
        if near.clock.si == spec.clock.si:
            of_near["clock"] = _figure(clock_hz, "Hz")
        if "npu_sram_bytes" in changes:
            of_near["size"] = _figure(changes["npu_sram_bytes"], "byte")
        if "npu_sram_banks" in changes:
            of_near["ports"] = int(changes["npu_sram_banks"])
        width = changes.get("npu_sram_width_bytes", near.width.si)
        if lanes and "npu_sram_width_bytes" not in changes:
            feeders = {"weights": array.weights_from, "activations": array.activations_from}
            fed = [rate for what, rate in array.operand_bytes.items() if feeders[what] == near.name]
            ports = of_near.get("ports", near.ports)
            width = max([width, *(rate * clock_hz / of_near.get("clock", near.clock).si / ports for rate in fed)])
        near = _with(near, **of_near, width=_figure(width, "byte"))
        if "npu_dram_bytes_per_s" in changes:
            far = _with(far, width=_figure(changes["npu_dram_bytes_per_s"] / far.clock.si / far.ports, "byte"))
        memories = (near, *spec.memories[1:-1], far) if len(spec.memories) > 1 else (near,)
        changed: Accelerator = _with(
            spec, engines=(array, *spec.engines[1:]), memories=memories, clock=_figure(clock_hz, "Hz")
        )
        return changed
    except ValidationError as error:
        raise SpecError(f"{spec.name}: {error.errors()[0]['msg'].removeprefix('Value error, ')}") from error


def _figure(value: float, unit: str) -> Figure:
    return Figure(value=value, unit=unit, kind="assumed", source="a parameter of the design")


def _with(spec: Any, **changes: Any) -> Any:
    """A copy that is checked again."""
    return type(spec)(**({name: getattr(spec, name) for name in type(spec).model_fields} | changes))


class AcceleratorModel:
    """Costs of networks on an accelerator that stands alone, without a core: a design to be.

    Latency and energy are those of `network_cost`; energies that the description leaves out are estimated at 40 nm with
    LPDDR4. `sram_peak_bytes` is TFLM's plan of the activations, `flash_bytes` the weights. What no engine takes has no
    latency (not a number).

    Args:
        accelerator: name or description.
        changes: `npu_` parameters of `PARAMETERS`.

    >>> AcceleratorModel("systolic-16x16-ws", {"npu_array_out_c": 32.0}).spec.engines[0].macs_per_cycle
    512
    """

    def __init__(self, accelerator: str | Accelerator, changes: Mapping[str, float] | None = None) -> None:
        self.spec = changed_accelerator(load_accelerator(accelerator), changes or {})
        self._machine = fill_energy(machine_of(self.spec), node_nm=_NODE_NM)

    def __repr__(self) -> str:
        return f"AcceleratorModel({self.spec.name!r})"

    def __call__(self, network: Any) -> Cost:
        """Costs of one network: a `Network`, a name of the zoo or a path, a `LayerTable` or an `Encoded` of one."""
        if not isinstance(network, (Network, LayerTable, Encoded)):
            network = load_network(network)
        table = network if isinstance(network, LayerTable) else network.table()
        row = {name: column[0].item() for name, column in self._costs(table).items()}
        peak = self.columns(network if isinstance(network, Encoded) else encode_table(table), ["sram_peak_bytes"])
        return Cost(**(row | {"sram_peak_bytes": int(peak["sram_peak_bytes"][0])}))

    def columns(
        self, encoded: Encoded, names: Sequence[str] = COLUMNS, *, threads: int | None = None
    ) -> dict[str, NDArray[Any]]:
        """Costs of encoded networks, as those of `CostModel`."""
        costs: dict[str, NDArray[Any]] = {}
        if set(names) - {"sram_peak_bytes"}:
            costs = self._costs(encoded.table())
        if "sram_peak_bytes" in names:
            costs["sram_peak_bytes"] = _peaks(encoded)
        return {name: costs[name] for name in names}

    def _costs(self, table: LayerTable) -> dict[str, NDArray[Any]]:
        columns: dict[str, Any] = columns_of(table)
        cost = network_cost(self._machine, **columns)
        return {
            "latency_s": cost.latency_s,
            "energy_j": cost.energy_j,
            "flash_bytes": table.per_network(table.weight_bytes).astype(np.int64),
            "macs": table.per_network(table.macs).astype(np.int64),
        }


def _peaks(encoded: Encoded) -> Ints:
    r = encoded.blocks.rows
    in_bytes, out_bytes = (
        -(-elements * r.activation_bits // 8 // 16) * 16 for elements in (r.in_elements, r.out_elements)
    )
    return BlockHeads(encoded.blocks, in_bytes, out_bytes, np.zeros((len(r), 1), dtype=np.int64)).of(encoded)
