"""What a running board draws: power and prices of its memories at an operating point.

Fitted effects on the board's reference current serve where its rows were measured; data-sheet currents and technology
figures elsewhere. `power_residuals` says what each is worth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tinysim.cost.accelerator.energy import flash_energy_j_per_byte, sram_access
from tinysim.cost.energy import EnergyPrices, Regulator, leakage_scale, running_power, supply_power
from tinysim.device.power_effects import (
    instruction_share,
    power_factor,
    reference_points,
    sheet_points,
    shipped_power_effects,
    shipped_power_residuals,
)
from tinysim.device.spec import Device, Memory, OperatingPoint, Runtime
from tinysim.errors import SpecError

__all__ = [
    "PowerSpread",
    "Regulator",
    "byte_price",
    "energy_prices",
    "power_spread",
    "reference_power",
    "sleep_power",
]

#: Process of the SRAM whose energy a board does not state; that of the embedded-flash MCUs measured here.
_NODE_NM = 40.0
#: Energy of a byte of a memory chip, without a figure of the board's: 70 pJ/bit (DDR3: Chatterjee et al., MICRO 2017,
#: as in Accelergy's tables) and 40 pJ/bit (mobile DRAM, for PSRAM: Malladi et al., ISCA 2012) [J].
_EXTERNAL_BYTE_J = {"dram": 8 * 70e-12, "psram": 8 * 40e-12}
#: Residuals of a board's own that suffice for a 90 % interval.
_ENOUGH = 9
_SUPPLY_V = (0.5, 6.0)
_TEMPERATURE_C = (-40.0, 125.0)


@dataclass(frozen=True)
class PowerSpread:
    """What the interval of power is made of."""

    residuals: tuple[float, ...]
    """out-of-fold ln(measured / predicted) power of rows whose board was known as well as this one"""
    basis: str
    """whose residuals they are"""


def energy_prices(
    board: Device,
    runtime: Runtime,
    clock_hz: float,
    *,
    code: Memory,
    weights: Memory,
    activations: Memory,
    supply_v: float | None = None,
    temperature_c: float | None = None,
    regulator: Regulator | None = None,
) -> tuple[EnergyPrices | None, tuple[str, ...]]:
    """Power and prices of a runtime on a board at an operating point.

    Args:
        board: what runs.
        runtime: with which software.
        clock_hz: core clock [Hz].
        code: memory of the code.
        weights: memory of the weights.
        activations: memory of the activations.
        supply_v: supply voltage [V]; the board's if None.
        temperature_c: junction temperature [degC]; 25 degC if None.
        regulator: converter between supply and core; the board's if None.

    Returns:
        Prices, or None where the board's currents are unknown, and the gaps that withhold them.

    Raises:
        SpecError: a supply outside 0.5 to 6 V, a temperature outside -40 to 125 degC, no such regulator.
    """
    _check(board, supply_v, temperature_c, regulator)
    effects = shipped_power_effects()
    calibrated = ("board", board.name, "power") in effects
    points, sheet = reference_points(board, calibrated=calibrated)
    if board.power is None or not points:
        return None, (f"power.run of {board.name} is unknown: energy withheld",)
    volts, through = _supply(board, supply_v, regulator)
    reference_w = reference_power(board, points, clock_hz, supply_v=volts, regulator=through)
    power_w = reference_w * power_factor(runtime, board, effects, sheet=sheet)
    heated = 0.0 if temperature_c is None else _leakage_a(board) * volts * (leakage_scale(temperature_c).item() - 1.0)
    idle_w = supply_power(
        _idle_a(board), rated_v=volts, regulator=board.power.regulator, supply_v=volts, to=through
    ).item()
    prices = EnergyPrices(
        power_w=power_w + heated,
        static_w=min(idle_w, 0.5 * power_w) + heated,
        sram_byte_j=byte_price(activations),
        flash_byte_j=byte_price(weights),
        instruction_share=instruction_share(board, effects) * power_w / (power_w + heated),
        supply_v=supply_v,
        temperature_c=temperature_c,
        regulator=regulator,
    )
    return prices, ()


def reference_power(
    board: Device, points: Sequence[OperatingPoint], clock_hz: float, *, supply_v: float, regulator: Regulator
) -> float:
    """Power at a clock, supply and regulator from known running currents, those of that regulator first [W].

    Where one clock has several currents, the one nearest in supply serves.
    """
    same = [p for p in points if p.regulator == regulator] or list(points)
    nearest: dict[float, OperatingPoint] = {}
    for point in sorted(same, key=lambda p: -abs(p.supply.si - supply_v)):
        nearest[point.clock.si] = point
    clocks = sorted(nearest)
    powers = [
        supply_power(
            nearest[clock].current.si,
            rated_v=nearest[clock].supply.si,
            regulator=nearest[clock].regulator,
            supply_v=supply_v,
            to=regulator,
        ).item()
        for clock in clocks
    ]
    shape = _clock_shape(board)
    if len(clocks) == 1 and len(shape) > 1:
        # One clock is known of what runs, several of the data sheet's code: its rise with the clock serves.
        rise = running_power(
            np.array([*shape, clocks[0]]),
            clocks_hz=np.array(list(shape)),
            powers_w=np.array(list(shape.values())),
            leakage_w=0.0,
        )
        clocks, powers = list(shape), (powers[0] * rise[:-1] / rise[-1]).tolist()
    leak_w = min(_leakage_a(board) * supply_v, 0.5 * powers[0])
    return running_power(clock_hz, clocks_hz=np.array(clocks), powers_w=np.array(powers), leakage_w=leak_w).item()


def sleep_power(
    board: Device,
    state: str | None = None,
    *,
    keep_bytes: float = 1.0,
    supply_v: float | None = None,
    temperature_c: float | None = None,
) -> tuple[str, float, float]:
    """Name, power [W] and wake-up time [s] of a sleep state, by default the one of lowest current that keeps
    `keep_bytes` of SRAM; where the board states of none what it keeps, the lowest.

    Sleep currents are leakage: they pass at any supply, and grow with temperature. An unknown wake-up time is 0.

    Raises:
        SpecError: no such state of known current; names those that exist.
    """
    states = [s for s in board.power.sleep if s.current.known] if board.power is not None else []
    keeps = [s for s in states if s.retained is not None and s.retained.known and s.retained.si >= keep_bytes]
    chosen = [s for s in states if s.name == state] if state is not None else (keeps or states)
    if not chosen:
        raise SpecError(
            f"{board.name} has no sleep state {state or ''!r} of known current (it has "
            f"{', '.join(s.name for s in states) or 'none'})"
        )
    best = min(chosen, key=lambda s: s.current.si)
    volts, _ = _supply(board, supply_v, None)
    scale = 1.0 if temperature_c is None else leakage_scale(temperature_c).item()
    wake_s = best.wake_latency.si if best.wake_latency is not None and best.wake_latency.known else 0.0
    return best.name, best.current.si * volts * scale, wake_s


def power_spread(board: Device) -> PowerSpread:
    """Residuals of power for a board: its own left-out networks, or left-out boards where it was not measured."""
    rows = shipped_power_residuals()
    own = tuple(r.ln_power for r in rows if r.split == "network" and r.board == board.name)
    if len(own) >= _ENOUGH:
        return PowerSpread(own, f"power of {board.name}, networks left out")
    if own or not reference_points(board, calibrated=False)[1]:
        found = tuple(r.ln_power for r in rows if r.split == "network")
        return PowerSpread(found, "power of measured boards, networks left out")
    found = tuple(r.ln_power for r in rows if r.split == "board")
    return PowerSpread(found, "power from data-sheet currents, boards left out")


def _check(board: Device, supply_v: float | None, temperature_c: float | None, regulator: str | None) -> None:
    for value, (low, high), what, unit in (
        (supply_v, _SUPPLY_V, "supply", "V"),
        (temperature_c, _TEMPERATURE_C, "temperature", "degC"),
    ):
        if value is not None and not low <= value <= high:
            raise SpecError(f"{board.name}: {what} {value:g} {unit} is outside {low:g} to {high:g} {unit}")
    if regulator not in (None, "ldo", "smps", "none"):
        raise SpecError(f"{board.name}: regulator {regulator!r} is not one of ldo, smps, none")


def _supply(board: Device, supply_v: float | None, regulator: Regulator | None) -> tuple[float, Regulator]:
    assert board.power is not None, "callers ask only boards with currents"
    return board.power.supply.si if supply_v is None else supply_v, regulator or board.power.regulator


def _clock_shape(board: Device) -> dict[float, float]:
    """Current by clock, rising, of the data-sheet code that is stated at most clocks."""
    by_code: dict[tuple[str, str], dict[float, float]] = {}
    for point in sheet_points(board):
        by_code.setdefault((point.running, point.regulator), {}).setdefault(point.clock.si, point.current.si)
    return dict(sorted(max(by_code.values(), key=len, default={}).items()))


def _leakage_a(board: Device) -> float:
    """Largest known current of a state that stops the clocks and keeps SRAM; 0 if none is known."""
    states = board.power.sleep if board.power is not None else ()
    return max((s.current.si for s in states if s.current.known and s.retained is not None), default=0.0)


def _idle_a(board: Device) -> float:
    """Current of a core that waits: that of the shallowest sleep state; 0 if none is known."""
    states = board.power.sleep if board.power is not None else ()
    return max((s.current.si for s in states if s.current.known), default=0.0)


def byte_price(memory: Memory) -> float:
    """Energy of a byte [J]: the memory's own figure, or that of its technology; else 0.

    On the chip it is a share of the board's current; a memory of its own chip draws it besides.
    """
    if memory.read_energy is not None and memory.read_energy.known:
        return memory.read_energy.si
    if memory.external:
        return _EXTERNAL_BYTE_J.get(memory.kind, 0.0)
    if memory.kind == "flash":
        return flash_energy_j_per_byte()
    if memory.kind not in ("sram", "tcm") or not memory.size.known:
        return 0.0
    access = sram_access(size_bytes=memory.size.si, width_bits=32, node_nm=_NODE_NM)
    return float(access.read_j + access.write_j) / 2 / 4
