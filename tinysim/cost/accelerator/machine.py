"""An accelerator as arrays of numbers, with room for a leading axis of configurations.

`machine_of` turns one description into numbers; `Machine.vary` replaces some of them by arrays, so that one call prices
a whole design space.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from tinysim.cost.accelerator.spec import AXES, Accelerator, Unroll
from tinysim.errors import SpecError, nearest
from tinysim.figures import Figure

__all__ = ["Machine", "lanes", "machine_of"]

Array = npt.NDArray[Any]


#: Axes of a field behind those of configurations: engines (and loop axes) or memories; none for the others.
_ENGINE_FIELDS = (
    "utilization", "setup_cycles", "block_cycles", "step_cycles", "position_cycles", "output_cycles", "input_cycles",
    "mac_energy_j", "busy_power_w",
)  # fmt: skip
_MEMORY_FIELDS = ("size_bytes", "bytes_per_cycle", "latency_cycles", "read_energy_j", "write_energy_j")
_TAIL = {"unroll": 2} | dict.fromkeys(_ENGINE_FIELDS + _MEMORY_FIELDS, 1)


@dataclass(frozen=True, eq=False)
class Machine:
    """Numbers of one accelerator, or of many along leading axes. E engines, M memories; weights W, activations A."""

    spec: Accelerator
    """the description that names engines and memories"""
    clock_hz: Array
    """clock of the engines [Hz]"""
    unroll: Array
    """[..., E, axis] elements of each loop axis done at once"""
    utilization: Array
    """[..., E] share of the mapped peak"""
    setup_cycles: Array
    """[..., E] cycles per operator"""
    block_cycles: Array
    """[..., E] cycles per block of outputs"""
    step_cycles: Array
    """[..., E] cycles per step of a block"""
    position_cycles: Array
    """[..., E] cycles per output position"""
    output_cycles: Array
    """[..., E] cycles per output element"""
    input_cycles: Array
    """[..., E] cycles per input element"""
    mac_energy_j: Array
    """[..., E] energy of a multiply-accumulate; not a number if unknown"""
    busy_power_w: Array
    """[..., E] power while it computes [W]"""
    size_bytes: Array
    """[..., M] size of each memory"""
    bytes_per_cycle: Array
    """[..., M] bandwidth in bytes per cycle of the engines"""
    latency_cycles: Array
    """[..., M] cycles to the first byte"""
    read_energy_j: Array
    """[..., M] energy of reading a byte; not a number if unknown"""
    write_energy_j: Array
    """[..., M] energy of writing a byte; not a number if unknown"""
    weight_ratio: Array
    """encoded over plain size of the weights"""
    start_s: Array
    """time per inference outside the operators"""
    active_power_w: Array
    """power while it runs that does not depend on the work; not a number if unknown"""
    cycle_energy_j: Array
    """energy of a cycle whatever it computes"""

    def vary(self, **changes: npt.ArrayLike) -> Machine:
        """The machine with some numbers replaced; leading axes are configurations.

        Besides the fields' names, `unroll_<axis>` and `<engine>__<field>` or `<memory>__<field>` reach one entry, e.g.
        ``vary(sram__size_bytes=sizes, unroll_out_c=lanes)`` (hyphens of names written as underscores).

        Raises:
            SpecError: an unknown name.
        """
        state = {field.name: getattr(self, field.name) for field in fields(self)}
        for name, value in changes.items():
            field, index = self._place(name)
            old, new, tail = state[field], np.asarray(value, dtype=float), _TAIL.get(field, 0)
            lead = np.broadcast_shapes(old.shape[: old.ndim - tail], new.shape)
            full = np.array(np.broadcast_to(old, lead + old.shape[old.ndim - tail :]))
            free = tail - sum(isinstance(i, int) for i in index)
            full[(..., *index)] = new.reshape(new.shape + (1,) * free)
            state[field] = full
        return replace(self, **state)

    def filled(self, estimates: Mapping[str, Array]) -> Machine:
        """The machine with numbers that are not known (not a number) taken from `estimates`."""
        known = {name: getattr(self, name) for name in estimates}
        both: dict[str, Any] = {name: np.where(np.isnan(old), estimates[name], old) for name, old in known.items()}
        return replace(self, **both)

    @property
    def configurations(self) -> int:
        """Length of the leading axis, 0 without one."""
        shapes = {f.name: getattr(self, f.name).shape for f in fields(self) if f.name != "spec"}
        return max((shape[0] for name, shape in shapes.items() if len(shape) > _TAIL.get(name, 0)), default=0)

    def chunks(self, size: int) -> Iterator[Machine]:
        """The configurations, `size` at a time."""
        arrays = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "spec"}
        swept = {name: a for name, a in arrays.items() if a.ndim > _TAIL.get(name, 0) and len(a) > 1}
        for start in range(0, self.configurations, size):
            yield replace(self, **{name: a[start : start + size] for name, a in swept.items()})

    def _place(self, name: str) -> tuple[str, tuple[Any, ...]]:
        """Field and index of its last axes that a name of `vary` stands for."""
        engines = [e.name.replace("-", "_") for e in self.spec.engines]
        memories = [m.name.replace("-", "_") for m in self.spec.memories]
        owner, _, field = name.rpartition("__")
        if not owner and field in {f.name for f in fields(self)} - {"spec"}:
            return field, (slice(None),) * _TAIL.get(field, 0)
        axis = field.removeprefix("unroll_")
        if field.startswith("unroll_") and axis in AXES and (not owner or owner in engines):
            return "unroll", (engines.index(owner) if owner else slice(None), AXES.index(axis))
        for owners, its_fields in ((engines, _ENGINE_FIELDS), (memories, _MEMORY_FIELDS)):
            if owner in owners and field in its_fields:
                return field, (owners.index(owner),)
        known = [f.name for f in fields(self)] + [f"unroll_{a}" for a in AXES] + engines + memories
        raise SpecError(f"{self.spec.name}: no number {name!r} to vary; {nearest(name, known)}")


def _si(figure: Figure | None, otherwise: float) -> float:
    return otherwise if figure is None or not figure.known else figure.si


def lanes(unroll: Unroll) -> list[float]:
    """Elements along each of AXES."""
    return [float(getattr(unroll, axis)) for axis in AXES]


@lru_cache(maxsize=256)
def machine_of(spec: Accelerator) -> Machine:
    """Numbers of a description; an unknown energy is not a number, an unknown set-up or latency none.

    >>> from tinysim.cost.accelerator.spec import load_accelerator
    >>> machine_of(load_accelerator("ethos-u55-128")).unroll[0].tolist()
    [8.0, 8.0, 1.0, 1.0, 2.0]
    """
    engines, memories, nan = spec.engines, spec.memories, float("nan")
    return Machine(
        spec=spec,
        clock_hz=np.array(spec.clock.si),
        unroll=np.array([lanes(engine.unroll) for engine in engines]),
        utilization=np.array([engine.utilization.si for engine in engines]),
        setup_cycles=np.array([engine.setup.si for engine in engines]),
        block_cycles=np.array([_si(engine.block_cycles, 0.0) for engine in engines]),
        step_cycles=np.array([_si(engine.step_cycles, 0.0) for engine in engines]),
        position_cycles=np.array([_si(engine.position_cycles, 0.0) for engine in engines]),
        input_cycles=np.array([_si(engine.input_cycles, 0.0) for engine in engines]),
        output_cycles=np.array([_si(engine.output_cycles, 0.0) for engine in engines]),
        mac_energy_j=np.array([_si(e.mac_energy, nan if e.busy_power is None else 0.0) for e in engines]),
        busy_power_w=np.array([_si(engine.busy_power, 0.0) for engine in engines]),
        size_bytes=np.array([memory.size.si for memory in memories]),
        bytes_per_cycle=np.array([memory.bandwidth_bytes_per_s / spec.clock.si for memory in memories]),
        latency_cycles=np.array([_si(memory.read_latency, 0.0) for memory in memories]),
        read_energy_j=np.array([_si(memory.read_energy, nan) for memory in memories]),
        write_energy_j=np.array([_si(memory.write_energy, nan) for memory in memories]),
        weight_ratio=np.array(_si(spec.decoder_ratio, 1.0)),
        start_s=np.array(_si(spec.start_time, 0.0)),
        active_power_w=np.array(_si(spec.active_power, nan)),
        cycle_energy_j=np.array(_si(spec.cycle_energy, 0.0)),
    )
