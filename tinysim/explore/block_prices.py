"""`BlockPrices`: what blocks of layers cost on a target, and sums of them over networks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tinysim.deploy.flash import ST_RUNTIMES, linked_code_bytes
from tinysim.deploy.layout import move_limits
from tinysim.deploy.memory import flatbuffer_size, persistent_bytes, plan_arena
from tinysim.deploy.policy import arena_policy
from tinysim.deploy.target import Target
from tinysim.explore.chain import DTYPES, chain_network
from tinysim.explore.encoded import Blocks, Encoded, factorized, first_of_each
from tinysim.explore.heads import LATER_FIRST, chain_heads, is_plain
from tinysim.explore.row_costs import row_costs, total_energy
from tinysim.network.kinds import KINDS
from tinysim.network.table import Ints

__all__ = ["BlockPrices"]


#: more than TFLM's structures of any operator take, and than any runtime's code
_STRUCTURE_BYTES, _CODE_BYTES = 4096, 1 << 19


class _Frame(NamedTuple):
    """What networks share that differ in sizes only."""

    tail_bytes: tuple[int, ...]
    """persistent part of the arena without prepared arrays, for 0, 1, 2, 3 scratch buffers"""
    file_bytes: int
    """of the flatbuffer, besides `RowCosts.flash_bytes`"""
    code_bytes: int | None


class BlockPrices:
    """Distinct blocks on a target whose core runs all."""

    def __init__(self, blocks: Blocks, target: Target) -> None:
        self.blocks, self.target, self.policy = blocks, target, arena_policy(target)
        self.rows = row_costs(blocks.rows, target)
        r = self.rows
        self._scratch = np.ascontiguousarray(r.scratch_bytes)
        per_row = {
            "cycles": r.cycles,
            "macs": r.macs,
            "flash": r.flash_bytes,
            "prepared": r.prepared_bytes,
            "n_scratch": np.count_nonzero(r.scratch_bytes, axis=1),
            # no plan needs more than all buffers side by side and the most that a layer's structures take
            "buffers": r.in_bytes + r.out_bytes + r.scratch_bytes.sum(axis=1) + r.prepared_bytes + _STRUCTURE_BYTES,
        }
        self._by_block = {name: blocks.sums(values) for name, values in per_row.items()}
        self._frames: dict[bytes, _Frame] = {}
        self._codes: dict[bytes, Ints | None] = {}
        self._code_by_size = target.runtime.name.startswith(ST_RUNTIMES)

    def columns(self, ids: Ints, names: Sequence[str]) -> dict[str, NDArray[Any]]:
        """Costs of networks, columns of `tinysim.explore.cost_model.COLUMNS`, shape (n_networks,) each.

        ids: blocks of each network, shape (n_networks, n_slots). Unknown flash is -1.
        """
        out: dict[str, NDArray[Any]] = {}
        encoded = Encoded(self.blocks, ids)
        # whole cycles sum exactly in any order
        if "latency_s" in names:
            out["latency_s"] = (self._sum("cycles", ids) + self.target.once_cycles) / self.target.clock_hz
        if "macs" in names:
            out["macs"] = self._sum("macs", ids)
        if "energy_j" in names or "sram_peak_bytes" in names:
            rows, ends = encoded.row_ids()
            if "energy_j" in names:
                out["energy_j"] = self._energies(rows, ends)
        if "sram_peak_bytes" in names or "flash_bytes" in names:
            topology = factorized(list(self.blocks.shape[ids].T))
            examples = first_of_each(topology)
            if "sram_peak_bytes" in names:
                out["sram_peak_bytes"] = self._peaks(encoded, rows, ends, topology, examples)
            if "flash_bytes" in names:
                out["flash_bytes"] = self._flash(encoded, topology, examples)
        return out

    def moved(self, ids: Ints) -> NDArray[np.bool_]:
        """Whether something of a network does not fit the memory it belongs to and has another, shape (n_networks,)."""
        arena_limit, flash_limit = move_limits(self.target)
        moved = np.zeros(len(ids), dtype=bool)
        for name, bound, limit in (
            ("sram_peak_bytes", self._sum("buffers", ids), arena_limit),
            ("flash_bytes", self._sum("flash", ids) + _CODE_BYTES, flash_limit),
        ):
            near = np.flatnonzero(bound > limit)
            if len(near):
                exact = self.columns(ids[near], (name,))[name]
                moved[near] |= (exact > limit) | (exact < 0)
        return moved

    def _sum(self, name: str, ids: Ints) -> Ints:
        total: Ints = self._by_block[name][ids].sum(axis=1)
        return total

    def _energies(self, rows: Ints, ends: Ints) -> NDArray[np.float64]:
        if self.target.prices is None:
            return np.full(len(ends), np.nan)
        # along contiguous rows, so that a network sums in the order in which it does alone
        groups = _by_length(rows, ends)
        return np.asarray(
            total_energy(*(_sums(part, groups, len(ends)) for part in self.rows.energy_j), target=self.target)
        )

    def _peaks(self, encoded: Encoded, rows: Ints, ends: Ints, topology: Ints, examples: Ints) -> Ints:
        p, r = self.policy, self.rows
        if not is_plain(p):
            starts = np.append(0, ends[:-1])
            networks = [rows[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]
            chains = [chain_network(self.blocks.rows[each], skips=self.blocks.skip[each]) for each in networks]
            return np.array([plan_arena(chain, p).peak_bytes for chain in chains], dtype=np.int64)
        heads = chain_heads(
            rows, ends, r.in_bytes, r.out_bytes, self._scratch, self.blocks.skip, later_first=LATER_FIRST[p.planner]
        )
        if p.persistent == "none":
            return heads
        frames = [self._frame(encoded.ids[i]) for i in examples]
        n_scratch = self._sum("n_scratch", encoded.ids)
        # handles of as many scratch buffers as fill the alignment, and prepared arrays, shift what comes after them
        odd = n_scratch % len(frames[0].tail_bytes)
        tails = np.array([frame.tail_bytes for frame in frames])[topology, odd] + p.ptr_bytes * (n_scratch - odd)
        peaks: Ints = heads + tails + self._sum("prepared", encoded.ids)
        return peaks

    def _flash(self, encoded: Encoded, topology: Ints, examples: Ints) -> Ints:
        frames = [self._frame(encoded.ids[i]) for i in examples]
        model = np.array([frame.file_bytes for frame in frames])[topology] + self._sum("flash", encoded.ids)
        if self._code_by_size:
            code = linked_code_bytes(encoded.table(), self.target.runtime)
            return np.full(len(model), -1) if code is None else model + code
        codes = np.array([-1 if frame.code_bytes is None else frame.code_bytes for frame in frames])[topology]
        return np.where(codes < 0, -1, model + codes)

    def _frame(self, ids: Ints) -> _Frame:
        key = self.blocks.shape[ids].tobytes()
        if key not in self._frames:
            self._frames[key] = self._made_frame(Encoded(self.blocks, ids[None]).row_ids()[0])
        return self._frames[key]

    def _made_frame(self, rows: Ints) -> _Frame:
        layers, p, runtime = self.blocks.rows, self.policy, self.target.runtime
        n_tensors = self.rows.n_tensors[rows]
        kinds = layers.kind[rows]
        dtype = DTYPES[int(layers.activation_bits[rows[0]])]
        tails: tuple[int, ...] = ()
        if p.persistent == "tflm":
            names = [KINDS[kind].name for kind in kinds.tolist()]
            share: dict[str, Any] = {"n_tensors": 1 + int(n_tensors.sum()), "inputs": [dtype], "outputs": [dtype]}
            tails = tuple(
                persistent_bytes(names, p.kernels, ptr_bytes=p.ptr_bytes, n_scratch=n, **share)
                for n in range(p.alignment // p.ptr_bytes)
            )
        file_bytes: Any = 0
        if runtime.model_in_flash == "flatbuffer":
            digits = 1 + np.floor(np.log10(np.maximum(np.arange(len(rows)), 1))).astype(np.int64)
            named = len("input") + int((n_tensors * digits).sum())
            file_bytes = flatbuffer_size(0, channels=dtype != "float32", name_bytes=named, n_tensors=1, n_operators=0)
        linked = np.unique(kinds).tobytes()
        if linked not in self._codes:
            self._codes[linked] = linked_code_bytes(layers[rows].replace(network=0), runtime)
        code = self._codes[linked]
        return _Frame(tails, int(file_bytes), None if code is None else int(code[0]))


def _by_length(rows: Ints, ends: Ints) -> list[tuple[Any, Ints]]:
    """Networks of equal length together: which they are, and their rows, shape (n_members, length)."""
    lengths = np.diff(ends, prepend=0)
    if len(lengths) and (lengths == lengths[0]).all():
        return [(slice(None), rows.reshape(len(lengths), -1))]
    groups = []
    for length in np.flatnonzero(np.bincount(lengths)):
        members = np.flatnonzero(lengths == length)
        groups.append((members, rows[(ends[members] - length)[:, None] + np.arange(length)]))
    return groups


def _sums(values: NDArray[np.float64], groups: list[tuple[Any, Ints]], count: int) -> NDArray[np.float64]:
    sums = np.zeros(count)
    if values.any():
        for members, rows in groups:
            sums[members] = values[rows].sum(axis=1)
    return sums
