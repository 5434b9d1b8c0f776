"""Calibrate on a user's own rows: the shipped effects are the prior, so three rows help and do not overfit."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tinysim.calibrate.fit import NOISE_LN, Design, fit_effects, posterior
from tinysim.deploy.target import precision_of, resolve_target
from tinysim.device.effects import Key, levels_of, shipped_effects
from tinysim.device.library import load_device
from tinysim.network.load import load_network

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Calibrated", "calibrate"]


@dataclass(frozen=True, eq=False)
class Calibrated:
    """A calibration on a user's rows."""

    device: str
    effects: dict[Key, tuple[float, float]]
    """key -> (ln, standard deviation), those that the rows moved"""
    rows: pd.DataFrame
    """id, network, runtime, latency_ms, before_ms, after_ms, residual (ln measured / after)"""
    warnings: tuple[str, ...]
    """rows that contradict each other, the workload or the board"""

    @property
    def records(self) -> list[dict[str, Any]]:
        """The rows as plain data."""
        return [{str(name): value for name, value in row.items()} for row in self.rows.to_dict("records")]


def calibrate(rows: pd.DataFrame, device: str | Path | None = None) -> Calibrated:
    """Fit the effects of a board to measured rows, from the shipped effects as prior.

    Args:
        rows: table as `read_rows` gives it (network, device, runtime, latency_ms, ...).
        device: name or YAML file of the board; the rows' device column if None.

    Raises:
        UnknownDevice, UnknownRuntime, UnknownNetwork, SpecError: a row names something that does not exist.
    """
    from tinysim.calibrate.features import network_features

    shipped = shipped_effects()
    features, levels, measured, clocks = [], [], [], []
    warnings: list[str] = []
    records: list[Any] = rows.to_dict("records")
    for row in records:
        board = load_device(device if device is not None else row["device"])
        network = load_network(str(row["network"]))
        precision = precision_of(network.table())
        clock_hz = float(row["clock_mhz"]) * 1e6 if row["clock_mhz"] and row["clock_mhz"] == row["clock_mhz"] else None
        if clock_hz is not None and clock_hz > board.clock.si * 1.001:
            warnings.append(
                f"{row['id']}: clock {row['clock_mhz']:g} MHz is above the board's {board.clock.si / 1e6:g} MHz"
            )
            clock_hz = None
        target = resolve_target(
            board, str(row["runtime"]), clock_hz=clock_hz, precision=precision, build=str(row["build"])
        )
        features.append(network_features(network, target))
        levels.append(levels_of(target.runtime, board, precision=precision, build=str(row["build"])))
        clocks.append(target.clock_hz)
        measured.append(np.log(float(row["latency_ms"]) * 1e-3 * target.clock_hz))
    design = Design.of(levels, np.array(features))
    prior = np.array([shipped.get(key, (0.0, 0.0))[0] for key in design.keys])
    sigma = np.array([shipped.get(key, (0.0, s))[1] for key, s in zip(design.keys, design.sigma, strict=True)])
    design = Design(design.keys, np.maximum(sigma, 1e-6), design.incidence, design.features)
    target_ln = np.array(measured)
    theta = fit_effects(design, target_ln, prior=prior)
    fit = posterior(design, target_ln, theta)
    after, before = design.predict(theta), design.predict(prior)
    clock = np.array(clocks)
    table = rows[["id", "network", "runtime", "latency_ms"]].assign(
        before_ms=np.exp(before) / clock * 1e3, after_ms=np.exp(after) / clock * 1e3, residual=target_ln - after
    )
    warnings += _contradictions(rows) + [
        f"{name}: {np.expm1(r):+.0%} from what the other rows and the structure allow; check workload, clock and build"
        for name, r in zip(rows["id"], target_ln - after, strict=True)
        if abs(r) > 4 * NOISE_LN
    ]
    moved = {
        key: (float(value), float(sd))
        for key, value, sd, before_ln in zip(design.keys, theta, fit.sd, prior, strict=True)
        if abs(value - before_ln) > 1e-4
    }
    name = load_device(device).name if device is not None else ", ".join(sorted(set(rows["device"])))
    return Calibrated(name, moved, table, tuple(warnings))


def _contradictions(rows: pd.DataFrame) -> list[str]:
    """Pairs of rows of one cell that differ by more than 5 %, and rows that repeat one figure."""
    found: list[str] = []
    keys: list[Any] = ["network", "device", "runtime", "build"]
    for _, group in rows.groupby(keys, dropna=False):
        low, high = group["latency_ms"].min(), group["latency_ms"].max()
        names = " and ".join(group["id"].astype(str))
        if high > 1.05 * low:
            found.append(f"{names} measure one thing and differ by {high / low - 1:.0%}")
        elif len(group) > 1 and high == low:
            found.append(f"{names} repeat one figure")
    return found
