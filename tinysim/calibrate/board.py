"""Calibrate on a user's own rows, beside the package's: so three rows help and do not overfit."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import tinysim
from tinysim.calibrate.features import named_features, row_precision
from tinysim.calibrate.fit import Design, fit_effects, posterior
from tinysim.calibrate.rows import read_rows
from tinysim.calibrate.suspicions import clock_suspicions, row_suspicions, table_suspicions
from tinysim.calibrate.validate import Dataset, dataset
from tinysim.deploy.target import Target, resolve_target
from tinysim.device.effects import NOISE_LN, Key, levels_of, shipped_effects
from tinysim.device.library import load_device
from tinysim.errors import InputError, TinysimError

if TYPE_CHECKING:
    import pandas as pd

    from tinysim.device.spec import Device

__all__ = ["Calibrated", "calibrate"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Calibrated:
    """A calibration on a user's rows."""

    device: str
    effects: dict[Key, tuple[float, float]]
    """key -> (ln, standard deviation), those that the rows moved"""
    rows: pd.DataFrame
    """id, network, device, runtime, build, clock_mhz, latency_ms, before_ms, after_ms, residual (ln measured / after),
    fitted (False for a copy of another row)"""
    warnings: tuple[str, ...]
    """rows that contradict each other, the workload or the board"""

    @property
    def records(self) -> list[dict[str, Any]]:
        """The rows as plain data."""
        return [{str(name): value for name, value in row.items()} for row in self.rows.to_dict("records")]

    @property
    def errors(self) -> tuple[float, float]:
        """Mean absolute error of latency on the rows before and after the fit [1]."""
        measured = self.rows["latency_ms"]
        before, after = ((self.rows[name] / measured - 1).abs().mean() for name in ("before_ms", "after_ms"))
        return float(before), float(after)

    def to_dict(self) -> dict[str, Any]:
        """The calibration as plain data: the document that the YAML file holds."""
        return {
            "device": self.device,
            "tinysim": tinysim.__version__,
            "rows": self.records,
            "warnings": list(self.warnings),
            "effects": [
                {"effect": name, "level": level, "feature": feature, "ln": round(value, 5), "sd": round(sd, 5)}
                for (name, level, feature), (value, sd) in sorted(self.effects.items())
            ],
        }

    def __repr__(self) -> str:
        before, after = self.errors
        return (
            f"Calibrated({self.device}: {len(self.rows)} rows, error {before:.1%} before, {after:.1%} after, "
            f"{len(self.effects)} effects moved, {len(self.warnings)} warnings)"
        )


def calibrate(
    rows: pd.DataFrame | str | Path,
    device: str | Path | Device | None = None,
    *,
    beside: Dataset | None = None,
) -> Calibrated:
    """Fit the effects of a board to measured rows, together with the package's own rows.

    What those know of stack and core stays in place (a prior with its correlations, which the shipped standard
    deviations alone are not), so a few rows move what is the board's.

    Args:
        rows: a CSV file, or a table as `read_rows` gives it (network, device, runtime, latency_ms, ...).
        device: name, YAML file or description of the board; the rows' device column if None.
        beside: rows to fit together with; those of the package if None.

    Raises:
        InputError: no table of measurements, or a row names something that does not exist; names the row.
    """
    table = rows.reset_index(drop=True) if not isinstance(rows, str | Path) else read_rows(Path(rows), device=device)
    if not len(table):
        raise InputError("no rows to calibrate on")
    warnings: list[str] = []
    cases = [_case(row, device, warnings) for row in table.to_dict("records")]
    targets = [case.target for case in cases]
    clock = np.array([target.clock_hz for target in targets])
    measured = np.log(table["latency_ms"].to_numpy(dtype=np.float64) * 1e-3 * clock)
    # A copy of a row (same cell, same figure) is no second measurement.
    same: list[Any] = ["network", "device", "runtime", "build", "clock_mhz", "latency_ms"]
    fitted = ~table.duplicated(same).to_numpy(dtype=bool)

    own = Design.of([case.levels for case in cases], np.array([case.features for case in cases]))
    shipped = shipped_effects()
    start = {key: shipped.get(key, (0.0, 0.0))[0] for key in own.keys}
    effects = _fit_together(own, measured, fitted, beside or dataset())
    was, theta = np.array([start[key] for key in own.keys]), np.array([effects[key][0] for key in own.keys])
    before, after = own.predict(was), own.predict(theta)
    columns: list[Any] = ["id", "network", "device", "runtime", "build", "clock_mhz", "latency_ms"]
    result = table[columns].assign(
        clock_mhz=clock / 1e6,
        before_ms=np.exp(before) / clock * 1e3,
        after_ms=np.exp(after) / clock * 1e3,
        residual=measured - after,
        fitted=fitted,
    )
    named = sorted(set(table["device"].astype(str)))
    if device is not None and len(named) > 1:
        taken = load_device(device).name
        warnings.append(f"the rows name several boards ({', '.join(named)}); all were taken as {taken}")
    warnings += table_suspicions(table)
    _, slope = own.linearise(was)
    loose = np.array([shipped.get(key, (0.0, s))[1] for key, s in zip(own.keys, own.sigma, strict=True)])
    warnings += clock_suspicions(targets, measured - before, np.sqrt(slope.power(2) @ loose**2))
    cycles = np.exp(measured)
    for name, case, off, taken_cycles in zip(table["id"], cases, measured - after, cycles, strict=True):
        warnings += row_suspicions(str(name), case.network, case.target, float(off), float(taken_cycles))
    moved = {key: value for key, value in effects.items() if abs(value[0] - start[key]) > 1e-4}
    names = ", ".join(sorted({target.device.name for target in targets}))
    return Calibrated(names, moved, result, tuple(warnings))


def _fit_together(
    own: Design, measured: Floats, fitted: NDArray[np.bool_], beside: Dataset
) -> dict[Key, tuple[float, float]]:
    """(ln, standard deviation) of the effects of some rows, fitted together with others."""
    from scipy.sparse import csr_array, vstack

    chosen = own.rows(fitted)
    keys = tuple(dict.fromkeys((*own.keys, *beside.design.keys)))
    at = {key: position for position, key in enumerate(keys)}
    sigma = np.zeros(len(keys))
    blocks = []
    for part in (chosen, beside.design):
        place = np.array([at[key] for key in part.keys])
        sigma[place] = part.sigma
        entries = part.incidence.tocoo()
        shape = (entries.shape[0], len(keys))
        blocks.append(csr_array((entries.data, (entries.row, place[entries.col])), shape=shape))
    design = Design(
        keys, sigma, vstack(blocks, format="csr"), np.concatenate([chosen.features, beside.design.features])
    )
    ln_cycles = np.concatenate([measured[fitted], beside.ln_cycles])
    shipped = shipped_effects()
    start = np.array([shipped.get(key, (0.0, 0.0))[0] for key in keys])
    noise = np.concatenate([np.full(int(fitted.sum()), NOISE_LN), beside.noise_ln])
    theta = fit_effects(design, ln_cycles, start=start, noise_ln=noise)
    fit = posterior(design, ln_cycles, theta, noise_ln=noise)
    return {key: (float(theta[at[key]]), float(fit.sd[at[key]])) for key in own.keys}


@dataclass(frozen=True, eq=False)
class _Case:
    network: str
    target: Target
    levels: dict[str, str]
    features: Floats


def _case(row: dict[Any, Any], device: str | Path | Device | None, warnings: list[str]) -> _Case:
    """A row with all that the fit needs; adds a warning if the board cannot run at the row's clock.

    Raises:
        InputError: the row names something that does not exist.
    """
    try:
        board = load_device(device if device is not None else str(row["device"]))
        name = str(row["network"])
        clock_hz = float(row["clock_mhz"]) * 1e6 if row["clock_mhz"] and row["clock_mhz"] == row["clock_mhz"] else None
        if clock_hz is not None and clock_hz > board.clock.si * 1.001:
            warnings.append(
                f"{row['id']}: clock {row['clock_mhz']:g} MHz is above the {board.clock.si / 1e6:g} MHz of "
                f"{board.name}, which were taken"
            )
            clock_hz = None
        precision, build, memory = row_precision(name), str(row["build"]), row.get("memory")
        places = {"weights_in": memory, "activations_in": memory} if isinstance(memory, str) and memory else {}
        target = resolve_target(
            board, str(row["runtime"]), clock_hz=clock_hz, precision=precision, build=build, **places
        )
        features = named_features(name, target)
    except TinysimError as error:
        raise InputError(f"{row['id']}: {error}") from error
    return _Case(name, target, levels_of(target.runtime, board, precision=precision, build=build), features)
