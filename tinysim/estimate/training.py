"""`estimate_training`: cycles, memory and energy of a step of training on the device."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from tinysim.cost.accelerator.border import INTERRUPT_CYCLES
from tinysim.cost.accelerator.spec import Accelerator, load_accelerator
from tinysim.cost.training import OPTIMIZERS, elementwise, input_gradient, weight_gradient
from tinysim.deploy.costs import layer_costs
from tinysim.deploy.offload.engine import engine_costs
from tinysim.deploy.target import Target, resolve_target
from tinysim.deploy.training import reach_of, training_peak_bytes
from tinysim.errors import InputError, nearest
from tinysim.network.graph import Network
from tinysim.network.load import load_network
from tinysim.network.table import LayerTable

if TYPE_CHECKING:
    import pandas as pd

    from tinysim.device.spec import Device

__all__ = ["TrainingEstimate", "TrainingMemory", "estimate_training"]

Floats = NDArray[np.float64]
Scope = Literal["full", "last", "bias"]

PHASES = ("forward", "input_gradient", "weight_gradient", "update")


@dataclass(frozen=True)
class TrainingMemory:
    """Bytes of RAM in a training step."""

    peak_bytes: int
    """activations and gradients, parameters and optimizer together"""
    activations_bytes: int
    """activations kept for the gradients, and the gradients of activations, at their most"""
    parameters_bytes: int
    """trained parameters, which live in RAM"""
    gradients_bytes: int
    """their gradients: of the largest layer if each layer is updated at once, else of all"""
    optimizer_bytes: int
    """what the optimizer keeps"""


@dataclass(frozen=True, eq=False)
class TrainingEstimate:
    """Costs of one step: a batch forward and backward, and an update."""

    network: str
    device: str
    runtime: str
    scope: str
    """`full`, `last` or `bias`"""
    batch: int
    clock_hz: float
    trained: int
    """parameters"""
    update_bytes: int
    """what a federated round sends, and receives, of the parameters [B]"""
    memory: TrainingMemory
    names: tuple[str, ...]
    kinds: tuple[str, ...]
    phase_cycles: dict[str, Floats]
    """by phase: cycles of each operator, over the batch"""
    phase_macs: dict[str, Floats]
    phase_energy_j: dict[str, Floats] | None
    """None if a figure is unknown"""

    @property
    def cycles(self) -> int:
        """Core cycles of a step."""
        return int(sum(c.sum() for c in self.phase_cycles.values()))

    @property
    def macs(self) -> int:
        """Multiply-accumulates of a step."""
        return int(sum(m.sum() for m in self.phase_macs.values()))

    @property
    def latency_s(self) -> float:
        """Time of a step [s]."""
        return self.cycles / self.clock_hz

    @property
    def energy_j(self) -> float | None:
        """Energy of a step [J]; None if a figure is unknown."""
        return None if self.phase_energy_j is None else float(sum(e.sum() for e in self.phase_energy_j.values()))

    @property
    def cycles_by_phase(self) -> dict[str, int]:
        """Cycles forward, of the gradients of inputs and of weights, and of the update."""
        return {phase: int(cycles.sum()) for phase, cycles in self.phase_cycles.items()}

    def to_frame(self) -> pd.DataFrame:
        """A row per operator: cycles of each phase over the batch."""
        import pandas as pd

        columns = {f"{phase}_cycles": cycles.astype(np.int64) for phase, cycles in self.phase_cycles.items()}
        return pd.DataFrame({"name": self.names, "kind": self.kinds} | columns)

    def to_dict(self) -> dict[str, Any]:
        """The step as plain data."""
        return {
            "network": self.network, "device": self.device, "runtime": self.runtime, "scope": self.scope,
            "batch": self.batch, "clock_hz": self.clock_hz, "macs": self.macs, "cycles": self.cycles,
            "cycles_by_phase": self.cycles_by_phase, "latency_s": self.latency_s, "energy_j": self.energy_j,
            "trained_parameters": self.trained, "update_bytes": self.update_bytes, "memory": asdict(self.memory),
            "layers": self.to_frame().to_dict("records"),
        }  # fmt: skip

    def __repr__(self) -> str:
        return (
            f"TrainingEstimate({self.network} on {self.device}, {self.scope}, batch {self.batch}: "
            f"{self.latency_s * 1e3:.4g} ms, {self.memory.peak_bytes:,} B RAM, {self.trained:,} parameters)"
        )


def estimate_training(
    network: Network | str | Path,
    device: str | Device | Target,
    runtime: str | None = None,
    *,
    scope: str = "full",
    last: int = 1,
    batch: int = 1,
    bits: int = 32,
    optimizer: str = "sgd",
    accelerator: str | Path | Accelerator | None = None,
    **options: Any,
) -> TrainingEstimate:
    """Predict what a step of training costs: `batch` inputs one after the other, forward and backward, then an update.

    Args:
        network: `Network`, path of a model file, or name in the zoo.
        device: name, path of a YAML file, `Device` or resolved `Target`.
        runtime: runtime whose kernels compute; the device's first one if None.
        scope: `full` (all parameters), `last` (those of the last layers) or `bias` (all biases, TinyTL).
        last: how many layers with weights `last` means.
        batch: inputs of a step; their gradients add up.
        bits: width of activations, weights and gradients: 8, 16 or 32 (float).
        optimizer: `sgd`, `momentum` or `adam`.
        accelerator: engine that computes what it supports and computes faster (name or YAML file), e.g. ``redmule``.
        **options: clock_hz, code_in, weights_in, activations_in (see `resolve_target`).

    The gradients of inputs and of weights take the forward pass's multiply-accumulates once more each, where they are
    needed: of inputs in every layer behind the first one that is trained. Trained parameters live in RAM, the others
    where the runtime keeps weights. What fits is not checked.
    Source: H. Cai et al., "TinyTL", NeurIPS 2020, sec. 3; Y. Lin et al., NeurIPS 2022.

    Raises:
        InputError: a scope, width, optimizer or number that does not exist.
        NetworkError, UnsupportedOperator, UnknownNetwork, UnknownDevice, UnknownRuntime, SpecError: as `estimate`.
    """
    for what, value, known in (("scope", scope, get_args(Scope)), ("optimizer", optimizer, tuple(OPTIMIZERS))):
        if value not in known:
            raise InputError(f"{what} {value!r}; {nearest(str(value), known)}")
    if bits not in (8, 16, 32):
        raise InputError(f"bits {bits!r}: 8, 16 or 32 are possible")
    if batch < 1 or last < 1:
        raise InputError(f"batch and last must be 1 or more, got {batch!r} and {last!r}")
    net = network if isinstance(network, Network) else load_network(network)
    target = device if isinstance(device, Target) else resolve_target(device, runtime, **options)
    table = net.table().replace(activation_bits=bits, weight_bits=bits)
    carriers = table.weights > 0
    if scope == "last":
        carriers &= np.cumsum(carriers[::-1])[::-1] <= last
    weights = carriers & (scope != "bias")
    biases = carriers & (table.biases > 0)
    reach = reach_of(net, weights, biases)
    parameters = table.weights * weights + table.biases * biases

    passes = _masks(table, net, reach.outputs)
    # phase, operators that it belongs to, rows, times per step; rows that read frozen weights come first
    forward, back = np.arange(len(table)), np.flatnonzero(reach.inputs)
    parts: list[tuple[str, NDArray[np.int64], LayerTable, int]] = [
        ("forward", forward, table, batch),
        ("input_gradient", back, input_gradient(table)[back], batch),
    ]
    add = parts.append
    add(("input_gradient", np.flatnonzero(passes), elementwise(table.out_elements[passes], bits=bits), batch))
    add(("weight_gradient", np.flatnonzero(weights), weight_gradient(table[weights]), batch))
    add(("weight_gradient", np.flatnonzero(biases), elementwise(table.out_elements[biases], bits=bits), batch))
    trained = parameters > 0
    changed = elementwise(parameters[trained], bits=bits)
    if batch > 1:
        add(("weight_gradient", np.flatnonzero(trained), changed, batch - 1))
    add(("update", np.flatnonzero(trained), changed, OPTIMIZERS[optimizer].operations))

    engine = None if accelerator is None else load_accelerator(accelerator)
    zero = dict.fromkeys(PHASES, 0)
    cycles, macs, energy = ({phase: np.zeros(len(table)) for phase in zero} for _ in range(3))
    for phase, owner, rows, times in parts:
        if not len(rows):
            continue
        in_ram = weights[owner] if phase in ("forward", "input_gradient") else np.ones(len(rows), dtype=bool)
        spent, joules = _priced(rows, target, in_ram, engine)
        np.add.at(cycles[phase], owner, spent * times)
        np.add.at(energy[phase], owner, joules * times)
        np.add.at(macs[phase], owner, rows.macs * times)
    priced = all(np.isfinite(e).all() for e in energy.values())
    width = bits // 8
    return TrainingEstimate(
        network=net.name,
        device=target.device.name,
        runtime=target.runtime.name,
        scope=scope,
        batch=batch,
        clock_hz=target.clock_hz,
        trained=int(parameters.sum()),
        update_bytes=int(parameters.sum()) * width,
        memory=_memory(
            training_peak_bytes(net, reach, bits=bits), parameters * width, OPTIMIZERS[optimizer].state, batch
        ),
        names=tuple(op.name or f"{i}_{op.kind}" for i, op in enumerate(net.ops)),
        kinds=tuple(table.kind_names),
        phase_cycles=cycles,
        phase_macs=macs,
        phase_energy_j=energy if priced else None,
    )


def _masks(table: LayerTable, net: Network, needed: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Operators whose fused activation masks the gradient."""
    fused = np.array([op.attrs.get("activation", "none") not in ("none", None) for op in net.ops], dtype=bool)
    return fused & needed & (table.out_elements > 0)


def _priced(
    rows: LayerTable, target: Target, in_ram: NDArray[np.bool_], engine: Accelerator | None
) -> tuple[Floats, Floats]:
    """Whole cycles and energy of each row, on the core or, where that is quicker, on the accelerator."""
    near = replace(target, weights=target.activations)
    costs = [layer_costs(rows, place) for place in (target, near)]
    cycles = np.where(in_ram, costs[1].cycles.total, costs[0].cycles.total)
    unknown = np.full(len(rows), np.nan)
    far, close = (unknown if c.energy is None else c.energy.total for c in costs)
    energy = np.where(in_ram, close, far)
    if engine is None:
        return cycles, energy
    found = engine_costs(rows, engine, target.clock_hz)
    driver = 0.0 if engine.driver is None or not engine.driver.known else engine.driver.si
    theirs = found.cycles.total + INTERRUPT_CYCLES + round(driver)
    taken = found.runs & (theirs < cycles)
    return np.where(taken, theirs, cycles), np.where(taken, found.energy_j, energy)


def _memory(activations: int, parameter_bytes: NDArray[np.int64], state: int, batch: int) -> TrainingMemory:
    total = int(parameter_bytes.sum())
    gradients = total if batch > 1 else int(parameter_bytes.max(initial=0))
    return TrainingMemory(
        peak_bytes=activations + total + gradients + state * total,
        activations_bytes=activations,
        parameters_bytes=total,
        gradients_bytes=gradients,
        optimizer_bytes=state * total,
    )
