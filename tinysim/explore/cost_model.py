"""`CostModel`: what a network costs on one device, many times a second."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import groupby, repeat
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tinysim.deploy.deployment import deploy, runtime_network
from tinysim.deploy.flash import model_bytes
from tinysim.deploy.layout import move_limits
from tinysim.deploy.offload.engine import accelerator_of
from tinysim.deploy.target import Target, precision_of, precision_of_bits, resolve_target
from tinysim.errors import InputError, SpecError
from tinysim.estimate.engine import estimate_deployment
from tinysim.explore.block_prices import BlockPrices
from tinysim.explore.chain import chain_network
from tinysim.explore.encoded import Blocks, Encoded, encode_table, spread
from tinysim.explore.price_book import PriceBook
from tinysim.network.graph import Network
from tinysim.network.load import load_network
from tinysim.network.table import Ints, LayerTable

if TYPE_CHECKING:
    import pandas as pd

    from tinysim.cost.accelerator.spec import Accelerator
    from tinysim.device.spec import Device

__all__ = ["COLUMNS", "Cost", "CostModel"]

#: columns of a batch, in their order
COLUMNS = ("latency_s", "energy_j", "sram_peak_bytes", "flash_bytes", "macs")
#: networks worked on together: their columns stay in the cache, and memory is constant however long the batch is
_CHUNK = 1 << 13
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
        accelerator: what a sweep of designs makes of the description of the device's accelerator.
        **options: those of `resolve_target` (clock_hz, code_in, weights_in, activations_in, ...).

    Distinct layers are priced once and kept, topologies planned once. A table of layers stands for a chain, see
    `chain_network`; other graphs are given as `Network`.

    Raises:
        UnknownDevice, UnknownRuntime, SpecError: the device cannot be resolved, or has no accelerator to redesign.

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
        accelerator: Callable[[Accelerator], Accelerator] | None = None,
        **options: Any,
    ) -> None:
        self._paths, self._redesign = paths or {}, accelerator
        target = device if isinstance(device, Target) else resolve_target(device, runtime, **options)
        self.target = self._adjusted(target)
        self._how = None if isinstance(device, Target) else (device, runtime, options)
        self._targets: dict[str, Target] = {}
        self._prices: dict[tuple[int, str], BlockPrices] = {}
        self._book = PriceBook(self._target)
        self._lock = threading.Lock()
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
        return self._asked(network if isinstance(network, Network) else load_network(network, input_shape=input_shape))

    def _asked(self, net: Network, looks: Ints | None = None) -> Cost:
        """Costs of a network, remembered while it lives. looks: what `PriceBook.learn` said of it."""
        seen_before = self._seen.get(id(net))
        if seen_before is not None and seen_before[0]() is net:
            return seen_before[1]
        cost = self._cost(net, looks)
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
        items = [item if isinstance(item, (LayerTable, Encoded, Network)) else load_network(item) for item in items]
        looks: Iterator[Ints | None] = repeat(None)
        if accelerator_of(self.target) is None:  # layers that are new are priced together
            graphs = [runtime_network(n, self.target.runtime) for n in items if isinstance(n, Network)]
            looks = iter(self._book.learn(graphs))
        frames = []
        for many, group in groupby(items, lambda item: isinstance(item, (LayerTable, Encoded))):
            if many:
                frames += [self.batch(item) for item in group]
            else:
                costs = [self._asked(item, next(looks)).to_dict().values() for item in group]
                known = [[np.nan if value is None else value for value in cost] for cost in costs]
                frames.append(pd.DataFrame(known, columns=list(COLUMNS)))
        return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=list(COLUMNS))

    def columns(
        self, encoded: Encoded, names: Sequence[str] = COLUMNS, *, threads: int | None = None
    ) -> dict[str, NDArray[Any]]:
        """Costs of encoded networks as arrays of shape (n_networks,): those of `COLUMNS` in `names`, in their order.

        threads: that work on a long batch; all cores if None.
        """
        n = len(encoded)
        out: dict[str, NDArray[Any]] = {
            name: np.empty(n, dtype=np.float64 if name in {"latency_s", "energy_j"} else np.int64) for name in names
        }

        def work(piece: slice) -> None:
            for name, values in self._chunk(encoded[piece], names).items():
                out[name][piece] = values

        spread(work, n, _CHUNK, threads)
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
        changed: dict[str, Any] = {
            name: replace(getattr(target, name), **fields) for name, fields in self._paths.items()
        }
        if self._redesign is not None:
            spec = accelerator_of(target)
            if spec is None:
                raise SpecError(f"{target.runtime.name} drives no accelerator of {target.device.name}")
            changed["accelerator"] = self._redesign(spec)
        return replace(target, **changed) if changed else target

    def _cost(self, net: Network, looks: Ints | None = None) -> Cost:
        if accelerator_of(self.target) is None:
            runs = runtime_network(net, self.target.runtime)
            cost = Cost(*self._book.cost(runs, looks))
            stored = cost.flash_bytes or sum(model_bytes(runs, self.target.runtime))
            arena_limit, flash_limit = move_limits(self.target)
            if cost.sram_peak_bytes <= arena_limit and stored <= flash_limit:
                return cost  # all lives where the linker script puts it
        result = estimate_deployment(deploy(net, self._target(precision_of(net.table()))))
        memory = result.memory
        return Cost(result.latency_s, result.energy_j, memory.sram_peak_bytes, memory.flash_bytes, result.macs)

    def _chunk(self, encoded: Encoded, names: Sequence[str]) -> dict[str, NDArray[Any]]:
        blocks, ids = encoded.blocks, encoded.ids
        if (blocks.bits == blocks.bits[0]).all():
            return self._alike(encoded, int(blocks.bits[0]), names)
        widest = blocks.bits[ids].max(axis=1)
        out: dict[str, NDArray[Any]] = {}
        for bits in np.unique(widest).tolist():
            members = widest == bits
            for name, values in self._alike(encoded[members], bits, names).items():
                out.setdefault(name, np.empty(len(ids), dtype=values.dtype))[members] = values
        return out

    def _alike(self, encoded: Encoded, bits: int, names: Sequence[str]) -> dict[str, NDArray[Any]]:
        """Costs of networks of one precision."""
        target = self._target(precision_of_bits(bits))
        if accelerator_of(target) is not None:
            return self._one_by_one(encoded, names)
        out, moved = self._priced(encoded.blocks, target).columns(encoded.ids, names)
        if moved.any():  # these live in other memories, whose stalls differ by layer
            for name, values in self._one_by_one(encoded[moved], names).items():
                out[name][moved] = values
        return out

    def _priced(self, blocks: Blocks, target: Target) -> BlockPrices:
        key = (id(blocks), target.options.precision)
        with self._lock:
            if key not in self._prices:
                if len(self._prices) >= _KEPT:
                    del self._prices[next(iter(self._prices))]
                self._prices[key] = BlockPrices(blocks, target)
            return self._prices[key]

    def _one_by_one(self, encoded: Encoded, names: Sequence[str]) -> dict[str, NDArray[Any]]:
        """Costs of networks of which an accelerator takes a part: each is placed on its own."""
        table, skip = encoded.table(), encoded.skips()
        ends = np.cumsum(np.bincount(table.network)).tolist()
        costs = [
            self._cost(chain_network(table[start:end], skips=skip[start:end]))
            for start, end in zip([0, *ends], ends, strict=False)
        ]
        unknown = {"energy_j": np.nan, "flash_bytes": -1}
        columns = {name: [getattr(cost, name) for cost in costs] for name in names}
        return {
            name: np.array([unknown[name] if value is None else value for value in values])
            for name, values in columns.items()
        }
