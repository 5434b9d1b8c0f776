"""What harvesters give: solar cells, RF, thermoelectric, piezo; constant, periodic and random on/off sources."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tinysim.errors import InputError
from tinysim.supply.feed import Feed
from tinysim.supply.port import Port, iv_curve, thevenin
from tinysim.supply.traces import PowerTrace

__all__ = [
    "SolarCell",
    "Thermoelectric",
    "beyond_sweep",
    "constant_feed",
    "friis_power_w",
    "irradiance_trace",
    "markov_feed",
    "periodic_feed",
    "piezo_power_w",
]

_BOLTZMANN_PER_CHARGE = 8.617333262e-5  # V/K, CODATA 2018
_LIGHT_M_S = 299792458.0
_STANDARD_IRRADIANCE = 1000.0  # W/m2, IEC 60904-3
_STANDARD_K = 298.15


def constant_feed(power_w: float, duration_s: float) -> Feed:
    """A source of constant power."""
    return Feed(np.array([0.0, duration_s]), np.array([power_w]))


def periodic_feed(powers_w: ArrayLike, durations_s: ArrayLike, *, total_s: float) -> Feed:
    """A repeated pattern, cut at the total time.

    >>> periodic_feed([1.0, 0.0], [1.0, 2.0], total_s=7.0).inputs.tolist()
    [1.0, 0.0, 1.0, 0.0, 1.0]
    """
    powers, spans = np.asarray(powers_w, float), np.asarray(durations_s, float)
    if powers.shape != spans.shape or powers.size == 0 or np.any(~(spans > 0.0)) or not total_s > 0.0:
        raise InputError("periodic_feed: needs as many powers as durations > 0, and total_s > 0")
    repeats = math.ceil(total_s / spans.sum())
    edges = np.concatenate(([0.0], np.cumsum(np.tile(spans, repeats))))
    last = int(np.searchsorted(edges, total_s))
    return Feed(np.append(edges[:last], total_s), np.tile(powers, repeats)[:last])


def markov_feed(
    *, power_w: float, mean_on_s: float, mean_off_s: float, total_s: float, rng: np.random.Generator
) -> Feed:
    """A source that is on and off for exponentially distributed times (two-state Markov), started in steady state."""
    if min(mean_on_s, mean_off_s, total_s) <= 0.0:
        raise InputError("markov_feed: mean_on_s, mean_off_s and total_s must be > 0")
    on = bool(rng.random() < mean_on_s / (mean_on_s + mean_off_s))
    edges, values, now = [0.0], [], 0.0
    while now < total_s:
        now = min(now + float(rng.exponential(mean_on_s if on else mean_off_s)), total_s)
        edges.append(now)
        values.append(power_w if on else 0.0)
        on = not on
    return Feed(np.array(edges), np.array(values))


def beyond_sweep(
    voltage_v: ArrayLike, current_a: ArrayLike, *, points: int = 16
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A swept I-V curve, carried on to open circuit by the diode law where the sweep stopped short of it.

    A sweep ends at the V_oc that was read before it; with a lamp that still warms up that is too early, and the last
    point (V_oc, 0) then lies below the curve. With I_sc the first current, the law I = I_sc - D e^{c (V - V_n)} through
    the loaded points of the sweep's upper tenth gives V_oc = V_n + ln(I_sc / D) / c. If that is more than a step above
    the recorded V_oc, the recorded end is replaced by `points` on the law; otherwise the curve is returned as it is.

    voltage_v [V] and current_a [A] of shape (n,), rising and falling; the last current is 0.
    Valid: single-diode cells without noticeable shunt. Source: diode law; tests on recorded nodes.

    >>> v, i = beyond_sweep([0.0, 1.0, 1.5, 2.0, 2.1], [1.0e-3, 0.9e-3, 0.7e-3, 0.1e-3, 0.0])
    >>> float(v[-1].round(3)), float(i[-1])
    (2.1, 0.0)
    """
    v, i = np.asarray(voltage_v, float), np.asarray(current_a, float)
    last = v.size - 2
    near = max(min(last - 1, int(np.searchsorted(v, 0.9 * v[last]))), 1)
    lost = i[0] - i[near : last + 1]
    if last < 3 or i[-1] > 0.0 or np.any(lost <= 0.0) or lost[-1] <= lost[0]:
        return v, i
    rate_per_v, level = np.polyfit(v[near : last + 1] - v[last], np.log(lost), 1)
    open_v = v[last] + (math.log(i[0]) - level) / rate_per_v
    if open_v <= v[-1] + (v[last] - v[last - 1]):
        return v, i
    tail = np.linspace(v[last], open_v, points + 1)[1:]
    current = np.maximum(i[0] - np.exp(level + rate_per_v * (tail - v[last])), 0.0)
    current[-1] = 0.0
    return np.concatenate((v[:-1], tail)), np.concatenate((i[:-1], np.minimum(current, i[last])))


@dataclass(frozen=True, slots=True, kw_only=True)
class SolarCell:
    """Single-diode cell or panel from its standard-condition data: I_sc, V_oc and the maximum power point.

    I = I_L - I_0 (e^{D / a} - 1) - G D at the terminal voltage V = D - I R_s, D the diode's voltage. The curve passes
    through the three points with zero slope of power at the maximum, which fixes a, I_0 and one resistance: the series
    resistance, or, where that came out negative (a low I_mpp / I_sc), the shunt conductance G.
    I_L scales with irradiance; V_oc follows. Source: after De Soto, Klein, Beckman 2006.
    Valid from a few percent of the standard irradiance up.
    """

    short_a: float
    open_v: float
    mpp_v: float
    mpp_a: float
    alpha_per_k: float = 0.0
    """Relative change of I_sc with temperature."""
    beta_v_per_k: float = 0.0
    """Change of V_oc with temperature."""

    def __post_init__(self) -> None:
        if not (0.0 < self.mpp_v < self.open_v and 0.0 < self.mpp_a < self.short_a):
            raise InputError("SolarCell: needs 0 < mpp_v < open_v and 0 < mpp_a < short_a")
        if 2.0 * self.mpp_v <= self.open_v:
            raise InputError(
                f"SolarCell: mpp_v = {self.mpp_v} V is not above half of open_v = {self.open_v} V; no diode fits"
            )

    def parameters(self) -> tuple[float, float, float]:
        """(a in V, series resistance in ohm, shunt conductance in S)."""
        from scipy.optimize import brentq

        voc, isc, vm, im = self.open_v, self.short_a, self.mpp_v, self.mpp_a

        def series(a: float) -> float:
            full = isc / -math.expm1(-voc / a)  # I_sc + I_0
            return (voc - vm + a * math.log1p(-im / full)) / im

        def power_slope(a: float) -> float:
            full = isc / -math.expm1(-voc / a)
            return a / (full - im) + series(a) - vm / im

        def shunt(a: float) -> float:
            ratio = math.expm1(vm / a) / math.expm1(voc / a)
            return (isc * (1.0 - ratio) - im) / (vm - ratio * voc)

        def power_slope_shunt(a: float) -> float:
            diode = (isc - shunt(a) * voc) / math.expm1(voc / a) * math.exp(vm / a) / a
            return diode + shunt(a) - im / vm

        # both resistances vanish at one and the same a; sharper diodes (smaller a) need one of them
        low = voc / 200.0
        if series(low) > 0.0 > series(voc):
            ideal = float(brentq(series, low, voc, xtol=1e-15))
            if power_slope(low) < 0.0 <= power_slope(ideal):
                a = float(brentq(power_slope, low, ideal, xtol=1e-15))
                return a, series(a), 0.0
            if power_slope_shunt(low) < 0.0 <= power_slope_shunt(ideal):
                a = float(brentq(power_slope_shunt, low, ideal, xtol=1e-15))
                return a, 0.0, shunt(a)
        raise InputError(f"SolarCell: no single-diode curve with R_s >= 0 or G >= 0 passes through {self}")

    def curve(
        self, irradiance_w_m2: float, *, temperature_k: float = _STANDARD_K, points: int = 64
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(voltages, currents) of the I-V curve at an irradiance and a cell temperature, from 0 V to open circuit."""
        a, series_ohm, shunt_s = self.parameters()
        warm = temperature_k - _STANDARD_K
        a *= temperature_k / _STANDARD_K
        short, open_v = self.short_a * (1.0 + self.alpha_per_k * warm), self.open_v + self.beta_v_per_k * warm
        saturation = (short - shunt_s * open_v) / math.expm1(open_v / a)
        light = short * irradiance_w_m2 / _STANDARD_IRRADIANCE
        if light <= 0.0:
            return np.zeros(1), np.zeros(1)
        end = a * math.log1p(light / saturation)
        for _ in range(50):  # Newton on a convex function from above
            excess = saturation * math.expm1(end / a) + shunt_s * end - light
            end -= excess / (saturation / a * math.exp(end / a) + shunt_s)
        diode = end * (1.0 - np.linspace(1.0, 0.0, points) ** 2)  # dense towards open circuit, where the curve bends
        current = np.maximum(light - saturation * np.expm1(diode / a) - shunt_s * diode, 0.0)
        voltage = diode - current * series_ohm
        keep = voltage >= 0.0
        return voltage[keep], current[keep]

    def mpp_power_w(self, irradiance_w_m2: ArrayLike, *, temperature_k: float = _STANDARD_K) -> NDArray[np.float64]:
        """Power at the maximum power point for each irradiance.

        >>> cell = SolarCell(short_a=14.8e-3, open_v=3.56, mpp_v=2.6, mpp_a=12.1e-3)
        >>> f"{float(cell.mpp_power_w(1000.0)):.4f}"
        '0.0315'
        """
        out = []
        for level in np.atleast_1d(np.asarray(irradiance_w_m2, float)):
            v, i = (
                self.curve(float(level), temperature_k=temperature_k, points=512) if level > 0 else (np.zeros(1),) * 2
            )
            out.append(float(np.max(v * i)) if v.size else 0.0)
        return np.array(out).reshape(np.shape(irradiance_w_m2))

    def port(self, irradiance_w_m2: float, *, temperature_k: float = _STANDARD_K, diode_drop_v: float = 0.0) -> Port:
        """The cell wired to a capacitor."""
        v, i = self.curve(irradiance_w_m2, temperature_k=temperature_k)
        return iv_curve(v, i, diode_drop_v=diode_drop_v)


def irradiance_trace(
    cell: SolarCell,
    time_s: ArrayLike,
    irradiance_w_m2: ArrayLike,
    *,
    temperature_k: float = _STANDARD_K,
    levels: int = 200,
    name: str = "irradiance",
) -> PowerTrace:
    """Maximum power of a cell over an irradiance series (a weather file, a pyranometer).

    The power is tabulated over the irradiance and joined in log-log; with 200 levels the error is below 1e-4 where
    the irradiance is above a millionth of its maximum (less counts as dark).

    Raises:
        TraceError: a wrong row, by its number.
    """
    light = PowerTrace(np.asarray(time_s, float), np.asarray(irradiance_w_m2, float), name).power_w
    top = float(light.max())
    if top == 0.0:
        return PowerTrace(np.asarray(time_s, float), light, name)
    grid = np.geomspace(1e-6 * top, top, levels)
    power = np.maximum(cell.mpp_power_w(grid, temperature_k=temperature_k), 1e-300)
    lit = light >= grid[0]
    joined = np.exp(np.interp(np.log(np.where(lit, light, top)), np.log(grid), np.log(power)))
    return PowerTrace(np.asarray(time_s, float), np.where(lit, joined, 0.0), name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Thermoelectric:
    """A thermoelectric generator: open voltage alpha dT behind its resistance; dT is what drops across the part."""

    seebeck_v_per_k: float
    resistance_ohm: float

    def matched_power_w(self, difference_k: ArrayLike) -> NDArray[np.float64]:
        """Power into a matched load: (alpha dT)^2 / 4 R.

        >>> teg = Thermoelectric(seebeck_v_per_k=0.02, resistance_ohm=2.5)
        >>> round(float(teg.matched_power_w(10.0)), 9)
        0.004
        """
        return np.asarray(
            np.square(self.seebeck_v_per_k * np.asarray(difference_k, float)) / (4.0 * self.resistance_ohm)
        )

    def port(self, difference_k: float) -> Port:
        """The generator wired to a capacitor through an ideal diode."""
        return thevenin(self.seebeck_v_per_k * difference_k, self.resistance_ohm, diode=True)


def friis_power_w(
    *,
    transmit_w: ArrayLike,
    distance_m: ArrayLike,
    frequency_hz: ArrayLike,
    transmit_gain: float = 1.0,
    receive_gain: float = 1.0,
    rectifier_efficiency: float = 1.0,
) -> NDArray[np.float64]:
    """Power harvested from a radio transmitter: eta P G_t G_r (lambda / 4 pi d)^2.

    Valid in free space in the far field (d > lambda / 2 pi). Source: Friis 1946.

    >>> f"{float(friis_power_w(transmit_w=1.0, distance_m=3.0, frequency_hz=915e6, transmit_gain=4.0)):.3e}"
    '3.021e-04'
    """
    length = _LIGHT_M_S / np.asarray(frequency_hz, float)
    d = np.asarray(distance_m, float)
    if np.any(d <= length / (2.0 * math.pi)):
        raise InputError("friis_power_w: distance_m must be in the far field, beyond lambda / (2 pi)")
    spread = np.square(length / (4.0 * math.pi * d))
    return np.asarray(rectifier_efficiency * np.asarray(transmit_w, float) * transmit_gain * receive_gain * spread)


def piezo_power_w(
    *, open_peak_v: ArrayLike, capacitance_f: float, frequency_hz: ArrayLike, output_v: ArrayLike, drop_v: float = 0.0
) -> NDArray[np.float64]:
    """Power of a vibrating piezo patch behind a full-bridge rectifier into a constant voltage.

    P = 4 f C_p V (V_oc - V - 2 V_d), zero where the rectifier never opens; best at V = (V_oc - 2 V_d) / 2.
    Valid for weak coupling (displacement not changed by the load). Source: Ottman et al. 2002; Szarka et al. 2012.

    >>> round(float(piezo_power_w(open_peak_v=10.0, capacitance_f=20e-9, frequency_hz=50.0, output_v=5.0)), 9)
    0.0001
    """
    out = np.asarray(output_v, float)
    swing = np.maximum(np.asarray(open_peak_v, float) - out - 2.0 * drop_v, 0.0)
    return np.asarray(4.0 * np.asarray(frequency_hz, float) * capacitance_f * out * swing)
