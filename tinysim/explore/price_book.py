"""`PriceBook`: single networks on a device, whose layers are priced once each.

An operator's *look* is what its price and its part of the memory follow from. Looks are numbered as they are met; a
network is the sum of a row of whole numbers per look, besides its arena and the code that it links.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinysim.cost.energy import QUANTUM_J
from tinysim.deploy.flash import ST_RUNTIMES, linked_code_bytes, model_bytes
from tinysim.deploy.memory import (
    flatbuffer_size,
    op_parameters,
    persistent_bytes,
    plan_arena,
    prepared_bytes,
    tflm_tail,
)
from tinysim.deploy.memory.buffers import lifetime_steps
from tinysim.deploy.policy import arena_policy
from tinysim.deploy.target import Target, precision_of_bits
from tinysim.explore.heads import LATER_FIRST, buffer_head, is_plain
from tinysim.explore.row_costs import once_joules, row_costs
from tinysim.network.graph import Network, Op
from tinysim.network.kinds import KIND_CODE
from tinysim.network.layers import layer_rows
from tinysim.network.table import COLUMNS, Ints, LayerTable

__all__ = ["PriceBook"]

#: looks that are kept before the book starts again
_KEPT = 200_000
#: columns of a look: price; kind; numbers of outputs, constants and variables; bytes of the output and of what persists
#: (`tflm_tail`), aligned, of constants and parameters; channels of all quantizations; from here on scratch buffers
_COLUMNS = range(12)
(
    _CYCLES, _QUANTA, _MACS, _KIND, _OUTPUTS, _CONSTANTS, _VARIABLES, _OUT, _PREPARED, _STORED, _PARAMETERS, _CHANNELS,
) = _COLUMNS  # fmt: skip
_SCRATCH = len(_COLUMNS)
#: of what persists in TFLM's arena
_TAIL_ALIGNMENT = 16


class PriceBook:
    """Prices of the layers that a device, whose core runs all, has met.

    target_of: precision -> target.
    """

    def __init__(self, target_of: Callable[[str], Target]) -> None:
        self._target_of = target_of
        self._forget()

    def _forget(self) -> None:
        self._numbers: dict[Any, int] = {}
        self._bits = np.zeros((0, 1), dtype=np.int64)
        self._priced: dict[str, Ints] = {}
        self._once: dict[str, float] = {}
        self._codes: dict[frozenset[int], int | None] = {}
        #: rows of looks that were numbered and not priced yet
        self._unpriced: dict[int, NDArray[np.float64]] = {}

    def learn(self, networks: Sequence[Network]) -> list[Ints]:
        """Price what is new in some networks together, which is much quicker than one network after the other.

        Returns the numbers of their operators' looks, for `cost`.

        Raises:
            UnsupportedOperator: a kind that the kernel library cannot price.
        """
        if len(self._numbers) > _KEPT:
            self._forget()
        found = [(network, self._numbered(network)) for network in networks]
        self._learn(found)
        return [numbers for _, numbers in found]

    def _learn(self, networks: Sequence[tuple[Network, Ints]]) -> None:
        unpriced: dict[str, dict[int, tuple[Network, Op]]] = {}
        for network, numbers in networks:
            precision = self._precision(numbers)
            priced, wanted = self._priced.get(precision), unpriced.setdefault(precision, {})
            for number, op in zip(numbers.tolist(), network.ops, strict=True):
                if priced is None or number >= len(priced) or priced[number, _KIND] < 0:
                    wanted.setdefault(number, (network, op))
        for precision, wanted in unpriced.items():
            self._price(wanted, self._target_of(precision))

    def cost(self, network: Network, numbers: Ints | None = None) -> tuple[float, float | None, int, int | None, int]:
        """Latency [s], energy [J], SRAM and flash [B] and MACs of a network: those of `tinysim.estimate`.

        Raises:
            UnsupportedOperator: a kind that the kernel library cannot price.
        """
        if numbers is None:
            if len(self._numbers) > _KEPT:
                self._forget()
            numbers = self._numbered(network)
        target = self._target_of(self._precision(numbers))
        looks = self._looks(network, numbers, target)
        sums = looks.sum(axis=0).tolist()
        first, last = lifetime_steps(network)
        n_made = len(network.inputs) + sums[_OUTPUTS]
        # every tensor is an input, an output of one operator or a constant of one
        simple = len(last) - (-1 in last) == len(network.tensors) == n_made + sums[_CONSTANTS] and not sums[_VARIABLES]
        once_j = self._once[target.options.precision]
        energy = None if target.prices is None else sums[_QUANTA] * QUANTUM_J + once_j
        return (
            (sums[_CYCLES] + target.once_cycles) / target.clock_hz,
            energy,
            self._peak(network, looks, sums if simple else None, (first, last), target),
            self._flash(network, looks, sums if simple else None, target),
            sums[_MACS],
        )

    def _precision(self, numbers: Ints) -> str:
        return precision_of_bits(int(self._bits[numbers].max(initial=8)))

    def _numbered(self, network: Network) -> Ints:
        """Numbers of the operators' looks; new ones join the book."""
        tensors: list[Any] = [
            (t.shape, t.dtype, t.is_constant, t.is_variable, t.sparsity, t.quantization and len(t.quantization.scale))
            for t in network.tensors
        ]
        tensors.append(None)  # an absent input is tensor -1
        look = tensors.__getitem__
        numbers, known = self._numbers, len(self._numbers)
        found = [
            numbers.setdefault(
                (op.kind, *map(look, op.inputs), None, *map(look, op.outputs), *op.attrs.values(), *op.attrs),
                len(numbers),
            )
            for op in network.ops
        ]
        if len(numbers) > known:
            new = {number: op for number, op in zip(found, network.ops, strict=True) if number >= known}
            rows = layer_rows(network, list(new.values()))
            table = LayerTable.from_rows(rows)
            self._bits = _grown(self._bits, len(numbers))
            self._bits[list(new), 0] = np.where(
                table.is_family("conv", "matmul", "recurrent"), table.activation_bits, 8
            )
            self._unpriced |= zip(new, rows.T, strict=True)
        return np.array(found, dtype=np.int64)

    def _looks(self, network: Network, numbers: Ints, target: Target) -> Ints:
        """Columns of the operators' looks at the target's precision, shape (n_ops, n_columns)."""
        precision = target.options.precision
        priced = self._priced.get(precision)
        if priced is None or len(priced) < len(self._bits) or (priced[numbers, _KIND] < 0).any():
            self._learn([(network, numbers)])
        looks: Ints = self._priced[precision][numbers]
        return looks

    def _price(self, wanted: dict[int, tuple[Network, Op]], target: Target) -> None:
        """Fill the columns of some looks: number -> where it was met."""
        precision, alignment = target.options.precision, arena_policy(target).alignment
        rows = [
            self._unpriced[number] if number in self._unpriced else layer_rows(network, [op])[:, 0]
            for number, (network, op) in wanted.items()
        ]
        costs = row_costs(LayerTable.from_rows(np.array(rows).reshape(-1, len(COLUMNS)).T), target)
        sizes = [_sizes(network, op, alignment) for network, op in wanted.values()]
        looks = np.column_stack(
            [
                costs.cycles,
                np.rint(np.nan_to_num(costs.energy_j) / QUANTUM_J),
                costs.macs,
                np.array(sizes, dtype=np.int64).reshape(-1, _SCRATCH - _KIND),
                costs.scratch_bytes,
            ]
        ).astype(np.int64)
        priced = self._priced.get(precision)
        if priced is None:
            priced = np.zeros((0, looks.shape[1]), dtype=np.int64)
            self._once[precision] = once_joules(target)
        self._priced[precision] = priced = _grown(priced, len(self._bits))
        priced[list(wanted)] = looks
        for number in wanted:
            self._unpriced.pop(number, None)

    def _peak(
        self,
        network: Network,
        looks: Ints,
        sums: list[int] | None,
        steps: tuple[dict[int, int], dict[int, int]],
        target: Target,
    ) -> int:
        p, tensors = arena_policy(target), network.tensors
        if not is_plain(p):
            return plan_arena(network, p).peak_bytes
        first, last = steps
        op, k = np.nonzero(looks[:, _SCRATCH:])
        during = (op + 1).tolist()
        if sums is None or (looks[:, _OUTPUTS] > 1).any():
            sizes = [_up(tensors[t].n_bytes, p.alignment) for t in first]
        else:
            sized = {t: _up(tensors[t].n_bytes, p.alignment) for t in network.inputs}
            sized |= {op.outputs[0]: size for op, size in zip(network.ops, looks[:, _OUT].tolist(), strict=True)}
            sizes = [sized[t] for t in first]
        head = buffer_head(
            sizes + looks[op, _SCRATCH + k].tolist(),
            [*first.values(), *during],
            [last[t] for t in first] + during,
            later_first=LATER_FIRST[p.planner],
        )
        if p.persistent == "none":
            return head + sum(t.n_bytes for t in tensors if t.is_variable)
        if sums is None:
            return head + tflm_tail(network, p.kernels, ptr_bytes=p.ptr_bytes, core=p.core, n_scratch=len(during))
        return (
            head
            + sums[_PREPARED]
            + persistent_bytes(
                [op.kind for op in network.ops],
                p.kernels,
                ptr_bytes=p.ptr_bytes,
                n_tensors=len(tensors),
                n_scratch=len(during),
                inputs=[tensors[i].dtype for i in network.inputs],
                outputs=[tensors[i].dtype for i in network.outputs],
            )
        )

    def _flash(self, network: Network, looks: Ints, sums: list[int] | None, target: Target) -> int | None:
        runtime = target.runtime
        linked = frozenset(looks[:, _KIND].tolist())
        if linked not in self._codes or runtime.name.startswith(ST_RUNTIMES):
            by_size = runtime.name.startswith(ST_RUNTIMES)
            each = LayerTable.from_columns({"kind": np.array(sorted(linked)), "in_c": 1, "out_c": 1})
            code = linked_code_bytes(network.table() if by_size else each, runtime)
            self._codes[linked] = None if code is None else int(code[0])
        found = self._codes[linked]
        if found is None:
            return None
        if sums is None or runtime.planner == "tinyengine":
            return found + sum(model_bytes(network, runtime))
        if runtime.model_in_flash != "flatbuffer":
            return found + sums[_PARAMETERS]
        file_bytes = network.file_bytes
        if file_bytes is None:
            inputs = [network.tensors[t].quantization for t in network.inputs]
            file_bytes = int(
                flatbuffer_size(
                    sums[_STORED],
                    channels=sums[_CHANNELS] + sum(len(q.scale) for q in inputs if q),
                    name_bytes=sum([len(t.name) for t in network.tensors]),
                    n_tensors=len(network.tensors),
                    n_operators=len(network.ops),
                )
            )
        return found + max(sums[_STORED], file_bytes)


def _sizes(network: Network, op: Op, alignment: int) -> tuple[int, ...]:
    """Columns `_KIND` to `_CHANNELS` of an operator's look."""
    tensors = network.tensors
    constants = [tensors[t] for t in op.inputs if t >= 0 and tensors[t].is_constant]
    outputs = [tensors[t] for t in op.outputs]
    return (
        KIND_CODE[op.kind],
        len(outputs),
        len(constants),
        sum(tensors[t].is_variable for t in op.inputs if t >= 0),
        _up(outputs[0].n_bytes, alignment) if outputs else 0,
        sum(_up(size, _TAIL_ALIGNMENT) for size in prepared_bytes(network, op)),
        sum(t.n_bytes for t in constants),
        sum(tensors[t].n_bytes for t in op_parameters(network, op)),
        sum(len(t.quantization.scale) for t in (*constants, *outputs) if t.quantization),
    )


def _up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple


def _grown(rows: Ints, count: int) -> Ints:
    """Rows with room for at least `count`, new ones of -1."""
    if len(rows) >= count:
        return rows
    room = np.full((max(count, 2 * len(rows)), rows.shape[1]), -1, dtype=np.int64)
    room[: len(rows)] = rows
    return room
