"""`compare`: why two estimates differ, layer by layer and cause by cause. Every difference is accounted for.

A layer's time is a product, work x kernels x core x stack x clock, plus waits and overhead, each cycles x clock. The
difference of each product is split among its factors (`tinysim.cost.attribution`), so causes sum to layers and layers
to the network.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tinysim.cost.attribution import divisia
from tinysim.cost.timing import zero_wait_cycles
from tinysim.estimate.result import Estimate

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

__all__ = ["CAUSES", "Comparison", "LayerDifference", "compare"]

Floats = NDArray[np.float64]

#: Causes of a difference in latency, and what they mean.
CAUSES = {
    "clock": "clock",
    "work": "multiply-accumulates",
    "kernels": "kernels (instructions per multiply-accumulate)",
    "core": "core (cycles per instruction)",
    "stack": "software stack (cycles over counted)",
    "engine": "accelerator instead of core, or another one",
    "weight_stall": "waiting for weights",
    "fetch_stall": "waiting for code",
    "data_stall": "waiting for activations",
    "overhead": "runtime overhead",
    "layers": "layers that only one of them has",
}
_WAITS = ("weight_stall", "fetch_stall", "data_stall", "overhead")


@dataclass(frozen=True)
class LayerDifference:
    """One layer of both networks, or of one."""

    index_a: int | None
    index_b: int | None
    name_a: str | None
    name_b: str | None
    kind: str
    latency_a_s: float
    latency_b_s: float
    difference_s: float
    """latency of b less that of a; the sum of `causes_s`"""
    energy_a_j: float | None
    energy_b_j: float | None
    difference_j: float | None
    causes_s: dict[str, float]
    """difference by cause [s], in the names of `CAUSES`"""


@dataclass(frozen=True, eq=False)
class Comparison:
    """Why estimate b differs from estimate a."""

    a: Estimate
    b: Estimate
    layers: tuple[LayerDifference, ...]
    """in order of execution; the last row, without a name, is what each runtime spends once per inference"""

    @property
    def difference_s(self) -> float:
        """Latency of b less that of a [s]."""
        return self.b.latency_s - self.a.latency_s

    @property
    def difference_j(self) -> float | None:
        """Energy of b less that of a [J]; None if one is unknown."""
        return None if self.a.energy_j is None or self.b.energy_j is None else self.b.energy_j - self.a.energy_j

    @cached_property
    def causes_s(self) -> dict[str, float]:
        """Difference in latency by cause [s]; sums to `difference_s`."""
        return {cause: sum(row.causes_s[cause] for row in self.layers) for cause in CAUSES}

    @cached_property
    def causes_j(self) -> dict[str, float] | None:
        """Difference in energy by cause [J]: `time` at the mean power, `power` at the mean time; None if unknown."""
        if self.a.energy_j is None or self.b.energy_j is None:
            return None
        factors = [
            np.array([[e.latency_s], [e.energy_j / e.latency_s if e.latency_s else 0.0]])
            for e in (self.a, self.b)
            if e.energy_j is not None
        ]
        time_j, power_j = divisia(*factors)[:, 0].tolist()
        return {"time": time_j, "power": power_j}

    @property
    def said_causes(self) -> list[tuple[str, float]]:
        """(words, seconds) of every cause that is not zero, the largest first."""
        found = [(CAUSES[cause], seconds) for cause, seconds in self.causes_s.items() if seconds]
        return sorted(found, key=lambda item: -abs(item[1]))

    @property
    def a_label(self) -> str:
        """What tells the first from the second."""
        return _label(self.a, self.b)

    @property
    def b_label(self) -> str:
        """What tells the second from the first."""
        return _label(self.b, self.a)

    def explain(self) -> str:
        """The difference, its largest causes and the layers where most of it arises, in two sentences."""
        a, b = self.a.latency_s, self.b.latency_s
        if not self.difference_s:
            return f"{self.a_label} and {self.b_label} take the same time, {a * 1e3:.4g} ms."
        causes = ", ".join(f"{seconds * 1e3:+.3g} ms {words}" for words, seconds in self.said_causes[:3])
        relative = f" ({b / a - 1:+.0%})" if a else ""
        said = (
            f"{self.b_label} takes {b * 1e3:.4g} ms, {self.a_label} {a * 1e3:.4g} ms: "
            f"{self.difference_s * 1e3:+.4g} ms{relative}, of it {causes}."
        )
        top = max(self.layers, key=lambda row: abs(row.difference_s))
        where = top.name_b or top.name_a or "what the runtime spends once"
        return f"{said} The largest part arises in {where}: {top.difference_s * 1e3:+.3g} ms."

    def to_frame(self) -> pd.DataFrame:
        """A row per layer: both latencies and energies, their difference, and the difference by cause [s]."""
        import pandas as pd

        return pd.DataFrame([_flat(row) for row in self.layers])

    def to_dict(self) -> dict[str, Any]:
        """The comparison as plain data (docs/json.md)."""
        return {
            "a": _head(self.a),
            "b": _head(self.b),
            "difference_s": self.difference_s,
            "difference_j": self.difference_j,
            "causes_s": self.causes_s,
            "causes_j": self.causes_j,
            "summary": self.explain(),
            "layers": [_flat(row) for row in self.layers],
        }

    def plot(self, ax: Axes | None = None) -> Axes:
        """From one latency to the other, a bar per cause. Needs matplotlib (extra ``plot``)."""
        from tinysim.estimate.pictures import waterfall

        return waterfall(self, ax)

    def __repr__(self) -> str:
        return f"Comparison({self.explain()})"


def compare(a: Estimate, b: Estimate) -> Comparison:
    """Explain the difference between two estimates (board, runtime, clock, network) by layer and cause.

    Layers are matched in order of execution, kind by kind; what has no match counts as `layers`.
    """
    pairs = _aligned(a.costs.table.kind_names, b.costs.table.kind_names)
    both = np.array([pair for pair in pairs if None not in pair], dtype=np.intp).reshape(-1, 2)
    causes = {cause: values.tolist() for cause, values in _causes(a, both[:, 0], b, both[:, 1]).items()}
    rows, matched = [], 0
    for i, j in pairs:
        if i is not None and j is not None:
            rows.append(_row(a, i, b, j, {cause: values[matched] for cause, values in causes.items()}))
            matched += 1
        else:
            rows.append(_row(a, i, b, j, {}))
    return Comparison(a, b, (*rows, _once(a, b)))


def _aligned(a: list[str], b: list[str]) -> list[tuple[int | None, int | None]]:
    """Positions of matching kinds; None where one side has no match."""
    pairs: list[tuple[int | None, int | None]] = []
    for tag, i, i_end, j, j_end in SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        if tag == "equal":
            pairs += zip(range(i, i_end), range(j, j_end), strict=True)
        else:
            pairs += [(left, None) for left in range(i, i_end)] + [(None, right) for right in range(j, j_end)]
    return pairs


def _causes(a: Estimate, at_a: NDArray[np.intp], b: Estimate, at_b: NDArray[np.intp]) -> dict[str, Floats]:
    """Difference of matched layers by cause [s], each of shape (n,)."""
    sides = ((a, at_a), (b, at_b))
    macs_a, macs_b = (e.costs.table.macs[at].astype(np.float64) for e, at in sides)
    executed_a, executed_b = (e.costs.counts.instructions[at] for e, at in sides)
    counted = (macs_a > 0) & (macs_b > 0)
    executed = (executed_a > 0) & (executed_b > 0)
    on_cores = np.logical_and(*(np.array(e.deployment.engines)[at] == e.deployment.target.core.name for e, at in sides))
    products = [
        _product(e, at, np.where(counted, macs, 1.0), executed, on_cores)
        for (e, at), macs in zip(sides, (macs_a, macs_b), strict=True)
    ]
    found = dict(zip(_FACTORS, divisia(*products), strict=True))
    for wait in _WAITS:
        cycles, clock = divisia(*(np.array([getattr(e.costs.cycles, wait)[at], _period(e, at)]) for e, at in sides))
        found[wait] = cycles
        found["clock"] = found["clock"] + clock
    return found


_FACTORS = ("work", "kernels", "core", "stack", "engine", "clock")


def _product(
    e: Estimate, at: NDArray[np.intp], work: Floats, executed: NDArray[np.bool_], on_cores: NDArray[np.bool_]
) -> Floats:
    """Factors of the compute time of layers, shape (6, n); their product is the time [s].

    executed: where both sides execute instructions; elsewhere cycles are not divided further, and belong to the stack
    (which folds an operator) or, unless both sides are `on_cores`, to the engine.
    """
    counts, compute = e.costs.counts, e.costs.cycles.compute[at]
    instructions = np.where(executed, counts.instructions[at], 1.0)
    ideal = np.where(executed, zero_wait_cycles(counts, e.deployment.target.timing)[at], 1.0)
    work = np.where(executed, work, 1.0)
    one = np.ones(len(at))
    stack = np.where(executed | on_cores, compute / ideal, one)
    engine = np.where(executed | on_cores, one, compute)
    return np.array([work, instructions / work, ideal / instructions, stack, engine, _period(e, at)])


def _period(e: Estimate, at: NDArray[np.intp]) -> Floats:
    return np.full(len(at), 1.0 / e.clock_hz)


def _row(a: Estimate, i: int | None, b: Estimate, j: int | None, causes: dict[str, float]) -> LayerDifference:
    left = None if i is None else a.layers[i]
    right = None if j is None else b.layers[j]
    side = right or left
    assert side is not None, "a row has at least one side"
    before, after = (0.0 if row is None else row.latency_s for row in (left, right))
    found = causes or {"layers": after - before}
    return LayerDifference(
        index_a=i,
        index_b=j,
        name_a=None if left is None else left.name,
        name_b=None if right is None else right.name,
        kind=side.kind,
        latency_a_s=before,
        latency_b_s=after,
        difference_s=after - before,
        **_energies(*(0.0 if row is None else row.energy_j for row in (left, right))),
        causes_s=dict.fromkeys(CAUSES, 0.0) | found,
    )


def _once(a: Estimate, b: Estimate) -> LayerDifference:
    """What each runtime spends once per inference."""
    before, after = (e.inference_overhead_cycles / e.clock_hz for e in (a, b))
    cycles, clock = divisia(*(np.array([[float(e.inference_overhead_cycles)], [1.0 / e.clock_hz]]) for e in (a, b)))[
        :, 0
    ].tolist()
    known = [None if e.energy_j is None else e.energy_j - sum(row.energy_j or 0.0 for row in e.layers) for e in (a, b)]
    return LayerDifference(
        index_a=None,
        index_b=None,
        name_a=None,
        name_b=None,
        kind="once per inference",
        latency_a_s=before,
        latency_b_s=after,
        difference_s=after - before,
        **_energies(*known),
        causes_s=dict.fromkeys(CAUSES, 0.0) | {"overhead": cycles, "clock": clock},
    )


def _energies(before: float | None, after: float | None) -> dict[str, float | None]:
    difference = None if before is None or after is None else after - before
    return {"energy_a_j": before, "energy_b_j": after, "difference_j": difference}


def _flat(row: LayerDifference) -> dict[str, Any]:
    """A row as plain data, a column per cause."""
    plain = {name: value for name, value in vars(row).items() if name != "causes_s"}
    return plain | {f"{cause}_s": seconds for cause, seconds in row.causes_s.items()}


def _head(e: Estimate) -> dict[str, Any]:
    names = ("network", "device", "runtime", "clock_hz", "cycles", "latency_s", "energy_j")
    memory = {"sram_peak_bytes": e.memory.sram_peak_bytes, "flash_bytes": e.memory.flash_bytes}
    return {name: getattr(e, name) for name in names} | memory


def _label(e: Estimate, other: Estimate) -> str:
    """The names of an estimate that tell it from another."""

    def names(one: Estimate) -> dict[str, str]:
        place, options = one.deployment.target.placement, one.deployment.target.options
        return {
            "network": one.network,
            "device": one.device,
            "runtime": one.runtime,
            "build": options.build or "the usual build",
            "clock": f"{one.clock_hz / 1e6:g} MHz",
            "weights": f"weights in {place.weights.name}",
            "code": f"code in {place.code.name}",
            "activations": f"activations in {place.activations.name}",
        }

    own, others = names(e), names(other)
    if own["device"] != others["device"]:  # which has its own clock and memories
        others |= {what: own[what] for what in ("clock", "weights", "code", "activations")}
    return " with ".join(own[what] for what in own if own[what] != others[what]) or f"{e.network} on {e.device}"
