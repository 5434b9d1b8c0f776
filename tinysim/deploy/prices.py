"""What a running board draws: power and prices of its memories at an operating point."""

from __future__ import annotations

from typing import Literal

from tinysim.cost.energy import EnergyPrices
from tinysim.device.spec import Device, Memory, OperatingPoint, Runtime

__all__ = ["Regulator", "energy_prices"]

Regulator = Literal["ldo", "smps", "none"]


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
    """Power from the running current nearest in kind, regulator, clock and supply; byte prices from the memories.

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
    """
    points = [p for p in board.power.run if p.current.known] if board.power is not None else []
    if board.power is None or not points:
        return None, (f"power.run of {board.name} is unknown: energy withheld",)
    volts = board.power.supply.si if supply_v is None else supply_v
    wanted = board.power.regulator if regulator is None else regulator

    def distance(point: OperatingPoint) -> tuple[int, bool, float, float]:
        runs = [f"inference {runtime.name}", "inference"]
        kind = runs.index(point.running) if point.running in runs else len(runs)
        return kind, point.regulator != wanted, abs(point.clock.si - clock_hz), abs(point.supply.si - volts)

    point = min(points, key=distance)
    # An LDO (or none) draws the core's current at any supply; a converter draws the same power.
    drawn_at = point.supply.si if point.regulator == "smps" else volts
    power_w = point.current.si * drawn_at * (clock_hz / point.clock.si)
    idle = [s for s in board.power.sleep if s.current.known]
    static_w = min(max(s.current.si for s in idle) * volts, 0.5 * power_w) if idle else 0.0

    def byte_price(memory: Memory) -> float:
        return memory.read_energy.si if memory.read_energy is not None and memory.read_energy.known else 0.0

    prices = EnergyPrices(
        power_w=power_w,
        static_w=static_w,
        sram_byte_j=byte_price(activations),
        flash_byte_j=byte_price(weights),
    )
    return prices, ()
