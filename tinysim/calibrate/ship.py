"""Make the shipped calibration: effects of all suites, and out-of-fold residuals for intervals.

Run as ``python -m tinysim.calibrate.ship``; it rewrites device_specs/calibration/{effects,residuals}.csv.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import tinysim
from tinysim.calibrate.fit import Fit, fit_effects, noise_variance, posterior
from tinysim.calibrate.validate import Dataset, dataset, deviations, out_of_fold
from tinysim.deploy.spread import LEVELS, RESIDUALS
from tinysim.device.effects import FEATURES, Key
from tinysim.device.library import spec_folder

__all__ = ["effects_table", "main", "residuals_table"]

Floats = NDArray[np.float64]


def effects_table(effects: Mapping[Key, tuple[float, float]], notes: list[str]) -> str:
    """Effects as a table, sorted, with notes as comments."""
    lines = [f"# {note}" for note in notes] + ["effect,level,feature,ln,sd"]
    lines += [
        f'"{name}","{level}",{feature},{value:.5f},{sd:.5f}'
        for (name, level, feature), (value, sd) in sorted(effects.items())
    ]
    return "\n".join(lines) + "\n"


def residuals_table(data: Dataset, theta: Floats, predicted: Mapping[str, Floats]) -> str:
    """The fitted rows: levels, noise, parts of the prediction, out-of-fold residuals and their deviations by split.

    theta: effects fitted to all rows. predicted: split -> out-of-fold ln cycles, shape (n,).
    """
    noise_ln = np.sqrt(noise_variance(data.ln_cycles - data.design.predict(theta), data.noise_ln))
    shares = data.design.shares(theta)
    columns = [(data.ln_cycles - predicted[split], deviations(data, split, theta)) for split in RESIDUALS]
    names = [name for split in RESIDUALS for name in (f"{split}_ln", f"{split}_sd")]
    lines = [
        "# Fitted rows: levels, noise in the fit, parts of the predicted cycles by feature; residuals ln(measured /",
        "# predicted) of rows left out of the fit, by what was left out, and the standard deviation predicted for them",
        ",".join(("id", "suite", *LEVELS, "noise_ln", *FEATURES, *names)),
    ]
    for i, (name, suite, levels) in enumerate(zip(data.rows["id"], data.rows["suite"], data.levels, strict=True)):
        figures = [f"{share:.4f}" for share in shares[i]]
        for residual, deviation in columns:
            known = np.isfinite(residual[i])
            figures += [f"{residual[i]:.5f}", f"{deviation[i]:.5f}"] if known else ["", ""]
        lines.append(",".join([name, suite, *(levels[level] for level in LEVELS), f"{noise_ln[i]:.4f}", *figures]))
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
    predicted = {split: out_of_fold(data, split, _progress) for split in RESIDUALS}
    (target / "residuals.csv").write_text(residuals_table(data, theta, predicted), encoding="utf-8")


def _progress(done: int, total: int) -> None:
    print(f"\r{done}/{total}", end="" if done < total else "\n", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
