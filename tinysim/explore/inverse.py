"""Inverse questions: the least or largest parameter of a device that still meets a goal, by bisection on the model.

>>> def at(clock_hz):
...     from tinysim.explore.cost_model import CostModel
...     return CostModel("nucleo-l4r5zi", "tflm-cmsis-nn", clock_hz=clock_hz)("ds-cnn-s").latency_s
>>> answer = least_value(at, 1e6, 120e6, goal=0.5)
>>> at(answer.value) <= 0.5 < at(answer.beyond)
True
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tinysim.errors import InfeasibleError, InputError
from tinysim.explore.cost_model import CostModel

__all__ = ["Answer", "Sensitivity", "least_value", "sensitivity"]


@dataclass(frozen=True)
class Answer:
    """A parameter that meets a goal, bracketed."""

    value: float
    """meets it"""
    beyond: float
    """the nearest tried value that does not; the given end if all do"""
    figure: float
    """the model at `value`"""
    evaluations: int


@dataclass(frozen=True)
class Sensitivity:
    """How a figure answers to a parameter."""

    parameter: str
    value: float
    figure: float
    elasticity: float
    """relative change of the figure per relative change of the parameter; per unit of it where that is 0"""


def least_value(
    figure: Callable[[float], float],
    low: float,
    high: float,
    *,
    goal: float,
    tolerance: float = 1e-4,
    whole: bool = False,
) -> Answer:
    """The least parameter in [low, high] at which the figure is at most `goal`, by bisection.

    figure: falls (or stays) as the parameter rises; for one that rises, ask for the negative parameter. tolerance:
    relative width of the final bracket. whole: only whole numbers, exact.

    Raises:
        InputError: an empty interval.
        InfeasibleError: not even `high` meets the goal; the message says by how much.

    >>> least_value(lambda n: 100 / n, 1, 64, goal=9, whole=True).value
    12.0
    """
    if not low <= high or not math.isfinite(low + high):
        raise InputError(f"bisection: the interval from {low!r} to {high!r} is empty")
    count = 1
    best = figure(high)
    if best > goal:
        raise InfeasibleError(f"even {high:g} gives {best:.4g}, more than the goal of {goal:.4g}")
    count += 1
    at_low = figure(low)
    if at_low <= goal:
        return Answer(float(low), float(low), at_low, count)
    while (high - low > 1) if whole else (high - low > tolerance * max(abs(high), abs(low))):
        middle = float((low + high) // 2) if whole else (low + high) / 2
        found = figure(middle)
        count += 1
        if found <= goal:
            high, best = middle, found
        else:
            low = middle
    return Answer(float(high), float(low), best, count)


def sensitivity(
    network: Any,
    device: Any,
    runtime: str | None = None,
    *,
    parameters: Mapping[str, float],
    figure: str = "latency_s",
    step: float = 0.01,
) -> list[Sensitivity]:
    """Elasticities of a figure of a network, largest first: which parameter of the device is worth changing.

    E = (f(p (1 + h)) - f(p (1 - h))) / (2 h f(p)); at p = 0, (f(h) - f(0)) / (h f(0)), both on the model itself.

    parameters: name (see `tinysim.explore.sweep_spec.PARAMETERS`) -> value at which to look. A clock at the device's
    limit is looked at from below only. step: h.

    Raises:
        InputError: no parameter of a device.
    """
    from tinysim.errors import nearest
    from tinysim.explore.sweep_spec import PARAMETERS

    for name in parameters:
        if name not in PARAMETERS:
            raise InputError(f"sensitivity: {name!r} is no parameter of a device; {nearest(name, PARAMETERS)}")

    def at(**changed: float) -> float:
        options: dict[str, Any] = {}
        paths: dict[str, dict[str, float]] = {}
        for name, value in (dict(parameters) | changed).items():
            if name == "clock_hz":
                options[name] = value
            else:
                path, _, field = name.partition("_")
                paths.setdefault(path, {})[field] = value
        found = getattr(CostModel(device, runtime, paths=paths, **options)(network), figure)
        return float(found)

    here = at()
    rows = []
    for name, value in parameters.items():
        if value == 0:
            slope = (at(**{name: step}) - here) / (step * here)
        elif name == "clock_hz":
            slope = (here - at(**{name: value * (1 - step)})) / (step * here)
        else:
            slope = (at(**{name: value * (1 + step)}) - at(**{name: value * (1 - step)})) / (2 * step * here)
        rows.append(Sensitivity(name, value, here, slope))
    return sorted(rows, key=lambda row: -abs(row.elasticity))
