"""`cheapest_schedule`: the cheapest way to run a network within a given memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from tinysim.deploy.memory.buffers import Buffers
from tinysim.deploy.memory.channels import ACCUMULATOR_BYTES, channel_buffers, channel_segments
from tinysim.deploy.memory.patches import patch_buffers, patch_work, streaming_buffers
from tinysim.deploy.memory.plan import ArenaPlan, MemoryPolicy, plan_arena, plan_buffers
from tinysim.deploy.memory.regions import patchable_splits, split_tensor
from tinysim.deploy.memory.reorder import least_peak_order, reordered
from tinysim.errors import DoesNotFit
from tinysim.network.graph import Network

__all__ = ["MemorySchedule", "cheapest_schedule", "memory_schedules"]

#: grids that the search tries, rows by columns
GRIDS = ((2, 1), (2, 2), (3, 1), (3, 3), (4, 1), (4, 4), (6, 6), (8, 1))
#: numbers of channel groups that the search tries
GROUPS = (2, 4, 8)


@dataclass(frozen=True, slots=True)
class MemorySchedule:
    """A way to run a network, its arena, and the work that it repeats."""

    kind: str
    """"layers", "reordered", "channels", "streaming" or "patches\""""
    detail: str
    plan: ArenaPlan = field(repr=False)
    overhead: float = 0.0
    """share of multiply-accumulates beyond those of the network"""
    split: int = 0
    """operators before the split, for streaming and patches"""
    rows: int = 1
    columns: int = 1
    order: tuple[int, ...] = ()
    """order of the operators, if reordered"""
    outputs: tuple[float, ...] = field(default=(), repr=False)
    """computed share of each operator's output, above 1 if parts repeat some; empty without parts"""
    runs: tuple[int, ...] = field(default=(), repr=False)
    """calls of each operator's kernel; empty without parts"""
    copied_bytes: int = 0
    """copied between whole tensors and parts of them"""
    latency_s: float | None = None
    """time of an inference, if priced on a device"""

    @property
    def peak_bytes(self) -> int:
        """Arena that the schedule needs."""
        return self.plan.peak_bytes


def memory_schedules(network: Network, policy: MemoryPolicy) -> Iterator[MemorySchedule]:
    """All schedules the search knows for a network, in no order: layers as they are, other orders, partial ones.

    The search of an optimal planner is cut short, so that hundreds of plans take seconds.
    """
    plain = plan_arena(network, policy)
    if policy.planner == "optimum":
        policy = replace(policy, planner="near-optimum")
    yield MemorySchedule("layers", "layer by layer", plain)
    found = least_peak_order(network)
    if found.order != tuple(range(len(network.ops))):
        plan = plan_arena(reordered(network, found.order), policy)
        yield MemorySchedule("reordered", "operators in the order of least peak", plan, order=found.order)

    def planned(buffers: Buffers) -> ArenaPlan:
        return plan_buffers(network, buffers, policy)

    once = (1.0,) * len(network.ops)
    for first, last in channel_segments(network):
        for groups in GROUPS:
            plan = planned(channel_buffers(network, first, last, groups, alignment=policy.alignment))
            detail = f"operators {first} to {last} in {groups} groups of channels"
            runs = _runs(network, first, last + 1, [groups] * (last + 1 - first))
            # the sums of all groups but the first are loaded again and stored
            summed = (groups - 1) * ACCUMULATOR_BYTES * network.tensors[network.ops[last].outputs[0]].elements
            yield MemorySchedule("channels", detail, plan, outputs=once, runs=runs, copied_bytes=summed)
    for split in patchable_splits(network):
        plan = planned(streaming_buffers(network, split, alignment=policy.alignment))
        out_rows = [network.tensors[op.outputs[0]].shape[1] for op in network.ops[:split]]
        runs, detail = _runs(network, 0, split, out_rows), f"rows through the first {_operators(split)}"
        yield MemorySchedule("streaming", detail, plan, split=split, outputs=once, runs=runs)
        height, width = network.tensors[split_tensor(network, split)].shape[1:3]
        for rows, columns in GRIDS:
            if rows <= height and columns <= width:
                work = patch_work(network, split, rows, columns)
                plan = planned(patch_buffers(network, work, split, alignment=policy.alignment))
                detail = f"{rows} x {columns} patches through the first {_operators(split)}"
                yield MemorySchedule(
                    "patches",
                    detail,
                    plan,
                    work.overhead,
                    split,
                    rows,
                    columns,
                    outputs=tuple(work.outputs.tolist()),
                    runs=_runs(network, 0, split, [rows * columns] * split),
                    copied_bytes=work.copied_bytes,
                )


def _runs(network: Network, first: int, end: int, calls: list[int]) -> tuple[int, ...]:
    """Calls of every operator: those of first..end - 1 as said, the others one."""
    return (1,) * first + tuple(calls) + (1,) * (len(network.ops) - end)


def _operators(count: int) -> str:
    return "operator" if count == 1 else f"{count} operators"


def cheapest_schedule(
    network: Network,
    sram_bytes: int,
    policy: MemoryPolicy | None = None,
    *,
    cost: Callable[[MemorySchedule], float] | None = None,
) -> MemorySchedule:
    """The cheapest schedule whose arena fits, by `cost` (default: repeated multiply-accumulates), then by arena.

    Layer by layer, if that fits: no other schedule does less work.

    Raises:
        DoesNotFit: none does; the message names need, have and the three smallest schedules.
    """
    policy = policy or MemoryPolicy()
    plain = plan_arena(network, policy)
    if plain.peak_bytes <= sram_bytes:
        return MemorySchedule("layers", "layer by layer", plain)
    known = list(memory_schedules(network, policy))
    price = cost or (lambda schedule: schedule.overhead)
    fitting = [schedule for schedule in known if schedule.peak_bytes <= sram_bytes]
    if fitting:
        return min(fitting, key=lambda schedule: (price(schedule), schedule.peak_bytes))
    best: dict[str, MemorySchedule] = {}
    for schedule in sorted(known, key=lambda schedule: schedule.peak_bytes):
        best.setdefault(schedule.kind, schedule)
    nearest = "; ".join(f"{s.peak_bytes:,} B by {s.detail}" for s in list(best.values())[:3])
    raise DoesNotFit(
        f"{network.name}: its arena needs {plain.peak_bytes:,} B, {sram_bytes:,} B are there; smallest found: {nearest}"
    )
