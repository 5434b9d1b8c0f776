"""What a battery preset says, and the cells that follow from it."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from tinysim.errors import MissingFigure
from tinysim.figures import Figure, FigureKind, Spec, in_unit
from tinysim.supply.ageing import capacity_at
from tinysim.supply.batteries import (
    CircuitCell,
    IdealCell,
    KiBaM,
    PeukertCell,
    RakhmatovVrudhula,
    kim_qiao_ocv_v,
)
from tinysim.supply.cell import Cell

__all__ = ["BatteryModel", "BatterySpec"]

BatteryModel = Literal["ideal", "peukert", "kibam", "rakhmatov", "circuit"]


class Numbers(Spec):
    """A list of numbers in SI from one source."""

    values: tuple[float, ...]
    kind: FigureKind
    source: str
    where: str


class Polarisation(Spec):
    """One RC pair of an equivalent circuit."""

    resistance: Annotated[Figure, in_unit("ohm")]
    capacitance: Annotated[Figure, in_unit("F")]


class Stiffness(Spec):
    """Internal resistance after a charge was taken from the full cell."""

    used: Annotated[Figure, in_unit("C")]
    resistance: Annotated[Figure, in_unit("ohm")]


class ColdPoint(Spec):
    """Share of the nominal capacity at a temperature in kelvin."""

    temperature: Annotated[Figure, in_unit("kelvin")]
    share: Annotated[Figure, in_unit("1")]


class RatePoint(Spec):
    """Charge delivered at a constant current."""

    current: Annotated[Figure, in_unit("A")]
    capacity: Annotated[Figure, in_unit("C")]


class BatterySpec(Spec):
    """A battery. Figures that nobody gives are absent, and a model that needs them says so."""

    name: str
    title: str
    chemistry: Literal["li-mno2", "alkaline", "li-fes2", "li-socl2", "li-ion", "li-polymer"]
    rechargeable: bool
    nominal: Annotated[Figure, in_unit("V")]
    """Nominal voltage."""
    capacity: Annotated[Figure, in_unit("C")]
    """Charge from full to the cut-off at a light load."""
    cutoff: Annotated[Figure, in_unit("V")] | None = None
    """Voltage at which the capacity was taken to be spent."""
    resistance: Annotated[Figure, in_unit("ohm")] | None = None
    """Internal resistance, of the full cell if `stiffness` is given."""
    stiffness: tuple[Stiffness, ...] = ()
    """How the resistance rises as charge is used, up to the capacity."""
    self_discharge: Annotated[Figure, in_unit("1/s")] | None = None
    """Share of the capacity lost per time at room temperature."""
    peukert_exponent: Annotated[Figure, in_unit("1")] | None = None
    rated_time: Annotated[Figure, in_unit("s")] | None = None
    """Discharge time at which the capacity was rated."""
    rates: Annotated[tuple[RatePoint, ...], Field(max_length=3)] = ()
    """Capacity at three constant currents, the highest first: they fix a KiBaM."""
    available_share: Annotated[Figure, in_unit("1")] | None = None
    """KiBaM: share of the available well; the wells hold the capacity."""
    well_rate: Annotated[Figure, in_unit("1/s")] | None = None
    """KiBaM: rate k' at which the wells level out."""
    diffusion: Annotated[Figure, in_unit("1/s**0.5")] | None = None
    """Rakhmatov-Vrudhula: beta; alpha is the capacity."""
    ocv: Numbers | None = None
    """Six coefficients of the open-circuit voltage (`kim_qiao_ocv_v`)."""
    polarisation: tuple[Polarisation, ...] = ()
    cold: tuple[ColdPoint, ...] = ()
    """Capacity over temperature, coldest first."""
    max_current: Annotated[Figure, in_unit("A")] | None = None
    """Highest continuous current."""
    max_pulse: Annotated[Figure, in_unit("A")] | None = None
    rated_cycles: Annotated[Figure, in_unit("1")] | None = None
    """Full cycles to `cycle_share` of the capacity."""
    cycle_share: Annotated[Figure, in_unit("1")] | None = None

    def figure(self, field: str) -> float:
        """SI value of a figure.

        Raises:
            MissingFigure: the preset has none.
        """
        value: Figure | None = getattr(self, field)
        if value is None or not value.known:
            raise MissingFigure(f"battery {self.name}: no sourced figure for {field}")
        return value.si

    def cell(
        self,
        model: BatteryModel = "ideal",
        *,
        capacity_c: float | None = None,
        cutoff_v: float | None = None,
        temperature_k: float | None = None,
    ) -> Cell:
        """A cell of this battery: a tank, one with Peukert's law, two wells, diffusion, or a circuit with a cut-off.

        `capacity_c` scales a cell of the same build (resistances in inverse proportion, as for electrodes of another
        area). Without a self-discharge figure it is taken as zero; without an OCV curve the open-circuit voltage is
        the nominal one until the charge is spent.

        Raises:
            MissingFigure: the model needs a figure that the preset lacks.
        """
        rated = self.capacity.si
        scale = 1.0 if capacity_c is None else capacity_c / rated
        share = 1.0 if temperature_k is None else self.capacity_share(temperature_k)
        leak = self.self_discharge.si if self.self_discharge is not None and self.self_discharge.known else 0.0
        common: dict[str, Any] = {"capacity_c": rated * scale * share, "self_discharge_per_s": leak}
        if model == "ideal":
            return IdealCell(**common)
        if model == "peukert":
            return PeukertCell(**common, exponent=self.figure("peukert_exponent"), rated_s=self.figure("rated_time"))
        if model == "kibam":
            return self._kibam(common)
        if model == "rakhmatov":
            return RakhmatovVrudhula(**common, beta=self.figure("diffusion"))
        used = [point.used.si / rated for point in self.stiffness]
        soc = np.linspace(0.0, 1.0, 201) if self.ocv else np.unique([0.0, 1.0, *(1.0 - u for u in used)])
        open_v = kim_qiao_ocv_v(soc, self.ocv.values) if self.ocv else np.full(soc.size, self.figure("nominal"))
        fresh = self.figure("resistance")
        rising = [fresh, *(point.resistance.si for point in self.stiffness)]
        ohm = np.interp(1.0 - soc, [0.0, *used], rising) / scale
        return CircuitCell(
            **common,
            soc=tuple(soc.tolist()),
            ocv_v=tuple(open_v.tolist()),
            resistance_ohm=fresh / scale,
            resistances_ohm=tuple(ohm.tolist()) if used else (),
            cutoff_v=self.figure("cutoff") if cutoff_v is None else cutoff_v,
            pairs=tuple((p.resistance.si / scale, p.capacitance.si * scale) for p in self.polarisation),
        )

    def _kibam(self, common: dict[str, Any]) -> KiBaM:
        """Wells as stated, or fitted to the capacities at three currents."""
        if self.available_share is not None or not self.rates:
            share, rate = self.figure("available_share"), self.figure("well_rate")
            return KiBaM(**common, available_share=share, rate_per_s=rate)
        charges = [point.capacity.si for point in self.rates]
        times = [point.capacity.si / point.current.si for point in self.rates]
        fitted = KiBaM.fit(charges, times)
        wells_c = common.pop("capacity_c") * fitted.capacity_c / self.capacity.si
        return replace(fitted, **common, capacity_c=wells_c)

    def capacity_share(self, temperature_k: float) -> float:
        """Share of the capacity at a temperature, from the preset's points.

        Raises:
            MissingFigure: the preset has no points.
        """
        if not self.cold:
            raise MissingFigure(f"battery {self.name}: no sourced figure for the capacity at {temperature_k:g} K")
        table_k, table_share = [p.temperature.si for p in self.cold], [p.share.si for p in self.cold]
        return float(capacity_at(temperature_k, table_k=table_k, table_share=table_share))
