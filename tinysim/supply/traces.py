"""Harvest traces: power, voltage and current, or a whole I-V surface over time. Reading, checks, resampling."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tinysim.errors import QuantityError, TraceError
from tinysim.quantities import si_factor
from tinysim.supply.feed import Feed

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["DiodeSurface", "PowerTrace", "VITrace", "interval_edges", "read_irradiance", "read_trace", "resampled"]

Array = NDArray[np.float64]


def _checked(time_s: ArrayLike, fields: Mapping[str, ArrayLike], *, where: str, max_gap_s: float | None) -> list[Array]:
    """Time and fields as arrays; the first wrong row is named with its field."""
    time = np.asarray(time_s, float)
    if time.ndim != 1 or time.size < 2:
        raise TraceError(f"{where}: a trace needs two or more rows, got {time.size}")
    out = [time]
    _first(~np.isfinite(time), time, where, "time_s", "accepted is a finite number")
    back = np.concatenate(([False], ~(np.diff(time) > 0.0)))
    if back.any():
        row = int(np.argmax(back))
        raise TraceError(
            f"{where}, row {row}, time_s: {time[row]:g} after {time[row - 1]:g}; time must rise from row to row"
        )
    if max_gap_s is not None:
        gaps = np.concatenate(([False], np.diff(time) > max_gap_s * (1.0 + 1e-9)))
        if gaps.any():
            row = int(np.argmax(gaps))
            raise TraceError(
                f"{where}, row {row}, time_s: gap of {time[row] - time[row - 1]:g} s after {time[row - 1]:g} s; "
                f"at most {max_gap_s:g} s is accepted (fill it, or raise max_gap_s)"
            )
    for name, column in fields.items():
        values = np.asarray(column, float)
        if values.shape != time.shape:
            raise TraceError(f"{where}, {name}: {values.size} values for {time.size} times")
        _first(~np.isfinite(values), values, where, name, "accepted is a finite number (no gaps, no NaN)")
        _first(values < 0.0, values, where, name, "a harvest must not be negative")
        out.append(values)
    return out


def _first(wrong: NDArray[np.bool_], values: Array, where: str, field: str, accepted: str) -> None:
    if wrong.any():
        row = int(np.argmax(wrong))
        raise TraceError(f"{where}, row {row}, {field}: {values[row]:g}; {accepted}")


def interval_edges(time_s: Array) -> Array:
    """Interval edges of samples that hold until the next one; the last holds as long as the one before."""
    return np.append(time_s, 2.0 * time_s[-1] - time_s[-2])


@dataclass(frozen=True)
class PowerTrace:
    """Harvested power; each sample holds until the next."""

    time_s: Array
    power_w: Array
    name: str = "power trace"
    max_gap_s: float | None = None

    def __post_init__(self) -> None:
        time, power = _checked(self.time_s, {"power_w": self.power_w}, where=self.name, max_gap_s=self.max_gap_s)
        object.__setattr__(self, "time_s", time)
        object.__setattr__(self, "power_w", power)

    @property
    def energy_j(self) -> float:
        """Energy over the whole trace."""
        return float(np.sum(self.power_w * np.diff(interval_edges(self.time_s))))

    def feed(self, efficiency: float | Callable[[Array], Array] = 1.0) -> Feed:
        """Input of a capacitor behind a converter with an efficiency (a number, or a function of the power)."""
        eta = efficiency(self.power_w) if callable(efficiency) else efficiency
        return Feed(interval_edges(self.time_s), self.power_w * eta, "power", self.power_w)


@dataclass(frozen=True)
class VITrace:
    """Voltage and current at the harvester; each sample holds until the next."""

    time_s: Array
    voltage_v: Array
    current_a: Array
    name: str = "V-I trace"
    max_gap_s: float | None = None

    def __post_init__(self) -> None:
        fields = {"voltage_v": self.voltage_v, "current_a": self.current_a}
        time, volts, amps = _checked(self.time_s, fields, where=self.name, max_gap_s=self.max_gap_s)
        for key, value in (("time_s", time), ("voltage_v", volts), ("current_a", amps)):
            object.__setattr__(self, key, value)

    def power(self) -> PowerTrace:
        """The trace as power."""
        return PowerTrace(self.time_s, self.voltage_v * self.current_a, self.name)

    def current_feed(self) -> Feed:
        """Input of a capacitor that the harvester charges directly."""
        return Feed(interval_edges(self.time_s), self.current_a, "current")


@dataclass(frozen=True)
class DiodeSurface:
    """I-V surface over time by a diode curve per instant: i = a - b (e^{c v} - 1), a, b in A, c in 1/V."""

    time_s: Array
    a_a: Array
    b_a: Array
    c_per_v: Array
    name: str = "I-V surface"

    def __post_init__(self) -> None:
        fields = {"a_a": self.a_a, "b_a": self.b_a, "c_per_v": self.c_per_v}
        arrays = _checked(self.time_s, fields, where=self.name, max_gap_s=None)
        for key, value in zip(("time_s", *fields), arrays, strict=True):
            object.__setattr__(self, key, value)

    def current_a(self, voltage_v: ArrayLike) -> Array:
        """Current at a voltage per instant (last axis: time); none flows back."""
        v = np.asarray(voltage_v, float)
        return np.asarray(np.maximum(self.a_a - self.b_a * np.expm1(np.minimum(self.c_per_v * v, 500.0)), 0.0))

    def open_v(self) -> Array:
        """Open-circuit voltage per instant."""
        return np.asarray(np.log1p(self.a_a / self.b_a) / self.c_per_v)

    def resampled(self, step_s: float, *, duration_s: float | None = None) -> DiodeSurface:
        """The surface on an even grid, its parameters joined by a cubic spline."""
        from scipy.interpolate import CubicSpline

        end = self.time_s[-1] if duration_s is None else self.time_s[0] + duration_s
        if end > self.time_s[-1] + (self.time_s[1] - self.time_s[0]):
            raise TraceError(f"{self.name}: asked for {duration_s} s, there are {self.time_s[-1] - self.time_s[0]:g} s")
        grid = np.arange(self.time_s[0], end - 1e-9 * step_s, step_s)
        rows = np.stack((self.a_a, self.b_a, self.c_per_v), axis=1)
        a, b, c = np.maximum(CubicSpline(self.time_s, rows)(np.minimum(grid, self.time_s[-1])), 0.0).T
        return DiodeSurface(grid, a, b, c, self.name)


def resampled(trace: PowerTrace, step_s: float) -> PowerTrace:
    """Mean power on an even grid: the energy of every step is kept exactly.

    >>> trace = PowerTrace([0.0, 1.0, 2.0, 3.0], [1.0, 3.0, 5.0, 7.0])
    >>> resampled(trace, 2.0).power_w.tolist()
    [2.0, 6.0]
    """
    edges = interval_edges(trace.time_s)
    energy = np.concatenate(([0.0], np.cumsum(trace.power_w * np.diff(edges))))
    count = max(int(np.floor((edges[-1] - edges[0]) / step_s * (1.0 + 1e-12))), 1)
    grid = edges[0] + step_s * np.arange(count + 1)
    grid[-1] = min(grid[-1], edges[-1])
    power = np.diff(np.interp(grid, edges, energy)) / np.diff(grid)
    if power.size < 2:
        raise TraceError(f"{trace.name}: a step of {step_s:g} s leaves less than two samples")
    return PowerTrace(grid[:-1], power, trace.name)


def read_trace(
    path: str | Path,
    *,
    units: Mapping[str, str] | None = None,
    columns: Mapping[str, str] | None = None,
    max_gap_s: float | None = None,
) -> PowerTrace | VITrace:
    """Read a CSV (or .csv.gz) trace with a time column and either power, or voltage and current.

    A column names its unit after the last underscore or in brackets (`time_s`, `power_uw`, `current (mA)`); `units`
    names it for columns that don't ("power": "mW"), `columns` maps other headings to time, power, voltage, current.

    Raises:
        TraceError: columns or units missing or given twice, or a row that is no harvest; row and field are named
            (rows count from 0 after the heading).
    """
    file = Path(path)
    frame = _table(file)
    found = _columns(frame, dict(columns or {}), dict(units or {}), file.name)
    time = found.pop("time", None)
    if time is None:
        raise TraceError(f"{file.name}: no time column among {list(frame.columns)}; name it with columns=")
    if set(found) == {"power"}:
        return PowerTrace(time, found["power"], file.name, max_gap_s)
    if set(found) == {"voltage", "current"}:
        return VITrace(time, found["voltage"], found["current"], file.name, max_gap_s)
    raise TraceError(f"{file.name}: found {sorted(found) or 'no quantity'}; accepted is power, or voltage and current")


def read_irradiance(path: str | Path, *, max_gap_s: float | None = None) -> tuple[Array, Array]:
    """Read a CSV with the columns `time_s` and `irradiance_w_m2` [W/m2].

    Raises:
        TraceError: a column is missing, or a row is no harvest; row and field are named.
    """
    file = Path(path)
    frame, names = _table(file), ("time_s", "irradiance_w_m2")
    if not set(names) <= set(frame.columns):
        raise TraceError(f"{file.name}: needs the columns {', '.join(names)}, has {', '.join(map(str, frame.columns))}")
    time, values = (_numbers(frame[name], 1.0, file.name, name) for name in names)
    time, values = _checked(time, {"irradiance_w_m2": values}, where=file.name, max_gap_s=max_gap_s)
    return time, values


def _table(file: Path) -> pd.DataFrame:
    import pandas as pd

    try:
        with gzip.open(file, "rt") if file.suffix == ".gz" else file.open() as stream:
            return pd.read_csv(stream, comment="#")
    except OSError as error:
        raise TraceError(f"{file}: cannot be read: {error.strerror or error}") from error
    except (UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise TraceError(f"{file.name}: cannot be read as a CSV trace: {' '.join(str(error).split())}") from error


_SI = {"time": "s", "power": "W", "voltage": "V", "current": "A"}
#: Units as they stand in lower-case headings such as `power_mw`; a small m is milli.
_LOWER = {prefix + unit.lower(): prefix + unit for unit in "WVA" for prefix in ("", "m", "u", "n", "p")}


def _columns(frame: pd.DataFrame, aliases: dict[str, str], units: dict[str, str], where: str) -> dict[str, Array]:
    found: dict[str, Array] = {}
    for heading in frame.columns:
        text = str(aliases.get(str(heading), heading)).strip()
        bracket = text.replace("[", "(").replace("]", ")")
        if "(" in bracket:
            stem, unit = bracket.split("(", 1)
            unit = unit.rstrip(") ")
        else:
            stem, _, unit = text.partition("_")
        quantity = stem.strip(" _").lower()
        if quantity not in _SI:
            continue
        given = units.get(quantity)
        if unit and given and unit != given:
            raise TraceError(
                f"{where}, column {heading!r}: mixed units, {unit!r} in the heading and {given!r} asked for"
            )
        unit = unit or given or ""
        unit = _LOWER.get(unit, unit)
        if not unit:
            raise TraceError(f"{where}, column {heading!r}: no unit; write it in the heading or pass units=")
        if quantity in found:
            raise TraceError(f"{where}, column {heading!r}: a second column of {quantity}; units must not be mixed")
        try:
            factor = si_factor(unit, _SI[quantity])
        except QuantityError as error:
            raise TraceError(f"{where}, column {heading!r}: {error}") from error
        found[quantity] = _numbers(frame[heading], factor, where, str(heading))
    return found


def _numbers(column: pd.Series, factor: float, where: str, field: str) -> Array:
    import pandas as pd

    values = pd.to_numeric(column, errors="coerce")
    bad = values.isna() & column.notna()
    if bad.any():
        row = int(np.argmax(bad.to_numpy()))
        raise TraceError(
            f"{where}, row {row}, {field}: {column.iloc[row]!r} is no number; a column has one unit, in its heading"
        )
    return np.asarray(values, float) * factor
