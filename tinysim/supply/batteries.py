"""Battery models: ideal, Peukert, KiBaM, Rakhmatov-Vrudhula, and an equivalent circuit with an OCV curve.

All share the protocol of `tinysim.supply.cell.Cell`: `advance(state, current_a, duration_s)`, `time_to_empty`,
`lifetime(profile)`; states are immutable and passed in and out. Charge in coulomb (1 mAh = 3.6 C).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tinysim.errors import InfeasibleError, InputError
from tinysim.supply.cell import Array, Cell, CellState
from tinysim.supply.port import Port, thevenin

__all__ = ["CircuitCell", "IdealCell", "KiBaM", "PeukertCell", "RakhmatovVrudhula", "kim_qiao_ocv_v"]


@dataclass(frozen=True, kw_only=True)
class IdealCell(Cell):
    """A tank of charge: t = C / I.

    >>> cell = IdealCell(capacity_c=225 * 3.6)
    >>> round(cell.time_to_empty(cell.full_state(), 1e-3) / 3600, 9)
    225.0
    """

    @property
    def decay_per_s(self) -> Array:
        """One mode that does not decay."""
        return np.zeros(1)

    def drive(self, current_a: float) -> Array:
        """dq/dt = -I."""
        return np.array([-current_a])

    @property
    def causes(self) -> tuple[str, ...]:
        """Charge is all there is."""
        return ("charge",)

    @property
    def signs(self) -> Array:
        """More charge is more margin."""
        return np.ones(1)

    def margin_terms(self, modes: Array, current_a: float) -> Array:
        """The charge left."""
        return np.array([[0.0, modes[0]]])


@dataclass(frozen=True, kw_only=True)
class PeukertCell(IdealCell):
    """Peukert's law: t = H (C / (I H))^k for a capacity C rated over H.

    Below the rated current the capacity is the rated one: the law would let it grow without bound.
    Source: Peukert 1897; rated form as in the reference case `peukert_rated`.

    >>> cell = PeukertCell(capacity_c=100 * 3600, exponent=1.2, rated_s=20 * 3600)
    >>> round(cell.time_to_empty(cell.full_state(), 10.0) / 3600, 9)
    8.705505633
    """

    exponent: float
    rated_s: float

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.exponent < 1.0 or self.rated_s <= 0.0:
            raise InputError(f"PeukertCell: exponent = {self.exponent} must be >= 1 and rated_s = {self.rated_s} > 0")

    def drive(self, current_a: float) -> Array:
        """dq/dt = -max(I, (C/H) (I H / C)^k)."""
        rated = self.capacity_c / self.rated_s
        return np.array([-max(current_a, rated * (current_a / rated) ** self.exponent)])


@dataclass(frozen=True, kw_only=True)
class KiBaM(Cell):
    """Kinetic battery model: an available well (share c) and a bound well that flow into each other at rate k'.

    Modes: charge q and height difference d = h2 - h1, dd/dt = I/c - k' d. Available charge y1 = c (q - (1-c) d);
    empty at y1 = 0. Source: Manwell, McGowan 1993, in the form of Jongerden, Haverkort 2009.

    >>> b1 = KiBaM(capacity_c=5.5 * 60, available_share=0.166, rate_per_s=0.122 / 60)
    >>> round(b1.time_to_empty(b1.full_state(), 0.25) / 60, 6)
    4.526198
    """

    available_share: float
    rate_per_s: float

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.0 < self.available_share < 1.0 or not self.rate_per_s > 0.0:
            raise InputError(
                f"KiBaM: available_share = {self.available_share} must lie in (0, 1), rate_per_s = "
                f"{self.rate_per_s} above 0"
            )

    @cached_property
    def _decay(self) -> Array:
        return np.array([0.0, self.rate_per_s])

    @property
    def decay_per_s(self) -> Array:
        """(0, k')."""
        return self._decay

    def drive(self, current_a: float) -> Array:
        """dq/dt = -I, dd/dt = I/c - k' d."""
        return np.array([-current_a, current_a / self.available_share])

    @property
    def causes(self) -> tuple[str, ...]:
        """The available well, and all charge (after charging the wells may stand the other way round)."""
        return ("available charge", "charge")

    @property
    def signs(self) -> Array:
        """Charge helps, a height difference does not."""
        return np.array([1.0, -1.0])

    def margin_terms(self, modes: Array, current_a: float) -> Array:
        """y1 = c q - c (1 - c) d, and q."""
        c = self.available_share
        return np.array([[0.0, c * modes[0], -c * (1.0 - c) * modes[1]], [0.0, modes[0], 0.0]])

    def state_at(self, charge_c: float) -> CellState:
        """A rested cell with a given charge."""
        return CellState((charge_c, 0.0))

    def max_current_a(self, state: CellState, duration_s: float) -> float:
        """Largest current that can be held for a time: y1 reaches 0 at its end.

        I = [k' y1 e + k' c q (1 - e)] / [1 - e + c (k' t - 1 + e)], e = exp(-k' t).
        Source: Manwell, McGowan 1993, as in NREL ssc lib_battery_capacity.
        """
        c, x = self.available_share, self.rate_per_s * duration_s
        available = self.margins(state, 0.0)["available charge"]
        keep, lost = math.exp(-x), -math.expm1(-x)
        top = self.rate_per_s * (available * keep + state.charge_c * c * lost)
        return top / (lost + c * (x - lost))

    @classmethod
    def fit(cls, capacities_c: ArrayLike, durations_s: ArrayLike) -> KiBaM:
        """Parameters from the charge delivered at three constant rates (short, medium, long discharge times).

        Q(T) = q_max k c T / (1 - e^{-kT} + c (kT - 1 + e^{-kT})); two ratios fix k and c, the third q_max.
        Source: Manwell, McGowan 1993; NREL ssc parameter_compute.

        Raises:
            InfeasibleError: no KiBaM passes through the three points.
        """
        from scipy.optimize import brentq

        q = np.asarray(capacities_c, float)
        t = np.asarray(durations_s, float)
        if q.shape != (3,) or t.shape != (3,) or np.any(np.diff(t) <= 0) or np.any(np.diff(q) <= 0):
            raise InputError("KiBaM.fit: needs three capacities that rise with three rising discharge times")

        def share(k: float, short: int) -> float:
            """Share c that gives the ratio of a shorter discharge to the longest, for a rate k."""
            ratio = q[short] / q[2]
            a, b = -math.expm1(-k * t[short]), -math.expm1(-k * t[2])
            top = ratio * t[2] * a - t[short] * b
            return float(top / (top + k * t[short] * t[2] * (1.0 - ratio)))

        def gap(log_k: float) -> float:
            return share(math.exp(log_k), 0) - share(math.exp(log_k), 1)

        grid = np.linspace(math.log(1e-3 / t[2]), math.log(1e3 / t[0]), 400)
        values = np.array([gap(x) for x in grid])
        flips = np.nonzero(np.sign(values[:-1]) * np.sign(values[1:]) < 0)[0]
        for n in flips:
            k = math.exp(brentq(gap, grid[n], grid[n + 1], xtol=1e-14))
            c = share(k, 0)
            if 0.0 < c < 1.0:
                e = -math.expm1(-k * t[2])
                full = q[2] * (e + c * (k * t[2] - e)) / (k * c * t[2])
                return cls(capacity_c=float(full), available_share=c, rate_per_s=k)
        raise InfeasibleError("KiBaM.fit: no pair of wells delivers these capacities at these discharge times")


@dataclass(frozen=True, kw_only=True)
class RakhmatovVrudhula(Cell):
    """Diffusion model of Rakhmatov and Vrudhula: empty when sigma(t) = alpha.

    sigma = int i + 2 sum_m int i(s) e^{-beta^2 m^2 (t-s)} ds. Modes: charge alpha - int i, and the integrals w_m.
    `capacity_c` is alpha; `beta` in s^-1/2. Source: Rakhmatov, Vrudhula, Wallach, ISLPED 2002 (10 terms).

    >>> itsy = RakhmatovVrudhula(capacity_c=35220e-3 * 60, beta=0.637 / 60**0.5)
    >>> round(itsy.time_to_empty(itsy.full_state(), 0.320), 2)
    6145.43
    """

    beta: float
    terms: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.beta > 0.0 or self.terms < 1:
            raise InputError(f"RakhmatovVrudhula: beta = {self.beta} must be > 0, terms = {self.terms} at least 1")

    @cached_property
    def _decay(self) -> Array:
        return np.concatenate(([0.0], (self.beta * np.arange(1, self.terms + 1)) ** 2))

    @property
    def decay_per_s(self) -> Array:
        """0 and beta^2 m^2."""
        return self._decay

    def drive(self, current_a: float) -> Array:
        """-I for the charge, I for each diffusion mode."""
        out = np.full(self.terms + 1, current_a)
        out[0] = -current_a
        return out

    @property
    def causes(self) -> tuple[str, ...]:
        """The charge that diffusion has not bound."""
        return ("available charge",)

    @property
    def signs(self) -> Array:
        """Charge helps, gradients do not."""
        return np.concatenate(([1.0], -np.ones(self.terms)))

    def margin_terms(self, modes: Array, current_a: float) -> Array:
        """Alpha - sigma."""
        out = np.empty((1, self.terms + 2))
        out[0, 0], out[0, 1], out[0, 2:] = 0.0, modes[0], -2.0 * modes[1:]
        return out


@dataclass(frozen=True, kw_only=True)
class CircuitCell(Cell):
    """Equivalent circuit: OCV(state of charge), series resistance R0 and RC pairs; empty at the cut-off voltage.

    V = OCV(q / C) - R0 I - sum_j v_j,  dv_j/dt = I / C_j - v_j / (R_j C_j). One pair is the first-order (Thevenin)
    circuit, none the plain internal resistance. The OCV is linear between table points and must rise with charge; R0
    may fall with it (`resistances_ohm`), as coin cells' does: then the end depends on the load's peak current.
    """

    soc: tuple[float, ...] = field(repr=False)
    ocv_v: tuple[float, ...] = field(repr=False)
    resistance_ohm: float
    cutoff_v: float
    pairs: tuple[tuple[float, float], ...] = ()
    """(R_j in ohm, C_j in farad) of each RC pair."""
    resistances_ohm: tuple[float, ...] = field(default=(), repr=False)
    """R0 at each soc, instead of the one `resistance_ohm`."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("soc", "ocv_v", "resistances_ohm"):
            object.__setattr__(self, name, tuple(map(float, getattr(self, name))))
        if len(self.soc) != len(self.ocv_v) or len(self.soc) < 2 or self.soc[0] != 0.0 or self.soc[-1] != 1.0:
            raise InputError("CircuitCell: soc must run from 0 to 1 with an ocv_v for each point")
        if np.any(np.diff(self.soc) <= 0) or np.any(np.diff(self.ocv_v) < 0):
            raise InputError("CircuitCell: soc and ocv_v must rise together")
        rising = np.any(np.diff(self.resistances_ohm) > 0)
        if len(self.resistances_ohm) not in (0, len(self.soc)) or rising:
            raise InputError("CircuitCell: resistances_ohm must give one for each soc and fall as it rises")
        if min((self.resistance_ohm, *self.resistances_ohm)) < 0.0 or any(r <= 0.0 or c <= 0.0 for r, c in self.pairs):
            raise InputError("CircuitCell: resistance_ohm must be >= 0 and every RC pair > 0")
        if self.cutoff_v >= self.ocv_v[-1]:
            raise InfeasibleError(
                f"CircuitCell: the cut-off of {self.cutoff_v} V is not below the open-circuit voltage of the full "
                f"cell, {self.ocv_v[-1]} V"
            )

    @cached_property
    def _decay(self) -> Array:
        return np.array([0.0, *(1.0 / (r * c) for r, c in self.pairs)])

    @property
    def decay_per_s(self) -> Array:
        """0 and 1 / (R_j C_j)."""
        return self._decay

    def drive(self, current_a: float) -> Array:
        """-I for the charge, I / C_j for each pair."""
        return np.array([-current_a, *(current_a / c for _, c in self.pairs)])

    @property
    def causes(self) -> tuple[str, ...]:
        """The terminal voltage, or the charge itself."""
        return ("voltage", "charge")

    @property
    def signs(self) -> Array:
        """Charge helps, polarisation does not."""
        return np.concatenate(([1.0], -np.ones(len(self.pairs))))

    @cached_property
    def _curve(self) -> tuple[Array, Array, Array]:
        ohm = self.resistances_ohm or (self.resistance_ohm,) * len(self.soc)
        return np.array(self.soc), np.array(self.ocv_v), np.array(ohm)

    def margin_terms(self, modes: Array, current_a: float) -> Array:
        """V - V_cutoff, and q."""
        soc, open_v, ohm = self._curve
        held_v = float(np.interp(modes[0] / self.capacity_c, soc, open_v - ohm * current_a))
        none = np.zeros(len(self.pairs))
        return np.array([[-self.cutoff_v, held_v, *-modes[1:]], [0.0, modes[0], *none]])

    def resistance_at_ohm(self, state: CellState) -> float:
        """R0 at a state of charge."""
        soc, _, ohm = self._curve
        return float(np.interp(state.charge_c / self.capacity_c, soc, ohm))

    def voltage_v(self, state: CellState, current_a: float) -> float:
        """Terminal voltage while the cell gives a current."""
        return self.margins(state, current_a)["voltage"] + self.cutoff_v

    def current_for_power_a(self, state: CellState, power_w: float) -> float:
        """Current at which the terminals give a power: V0 I - R0 I^2 = P, the lower root.

        Raises:
            InfeasibleError: the power is beyond the cell's maximum V0^2 / 4 R0.
        """
        open_v, ohm = self.voltage_v(state, 0.0), self.resistance_at_ohm(state)
        disc = open_v * open_v - 4.0 * ohm * power_w
        if disc < 0.0 or open_v <= 0.0:
            raise InfeasibleError(f"a load of {power_w:g} W is above what {open_v:.3f} V behind {ohm:g} ohm can give")
        return 2.0 * power_w / (open_v + math.sqrt(disc))

    def port(self, state: CellState) -> Port:
        """The cell wired across a capacitor (a hybrid store), for times in which its charge hardly changes.

        Needs a resistance above 0; the sum with other ports drives `tinysim.supply.motion`.
        """
        return thevenin(self.voltage_v(state, 0.0), self.resistance_at_ohm(state))

    def with_cutoff(self, load_min_v: float, dropout_v: float = 0.0) -> CircuitCell:
        """The same cell, empty where a converter that needs `dropout_v` above the load's minimum gives up."""
        return replace(self, cutoff_v=load_min_v + dropout_v)


def kim_qiao_ocv_v(soc: ArrayLike, coefficients: ArrayLike) -> NDArray[np.float64]:
    """Open-circuit voltage a0 e^{-a1 s} + a2 + a3 s - a4 s^2 + a5 s^3 of a state of charge s in 0..1.

    Source: Kim, Qiao 2011 (hybrid battery model), coefficients as in shepherd-core's virtual storage.

    >>> f"{kim_qiao_ocv_v(1.0, [-0.852, 63.867, 3.6297, 0.559, 0.51, 0.508]):.4f}"
    '4.1867'
    """
    s = np.asarray(soc, float)
    a = np.asarray(coefficients, float)
    return np.asarray(a[0] * np.exp(-a[1] * s) + a[2] + a[3] * s - a[4] * s**2 + a[5] * s**3)
