"""Make the shipped calibration: effects of all suites, and out-of-fold residuals for intervals.

Run as ``python -m tinysim.calibrate.ship``; it rewrites device_specs/calibration/{effects,residuals}.csv.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np

import tinysim
from tinysim.calibrate.fit import Fit, fit_effects, posterior
from tinysim.calibrate.validate import Dataset, dataset, out_of_fold
from tinysim.device.effects import Key
from tinysim.device.library import spec_folder

__all__ = ["effects_table", "main", "residuals_table"]


def effects_table(effects: Mapping[Key, tuple[float, float]], notes: list[str]) -> str:
    """Effects as a table, sorted, with notes as comments."""
    lines = [f"# {note}" for note in notes] + ["effect,level,feature,ln,sd"]
    lines += [
        f'"{name}","{level}",{feature},{value:.5f},{sd:.5f}'
        for (name, level, feature), (value, sd) in sorted(effects.items())
    ]
    return "\n".join(lines) + "\n"


def residuals_table(data: Dataset, splits: Mapping[str, np.ndarray[tuple[int], np.dtype[np.float64]]]) -> str:
    """Out-of-fold ln(measured / predicted) of every scored row, by split."""
    lines = [
        "# Out-of-fold residuals ln(measured / predicted) of latency; a cell or a whole board left out of the fit",
        "split,id,suite,family,stack,core,board,precision,ln",
    ]
    for split, predicted in splits.items():
        for name, suite, level, error in zip(
            data.rows["id"], data.rows["suite"], data.levels, data.ln_cycles - predicted, strict=True
        ):
            if np.isfinite(error):
                where = ",".join(level[key] for key in ("family", "stack", "core", "board", "precision"))
                lines.append(f"{split},{name},{suite},{where},{error:.5f}")
    return "\n".join(lines) + "\n"


def notes_of(fit: Fit, data: Dataset) -> list[str]:
    """What a reader of the table should know of the fit."""
    suites = data.rows["suite"].value_counts().to_dict()
    return [
        f"Effects on the cycles of counted kernels, fitted by tinysim {tinysim.__version__} (tinysim.calibrate.ship).",
        f"Rows: {', '.join(f'{n} of {suite}' for suite, n in suites.items())}; see tinysim/calibrate/data.",
        f"{len(fit.effects())} effects, {fit.effective_parameters:.0f} effective parameters, {fit.n_rows} rows.",
        "ln: added to the logarithm of a coefficient; sd: its standard deviation after the fit.",
    ]


def main(folder: Path | None = None) -> None:
    """Fit, and write the two tables."""
    target = folder or spec_folder() / "calibration"
    data = dataset()
    theta = fit_effects(data.design, data.ln_cycles, noise_ln=data.noise_ln)
    fit = posterior(data.design, data.ln_cycles, theta, noise_ln=data.noise_ln)
    (target / "effects.csv").write_text(effects_table(fit.effects(), notes_of(fit, data)), encoding="utf-8")
    splits = {split: out_of_fold(data, split, _progress) for split in ("cell", "board")}
    (target / "residuals.csv").write_text(residuals_table(data, splits), encoding="utf-8")


def _progress(done: int, total: int) -> None:
    print(f"\r{done}/{total}", end="" if done < total else "\n", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
