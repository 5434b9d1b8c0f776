"""Where the bursts of a stretch of work lie, in closed form.

The work of W ticks is cut into n equal chunks. In each, the ports are held one after the other, then the master
computes; each part is spread evenly: chunk k has floor((k + 1) T / n) - floor(k T / n) ticks of a part of T ticks.
"""

from __future__ import annotations

from collections.abc import Sequence

from tinysim.simulate.port import Port

__all__ = ["Layout"]


class Layout:
    """A stretch of work on its ports; never changed, shared by all its runs."""

    __slots__ = ("booked", "chunks", "moved", "n_bytes", "parts", "ports", "total")

    def __init__(self, total: int, uses: Sequence[tuple[Port, int, int]], *, burst_bytes: int) -> None:
        """`uses`: port, ticks held and bytes moved; bursts move `burst_bytes` each."""
        merged: dict[Port, list[int]] = {}
        for port, cycles, n_bytes in uses:
            entry = merged.setdefault(port, [0, 0])
            entry[0] += cycles
            entry[1] += n_bytes
        self.total = total
        self.ports = tuple(merged)
        self.booked = [(port, cycles, n_bytes) for port, (cycles, n_bytes) in merged.items()]
        """port, ticks held and bytes moved by the whole"""
        self.moved = sum(n_bytes for _, n_bytes in merged.values())
        """bytes over all ports"""
        self.n_bytes = tuple(n_bytes for _, n_bytes in merged.values())
        held = [cycles for cycles, _ in merged.values()]
        self.parts = (*held, total - sum(held))
        """ticks by port, and of computing"""
        bursts = [-(-min(n_bytes, cycles * burst_bytes) // burst_bytes) for cycles, n_bytes in merged.values()]
        self.chunks = max([1, *bursts])

    def edges(self, chunk: int) -> list[int]:
        """Where the parts of a chunk begin, and where it ends."""
        n, after, begin = self.chunks, chunk + 1, 0
        shares = []
        for part in self.parts:
            before = chunk * part // n
            begin += before
            shares.append(after * part // n - before)
        edges = [begin]
        for share in shares:
            begin += share
            edges.append(begin)
        return edges

    def chunk_at(self, position: int) -> tuple[int, list[int]]:
        """The chunk around a position before the end, and its edges."""
        chunk = position * self.chunks // self.total
        edges = self.edges(chunk)
        while edges[-1] <= position:
            chunk += 1
            edges = self.edges(chunk)
        return chunk, edges

    def burst_after(self, index: int, chunk: int) -> tuple[int, int] | None:
        """The first burst on a port in a later chunk; None if there is none."""
        part, n = self.parts[index], self.chunks
        given = (chunk + 1) * part // n
        if given >= part:
            return None
        edges = self.edges(-(-(given + 1) * n // part) - 1)
        return edges[index], edges[index + 1]
