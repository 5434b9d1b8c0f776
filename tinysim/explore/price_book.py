"""`PriceBook`: single networks on a device, whose layers are priced once each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinysim.deploy.flash import ST_RUNTIMES, linked_code_bytes, model_bytes
from tinysim.deploy.memory import plan_arena, tflm_tail
from tinysim.deploy.memory.buffers import lifetime_steps
from tinysim.deploy.policy import arena_policy
from tinysim.deploy.target import Target, precision_of
from tinysim.explore.heads import LATER_FIRST, buffer_head, is_plain
from tinysim.explore.row_costs import RowCosts, once_joules, row_costs
from tinysim.network.graph import Network
from tinysim.network.layers import layer_key
from tinysim.network.table import Ints, LayerTable

__all__ = ["PriceBook"]

#: layers that are kept before the book starts again
_KEPT = 200_000


class PriceBook:
    """Prices of the layers that a device, whose core runs all, has met.

    target_of: precision -> target.
    """

    def __init__(self, target_of: Callable[[str], Target]) -> None:
        self._target_of = target_of
        self._numbers: dict[Any, int] = {}
        self._rows: LayerTable | None = None
        self._costs: dict[str, RowCosts] = {}
        self._codes: dict[bytes, Ints | None] = {}

    def cost(self, network: Network) -> tuple[float, float | None, int, int | None, int]:
        """Latency [s], energy [J], SRAM and flash [B] and MACs of a network: those of `tinysim.estimate`.

        Raises:
            UnsupportedOperator: a kind that the kernel library cannot price.
        """
        numbers = self._found(network)
        assert self._rows is not None
        rows = self._rows
        target = self._target_of(precision_of(rows[numbers]))
        costs = self._priced(target)
        cycles = int(costs.cycles[numbers].sum()) + target.once_cycles
        energy = None if target.prices is None else float(costs.energy_j[numbers].sum()) + once_joules(target)
        peak = self._peak(network, costs.scratch_bytes[numbers], target)
        flash = self._flash(network, rows.kind[numbers], target)
        return cycles / target.clock_hz, energy, peak, flash, int(costs.macs[numbers].sum())

    def _found(self, network: Network) -> Ints:
        """Numbers of the network's layers; new ones join the book."""
        keys = [layer_key(network, op) for op in network.ops]
        if len(self._numbers) > _KEPT:
            self._numbers, self._rows, self._costs = {}, None, {}
        numbers = self._numbers
        new = {key: position for position, key in enumerate(keys) if key not in numbers}
        if new:
            rows = network.table()[np.array(list(new.values()))]
            self._rows = rows if self._rows is None else LayerTable.concat([self._rows, rows])
            for key in new:
                numbers[key] = len(numbers)
        return np.array([numbers[key] for key in keys], dtype=np.int64)

    def _priced(self, target: Target) -> RowCosts:
        """Prices of all layers of the book at the target's precision."""
        precision = target.options.precision
        known, rows = self._costs.get(precision), self._rows
        assert rows is not None
        if known is None or len(known.cycles) < len(rows):
            start = 0 if known is None else len(known.cycles)
            fresh = row_costs(rows[start:], target)
            self._costs[precision] = known = fresh if known is None else known.joined(fresh)
        return known

    def _peak(self, network: Network, scratch: Ints, target: Target) -> int:
        p = arena_policy(target)
        if not is_plain(p):
            return plan_arena(network, p).peak_bytes
        first, last = lifetime_steps(network)
        op, k = np.nonzero(scratch)
        steps = (op + 1).tolist()
        sizes = [-(-network.tensors[t].n_bytes // p.alignment) * p.alignment for t in first]
        head = buffer_head(
            sizes + scratch[op, k].tolist(),
            [*first.values(), *steps],
            [last[t] for t in first] + steps,
            later_first=LATER_FIRST[p.planner],
        )
        if p.persistent == "none":
            return head + sum(t.n_bytes for t in network.tensors if t.is_variable)
        return head + tflm_tail(network, p.kernels, ptr_bytes=p.ptr_bytes, core=p.core, n_scratch=len(steps))

    def _flash(self, network: Network, kinds: Ints, target: Target) -> int | None:
        runtime = target.runtime
        if runtime.name.startswith(ST_RUNTIMES):
            code = linked_code_bytes(network.table(), runtime)
        else:
            linked = np.unique(kinds).tobytes()
            if linked not in self._codes:
                self._codes[linked] = linked_code_bytes(network.table(), runtime)
            code = self._codes[linked]
        return None if code is None else sum(model_bytes(network, runtime)) + int(code[0])
