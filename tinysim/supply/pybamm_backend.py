"""PyBaMM as another back end: the same load on its equivalent circuit or on an electrochemical model.

Slower by orders of magnitude than the closed forms of `tinysim.supply.cell` and bound to a time step, but it knows
chemistry: use it to check a preset, or to fit a `KiBaM` to a parameter set. Needs the extra `tinysim[pybamm]`.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from tinysim.errors import InputError, nearest
from tinysim.supply.batteries import CircuitCell
from tinysim.supply.cell import LoadProfile

if TYPE_CHECKING:
    import pybamm

__all__ = ["Discharge", "discharge"]

Array = NDArray[np.float64]
Physics = Literal["SPM", "SPMe", "DFN"]

_CURRENT = "Current function [A]"


@dataclass(frozen=True, eq=False)
class Discharge:
    """A discharge from the full cell."""

    time_s: float
    """When the cut-off voltage was reached, or the horizon."""
    empty: bool
    """Whether it was reached."""
    charge_c: float
    """Charge delivered [C]."""
    times_s: Array
    """Times of the stored points, shape (n,)."""
    voltages_v: Array
    """Terminal voltage there, shape (n,)."""


def discharge(
    cell: CircuitCell | str, load: LoadProfile, *, horizon_s: float, physics: Physics = "SPM", capacity_c: float = 0.0
) -> Discharge:
    """Discharge a full cell through a load until its cut-off voltage, in PyBaMM.

    Args:
        cell: a circuit, which becomes PyBaMM's Thevenin model, or the name of a PyBaMM parameter set ("Chen2020").
        load: currents in stretches; a periodic one is repeated.
        horizon_s: end of the run at the latest [s].
        physics: electrochemical model of a parameter set.
        capacity_c: scales a parameter set to a cell of this capacity [C]: currents in inverse proportion, as for
            electrodes of another area. 0: the set's own cell.

    Raises:
        InputError: PyBaMM is not installed, no such parameter set, or a horizon that is no positive number.
    """
    if not 0.0 < horizon_s < np.inf:
        raise InputError(f"discharge: horizon_s = {horizon_s}: accepted is a finite number > 0")
    library = _library()
    with _quiet(library.logger):
        return _run(library, cell, load, horizon_s, physics, capacity_c)


def _run(
    library: Any, cell: CircuitCell | str, load: LoadProfile, horizon_s: float, physics: Physics, capacity_c: float
) -> Discharge:
    if isinstance(cell, str):
        known = [name for name in library.parameter_sets if name != "ECM_Example"]
        if cell not in known:
            raise InputError(f"PyBaMM has no parameter set {cell!r}; {nearest(cell, known)}")
        values = library.ParameterValues(cell)
        own_c = float(values["Nominal cell capacity [A.h]"]) * 3600.0
        model, scale = getattr(library.lithium_ion, physics)(), own_c / capacity_c if capacity_c else 1.0
        values[_CURRENT] = "[input]"
        values.set_initial_state(1.0)
    else:
        model, values = _thevenin(library, cell)
        scale = 1.0
    simulation = library.Simulation(model, parameter_values=values)
    charge, now, empty = 0.0, 0.0, False
    for current, duration in _stretches(load, horizon_s):
        solution = simulation.step(duration, inputs={_CURRENT: current * scale})
        charge += current * (float(solution.t[-1]) - now)
        now = float(solution.t[-1])
        empty = "event" in str(solution.termination)
        if empty:
            break
    return Discharge(now, empty, charge, np.asarray(solution.t), np.asarray(solution["Voltage [V]"].entries))


def _library() -> Any:
    os.environ.setdefault("PYBAMM_DISABLE_TELEMETRY", "true")
    try:
        import pybamm
    except ImportError as error:
        raise InputError("the PyBaMM back end needs pybamm: pip install 'tinysim[pybamm]'") from error
    return pybamm


@contextmanager
def _quiet(logger: logging.Logger) -> Iterator[None]:
    """Without PyBaMM's warning that an input has no value while it sets the model up."""
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _stretches(load: LoadProfile, horizon_s: float) -> Iterator[tuple[float, float]]:
    """(current, duration) of a load up to a horizon."""
    now = 0.0
    while True:
        for current, duration in load:
            cut = min(duration, horizon_s - now)
            if cut <= 0.0:
                return
            yield current, cut
            now += cut
        if not load.periodic:
            return


def _thevenin(library: Any, cell: CircuitCell) -> tuple[pybamm.BaseModel, pybamm.ParameterValues]:
    """PyBaMM's Thevenin model with the circuit's figures at constant temperature, from the full cell at rest."""
    pairs = {"number of rc elements": len(cell.pairs)}
    hours = cell.capacity_c / 3600.0
    series = cell.resistances_ohm or (cell.resistance_ohm,) * len(cell.soc)
    values = library.ParameterValues("ECM_Example")
    constant = {
        "R0 [Ohm]": lambda _temperature, _current, soc: library.Interpolant(np.array(cell.soc), np.array(series), soc),
        "Entropic change [V/K]": 0.0,
        "Open-circuit voltage [V]": lambda soc: library.Interpolant(np.array(cell.soc), np.array(cell.ocv_v), soc),
    }
    for n, (ohm, farad) in enumerate(cell.pairs, start=1):
        constant |= {f"R{n} [Ohm]": ohm, f"C{n} [F]": farad, f"Element-{n} initial overpotential [V]": 0.0}
    values.update(
        constant
        | {
            _CURRENT: "[input]",
            "Initial SoC": 1.0 - 1e-9,  # PyBaMM stops at exactly 1
            "Cell capacity [A.h]": hours,
            "Nominal cell capacity [A.h]": hours,
            "Lower voltage cut-off [V]": cell.cutoff_v,
            "Upper voltage cut-off [V]": cell.ocv_v[-1] + 1.0,
        },
        check_already_exists=False,
    )
    return library.equivalent_circuit.Thevenin(options=pairs), values
