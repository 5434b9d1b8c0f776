"""Questions asked backwards: which capacitor, which checkpoints, how large a panel, which network."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from tinysim.errors import InfeasibleError
from tinysim.scenario.intermittent import Intermittence, Node, run_node
from tinysim.scenario.parts import Nvm
from tinysim.scenario.policies import PolicyName, prepare
from tinysim.scenario.tasks import Workload, split
from tinysim.supply.feed import Feed

__all__ = ["Choice", "best_granularity", "compare_networks", "smallest_capacitor", "smallest_scale"]


@dataclass(frozen=True, slots=True)
class Choice:
    """One candidate and what it achieves."""

    name: str
    completed: int
    completion_rate: float
    first_result_s: float
    note: str = ""
    """Why it never works, if so."""


def _rate(node: Node, feed: Feed, start_v: float) -> float:
    try:
        return run_node(node, feed, start_v=start_v).completion_rate
    except InfeasibleError:
        return 0.0


def _smallest(works: Callable[[float], bool], low: float, high: float, what: str, *, tolerance: float) -> float:
    """Smallest x in [low, high] for which `works` holds and all tested above it too: bisection in ln x."""
    if not works(high):
        raise InfeasibleError(f"no {what} up to {high:.4g} does it")
    if works(low):
        return low
    while high / low > 1.0 + tolerance:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if works(middle) else (middle, high)
    return high


def smallest_capacitor(
    node: Node,
    feed: Feed,
    *,
    target: float = 0.99,
    low_f: float = 1e-6,
    high_f: float = 1.0,
    start_v: float = 0.0,
    tolerance: float = 0.01,
) -> float:
    """Smallest capacitance with at least a completion rate, to a relative tolerance.

    Above it a larger capacitor stores more but takes longer to reach turn-on: the rate may fall again, so the answer is
    the smallest only below the best size; the search starts from the best of a coarse grid.

    Raises:
        InfeasibleError: no capacitor in the range does it; the message gives the best rate.
    """

    def rate(farads: float) -> float:
        leak = node.capacitor.leakage_ohm * node.capacitor.capacitance_f / farads  # leakage grows with size
        capacitor = replace(node.capacitor, capacitance_f=farads, leakage_ohm=leak)
        return _rate(replace(node, capacitor=capacitor), feed, start_v)

    steps = max(round(4.0 * math.log10(high_f / low_f)), 1)
    grid = [low_f * (high_f / low_f) ** (n / steps) for n in range(steps + 1)]
    best = (0.0, 0.0)
    previous = low_f
    for farads in grid:
        found = rate(farads)
        if found >= target:
            return _smallest(lambda f: rate(f) >= target, previous, farads, "capacitance in F", tolerance=tolerance)
        best, previous = max(best, (found, farads)), farads
    raise InfeasibleError(
        f"no capacitor from {low_f:g} to {high_f:g} F completes {target:.1%} of the requests; the best, "
        f"{best[1]:.3g} F, completes {best[0]:.1%}: the harvest is too small"
    )


def smallest_scale(
    node: Node, feed: Feed, *, target: float = 0.99, low: float = 1e-2, high: float = 1e3, start_v: float = 0.0
) -> float:
    """Smallest factor on the harvest (a panel's area over the present one) that reaches a completion rate, to 1 %.

    Raises:
        InfeasibleError: not even `high` does.
    """
    gross = feed.inputs if feed.gross is None else feed.gross

    def works(factor: float) -> bool:
        scaled = Feed(feed.edges_s, feed.inputs * factor, feed.kind, gross * factor)
        return _rate(node, scaled, start_v) >= target

    return _smallest(works, low, high, "factor on the harvest", tolerance=0.01)


def best_granularity(
    workload: Workload,
    nvm: Nvm,
    node: Node,
    feed: Feed,
    *,
    tiles: Iterable[int] = (1, 2, 4, 8, 16, 32),
    policies: Iterable[PolicyName] = ("none", "static", "jit", "loop"),
    start_v: float = 0.0,
) -> list[Choice]:
    """Every policy, static checkpoints in every tiling: the most completed first."""
    out = []
    for policy in policies:
        for count in tiles if policy == "static" else (1,):
            name = f"static, {count} per layer" if policy == "static" else policy
            kept = prepare(split(workload, count), policy, nvm)
            out.append(_choice(name, replace(node, kept=kept), feed, start_v))
    return sorted(out, key=lambda c: (-c.completed, c.first_result_s))


def compare_networks(
    workloads: Mapping[str, Workload], nvm: Nvm, node: Node, feed: Feed, *, start_v: float = 0.0
) -> list[Choice]:
    """Networks of a Pareto set under one policy and harvest: which completes most."""
    policy = node.kept.policy
    found = [
        _choice(name, replace(node, kept=prepare(work, policy, nvm)), feed, start_v) for name, work in workloads.items()
    ]
    return sorted(found, key=lambda c: (-c.completed, c.first_result_s))


def _choice(name: str, node: Node, feed: Feed, start_v: float) -> Choice:
    try:
        result: Intermittence = run_node(node, feed, start_v=start_v)
    except InfeasibleError as error:
        return Choice(name, 0, 0.0, math.inf, str(error))
    return Choice(name, result.completed, result.completion_rate, result.first_result_s)
