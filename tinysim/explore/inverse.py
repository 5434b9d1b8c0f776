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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tinysim.errors import InfeasibleError, InputError, nearest
from tinysim.explore.designs import PARAMETERS, WHOLE, model_of
from tinysim.network.load import load_network

__all__ = ["Answer", "DesignAnswer", "Sensitivity", "least_design", "least_value", "sensitivity"]


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
class DesignAnswer:
    """A design that meets a goal with the least of a parameter."""

    parameters: dict[str, float]
    """all that was changed"""
    answer: Answer
    sensitivities: list[Sensitivity]
    """of the figure to each of them and to `also`, at the answer"""

    def __str__(self) -> str:
        rows = [f"  {row.parameter} = {row.value:g}: {row.elasticity:+.2f} % per %" for row in self.sensitivities]
        found = ", ".join(f"{name} = {value:g}" for name, value in self.parameters.items())
        return "\n".join([f"{found}: {self.answer.figure:.4g} (at {self.answer.beyond:g} not enough)", *rows])


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


def least_design(
    network: Any,
    device: Any,
    runtime: str | None = None,
    *,
    vary: str | Sequence[str],
    low: float,
    high: float,
    goal: float,
    figure: str = "latency_s",
    fixed: Mapping[str, float] | None = None,
    also: Mapping[str, float] | None = None,
) -> DesignAnswer:
    """The least value of a device's parameter at which a figure of a network meets a goal, and what else would help.

    vary: one of `tinysim.explore.designs.PARAMETERS`, or several that change together (the sides of an array). low,
    high: between which values. fixed: other parameters of the design. also: further parameters, at their values, whose
    sensitivity is reported.

    Raises:
        SpecError: an unknown parameter.
        InputError, InfeasibleError: see `least_value`.

    >>> found = least_design("kws", "systolic-16x16-ws", vary="npu_dram_bytes_per_s", low=1e6, high=2e9, goal=1e-3)
    >>> found.answer.figure <= 1e-3
    True
    """
    names = [vary] if isinstance(vary, str) else list(vary)
    network = load_network(network) if isinstance(network, str) else network

    def at(value: float) -> float:
        model = model_of(device, runtime, dict(fixed or {}) | dict.fromkeys(names, value))
        return float(getattr(model(network), figure))

    unit = {PARAMETERS.get(name) for name in names}
    answer = least_value(at, low, high, goal=goal, whole=unit <= {"1", "byte"} and not names[0].endswith("exposure"))
    design = dict(fixed or {}) | dict.fromkeys(names, answer.value)
    rows = sensitivity(network, device, runtime, parameters=design | dict(also or {}), figure=figure)
    return DesignAnswer(design, answer, rows)


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

    parameters: name (see `tinysim.explore.designs.PARAMETERS`) -> value at which to look. A clock at the device's
    limit is looked at from below only, a number of lanes or banks at its neighbours. step: h.

    Raises:
        InputError: no parameter of a device.
    """
    for name in parameters:
        if name not in PARAMETERS:
            raise InputError(f"sensitivity: {name!r} is no parameter of a device; {nearest(name, PARAMETERS)}")

    def at(**changed: float) -> float:
        return float(getattr(model_of(device, runtime, dict(parameters) | changed)(network), figure))

    network = load_network(network) if isinstance(network, str) else network
    here = at()
    rows = []
    for name, value in parameters.items():
        if name in WHOLE:
            # the next smaller and larger that exist
            low = max(value - 1, 1.0)
            slope = (at(**{name: value + 1}) - at(**{name: low})) / (value + 1 - low) * value / here
        elif value == 0:
            slope = (at(**{name: step}) - here) / (step * here)
        elif name == "clock_hz":
            slope = (here - at(**{name: value * (1 - step)})) / (step * here)
        else:
            slope = (at(**{name: value * (1 + step)}) - at(**{name: value * (1 - step)})) / (2 * step * here)
        rows.append(Sensitivity(name, value, here, slope))
    return sorted(rows, key=lambda row: -abs(row.elasticity))
