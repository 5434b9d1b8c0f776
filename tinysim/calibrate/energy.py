"""Fit the power of running networks to measured energies.

    ln P = ln reference + effects + ln(1 - g + g * issue)

`reference` is the board's data-sheet power (or its measured one, without a data sheet) at the row's supply, effects are
those of `tinysim.device.power_effects`, and `issue` is the part of the issue slots that executed instructions fill. All
is shrunk: effects to zero, g to 0.1 and to that of other boards; g stays in 0 to 0.5, so every price is positive.
Robust: beyond 1.5 standard deviations a residual counts linearly (Charbonnier et al., IEEE Trans. Image Processing 6
(1997) 298), because single published logs are off by 20 %.

``python -m tinysim.calibrate.energy`` fits all rows and rewrites device_specs/calibration/power.csv and
power_residuals.csv. Run it after a refit of the latency: the predicted cycles tell how much of its time a core waits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tinysim.calibrate.rows import suite_rows
from tinysim.cost.energy import issue_time
from tinysim.deploy.costs import layer_costs
from tinysim.deploy.deployment import priced_rows, runtime_network
from tinysim.deploy.prices import reference_power
from tinysim.deploy.target import resolve_target
from tinysim.device.effects import Key
from tinysim.device.library import load_device, spec_folder
from tinysim.device.power_effects import PRIOR_SHARE, power_keys, reference_points, sheet_points
from tinysim.errors import InputError, nearest
from tinysim.network.load import load_network

if TYPE_CHECKING:
    import pandas as pd

    from tinysim.device.spec import Device

__all__ = [
    "SPLITS",
    "PowerRows",
    "chip",
    "energy_rows",
    "fit_power",
    "out_of_fold_power",
    "predict_power",
    "write_power",
]

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

#: A network on a board with a stack; a network; an MCU.
SPLITS = ("cell", "network", "board")
#: Standard deviation of a measured power that the effects do not explain [ln], and where its loss turns linear.
NOISE_LN = 0.02
_LINEAR = 1.5
#: Prior standard deviations of ln g: of its mean, and of a board about it; g is at most _MAX_SHARE.
_SHARE_LN = (0.7, 0.5)
_MAX_SHARE = 0.5


@dataclass(frozen=True, eq=False)
class PowerRows:
    """Measured rows with an energy, and what the model knows of them."""

    table: pd.DataFrame
    """rows of the suite, with energy"""
    reference_w: Floats
    """data-sheet (or measured) power at the row's supply, shape (n,) [W]"""
    issue: Floats
    """part of the issue slots that executed instructions fill, shape (n,) [1]"""
    keys: tuple[tuple[Key, ...], ...]
    """effects that act on each row"""
    sigma: Mapping[Key, float]
    """prior standard deviation of every effect"""
    sheet: Mask
    """whether the reference is a data-sheet current, shape (n,)"""
    chip: tuple[str, ...]
    """MCU of each row: boards of one MCU are left out together"""

    @property
    def board(self) -> tuple[str, ...]:
        """Board of each row."""
        return tuple(self.table["device"])

    def groups(self, split: str) -> NDArray[np.str_]:
        """What a split leaves out together: the cell, the network or the MCU of each row, shape (n,).

        Raises:
            InputError: no such split.
        """
        if split not in SPLITS:
            raise InputError(f"unknown split {split!r}; {nearest(split, SPLITS)}")
        return np.array(self.chip if split == "board" else self.table[split], dtype=str)

    @property
    def power_w(self) -> Floats:
        """Measured mean power of each row, shape (n,) [W]."""
        return self.energy_j / self.latency_s

    @property
    def energy_j(self) -> Floats:
        """Measured energy of each row, shape (n,) [J]."""
        return self.table["energy_uj"].to_numpy(dtype=np.float64) * 1e-6

    @property
    def latency_s(self) -> Floats:
        """Measured latency of each row, shape (n,) [s]."""
        return self.table["latency_ms"].to_numpy(dtype=np.float64) * 1e-3


def energy_rows(suite: str = "mlperf-tiny") -> PowerRows:
    """The rows of a suite that state an energy on a board whose currents are known."""
    table = suite_rows(suite)
    table = table[table["energy_uj"].notna() & table["supply_v"].notna()].reset_index(drop=True)
    known = [bool(reference_points(load_device(device), calibrated=True)[0]) for device in table["device"]]
    table = table[known].reset_index(drop=True)
    reference, issue, keys, sheets, chips = [], [], [], [], []
    sigma: dict[Key, float] = {}
    columns = (table[name].tolist() for name in ("network", "device", "runtime", "supply_v"))
    for network, device, runtime, supply_v in zip(*columns, strict=True):
        target = resolve_target(device, runtime)
        board = target.device
        assert board.power is not None, "a board without currents has no reference"
        points, sheet = reference_points(board, calibrated=True)
        reference.append(
            reference_power(board, points, target.clock_hz, supply_v=supply_v, regulator=board.power.regulator)
        )
        net = runtime_network(load_network(network), target.runtime)
        costs = layer_costs(net.table(), target, priced_rows(net.table(), target))
        issued = issue_time(
            costs.counts.instructions,
            slot_cycles=target.timing.alu,
            cycles=costs.cycles.total,
            clock_hz=target.clock_hz,
        )
        issue.append(float(issued.sum() / costs.latency_s.sum()))
        acting = dict(power_keys(target.runtime, board, sheet=sheet))
        sigma |= acting
        keys.append(tuple(acting))
        sheets.append(bool(sheet_points(board)))
        chips.append(chip(board))
    return PowerRows(table, np.array(reference), np.array(issue), tuple(keys), sigma, np.array(sheets), tuple(chips))


def chip(board: Device) -> str:
    """MCU of a board, without its package: -P bonds out the converter's pins of one chip."""
    return board.soc.split("-")[0]


def fit_power(rows: PowerRows, chosen: Mask | None = None) -> dict[Key, float]:
    """Effects on power [ln] fitted to some rows (all by default), and the instruction share of each board and of all.

    Rows without the like in `chosen` keep their prior; keys are those of `power_keys`, and (mean | board, ...,
    instructions) for ln g.
    """
    from scipy.optimize import least_squares

    use = np.flatnonzero(np.ones(len(rows.keys), dtype=bool) if chosen is None else chosen)
    keys = sorted({key for i in use for key in rows.keys[i]})
    boards = sorted({rows.board[i] for i in use})
    column = {key: j for j, key in enumerate(keys)}
    acts = np.zeros((len(use), len(keys)))
    for i, row in enumerate(use):
        acts[i, [column[key] for key in rows.keys[row]]] = 1.0
    on_board = np.array([[rows.board[i] == board for board in boards] for i in use], dtype=np.float64)
    measured = np.log(rows.power_w[use] / rows.reference_w[use])
    sigma = np.array([rows.sigma[key] for key in keys])
    n = len(keys)

    prior = 1.0 / np.concatenate([sigma, [_SHARE_LN[0]], np.full(len(boards), _SHARE_LN[1])])

    def offset(theta: Floats) -> Floats:
        about: Floats = theta[n] + on_board @ theta[n + 1 :]
        return about

    def errors(theta: Floats) -> tuple[Floats, Floats]:
        """Scaled errors e and sqrt(1 + e^2)."""
        predicted = acts @ theta[:n] + _activity(offset(theta), rows.issue[use])
        error = (measured - predicted) / (NOISE_LN * _LINEAR)
        return error, np.sqrt(1.0 + error**2)

    def residuals(theta: Floats) -> Floats:
        error, root = errors(theta)
        return np.concatenate([_LINEAR * error * np.sqrt(2.0 / (root + 1.0)), prior * theta])

    def jacobian(theta: Floats) -> Floats:
        _, root = errors(theta)
        share = np.exp(_ln_share(offset(theta)))
        slope = np.where(share < _MAX_SHARE, share, 0.0) * (rows.issue[use] - 1.0)
        slope = slope / (1.0 - share + share * rows.issue[use])
        by_effect = np.column_stack([acts, slope, slope[:, None] * on_board])
        scale = -np.sqrt((root + 1.0) / 2.0) / root / NOISE_LN
        return np.vstack([scale[:, None] * by_effect, np.diag(prior)])

    theta = least_squares(residuals, np.zeros(n + 1 + len(boards)), jac=jacobian, method="lm").x
    found = dict(zip(keys, theta[:n].tolist(), strict=True))
    found["mean", "", "instructions"] = _ln_share(theta[n]).item()
    for j, board in enumerate(boards):
        found["board", board, "instructions"] = _ln_share(theta[n] + theta[n + 1 + j]).item()
    return found


def _ln_share(offset: Floats | float) -> Floats:
    """Log of g from its offset to the prior, bounded."""
    bounded: Floats = np.minimum(math.log(PRIOR_SHARE) + np.asarray(offset), math.log(_MAX_SHARE))
    return bounded


def _activity(offset: Floats, issue: Floats) -> Floats:
    share = np.exp(_ln_share(offset))
    activity: Floats = np.log1p(-share + share * issue)
    return activity


def predict_power(rows: PowerRows, effects: Mapping[Key, float]) -> Floats:
    """Power of every row [W], shape (n,); effects that are not there are 0."""
    common = effects["mean", "", "instructions"]
    share = np.exp([effects.get(("board", board, "instructions"), common) for board in rows.board])
    total = np.array([sum(effects.get(key, 0.0) for key in keys) for keys in rows.keys])
    power: Floats = rows.reference_w * np.exp(total) * (1.0 - share + share * rows.issue)
    return power


def out_of_fold_power(rows: PowerRows, split: str) -> Floats:
    """Power of every row, fitted without its cell, network, or MCU (split `board`), shape (n,) [W].

    Without its MCU, a row without a data-sheet current cannot be predicted: not a number. Those rows do not serve the
    fit either, as their reference is their own measurement.
    """
    groups = rows.groups(split)
    served = rows.sheet if split == "board" else np.ones(len(groups), dtype=bool)
    power = np.full(len(groups), np.nan)
    for group in np.unique(groups[served]):
        held = groups == group
        power[held] = predict_power(rows, fit_power(rows, served & ~held))[held]
    return np.where(served, power, np.nan)


def write_power(folder: Path) -> None:
    """Fit all rows and write `power.csv` and `power_residuals.csv`, tables of device_specs/calibration."""
    rows = energy_rows()
    lines = ["# Effects on the power of running networks, ln; made by tinysim.calibrate.energy.write_power", ""]
    lines[1:] = ["# from the rows with energy in tinysim/calibrate/data/mlperf_tiny.csv", "effect,level,feature,ln"]
    lines += [f"{e},{level},{feature},{ln:.4f}" for (e, level, feature), ln in sorted(fit_power(rows).items())]
    (folder / "power.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    lines = ["# ln(measured / predicted) power of rows left out with their network or their MCU", ""]
    lines[1:] = ["split,board,stack,network,ln_power"]
    for split in ("network", "board"):
        errors = np.log(rows.power_w / out_of_fold_power(rows, split))
        for row, error in zip(rows.table.itertuples(), errors, strict=True):
            if not math.isnan(error):
                lines.append(f"{split},{row.device},{row.runtime},{row.network},{error:.4f}")
    (folder / "power_residuals.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write_power(spec_folder() / "calibration")
