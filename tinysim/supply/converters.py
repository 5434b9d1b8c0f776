"""Converters between harvester, capacitor and load: boost with MPPT and cold start, buck, LDO, diode."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tinysim.errors import InputError, SpecError
from tinysim.supply.feed import Feed
from tinysim.supply.port import Band, Port
from tinysim.supply.traces import VITrace, interval_edges

__all__ = ["BoostCharger", "Buck", "EfficiencyTable", "Ldo"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class EfficiencyTable:
    """Measured efficiency over voltage and current.

    `linear`: bilinear in V and log I, held beyond the edges. `steps`: each entry holds from its own voltage and
    current up to the next (tables given in bins).
    """

    voltage_v: Array
    current_a: Array
    efficiency: Array = field(repr=False)
    """Shape (voltages, currents)."""
    kind: Literal["linear", "steps"] = "linear"

    def __post_init__(self) -> None:
        for name in ("voltage_v", "current_a", "efficiency"):
            object.__setattr__(self, name, np.asarray(getattr(self, name), float))
        v, i, eta = self.voltage_v, self.current_a, self.efficiency
        if eta.shape != (v.size, i.size) or np.any(np.diff(v) <= 0) or np.any(np.diff(i) <= 0):
            raise SpecError(
                f"EfficiencyTable: {eta.shape} entries for {v.size} rising voltages and {i.size} rising currents"
            )
        if not np.all((eta > 0.0) & (eta <= 1.0)):
            row, column = np.argwhere(~((eta > 0.0) & (eta <= 1.0)))[0]
            raise SpecError(f"EfficiencyTable row {row}, column {column}: {eta[row, column]}; accepted is (0, 1]")
        if self.kind == "linear" and i[0] <= 0.0:
            raise SpecError("EfficiencyTable: a linear table needs currents > 0 (its axis is logarithmic)")

    def at(self, voltage_v: ArrayLike, current_a: ArrayLike) -> Array:
        """Efficiency at voltages and currents (broadcast)."""
        v, i = np.broadcast_arrays(np.asarray(voltage_v, float), np.asarray(current_a, float))
        if self.kind == "steps":
            row = np.clip(np.searchsorted(self.voltage_v, v, side="right") - 1, 0, self.voltage_v.size - 1)
            column = np.clip(np.searchsorted(self.current_a, i, side="right") - 1, 0, self.current_a.size - 1)
            return np.asarray(self.efficiency[row, column])
        axis = np.log(self.current_a)
        row, up = _place(self.voltage_v, v)
        column, right = _place(axis, np.log(np.maximum(i, self.current_a[0])))
        eta, n, m = self.efficiency, min(1, self.voltage_v.size - 1), min(1, axis.size - 1)
        low = eta[row, column] * (1.0 - right) + eta[row, column + m] * right
        high = eta[row + n, column] * (1.0 - right) + eta[row + n, column + m] * right
        return np.asarray(low * (1.0 - up) + high * up)


def _place(axis: Array, x: Array) -> tuple[NDArray[np.intp], Array]:
    """Cell of an axis that holds x, and the place within it (0..1, held at the edges)."""
    if axis.size == 1:
        return np.zeros(x.shape, np.intp), np.zeros(x.shape)
    cell = np.clip(np.searchsorted(axis, x, side="right") - 1, 0, axis.size - 2)
    return cell, np.clip((x - axis[cell]) / (axis[cell + 1] - axis[cell]), 0.0, 1.0)


@dataclass(frozen=True, kw_only=True)
class BoostCharger:
    """A boost charger of the BQ25504/BQ25570 kind between a harvester and the storage.

    Below `cold_end_v` on the storage it runs a cold start: the input is clamped to `cold_input_v` and a fixed, low
    efficiency applies. Above, it holds `mppt_fraction` of the open-circuit voltage, sampled every `interval_s`.
    """

    table: EfficiencyTable
    min_input_v: float
    max_input_v: float = math.inf
    max_input_a: float = math.inf
    cold_end_v: float = 0.0
    cold_input_v: float = 0.0
    cold_efficiency: float = 1.0
    cold_min_power_w: float = 0.0
    mppt_fraction: float = 0.8
    interval_s: float = 16.0
    sampling_s: float = 0.256

    def __post_init__(self) -> None:
        if not 0.0 < self.mppt_fraction <= 1.0 or not 0.0 <= self.sampling_s < self.interval_s:
            raise SpecError("BoostCharger: needs 0 < mppt_fraction <= 1 and 0 <= sampling_s < interval_s")

    @property
    def duty(self) -> float:
        """Share of time in which it harvests: the rest opens the input to sample V_oc."""
        return 1.0 - self.sampling_s / self.interval_s

    def output_power_w(self, voltage_v: ArrayLike, current_a: ArrayLike) -> Array:
        """Power into the storage for an input voltage and current, in the main (not cold) mode, without sampling."""
        v = np.minimum(np.asarray(voltage_v, float), self.max_input_v)
        i = np.minimum(np.asarray(current_a, float), self.max_input_a)
        return np.asarray(np.where(v >= self.min_input_v, v * i * self.table.at(v, i), 0.0))

    def feed(self, trace: VITrace) -> Feed:
        """Input of a capacitor behind the charger, for a trace of its operating point (see `tinysim.supply.mppt`)."""
        net = self.output_power_w(trace.voltage_v, trace.current_a)
        return Feed(interval_edges(trace.time_s), net, "power", trace.voltage_v * trace.current_a)

    def port_from_curve(self, voltage_v: ArrayLike, current_a: ArrayLike) -> Port:
        """What a harvester's I-V curve becomes at the storage: cold start below `cold_end_v`, MPPT above.

        The open-circuit voltage is where the curve ends.
        """
        v, i = np.asarray(voltage_v, float), np.asarray(current_a, float)
        if v.size < 2 or np.any(np.diff(v) <= 0):
            raise InputError("port_from_curve: needs two or more points with rising voltages")
        held = self.mppt_fraction * float(v[-1])
        main = float(self.output_power_w(held, np.interp(held, v, i))) * self.duty
        if self.cold_end_v <= 0.0:
            return Port((Band(0.0, math.inf, power_w=main),))
        given = self.cold_input_v * float(np.interp(self.cold_input_v, v, i))
        cold = given * self.cold_efficiency if given >= self.cold_min_power_w else 0.0
        return Port((Band(0.0, self.cold_end_v, power_w=cold), Band(self.cold_end_v, math.inf, power_w=main)))


@dataclass(frozen=True, kw_only=True)
class Buck:
    """A buck converter from the storage to a fixed output; passes through below the output voltage."""

    table: EfficiencyTable
    """Efficiency over input voltage and output current."""
    output_v: float
    quiescent_a: float = 0.0

    def input_power_w(self, input_v: ArrayLike, output_a: ArrayLike) -> Array:
        """Power drawn from the storage, quiescent included."""
        v, i = np.asarray(input_v, float), np.asarray(output_a, float)
        out = np.minimum(v, self.output_v) * i
        return np.asarray(
            np.where(i > 0.0, out / self.table.at(v, np.where(i > 0.0, i, 1.0)), 0.0) + v * self.quiescent_a
        )

    def port(self, output_a: float, *, low_v: float, high_v: float, bands: int = 16) -> Port:
        """The load as the capacitor sees it: constant power per voltage band, taken at the band's middle.

        Between `low_v` and `high_v`; the first and last band hold beyond. Error: half the change of the efficiency
        within a band.
        """
        edges = np.linspace(low_v, high_v, bands + 1)
        middle = 0.5 * (edges[:-1] + edges[1:])
        power = self.input_power_w(middle, output_a) - middle * self.quiescent_a
        cuts = [0.0, *edges[1:-1].tolist(), math.inf]
        return Port(
            tuple(
                Band(low, high, -self.quiescent_a, -float(p))
                for low, high, p in zip(cuts[:-1], cuts[1:], power, strict=True)
            )
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Ldo:
    """A linear regulator: what flows out flows in, plus the quiescent current."""

    output_v: float
    quiescent_a: float = 0.0
    dropout_v: float = 0.0

    def port(self, output_a: float) -> Port:
        """The load as the capacitor sees it."""
        return Port((Band(0.0, math.inf, current_a=-(output_a + self.quiescent_a)),))

    @property
    def cutoff_v(self) -> float:
        """Input below which the output falls out of regulation."""
        return self.output_v + self.dropout_v
