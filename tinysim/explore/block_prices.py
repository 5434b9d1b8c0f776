"""`BlockPrices`: what blocks of layers cost on a target, and sums of them over networks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinysim.cost.energy import QUANTUM_J
from tinysim.deploy.flash import ST_RUNTIMES, linked_code_bytes
from tinysim.deploy.layout import move_limits
from tinysim.deploy.memory import flatbuffer_size, persistent_bytes, plan_arena
from tinysim.deploy.policy import arena_policy
from tinysim.deploy.target import Target
from tinysim.explore.chain import DTYPES, chain_network
from tinysim.explore.encoded import Blocks, Encoded, factorized, first_of_each
from tinysim.explore.heads import LATER_FIRST, BlockHeads, is_plain
from tinysim.explore.row_costs import once_joules, row_costs
from tinysim.network.kinds import KINDS
from tinysim.network.table import Ints

__all__ = ["BlockPrices"]

#: sums over a network's layers, exact in any order, energy in quanta; `buffers` bounds any plan of the arena
_SUMS = ("cycles", "energy", "macs", "flash", "prepared", "n_scratch", "buffers")
#: more than TFLM's structures of any operator take, and than any runtime's code
_STRUCTURE_BYTES, _CODE_BYTES = 4096, 1 << 19


class BlockPrices:
    """Distinct blocks on a target whose core runs all."""

    def __init__(self, blocks: Blocks, target: Target) -> None:
        self.blocks, self.target, self.policy = blocks, target, arena_policy(target)
        self.rows = r = row_costs(blocks.rows, target)
        per_row = {
            "cycles": r.cycles,
            "energy": np.rint(np.nan_to_num(r.energy_j) / QUANTUM_J),
            "macs": r.macs,
            "flash": r.flash_bytes,
            "prepared": r.prepared_bytes,
            "n_scratch": np.count_nonzero(r.scratch_bytes, axis=1),
            # no plan needs more than all buffers side by side and the most that a layer's structures take
            "buffers": r.in_bytes + r.out_bytes + r.scratch_bytes.sum(axis=1) + r.prepared_bytes + _STRUCTURE_BYTES,
        }
        self._by_block = np.stack([blocks.sums(per_row[name]) for name in _SUMS], axis=1)
        self._once_j = once_joules(target)
        self._heads: BlockHeads | None = None
        if is_plain(self.policy):
            later_first = LATER_FIRST[self.policy.planner]
            self._heads = BlockHeads(blocks, r.in_bytes, r.out_bytes, r.scratch_bytes, later_first)
        self._frames: dict[bytes, list[int]] = {}
        self._codes: dict[bytes, Ints | None] = {}
        self._code_by_size = target.runtime.name.startswith(ST_RUNTIMES)

    def columns(self, ids: Ints, names: Sequence[str]) -> tuple[dict[str, NDArray[Any]], NDArray[np.bool_]]:
        """Costs of networks, columns of `tinysim.explore.cost_model.COLUMNS`, shape (n_networks,) each.

        ids: blocks of each network, shape (n_networks, n_slots). Unknown flash is -1. The second result: whether
        something of a network does not fit the memory it belongs to and has another, so that its costs are others.
        """
        sums = self._sums(ids)
        out: dict[str, NDArray[Any]] = {}
        if "latency_s" in names:
            out["latency_s"] = (sums["cycles"] + self.target.once_cycles) / self.target.clock_hz
        if "energy_j" in names:
            out["energy_j"] = sums["energy"] * QUANTUM_J + self._once_j
        if "macs" in names:
            out["macs"] = sums["macs"]
        sized = [name for name in ("sram_peak_bytes", "flash_bytes") if name in names]
        out |= self._sizes(ids, sums, sized)
        moved = np.zeros(len(ids), dtype=bool)
        for name, bound, limit in zip(
            ("sram_peak_bytes", "flash_bytes"),
            (sums["buffers"], sums["flash"] + _CODE_BYTES),
            move_limits(self.target),
            strict=True,
        ):
            near = np.flatnonzero(bound > limit)
            if len(near):
                exact = out[name][near] if name in out else self._sizes(ids[near], self._sums(ids[near]), [name])[name]
                moved[near] |= (exact > limit) | (exact < 0)
        return out, moved

    def _sums(self, ids: Ints) -> dict[str, Ints]:
        """Sums of `_SUMS` over each network's blocks, shape (n_networks,) each."""
        total = np.zeros((len(ids), len(_SUMS)), dtype=np.int64)
        found = np.empty_like(total)
        for slot in ids.T:
            total += np.take(self._by_block, slot, axis=0, out=found, mode="clip")  # "raise" would go through a copy
        return dict(zip(_SUMS, total.T, strict=True))

    def _sizes(self, ids: Ints, sums: dict[str, Ints], names: Sequence[str]) -> dict[str, Ints]:
        """Those of `sram_peak_bytes` and `flash_bytes` that are named."""
        if not names:
            return {}
        p, encoded, out = self.policy, Encoded(self.blocks, ids), {}
        code, file, *tails = self._framed(ids).T
        if "sram_peak_bytes" in names:
            out["sram_peak_bytes"] = self._planned(encoded) if self._heads is None else self._heads.of(encoded)
            if self._heads is not None and p.persistent != "none":
                # handles of as many scratch buffers as fill the alignment, and prepared arrays, shift what follows
                odd = sums["n_scratch"] % len(tails)
                tail = np.choose(odd, tails) + p.ptr_bytes * (sums["n_scratch"] - odd)
                out["sram_peak_bytes"] += tail + sums["prepared"]
        if "flash_bytes" in names:
            if self._code_by_size:
                linked = linked_code_bytes(encoded.table(), self.target.runtime)
                code = np.full(len(ids), -1) if linked is None else linked
            out["flash_bytes"] = np.where(code < 0, -1, file + sums["flash"] + code)
        return out

    def _planned(self, encoded: Encoded) -> Ints:
        """Peaks of arenas that no column describes, one by one."""
        rows, ends = encoded.row_ids()
        networks = np.split(rows, ends[:-1])
        chains = [chain_network(self.blocks.rows[each], skips=self.blocks.skip[each]) for each in networks]
        return np.array([plan_arena(chain, self.policy).peak_bytes for chain in chains], dtype=np.int64)

    def _framed(self, ids: Ints) -> Ints:
        """What networks share that differ in sizes only, a row of `_made_frame` per network."""
        topology = factorized(list(self.blocks.shape[ids].T))
        examples = ids[first_of_each(topology)]
        shapes = np.ascontiguousarray(self.blocks.shape[examples])
        keys = shapes.view(np.dtype((np.void, shapes.dtype.itemsize * shapes.shape[1])))[:, 0].tolist()
        for i, key in enumerate(keys):
            if key not in self._frames:
                self._frames[key] = self._made_frame(Encoded(self.blocks, examples[i : i + 1]).row_ids()[0])
        framed: Ints = np.array([self._frames[key] for key in keys])[topology]
        return framed

    def _made_frame(self, rows: Ints) -> list[int]:
        """Code (-1 if unknown), the flatbuffer besides `RowCosts.flash_bytes`, and the persistent part of the arena
        without prepared arrays for 0, 1, ... scratch buffers, until their handles fill the alignment [B].
        """
        layers, p, runtime = self.blocks.rows, self.policy, self.target.runtime
        n_tensors = self.rows.n_tensors[rows]
        kinds = layers.kind[rows]
        dtype = DTYPES[int(layers.activation_bits[rows[0]])]
        tails: list[int] = []
        if p.persistent == "tflm":
            names = [KINDS[kind].name for kind in kinds.tolist()]
            share: dict[str, Any] = {"n_tensors": 1 + int(n_tensors.sum()), "inputs": [dtype], "outputs": [dtype]}
            tails = [
                persistent_bytes(names, p.kernels, ptr_bytes=p.ptr_bytes, n_scratch=n, **share)
                for n in range(p.alignment // p.ptr_bytes)
            ]
        file_bytes: Any = 0
        if runtime.model_in_flash == "flatbuffer":
            digits = 1 + np.floor(np.log10(np.maximum(np.arange(len(rows)), 1))).astype(np.int64)
            named = len("input") + int((n_tensors * digits).sum())
            file_bytes = flatbuffer_size(0, channels=dtype != "float32", name_bytes=named, n_tensors=1, n_operators=0)
        linked = np.unique(kinds).tobytes()
        if linked not in self._codes:
            self._codes[linked] = linked_code_bytes(layers[rows].replace(network=0), runtime)
        code = self._codes[linked]
        return [-1 if code is None else int(code[0]), int(file_bytes), *tails]
