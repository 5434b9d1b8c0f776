"""`Offload`: what of a network runs on the board's accelerator, and what handing over costs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from tinysim.cost.accelerator.border import INTERRUPT_CYCLES, Border
from tinysim.cost.accelerator.ethos.memory import sram_used_bytes
from tinysim.cost.accelerator.spec import Accelerator
from tinysim.cost.accelerator.weights import encoded_bytes
from tinysim.deploy.costs import LayerCosts, layer_costs
from tinysim.deploy.offload.engine import EngineCosts, accelerator_of, engine_costs
from tinysim.deploy.offload.options import OffloadOptions
from tinysim.deploy.offload.partition import Flow, best_partition, crossings
from tinysim.deploy.spread import Spread
from tinysim.deploy.target import Target
from tinysim.errors import SpecError, UnknownRuntime, UnsupportedOperator, nearest
from tinysim.network.graph import Network
from tinysim.network.kinds import FAMILY
from tinysim.network.table import LayerTable

if TYPE_CHECKING:
    from tinysim.deploy.deployment import Deployment

__all__ = ["Offload", "Partition", "network_flow", "plan_offload", "repriced"]

Floats = NDArray[np.float64]
#: Operators whose constants are weights.
_WEIGHTED = ("conv2d", "depthwise_conv2d", "fully_connected", "transpose_conv")
Partition = Literal["optimal", "greedy", "none"]


@dataclass(frozen=True, eq=False)
class Offload:
    """Operators on the accelerator, as columns over all n operators, and what the core's share costs."""

    engine: EngineCosts
    """costs of every operator that the accelerator can run"""
    core: LayerCosts
    """costs of every operator on the core; zero where its library has no kernel"""
    chosen: NDArray[np.bool_]
    """whether the operator runs on the accelerator"""
    handover_cycles: Floats
    """core cycles of handing tensors over and of starting the accelerator, at the operator that begins the run"""
    starts: NDArray[np.bool_]
    """whether the operator begins a run on the accelerator"""
    core_once_cycles: int
    """core cycles that the runtime spends once per inference"""
    configuration: Mapping[str, Any]
    """options of `engine_costs`: how the accelerator is priced"""
    reads: tuple[tuple[int, ...], ...]
    """per operator: the operators whose output it reads"""

    @property
    def name(self) -> str:
        """Name of the accelerator."""
        return self.engine.spec.name

    @property
    def once_cycles(self) -> int:
        """Core cycles per inference outside the operators, of the runtime and of the accelerator."""
        return self.core_once_cycles + self.engine.start_cycles

    @cached_property
    def fallback(self) -> dict[int, str]:
        """Why operators run on the core: position -> reason."""
        left = np.flatnonzero(~self.chosen).tolist()
        return {op: str(self.engine.why[op]) or "cheaper on the core" for op in left}

    @cached_property
    def sram_used_bytes(self) -> int | None:
        """Fast memory that the compiler takes for what the accelerator can run; None for others than Ethos-U [byte]."""
        if self.engine.compiled is None:
            return None
        rank = {op: i for i, op in enumerate(np.flatnonzero(self.engine.runs).tolist())}
        reads = [tuple(rank.get(source, -1) for source in self.reads[op] or (-1,)) for op in rank]
        return sram_used_bytes(self.engine.compiled, reads, layers=len(rank), spilled=self.engine.spilled)

    @cached_property
    def spread(self) -> Spread:
        """What the intervals of the accelerator's part are made of."""
        spec = self.engine.spec
        if spec.residuals:
            return Spread(spec.residuals, f"{spec.name}, {spec.residuals_of}")
        if self.engine.model == "vela":
            return Spread((), f"the compiler's estimate of {spec.name}, held against no silicon")
        return Spread((), f"{'few rows' if spec.measured else 'nothing'} measured on {spec.name}")


def plan_offload(
    network: Network,
    table: LayerTable,
    target: Target,
    priced: NDArray[np.bool_],
    options: OffloadOptions | None = None,
    *,
    outside: NDArray[np.bool_] | None = None,
) -> Offload | None:
    """Choose what runs on the accelerator.

    Args:
        network: the operators and their tensors.
        table: its rows.
        target: board, runtime and clock.
        priced: rows that run at all.
        options: what the caller said; the way is the runtime's if not said.
        outside: operators whose activations lie outside the chip.

    Returns:
        None if the runtime drives no accelerator, or nothing is to run there.

    Raises:
        SpecError: an unknown way, model, configuration or mode.
        UnsupportedOperator: an operator that neither engine runs.
    """
    options = options or OffloadOptions()
    offload = options.offload or target.runtime.offload
    if offload not in get_args(Partition):
        raise SpecError(f"offload {offload!r}; {nearest(offload, get_args(Partition))}")
    spec = accelerator_of(target)
    if spec is None:
        for name, value in options.asked.items():
            if name not in ("offload", "memory_mode"):
                raise SpecError(
                    f"{name} {value!r}: {target.runtime.name} drives no accelerator of {target.device.name}"
                )
    if spec is None or offload == "none":
        return None
    configuration: dict[str, Any] = {
        "encoded": _encoded_bytes(network, spec),
        # a size that no memory on the chip has
        "live_bytes": np.where(False if outside is None else outside, 1e18, _live_bytes(network, spec)),
        "options": options,
    }
    engine = engine_costs(table, spec, target.clock_hz, core_share=_core_share(target), **configuration)
    core, core_runs = _core_costs(table, target, priced)
    total = np.where(priced, [core.cycles.total, engine.cycles.total], 0.0)
    can = np.array([core_runs | ~priced, engine.runs | ~priced])
    if not can.any(axis=0).all():
        op = int(np.flatnonzero(~can.any(axis=0))[0])
        raise UnsupportedOperator(
            f"{network.name}: operator {op} ({network.ops[op].kind}) runs neither on {spec.name} ({engine.why[op]}) "
            f"nor on {target.core.name} with {target.runtime.name}"
        )
    total = np.where(can, total, np.inf)
    border = _border(spec, target)
    flow = network_flow(network, border)
    # A description that was fitted to whole inferences contains what the runtime spends once.
    once = round(float(np.max(target.factors.inference_overhead_cycles)))
    core_once = 0 if engine.model == "measured" and spec.measured else once
    price = {
        "start_cycles": (0.0, float(border.start_cycles)),
        "once_cycles": (0.0, float(core_once + engine.start_cycles - once)),
    }
    if offload == "greedy":
        chosen = best_partition(np.where([engine.runs & priced, ~engine.runs & priced], np.inf, total), flow, **price)
    else:
        chosen = best_partition(total, flow, **price)
    if not chosen.any():
        return None
    starts = (chosen == 1) & (np.concatenate([[0], chosen[:-1]]) == 0)
    # What a run reads from the core was made before it began.
    begins = np.flatnonzero(np.concatenate([[True], chosen[1:] != chosen[:-1]]))
    paid = np.zeros(len(table))
    paid[begins] = np.add.reduceat(crossings(chosen, flow), begins)
    return Offload(
        engine=engine,
        core=core,
        chosen=chosen.astype(bool),
        handover_cycles=paid + starts * border.start_cycles,
        starts=starts,
        core_once_cycles=core_once,
        configuration=configuration,
        reads=flow.reads,
    )


def repriced(
    deployment: Deployment, *, target: Target | None = None, accelerator: Accelerator | None = None
) -> Deployment:
    """A deployment whose target or accelerator has other figures; what runs where stays as it was planned."""
    planned, on = deployment.offload, target or deployment.target
    assert planned is not None, "for deployments with an accelerator"
    changed = replace(
        planned,
        engine=engine_costs(
            deployment.table,
            accelerator or planned.engine.spec,
            on.clock_hz,
            core_share=_core_share(on),
            **planned.configuration,
        ),
        core=_core_costs(deployment.table, on, deployment.priced)[0],
    )
    return replace(deployment, target=on, offload=changed)


def _core_share(target: Target) -> float:
    """Clock of the core over its highest."""
    return target.clock_hz / target.device.clock.si


def _encoded_bytes(network: Network, spec: Accelerator) -> Floats:
    """Encoded weights of each operator from their values, or from those that were published of a network of the zoo.

    Not a number where neither is known.
    """
    published = network.metadata.get("rice_bits") if spec.decoder == "golomb_rice" else None
    sizes = np.full(len(network.ops), np.nan)
    if spec.decoder is None:
        return sizes
    for position, op in enumerate(network.ops):
        weights = [network.tensors[t] for t in op.inputs if t >= 0 and network.tensors[t].is_constant]
        found = [w.data for w in weights if w.data is not None and w.data.ndim > 1 and w.bits <= 8]
        if op.kind not in _WEIGHTED:
            continue
        if not found and published is not None:
            sizes[position] = sum(w.elements for w in weights if len(w.shape) > 1) * published / 8
        elif found:
            sizes[position] = sum(encoded_bytes(data, spec.decoder) for data in found)
    return sizes


def _live_bytes(network: Network, spec: Accelerator) -> Floats:
    """Activations alive while each operator runs: made before or by it, and still to be read [byte].

    A map that only a chained operator right after reads is never stored.
    """
    made: dict[int, int] = dict.fromkeys(network.inputs, 0)
    last: dict[int, int] = dict.fromkeys(network.outputs, len(network.ops) - 1)
    for position, op in enumerate(network.ops):
        made |= {t: position for t in op.outputs if t >= 0}
        last |= {t: max(position, last.get(t, 0)) for t in op.inputs if t in made}
    readers = Counter(t for op in network.ops for t in op.inputs)
    for position, op in enumerate(network.ops):
        if op.kind in spec.chained and readers[op.inputs[0]] == 1 and made.get(op.inputs[0]) == position - 1:
            made.pop(op.inputs[0])
    change = np.zeros(len(network.ops) + 1)
    for tensor, begin in made.items():
        change[begin] += network.tensors[tensor].n_bytes
        change[max(last.get(tensor, begin), begin) + 1] -= network.tensors[tensor].n_bytes
    alive: Floats = np.cumsum(change)[:-1]
    return alive


def network_flow(network: Network, border: Border) -> Flow:
    """Which operator reads whose output, and what each output costs to hand over."""
    maker: dict[int, int] = {}
    reads: list[tuple[int, ...]] = []
    sizes: list[int] = []
    for position, op in enumerate(network.ops):
        reads.append(tuple(sorted({maker[t] for t in op.inputs if t in maker})))
        maker |= dict.fromkeys(op.outputs, position)
        sizes.append(sum(network.tensors[t].n_bytes for t in op.outputs if t >= 0))
    return Flow(tuple(reads), tuple(border.tensor_cycles(sizes).tolist()))


def _border(spec: Accelerator, target: Target) -> Border:
    memory = target.placement.activations
    cache = memory.data_cache
    driver = spec.driver.si if spec.driver is not None and spec.driver.known else 0.0
    return Border(
        copied=not spec.shared_memory,
        line_bytes=cache.line.si if cache is not None else 0.0,
        bus_bytes=float(memory.bus_bytes),
        start_cycles=round(driver) + INTERRUPT_CYCLES,
    )


def _core_costs(table: LayerTable, target: Target, priced: NDArray[np.bool_]) -> tuple[LayerCosts, NDArray[np.bool_]]:
    """Costs on the core, and which rows its library prices at all."""
    try:
        return layer_costs(table, target, priced), np.ones(len(table), dtype=bool)
    except (UnsupportedOperator, UnknownRuntime):
        names = np.array(table.kind_names)
        known = np.isin(names, [kind for kind in set(table.kind_names) if _prices(kind, table, target)])
        # A row that cannot be priced stands as a view that does not run.
        view = next(kind for kind, family in FAMILY.items() if family == "view")
        stand_in = table.replace(kind=np.where(known, names, view))
        if not known.any():
            target = replace(target, runtime=target.runtime.model_copy(update={"library": "tflm-reference"}))
        return layer_costs(stand_in, target, priced & known), known


def _prices(kind: str, table: LayerTable, target: Target) -> bool:
    try:
        layer_costs(table[table.is_kind(kind)], target)
    except (UnsupportedOperator, UnknownRuntime):
        return False
    return True
