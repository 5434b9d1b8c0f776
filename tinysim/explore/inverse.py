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
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

from tinysim.errors import InfeasibleError, InputError, SpecError, nearest
from tinysim.explore.designs import PARAMETERS, WHOLE, model_of, parameters_of
from tinysim.network.load import load_network

__all__ = ["FIGURES", "Answer", "DesignAnswer", "Sensitivity", "least_design", "least_value", "sensitivity"]

#: figures that parameters of a device change
FIGURES = ("latency_s", "energy_j")


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
    """A design that meets a goal with the least of a parameter, or the most of one that costs time (wait states)."""

    network: str
    device: str
    vary: tuple[str, ...]
    """parameters that changed together"""
    figure: str
    """what the goal is for"""
    goal: float
    parameters: dict[str, float]
    """all that was changed"""
    answer: Answer
    sensitivities: list[Sensitivity]
    """of the figure to the parameters of the device, at the answer"""

    def to_dict(self) -> dict[str, Any]:
        """The answer as plain data: the document that ``--json`` prints (docs/json.md)."""
        return {
            "network": self.network,
            "device": self.device,
            "figure": self.figure,
            "goal": self.goal,
            "vary": list(self.vary),
            "value": self.answer.value,
            "beyond": self.answer.beyond,
            "achieved": self.answer.figure,
            "evaluations": self.answer.evaluations,
            "parameters": self.parameters,
            "sensitivities": [asdict(row) for row in self.sensitivities],
        }

    def __str__(self) -> str:
        rows = [f"  {row.parameter} = {row.value:g}: {row.elasticity:+.2f} % per %" for row in self.sensitivities]
        found = ", ".join(f"{name} = {value:g}" for name, value in self.parameters.items())
        end = self.answer.beyond == self.answer.value
        bracket = "the end of the range" if end else f"at {self.answer.beyond:g} not enough"
        return "\n".join([f"{found}: {self.figure} {self.answer.figure:.4g} ({bracket})", *rows])


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

    vary: one of `tinysim.explore.designs.PARAMETERS`, or several that change together (the sides of an array). Of wait
    states and the share that the core sees, the most is sought. low, high: between which values. goal: the largest
    latency_s or energy_j, as `figure` says. fixed: other parameters of the design. also: further parameters, at their
    values, whose sensitivity is reported; all that the device has if None.

    Raises:
        SpecError: an unknown parameter, or one that the device does not have.
        InputError, InfeasibleError: an empty interval, a figure that is unknown or that no parameter changes; a goal
            that no value meets.

    >>> found = least_design("kws", "systolic-16x16-ws", vary="npu_dram_bytes_per_s", low=1e6, high=2e9, goal=1e-3)
    >>> found.answer.figure <= 1e-3
    True
    """
    names = (vary,) if isinstance(vary, str) else tuple(vary)
    if figure not in FIGURES:
        raise InputError(f"inverse question: no parameter changes {figure!r}; {nearest(figure, FIGURES)}")
    for name in (*names, *(fixed or {}), *(also or {})):
        if name not in PARAMETERS:
            raise SpecError(f"{name!r} is no parameter of a device; {nearest(name, PARAMETERS)}")
    if not names or not goal > 0:
        raise InputError(f"inverse question: a goal above 0 and a parameter to vary are needed, got {goal!r}, {names}")
    network = load_network(network) if isinstance(network, str) else network

    def at(value: float) -> float:
        model = model_of(device, runtime, dict(fixed or {}) | dict.fromkeys(names, abs(value)))
        return _figure_of(model, network, figure)

    units = {PARAMETERS[name] for name in names}
    whole = units <= {"1", "byte"} and not any(name.endswith("exposure") for name in names)
    costly = [name.endswith(("wait_cycles", "exposure")) for name in names]
    if len(set(costly)) > 1:
        raise InputError(f"inverse question: {' and '.join(names)} do not help together; vary one of them")
    if not 0 <= low <= high:
        raise InputError(f"inverse question: the range of {names[0]} from {low!r} to {high!r} is empty")
    ends = (-high, -low) if costly[0] else (low, high)
    title = f"{getattr(network, 'name', network)} on {getattr(device, 'name', device)}"
    try:
        answer = least_value(at, *ends, goal=goal, whole=whole)
    except InfeasibleError as error:
        best = low if costly[0] else high
        raise InfeasibleError(
            f"{title}: even {' = '.join(names)} = {best:g} gives {figure} = {at(ends[1]):.4g}, more than the goal of "
            f"{goal:.4g}"
        ) from error
    answer = replace(answer, value=abs(answer.value), beyond=abs(answer.beyond))
    design = dict(fixed or {}) | dict.fromkeys(names, answer.value)
    if also is None:
        also = parameters_of(model_of(device, runtime, design))
    rows = sensitivity(network, device, runtime, parameters={**also, **design}, figure=figure)
    name, board = (str(getattr(thing, "name", thing)) for thing in (network, device))
    return DesignAnswer(name, board, names, figure, goal, design, answer, rows)


def _figure_of(model: Any, network: Any, figure: str) -> float:
    value = getattr(model(network), figure)
    if value is None or math.isnan(value):
        raise InputError(f"{figure} of {getattr(network, 'name', network)} on {model!r} is unknown")
    return float(value)


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
    limit is looked at from below only, a number of lanes or banks at its neighbours; a parameter whose neighbours the
    device cannot have is left out. step: h.

    Raises:
        InputError: no parameter of a device.
    """
    for name in parameters:
        if name not in PARAMETERS:
            raise InputError(f"sensitivity: {name!r} is no parameter of a device; {nearest(name, PARAMETERS)}")

    def at(changed: str = "", value: float = 0.0) -> float:
        design = dict(parameters) | ({changed: value} if changed else {})
        return _figure_of(model_of(device, runtime, design), network, figure)

    network = load_network(network) if isinstance(network, str) else network
    here = at()
    rows = []
    for name, value in parameters.items():
        try:
            slope = _slope(partial(at, name), name, value, here, step)
        except SpecError:
            continue
        rows.append(Sensitivity(name, value, here, slope))
    return sorted(rows, key=lambda row: -abs(row.elasticity))


def _slope(at: Callable[[float], float], name: str, value: float, here: float, step: float) -> float:
    if name in WHOLE:
        low = max(value - 1, 1.0)  # the next smaller and larger that exist
        return (at(value + 1) - at(low)) / (value + 1 - low) * value / here
    if value == 0:
        return (at(step) - here) / (step * here)
    if name == "clock_hz":
        return (here - at(value * (1 - step))) / (step * here)
    return (at(value * (1 + step)) - at(value * (1 - step))) / (2 * step * here)
