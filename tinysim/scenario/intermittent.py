"""Inference on harvested energy: exact stepping of capacitor, harvest and a checkpoint policy.

The node is off below `off_v`, starts at `on_v`, boots, restores, works, and sleeps once a request is served. It is
a policy of `tinysim.supply.stepping`: constant draws between crossings that have closed forms, and a ledger that must
close. Work draws the mean power of the inference, commits included, so one stretch of work is one event however many
tasks it holds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tinysim.errors import InfeasibleError, InputError
from tinysim.scenario.policies import Kept
from tinysim.supply.capacitors import Capacitor
from tinysim.supply.esr import power_inside_w, voltage_inside_v
from tinysim.supply.feed import Feed
from tinysim.supply.hybrid import BackupCell, HybridRun, run_hybrid
from tinysim.supply.port import Band, terminal_voltage_v
from tinysim.supply.stepping import Demand, Policy, SupplyRun, run

__all__ = ["Intermittence", "Node", "run_node"]


@dataclass(frozen=True)
class Node:
    """A battery-free node."""

    kept: Kept
    capacitor: Capacitor
    on_v: float
    off_v: float
    request_s: float | None = None
    """Period of requests; None: back to back."""
    efficiency: float = 1.0
    """Of the converter between capacitor and load."""
    idle_w: float = 0.0
    """At the load, between requests."""
    off_w: float = 0.0
    """From the capacitor while the load is off (supervisor, converter)."""
    cell: BackupCell | None = None
    """A small cell behind the capacitor."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.off_v < self.on_v <= self.capacitor.rated_v:
            raise InputError(
                f"node: needs off {self.off_v} V < on {self.on_v} V <= the capacitor's {self.capacitor.rated_v} V"
            )
        if not 0.0 < self.efficiency <= 1.0 or (self.request_s is not None and self.request_s <= 0.0):
            raise InputError("node: needs an efficiency in 0 to 1 and a request period above 0")

    def behind_esr(self, power_w: float) -> tuple[float, float]:
        """(share of the power inside the capacitor that reaches the terminals, lowest voltage inside), no harvest.

        Raises:
            InfeasibleError: switched on, the load pulls the terminals below turn-off at once.
        """
        esr = self.capacitor.esr_ohm
        low = float(voltage_inside_v(-power_w, self.off_v, esr_ohm=esr))
        if low >= self.on_v:
            raise InfeasibleError(
                f"an ESR of {esr:g} ohm: a load of {power_w:.4g} W stops at {low:.4g} V inside the capacitor, which is "
                f"not below turn-on at {self.on_v:g} V"
            )
        inside = -float(power_inside_w(-power_w, esr_ohm=esr, low_v=self.off_v, high_v=self.on_v))
        return power_w / inside if inside else 1.0, low

    def work(self) -> Demand:
        """The demand at work, down to where work stops."""
        power = self.kept.power_w / self.efficiency
        work = Demand("work", power, self.off_v, useful_share=self.efficiency)
        if self.kept.policy != "jit":
            return work
        save, part = self.save(), self.capacitor
        share, low = self.behind_esr(save.draw)
        stop_v = self.kept.threshold_v(
            capacitance_f=part.capacitance_f, off_v=low, efficiency=save.useful_share * share
        )
        load = Band(0.0, math.inf, power_w=-power)
        return work._replace(low_v=max(terminal_voltage_v(part, load, stop_v), self.off_v))

    def save(self) -> Demand:
        """The demand of a just-in-time checkpoint."""
        kept, eta = self.kept, self.efficiency
        draw = kept.save_j / kept.save_s / eta if kept.save_s else 0.0
        return Demand("save", draw, self.off_v, math.inf, kept.save_s, eta)


@dataclass
class _Log:
    """What the policy writes down."""

    asked_s: list[float] = field(default_factory=list)
    """Time of the request that each completed inference served."""
    done_s: list[float] = field(default_factory=list)
    lost_s: float = 0.0
    """Work time that failures undid."""
    open_s: float = 0.0
    """Work time of the inference that the end cut off."""
    failures: int = 0
    failed_saves: int = 0


@dataclass(frozen=True)
class Intermittence:
    """A finished run."""

    node: Node
    supply: SupplyRun
    asked_s: NDArray[np.float64]
    done_s: NDArray[np.float64]
    requests: int
    """Requests in the run; back to back: inferences begun."""
    failures: int
    """Power failures with the load on."""
    failed_saves: int
    lost_s: float
    open_s: float
    hybrid: HybridRun | None = None
    """What the cell did, if there is one."""

    @property
    def duration_s(self) -> float:
        """Length of the run."""
        return float(self.supply.end_s[-1] - self.supply.start_s[0])

    @property
    def completed(self) -> int:
        """Inferences completed."""
        return int(self.done_s.size)

    @property
    def completion_rate(self) -> float:
        """Completed inferences per request (back to back: per inference begun)."""
        return min(self.completed / self.requests, 1.0) if self.requests else 0.0

    @property
    def in_time_rate(self) -> float:
        """Share of requests served before the next one came."""
        period = self.node.request_s
        if period is None:
            return self.completion_rate
        in_time = int((self.done_s - self.asked_s <= period).sum())
        return in_time / self.requests if self.requests else 0.0

    @property
    def first_result_s(self) -> float:
        """Time to the first result; inf if there is none."""
        return float(self.done_s[0] - self.supply.start_s[0]) if self.done_s.size else math.inf

    @property
    def forward_progress(self) -> float:
        """Share of time that went into work that was kept, commits not counted."""
        kept = self.node.kept
        useful = self.completed * (kept.time_s - kept.commit_s) + self.open_s * (1.0 - kept.commit_s / kept.time_s)
        return useful / self.duration_s

    @property
    def redone_share(self) -> float:
        """Share of the work time that failures undid."""
        work = self.completed * self.node.kept.time_s + self.open_s + self.lost_s
        return self.lost_s / work if work else 0.0

    def outages_s(self, quantiles: tuple[float, ...] = (0.5, 0.9, 0.99)) -> dict[float, float]:
        """Quantiles of the time off."""
        off = self.supply.durations_s("off")
        if not off.size:
            return dict.fromkeys(quantiles, 0.0)
        return dict(zip(quantiles, np.quantile(off, quantiles).tolist(), strict=True))

    def staleness_s(self) -> float:
        """Mean age of the newest result, from the first one to the end; inf if there is none.

        The age grows at one second per second from (done - asked) at each completion.
        """
        if not self.done_s.size:
            return math.inf
        end = float(self.supply.end_s[-1])
        spans = np.diff(self.done_s, append=end)
        born = self.done_s - self.asked_s
        return float(np.sum(spans * (born + 0.5 * spans)) / max(end - float(self.done_s[0]), 1e-300))


def run_node(node: Node, feed: Feed, *, start_v: float = 0.0) -> Intermittence:
    """Run a node on a harvest.

    Raises:
        InfeasibleError: a task can never complete.
    """
    if feed.kind != "power":
        raise InputError("run_node: needs a power feed (behind a converter); loads are powers")
    best, cell, hybrid = float(feed.inputs.max()), node.cell, None
    share, low_v = node.behind_esr(node.work().draw)
    boot_j, boot_s = node.kept.resume(0.0)
    if boot_s:
        node.behind_esr(boot_j / boot_s / node.efficiency)
    node.kept.check_atomic(
        capacitance_f=node.capacitor.capacitance_f,
        on_v=node.on_v,
        off_v=low_v,
        efficiency=node.efficiency * share,
        feed_w=best,
        backup_j=0.0
        if cell is None
        else (cell.capacity_j if cell.charge_w else cell.start_j) * cell.discharge_efficiency,
    )
    log = _Log()
    start = float(feed.edges_s[0])
    policy = _policy(node, log, start)
    swing_v = (node.off_v, node.on_v)
    if cell is None:
        supply = run(node.capacitor, feed, policy, start_v=start_v, swing_v=swing_v)
    else:
        hybrid = run_hybrid(node.capacitor, feed, policy, cell, start_v=start_v, swing_v=swing_v)
        supply = hybrid.supply
    if node.request_s is None:
        requests = len(log.done_s) + (1 if log.open_s > 0.0 else 0)
    else:
        requests = max(math.floor(feed.duration_s / node.request_s), 1)
    done = np.array(log.done_s)
    asked = np.array(log.asked_s)
    counts = (requests, log.failures, log.failed_saves)
    return Intermittence(node, supply, asked, done, *counts, log.lost_s, log.open_s, hybrid)


def _policy(node: Node, log: _Log, start_s: float) -> Policy:
    kept, eta, off_v = node.kept, node.efficiency, node.off_v
    whole = kept.time_s
    off = Demand("off", node.off_w, high_v=node.on_v, useful_share=0.0)
    work, save = node.work(), node.save()
    done = 0.0  # work time that is safe
    asked = start_s
    while True:
        now = (yield off).time_s
        energy, time = kept.resume(done)
        if time > 0.0:
            outcome = yield Demand("boot", energy / time / eta, off_v, math.inf, time, eta)
            now = outcome.time_s
            if outcome.reason != "time":
                log.failures += outcome.reason == "low"
                continue
        while True:
            if asked > now:
                outcome = yield Demand("idle", node.idle_w / eta, off_v, math.inf, asked - now, eta)
                now = outcome.time_s
                if outcome.reason != "time":
                    break
            begin = now
            outcome = yield Demand("work", work.draw, work.low_v, math.inf, whole - done, work.useful_share)
            now = outcome.time_s
            if outcome.reason == "time":
                log.asked_s.append(asked)
                log.done_s.append(now)
                log.open_s, done = 0.0, 0.0
                asked = _next(node, asked, now, start_s)
                continue
            reached = done + now - begin
            safe = kept.safe_s(reached)
            if outcome.reason == "end":
                log.open_s = reached
                break
            log.failures += 1
            if kept.policy == "jit" and reached > done:
                outcome = yield save
                now = outcome.time_s
                if outcome.reason != "time":
                    log.failed_saves += outcome.reason == "low"
                    safe = done
            log.lost_s += reached - safe
            log.open_s = done = safe
            break


def _next(node: Node, asked_s: float, now_s: float, start_s: float) -> float:
    """The request to serve next: the newest that waits, or the next to come."""
    period = node.request_s
    if period is None:
        return now_s
    newest = start_s + math.floor((now_s - start_s) / period) * period
    return newest if newest > asked_s else asked_s + period
