"""`CostModel`: what a network costs on one device, many times a second."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tinysim.deploy.deployment import deploy
from tinysim.deploy.target import Target, precision_of, resolve_target
from tinysim.errors import InputError
from tinysim.estimate.engine import estimate_deployment
from tinysim.explore.chain import chain_network
from tinysim.explore.encoded import Blocks, Encoded, encode_table
from tinysim.explore.heads import greedy_heads
from tinysim.explore.row_costs import RowCosts, row_costs
from tinysim.explore.topology import Topology
from tinysim.network.graph import Network
from tinysim.network.load import load_network
from tinysim.network.table import Ints, LayerTable

if TYPE_CHECKING:
    import pandas as pd

    from tinysim.device.spec import Device

__all__ = ["COLUMNS", "Cost", "CostModel"]

#: columns of a batch, in their order
COLUMNS = ("latency_s", "energy_j", "sram_peak_bytes", "flash_bytes", "macs")
#: networks worked on together: constant memory however long the batch is
_CHUNK = 1 << 17
#: tables of blocks whose prices are kept
_KEPT = 8


@dataclass(frozen=True, slots=True)
class Cost:
    """Costs of one inference."""

    latency_s: float
    energy_j: float | None
    """None if the board's currents are unknown"""
    sram_peak_bytes: int
    flash_bytes: int | None
    """None if the code size is unknown"""
    macs: int

    def to_dict(self) -> dict[str, float | int | None]:
        """The costs by name."""
        return asdict(self)


class CostModel:
    """The costs of networks on a device under a runtime: those of `tinysim.estimate`, to the last bit.

    Args:
        device: name, path, `Device`, or a resolved `Target`.
        runtime: name of a runtime of the device; its first one if None.
        paths: fields of `MemoryPath` that differ, by memory path: {"weights": {"wait_cycles": 2.0}}; what a sweep of
            wait states, cache and line sizes changes.
        **options: those of `resolve_target` (clock_hz, code_in, weights_in, activations_in, ...).

    Distinct layers are priced once and kept, topologies planned once. A table of layers stands for a chain, see
    `chain_network`; other graphs are given as `Network`.

    Raises:
        UnknownDevice, UnknownRuntime, SpecError: the device cannot be resolved.

    >>> model = CostModel("nucleo-l4r5zi", "tflm-cmsis-nn")
    >>> model("ds-cnn-s").macs == load_network("ds-cnn-s").macs
    True
    """

    def __init__(
        self,
        device: str | Device | Target,
        runtime: str | None = None,
        *,
        paths: Mapping[str, Mapping[str, float]] | None = None,
        **options: Any,
    ) -> None:
        self._paths = paths or {}
        target = device if isinstance(device, Target) else resolve_target(device, runtime, **options)
        self.target = self._adjusted(target)
        self._how = None if isinstance(device, Target) else (device, runtime, options)
        self._targets: dict[str, Target] = {}
        self._prices: dict[tuple[int, int], tuple[Blocks, RowCosts]] = {}
        self._topologies: dict[bytes, Topology] = {}
        self._seen: dict[int, tuple[weakref.ref[Network], Cost]] = {}

    def __repr__(self) -> str:
        return f"CostModel({self.target.device.name!r}, {self.target.runtime.name!r})"

    def __call__(self, network: Any, *, input_shape: Sequence[int] | None = None) -> Cost:
        """Costs of one network.

        network: `Network`, name of the zoo, path, `torch.nn.Module` (with `input_shape`, channels first), a
        `LayerTable` or an `Encoded` of one network. A `Network` object that was asked before is remembered.

        Raises:
            UnknownNetwork, NetworkError: it cannot be read.
            InputError: a batch of several networks.
        """
        if isinstance(network, (LayerTable, Encoded)):
            encoded = network if isinstance(network, Encoded) else encode_table(network)
            if len(encoded) != 1:
                raise InputError(f"CostModel takes one network at a time, got {len(encoded)}; use .batch(...)")
            row = {name: column[0].item() for name, column in self.columns(encoded).items()}
            known: dict[str, Any] = {name: None if np.isnan(value) else value for name, value in row.items()}
            return Cost(**known)
        net = network if isinstance(network, Network) else load_network(network, input_shape=input_shape)
        seen_before = self._seen.get(id(net))
        if seen_before is not None and seen_before[0]() is net:
            return seen_before[1]
        cost = self._cost(net)
        key, seen = id(net), self._seen
        self._seen[key] = (weakref.ref(net, lambda _: seen.pop(key, None)), cost)
        return cost

    def batch(self, networks: LayerTable | Encoded | Iterable[Any], *, skips: Ints | None = None) -> pd.DataFrame:
        """Costs of many networks, a row each, columns `COLUMNS`; NaN where a figure is unknown.

        networks: a `LayerTable` numbered by its column `network`, a search space's `Encoded`, or a list whose items are
        anything that the model can be called with, and `LayerTable`s, whose networks follow one another.
        skips: for one table, rows back to the second operand of each row, see `guess_skips`.

        Raises:
            NetworkError: a table that is no chain.
        """
        import pandas as pd

        if isinstance(networks, LayerTable):
            networks = encode_table(networks, skips)
        if isinstance(networks, Encoded):
            return pd.DataFrame(self.columns(networks))
        items = list(networks)
        if items and all(isinstance(item, LayerTable) for item in items):
            return self.batch(LayerTable.concat(items), skips=skips)
        frames = [
            self.batch(item)
            if isinstance(item, (LayerTable, Encoded))
            else pd.DataFrame([self(item).to_dict()], columns=list(COLUMNS))
            for item in items
        ]
        return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=list(COLUMNS))

    def columns(self, encoded: Encoded, names: Sequence[str] = COLUMNS) -> dict[str, NDArray[Any]]:
        """Costs of encoded networks as arrays of shape (n_networks,): those of `COLUMNS` in `names`, in their order.

        Without "sram_peak_bytes" no memory is planned, which is most of the work.
        """
        n = len(encoded)
        out: dict[str, NDArray[Any]] = {
            name: np.empty(n, dtype=np.float64 if name in {"latency_s", "energy_j"} else np.int64) for name in names
        }
        for start in range(0, n, _CHUNK):
            part = encoded[slice(start, start + _CHUNK)]
            for members, rows in part.groups():
                for name, values in self._group(part.blocks, rows, names).items():
                    out[name][start + members] = values
        if "flash_bytes" in out and (out["flash_bytes"] < 0).any():
            out["flash_bytes"] = np.where(out["flash_bytes"] < 0, np.nan, out["flash_bytes"])
        return out

    def _target(self, precision: str) -> Target:
        """The target for networks of a precision, as `deploy` resolves it."""
        if self._how is None:
            return self.target
        if precision not in self._targets:
            device, runtime, options = self._how
            target = resolve_target(device, runtime, **({"precision": precision} | options))
            self._targets[precision] = self._adjusted(target)
        return self._targets[precision]

    def _adjusted(self, target: Target) -> Target:
        changed = {name: replace(getattr(target, name), **fields) for name, fields in self._paths.items()}
        return replace(target, **changed) if changed else target

    def _cost(self, net: Network) -> Cost:
        result = estimate_deployment(deploy(net, self._target(precision_of(net.table()))))
        memory = result.memory
        return Cost(result.latency_s, result.energy_j, memory.sram_peak_bytes, memory.flash_bytes, result.macs)

    def _priced(self, blocks: Blocks, target: Target) -> RowCosts:
        key = (id(blocks), id(target))
        kept = self._prices.get(key)
        if kept is None:
            if len(self._prices) >= _KEPT:
                del self._prices[next(iter(self._prices))]
            kept = self._prices[key] = (blocks, row_costs(blocks.rows, target))
        return kept[1]

    def _group(self, blocks: Blocks, rows: Ints, names: Sequence[str]) -> dict[str, NDArray[Any]]:
        """Costs of networks of one topology; rows: shape (n_networks, n_rows). Unknown flash is -1."""
        topology, prices = self._topology(blocks, rows[0])
        if not topology.is_columnar:
            return {name: values for name, values in self._one_by_one(blocks, rows).items() if name in names}
        target = topology.example.target
        # summed as `Estimate` sums: whole cycles are exact in any order, energies run along contiguous rows
        once_cycles = topology.example.once_cycles
        latency_s = (prices.cycles[rows].sum(axis=1) + once_cycles) / target.clock_hz
        energy_j: NDArray[np.float64] | float = np.nan
        if target.prices is not None:
            once_s, static_w = once_cycles / target.clock_hz, target.prices.static_w
            core, sram, flash_j, static = (np.ascontiguousarray(part[rows]).sum(axis=1) for part in prices.energy_j)
            core += once_s * (target.prices.power_w - static_w)
            energy_j = core + sram + flash_j + (static + once_s * static_w)
        code = topology.example.flash.total_bytes
        sizes = prices.flash_bytes[rows].sum(axis=1) - topology.flash_bytes
        costs = {
            "latency_s": latency_s,
            "energy_j": energy_j,
            "flash_bytes": np.full(len(rows), -1) if code is None else code + sizes,
            "macs": prices.macs[rows].sum(axis=1),
        }
        if "sram_peak_bytes" in names:
            costs["sram_peak_bytes"] = self._peaks(topology, prices, rows)
        return {name: values for name, values in costs.items() if name in names}

    def _one_by_one(self, blocks: Blocks, rows: Ints) -> dict[str, NDArray[Any]]:
        """Costs of networks whose arenas or engines no column describes: each is planned on its own."""
        costs = [self._cost(chain_network(blocks.rows[each], skips=blocks.skip[each])) for each in rows]
        return {
            "latency_s": np.array([c.latency_s for c in costs]),
            "energy_j": np.array([np.nan if c.energy_j is None else c.energy_j for c in costs]),
            "sram_peak_bytes": np.array([c.sram_peak_bytes for c in costs]),
            "flash_bytes": np.array([-1 if c.flash_bytes is None else c.flash_bytes for c in costs]),
            "macs": np.array([c.macs for c in costs]),
        }

    def _peaks(self, topology: Topology, prices: RowCosts, rows: Ints) -> Ints:
        tensors = np.concatenate([prices.in_bytes[rows[:, :1]], prices.out_bytes[rows]], axis=1)
        # kernels ask in the order of the rows, and each in the order of its columns
        scratch = prices.scratch_bytes[rows]
        asked = scratch.any(axis=0)
        scratch, step = scratch[:, asked], np.nonzero(asked)[0] + 1
        sizes = np.concatenate([tensors, scratch], axis=1)
        first, last = np.append(topology.first, step), np.append(topology.last, step)
        heads = greedy_heads(sizes[:1] if (sizes == sizes[0]).all() else sizes, first, last)
        n_scratch = np.count_nonzero(scratch, axis=1)
        return heads + topology.tail_bytes(n_scratch, prices.prepared_bytes[rows].sum(axis=1))

    def _topology(self, blocks: Blocks, rows: Ints) -> tuple[Topology, RowCosts]:
        table, skip = blocks.rows[rows], blocks.skip[rows]
        target = self._target(precision_of(table))
        prices = self._priced(blocks, target)
        key = (
            precision_of(table).encode() + np.stack([table.kind, table.has_bias, table.activation_bits, skip]).tobytes()
        )
        if key not in self._topologies:
            self._topologies[key] = Topology.of(
                deploy(chain_network(table, skips=skip), target),
                skip,
                prepared_bytes=int(prices.prepared_bytes[rows].sum()),
                flash_bytes=int(prices.flash_bytes[rows].sum()),
            )
        return self._topologies[key], prices
