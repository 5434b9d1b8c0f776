"""The traffic of a deployment as a ledger: a row per operator, memory and direction, every byte with source and sink.

`asked` is what kernels load and store; `moved` is what passes the memory's port, whole lines behind a cache; `content`
is the distinct data of it; `released` the part of the content that is read for the last time. Over a network each
memory releases as many activation bytes as it takes in; weights and the state of recurrent layers stay.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import astuple, dataclass, fields, replace
from typing import TYPE_CHECKING

import numpy as np

from tinysim.cost.traffic import Traffic, cache_misses, data_beyond_cache
from tinysim.deploy.target import path_to

if TYPE_CHECKING:
    import pandas as pd

    from tinysim.deploy.deployment import Deployment
    from tinysim.device.spec import Memory

__all__ = ["Transfer", "traffic_frame", "transfers"]

OUTSIDE = "outside"
"""source of network inputs, sink of network outputs and of what nobody reads"""


@dataclass(frozen=True, slots=True)
class Transfer:
    """Bytes of one operator from a source to a sink; one of them is a memory, the other an engine or the outside."""

    layer: int
    """operator, -1 before the first and after the last"""
    source: str
    sink: str
    what: str
    """weights or activations"""
    asked_bytes: float
    content_bytes: float
    moved_bytes: float
    released_bytes: float
    tiles: int = 1
    """pieces in which a buffer takes it"""
    lines: int = 0
    """cache lines or words of the memory's array"""
    dram_rows: int = 0
    """rows that a DRAM opens, if it streams from row to row; 0 where the row's size is unknown"""


def transfers(deployment: Deployment) -> Iterator[Transfer]:
    """All transfers of one inference, in the order of the operators.

    Raises:
        UnsupportedOperator: a kind that the kernel library cannot price.
    """
    network = deployment.network
    sizes = [t.n_bytes for t in network.tensors]
    reader = {t: i for i, op in enumerate(network.ops) for t in op.inputs if t >= 0}
    far = np.zeros(len(network.ops), dtype=bool) if deployment.offload is None else deployment.offload.chosen
    for t in network.inputs:
        size = float(sizes[t])
        yield Transfer(-1, OUTSIDE, _home(deployment, t).name, "activations", size, size, size, 0.0)
    for i, op in enumerate(network.ops):
        yield from _weights_to_accelerator(deployment, i) if far[i] else _weights_to_core(deployment, i)
        reads = [t for t in dict.fromkeys(op.inputs) if t >= 0 and not network.tensors[t].is_constant]
        for tensors, read in ((reads, True), (list(op.outputs), False)):
            for t in tensors:
                stays = t in network.outputs or network.tensors[t].is_variable
                ended = read and reader[t] == i and not stays
                share = sizes[t] / max(1, sum(sizes[x] for x in tensors))
                yield _activation(deployment, i, t, read=read, share=share, released=sizes[t] * ended, far=bool(far[i]))
    for t in dict.fromkeys((*network.outputs, *_unread(deployment, reader))):
        taken = float(sizes[t]) if t in network.outputs else 0.0
        yield Transfer(-1, _home(deployment, t).name, OUTSIDE, "activations", taken, taken, taken, float(sizes[t]))


def traffic_frame(deployment: Deployment) -> pd.DataFrame:
    """The transfers as a table: a row each, the units in the column names; `reuse` is asked over content."""
    import pandas as pd

    names = [f.name for f in fields(Transfer)]
    frame = pd.DataFrame([astuple(t) for t in transfers(deployment)], columns=names)
    frame.insert(1, "name", [deployment.names[i] if i >= 0 else "" for i in frame.layer])
    frame["reuse"] = frame.asked_bytes / frame.content_bytes.where(frame.content_bytes > 0)
    return frame


def _home(deployment: Deployment, tensor: int) -> Memory:
    layout = deployment.layout
    return layout.pools[layout.pool_of.get(tensor, 0)].memory


def _unread(deployment: Deployment, reader: dict[int, int]) -> list[int]:
    """Tensors that nobody reads."""
    network = deployment.network
    made = [*network.inputs, *(t for op in network.ops for t in op.outputs)]
    return [t for t in made if t not in reader]


def _weights_to_core(deployment: Deployment, i: int) -> Iterator[Transfer]:
    costs, target, layout = deployment.costs, deployment.target, deployment.layout
    asked, content = float(costs.traffic.weight_read_bytes[i]), float(deployment.table.weight_bytes[i])
    for memory, shares in zip(layout.weight_memories, layout.weight_share, strict=True):
        if share := float(shares[i]) * bool(asked):
            cache = path_to(target, memory, "weights").cache_bytes
            reuse = float(costs.traffic.weight_reuse_bytes[i])
            moved = float(cache_misses(asked, footprint_bytes=content, cache_bytes=cache, reuse_bytes=reuse))
            plain = Transfer(
                i, memory.name, target.core.name, "weights", share * asked, share * content, share * moved, 0.0
            )
            yield _in_lines(plain, memory)


def _weights_to_accelerator(deployment: Deployment, i: int) -> Iterator[Transfer]:
    """The weights from each memory of the accelerator that holds some; a buffer that is too small takes them again."""
    offload, content = deployment.offload, float(deployment.table.weight_bytes[i])
    assert offload is not None, "an operator is on the accelerator"
    left = float(offload.engine.traffic.weight_read_bytes[i])
    holds = {m.name: m.holds for m in offload.engine.spec.memories}
    for name, moved in offload.engine.port_bytes.items():
        here = min(left, float(moved[i])) if "weights" in holds.get(name, ("weights",)) else 0.0
        left -= here
        if here:
            times = max(1, round(here / content)) if content else 1
            yield Transfer(i, name, offload.name, "weights", here, content, here, 0.0, tiles=times)


def _activation(
    deployment: Deployment, i: int, tensor: int, *, read: bool, share: float, released: float, far: bool
) -> Transfer:
    """One input or output of an operator; share: of the bytes of all its inputs or outputs."""
    costs, memory, row = deployment.costs, _home(deployment, tensor), slice(i, i + 1)
    traffic = Traffic(*(getattr(costs.traffic, column.name)[row] for column in fields(Traffic)))
    content = float(deployment.network.tensors[tensor].n_bytes)
    asked = share * float((traffic.sram_read_bytes if read else traffic.sram_write_bytes)[0])
    engine = deployment.engines[i]
    ends = (memory.name, engine) if read else (engine, memory.name)
    if far:
        tiles = max(1, round(asked / content)) if content else 1
        return Transfer(i, *ends, "activations", asked, content, asked, released, tiles=tiles)
    cache = path_to(deployment.target, memory, "activations").cache_bytes
    reads, writes = (float(v[0]) for v in data_beyond_cache(deployment.table[row], traffic, cache_bytes=cache))
    allocated = writes * bool(np.max(cache) > 0)  # lines that a write fetches first count with the write
    moved = share * (reads - allocated if read else writes + allocated)
    return _in_lines(Transfer(i, *ends, "activations", asked, content, moved, released), memory)


def _in_lines(transfer: Transfer, memory: Memory) -> Transfer:
    """The transfer in whole lines of its memory, and the rows that a DRAM opens for it."""
    cache = memory.data_cache
    line = float(memory.line_bytes) if cache is None or not cache.line.known else cache.line.si
    lines = math.ceil(transfer.moved_bytes / line)
    rows = 0 if memory.row is None or not memory.row.known else math.ceil(lines * line / memory.row.si)
    return replace(transfer, moved_bytes=lines * line, lines=lines, dram_rows=rows)
