"""How a node keeps its progress through power failures: what each policy costs, and what a failure loses.

none     nothing is kept: a failure sends the inference back to its start
static   a checkpoint after each task: what it made is written, a restart reads what is live
jit      just in time: when the voltage falls to a threshold that still pays for it, all volatile state is written
loop     as SONIC: every loop iteration commits its result and its index straight to non-volatile memory

Sources: none, static: Lucia, Ransford 2015 (DINO); jit: Balsamo et al. 2015 (Hibernus); loop: Gobieski, Lucia, Beckmann
2019 (SONIC).
"""

from __future__ import annotations

import bisect
import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from tinysim.errors import InfeasibleError
from tinysim.scenario.parts import Nvm
from tinysim.scenario.tasks import Task, Workload
from tinysim.supply.capacitors import checkpoint_voltage_v

__all__ = ["Kept", "PolicyName", "prepare"]

PolicyName = Literal["none", "static", "jit", "loop"]

#: Bytes of a task or loop index beside the data.
INDEX_BYTES = 4


@dataclass(frozen=True)
class Kept:
    """A workload under a policy: where progress is safe, and what safety costs."""

    policy: PolicyName
    workload: Workload
    ends_s: tuple[float, ...]
    """Work time at which each task, its commit included, is done."""
    commit_s: float
    """Part of the work time that is commits."""
    commit_j: float
    """Part of the work energy that is commits."""
    energy_j: float
    """Of a whole inference, commits included."""
    restore: tuple[tuple[float, float], ...]
    """(energy, time) of a restart from before each task."""
    save_j: float = 0.0
    save_s: float = 0.0
    """Of a just-in-time checkpoint."""
    steps: tuple[int, ...] = ()
    """Iterations of each task, for `loop`."""

    @property
    def time_s(self) -> float:
        """Work time of an inference, commits included."""
        return self.ends_s[-1]

    @property
    def power_w(self) -> float:
        """Mean power at work; a layer's own power differs by what its memory traffic costs."""
        return self.energy_j / self.time_s

    @cached_property
    def _starts(self) -> tuple[float, ...]:
        return (0.0, *self.ends_s[:-1])

    def safe_s(self, done_s: float) -> float:
        """Work time that survives a failure after `done_s` of it."""
        if self.policy == "none":
            return 0.0
        if self.policy == "jit":
            return done_s
        task = min(bisect.bisect_right(self.ends_s, done_s * (1.0 + 1e-12)), len(self.ends_s) - 1)
        start = self._starts[task]
        if self.policy == "static":
            return start if done_s < self.ends_s[-1] else self.ends_s[-1]
        step = (self.ends_s[task] - start) / self.steps[task]
        return start + math.floor((done_s - start) / step * (1.0 + 1e-12)) * step

    def resume(self, safe_s: float) -> tuple[float, float]:
        """(energy, time) of booting and restoring at a safe point."""
        task = min(bisect.bisect_right(self.ends_s, safe_s * (1.0 + 1e-12)), len(self.ends_s) - 1)
        energy, time = self.restore[task] if safe_s > 0.0 else (0.0, 0.0)
        return energy + self.workload.boot_energy_j, time + self.workload.boot_time_s

    def threshold_v(self, *, capacitance_f: float, off_v: float, efficiency: float) -> float:
        """Voltage below which work stops: the turn-off level, or where a just-in-time checkpoint must begin."""
        if self.policy != "jit":
            return off_v
        energy = self.save_j / efficiency
        return float(checkpoint_voltage_v(capacitance_f=capacitance_f, off_v=off_v, energy_j=energy))

    def largest_atom(self) -> tuple[str, float, float]:
        """(name, energy, time) of what must fit between two failures: boot, restore, the largest task, its commit."""
        boot_j, boot_s = self.workload.boot_energy_j, self.workload.boot_time_s
        tasks = self.workload.tasks
        if self.policy == "none":
            return "the whole inference", self.energy_j + boot_j, self.time_s + boot_s
        if self.policy == "jit":
            worst = max(self.restore)
            return "boot, restore and checkpoint", worst[0] + boot_j + self.save_j, worst[1] + boot_s + self.save_s
        out = ("", -1.0, 0.0)
        for n, task in enumerate(tasks):
            parts = self.steps[n] if self.policy == "loop" else 1
            span = (self.ends_s[n] - self._starts[n]) / parts
            energy = span * self.power_w + self.restore[n][0] + boot_j
            name = f"an iteration of {task.name!r}" if self.policy == "loop" else f"task {task.name!r}"
            out = max(out, (name, energy, span + self.restore[n][1] + boot_s), key=lambda item: item[1])
        return out

    def check_atomic(
        self,
        *,
        capacitance_f: float,
        on_v: float,
        off_v: float,
        efficiency: float,
        feed_w: float,
        backup_j: float = 0.0,
    ) -> None:
        """Check that every task can finish at all: usable energy of the capacitor, plus the best the harvest can add.

        `backup_j` is what a full cell behind the capacitor adds.

        Raises:
            InfeasibleError: one never does; the message says which, and the capacitor that would do.
        """
        name, energy_j, time_s = self.largest_atom()
        usable = 0.5 * capacitance_f * (on_v**2 - off_v**2)
        need = energy_j / efficiency - feed_w * time_s
        if need > usable + backup_j:
            and_cell = f", its cell {backup_j:.4g} J" if backup_j else ""
            enough = 2.0 * (need - backup_j) / (on_v**2 - off_v**2)
            raise InfeasibleError(
                f"{name} of {self.workload.name} needs {need:.4g} J from the capacitor and a full one gives "
                f"{usable:.4g} J between {on_v:g} and {off_v:g} V{and_cell}: "
                f"it can never complete (policy {self.policy!r}); "
                f"{enough * 1e6:.4g} uF would do, or smaller tasks"
            )


def prepare(workload: Workload, policy: PolicyName, nvm: Nvm) -> Kept:
    """What a policy makes of a workload."""
    restore = [
        nvm.read(INDEX_BYTES if n == 0 else workload.tasks[n - 1].live_bytes) for n in range(len(workload.tasks))
    ]
    ends, now, commit_s, commit_j = [], 0.0, 0.0, 0.0
    for task in workload.tasks:
        energy, time = _timed(_commit(task, policy, nvm), workload)
        now += task.time_s + time
        commit_s, commit_j = commit_s + time, commit_j + energy
        ends.append(now)
    state = max((task.live_bytes + task.new_bytes for task in workload.tasks), default=0.0) + INDEX_BYTES
    save_j, save_s = _timed(nvm.write(state), workload) if policy == "jit" else (0.0, 0.0)
    if policy == "jit":
        restore = [nvm.read(state)] * len(restore)
    if policy in {"none", "loop"}:
        restore = [nvm.read(INDEX_BYTES) if policy == "loop" else (0.0, 0.0)] * len(restore)
    restore = [_timed(cost, workload) for cost in restore]
    steps = tuple(task.iterations for task in workload.tasks)
    total = workload.energy_j + commit_j
    return Kept(policy, workload, tuple(ends), commit_s, commit_j, total, tuple(restore), save_j, save_s, steps)


def _timed(cost: tuple[float, float], workload: Workload) -> tuple[float, float]:
    """A transfer whose time nobody gives takes as long as its energy lasts at the power of the work."""
    energy, time = cost
    return energy, time if time > 0.0 else energy * workload.time_s / workload.energy_j


def _commit(task: Task, policy: PolicyName, nvm: Nvm) -> tuple[float, float]:
    """(energy, time) of keeping a task's result."""
    if policy == "static":
        return nvm.write(task.new_bytes + INDEX_BYTES)
    if policy == "loop":  # single words by the core, no DMA set-up
        count = task.new_bytes + INDEX_BYTES * task.iterations
        return nvm.write_energy.si * count, (nvm.write_time.si * count if nvm.write_time is not None else 0.0)
    return 0.0, 0.0
