"""The battery of a scenario as a cell of `tinysim.supply`."""

from __future__ import annotations

from dataclasses import replace

from tinysim.errors import SpecError, TinysimError
from tinysim.scenario.plan import Battery
from tinysim.scenario.spec import CellSpec, Supply
from tinysim.supply.ageing import self_discharge_per_s
from tinysim.supply.batteries import IdealCell, KiBaM, PeukertCell, RakhmatovVrudhula
from tinysim.supply.cell import Cell
from tinysim.supply.presets import BatterySpec, load_battery

__all__ = ["build_battery"]


def build_battery(supply: Supply) -> Battery:
    """Cell, converter and limits.

    Raises:
        SpecError: a rail that the converter cannot make, or a preset that does not exist.
    """
    preset = _preset(supply.cell.preset) if supply.cell.preset is not None else None
    rail = supply.rail or supply.voltage
    converter = supply.converter
    if converter.kind != "buck" and converter.kind != "ldo" and rail != supply.voltage:
        raise SpecError(
            f"supply.rail: {rail:g} V differs from the cell's {supply.voltage:g} V and there is no converter"
        )
    if rail > supply.voltage:
        raise SpecError(f"supply.rail: a {converter.kind} cannot make {rail:g} V of {supply.voltage:g} V")
    gain = rail / (converter.efficiency * supply.voltage) if converter.efficiency is not None else 1.0
    limit = preset.max_current if preset is not None else None
    ohm = preset.resistance if preset is not None else None
    cutoff = preset.cutoff if preset is not None else None
    lowest = supply.brownout if supply.brownout is not None else cutoff.si if cutoff is not None else None
    if converter.dropout:
        lowest = max(lowest or 0.0, rail + converter.dropout)
    return Battery(
        cell=_cell(supply.cell, preset, lowest),
        voltage_v=supply.voltage,
        rail_v=rail,
        gain=gain,
        quiescent_a=converter.quiescent,
        resistance_ohm=supply.resistance or (ohm.si if ohm is not None else 0.0),
        brownout_v=lowest,
        max_current_a=supply.max_current if supply.max_current is not None else limit.si if limit is not None else None,
        buffer_f=supply.buffer.capacitance if supply.buffer is not None else 0.0,
        buffer_esr_ohm=supply.buffer.esr if supply.buffer is not None else 0.0,
    )


def _preset(name: str) -> BatterySpec:
    try:
        return load_battery(name)
    except SpecError as error:
        raise SpecError(f"supply.cell.preset: {error}") from error


def _cell(spec: CellSpec, preset: BatterySpec | None, lowest_v: float | None) -> Cell:
    cell = _of_preset(spec, preset, lowest_v) if preset is not None else _of_model(spec)
    kept = 1.0 - cell.self_discharge_per_s * spec.stored
    if kept <= 0.0:
        raise SpecError("supply.cell.stored: self-discharge has emptied the cell by then")
    return replace(cell, capacity_c=cell.capacity_c * spec.usable * kept)


def _of_preset(spec: CellSpec, preset: BatterySpec, lowest_v: float | None) -> Cell:
    """The preset's cell; a circuit is empty where the load browns out."""
    try:
        cell = preset.cell(spec.model or "ideal", temperature_k=spec.temperature, cutoff_v=lowest_v)
    except TinysimError as error:
        raise SpecError(f"supply.cell.{'temperature' if spec.temperature else 'model'}: {error}") from error
    own = self_discharge_per_s(spec.self_discharge) if spec.self_discharge else cell.self_discharge_per_s
    return replace(cell, self_discharge_per_s=own)


def _of_model(spec: CellSpec) -> Cell:
    assert spec.capacity is not None
    size, leak = spec.capacity, self_discharge_per_s(spec.self_discharge)
    match spec.model:
        case "peukert":
            assert spec.exponent is not None
            assert spec.rated is not None
            return PeukertCell(capacity_c=size, self_discharge_per_s=leak, exponent=spec.exponent, rated_s=spec.rated)
        case "kibam":
            assert spec.available_share is not None
            assert spec.well_rate is not None
            return KiBaM(
                capacity_c=size,
                self_discharge_per_s=leak,
                available_share=spec.available_share,
                rate_per_s=spec.well_rate,
            )
        case "rakhmatov":
            assert spec.beta is not None
            return RakhmatovVrudhula(capacity_c=size, self_discharge_per_s=leak, beta=spec.beta)
        case _:
            return IdealCell(capacity_c=size, self_discharge_per_s=leak)
