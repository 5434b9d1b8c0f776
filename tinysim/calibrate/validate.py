"""Validation: predictions of rows that were not fitted, beside naive baselines on the same splits.

No row is both fitted and scored: each group of a split is predicted by a fit to all other groups' rows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tinysim.calibrate.features import ln_cycles, row_features, row_levels
from tinysim.calibrate.fit import SUITE_NOISE_LN, Design, Fit, covariance, fit_effects, noise_variance
from tinysim.calibrate.layers import is_layer, layer_table
from tinysim.calibrate.rows import load_rows
from tinysim.deploy.spread import residuals_of, shipped_rows
from tinysim.device.effects import EFFECTS, NOISE_LN, WORK
from tinysim.estimate.interval import conformal_factor
from tinysim.network.load import load_network

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "LEVELS",
    "MODELS",
    "SPLITS",
    "Dataset",
    "coverage",
    "dataset",
    "deviations",
    "out_of_fold",
    "parameters",
    "predictions",
    "scores",
    "table_of",
]

Floats = NDArray[np.float64]
Progress = Callable[[int, int], None]

#: Levels whose coverage is measured.
LEVELS = (0.5, 0.8, 0.9)
#: What predicts: tinysim, and what a reader would do without it.
MODELS = ("tinysim", "cycles/MAC", "cycles/MAC by layer type")

#: split -> what is left out at a time
SPLITS = {
    "cell": "a network on a board with a stack, copies of the measurement included",
    "network": "a network (of the zoo: its family) everywhere",
    "board": "a board; scored are rows whose core is known from other boards, and whose stack is",
    "pair": "a board; scored are rows whose stack is known from another board of the same core",
}


@dataclass(frozen=True, eq=False)
class Dataset:
    """Measured rows with all that a fit needs of them."""

    rows: pd.DataFrame
    levels: Sequence[dict[str, str]]
    design: Design
    ln_cycles: Floats

    @property
    def noise_ln(self) -> Floats:
        """Standard deviation of each row about its prediction, as the fit takes it, shape (n,) [ln]."""
        return np.array([SUITE_NOISE_LN.get(suite, NOISE_LN) for suite in self.rows["suite"]])

    def groups(self, split: str) -> NDArray[np.str_]:
        """The group of each row in a split, shape (n,)."""
        if split == "cell":
            return np.array(self.rows["cell"], dtype=str)
        if split == "network":
            return np.array([network_family(name) for name in self.rows["network"]])
        return np.array(self.rows["device"], dtype=str)

    def scored(self, split: str) -> NDArray[np.bool_]:
        """Rows that a split can score: of a board left out, those whose core and stack other boards know."""
        if split not in ("board", "pair"):
            return np.ones(len(self.rows), dtype=bool)
        boards, known = self.groups("board"), np.zeros(len(self.rows), dtype=bool)
        for i, level in enumerate(self.levels):
            others = [other for other, board in zip(self.levels, boards, strict=True) if board != boards[i]]
            same_core = [other["core"] == level["core"] for other in others]
            same_stack = [other["stack"] == level["stack"] for other in others]
            together = any(core and stack for core, stack in zip(same_core, same_stack, strict=True))
            known[i] = together or (split == "board" and any(same_core) and any(same_stack))
        return known


def network_family(name: str) -> str:
    """The family of a network of the ST model zoo; any other network, and any shape of a layer, is its own.

    >>> network_family("st-mobilenet-v1-0.25-96-c5"), network_family("mlperf-tiny-kws@float32")
    ('mobilenet-v', 'mlperf-tiny-kws')
    """
    if is_layer(name):
        return name.partition(":")[2]
    base = name.split("@")[0]
    if base.startswith(("mlperf", "edgemark")):
        return base
    return re.sub(r"[-.]?\d.*", "", base.removeprefix("st-"))


def dataset(*suites: str) -> Dataset:
    """The rows of the shipped suites, all by default.

    Raises:
        InputError: no such suite.
    """
    rows = load_rows(*suites)
    levels = row_levels(rows)
    return Dataset(rows, levels, Design.of(levels, row_features(rows)), ln_cycles(rows))


def out_of_fold(data: Dataset, split: str, progress: Progress | None = None) -> Floats:
    """Predicted ln cycles of every row without its group, shape (n,); NaN where the split cannot score a row."""
    groups, scored = data.groups(split), data.scored(split)
    design = data.design.collapsed()
    noise = data.noise_ln
    start = fit_effects(design, data.ln_cycles, noise_ln=noise)
    predicted = np.full(len(groups), np.nan)
    wanted = np.unique(groups[scored])
    for done, group in enumerate(wanted):
        held = groups == group
        theta = fit_effects(
            design.rows(~held), data.ln_cycles[~held], start=start, tolerance=2e-3, noise_ln=noise[~held]
        )
        predicted[held & scored] = design.rows(held).predict(theta)[scored[held]]
        if progress is not None:
            progress(done + 1, len(wanted))
    return predicted


def baselines(data: Dataset, split: str) -> dict[str, Floats]:
    """Two naive predictions on the same split: one cycles/MAC, and cycles/MAC by layer type, per stack and core.

    Where a stack on a core was never measured outside the group, all other rows of the precision serve.
    """
    groups = data.groups(split)
    macs = np.array([_macs_by_type(name) for name in data.rows["network"]])
    stacks = np.array([f"{v['stack']} {v['core']} {v['precision']} {v['build']}" for v in data.levels])
    precision = np.array([v["precision"] for v in data.levels])
    cycles, working = np.exp(data.ln_cycles), macs.sum(axis=1) > 0
    one, typed = np.full(len(groups), np.nan), np.full(len(groups), np.nan)
    for group in np.unique(groups):
        held = groups == group
        for stack in np.unique(stacks[held]):
            rows = held & (stacks == stack)
            served = ~held & (stacks == stack)
            if not (served & working).any():
                served = ~held & (precision == precision[rows][0])
            worked = served & working
            rate = np.median(cycles[worked] / macs[worked].sum(axis=1))
            one[rows] = np.log(np.maximum(macs[rows].sum(axis=1), 1) * rate)
            typed[rows] = _by_type(macs, cycles, served, rows, float(rate))
    return {"cycles/MAC": one, "cycles/MAC by layer type": typed}


def _by_type(macs: Floats, cycles: Floats, served: NDArray[np.bool_], rows: NDArray[np.bool_], rate: float) -> Floats:
    """Non-negative rates by type from the served rows, drawn to the common rate where these say little."""
    from scipy.optimize import nnls

    shares = macs[served] * rate / cycles[served][:, None]
    drawn = _RIDGE * np.eye(macs.shape[1])
    target = np.concatenate([np.ones(len(shares)), np.full(len(drawn), _RIDGE)])
    relative, _ = nnls(np.concatenate([shares, drawn]), target)
    predicted: Floats = np.log(np.maximum(macs[rows] @ (relative * rate), 1.0))
    return predicted


#: Weight of the common rate against a row of measurement: a type's rate is three times as uncertain.
_RIDGE = 0.3


def _macs_by_type(name: str) -> tuple[float, ...]:
    table = layer_table(name) if is_layer(name) else load_network(name).table()
    pointwise = table.is_kind("conv2d") & (table.kernel_h * table.kernel_w == 1)
    conv = table.is_kind("conv2d", "transpose_conv") & ~pointwise
    masks = (conv, pointwise, table.is_kind("depthwise_conv2d"), table.is_family("matmul", "recurrent"))
    return tuple(float(table.macs[mask].sum()) for mask in masks)


def scores(error_ln: Floats) -> dict[str, float]:
    """Summary of ln(measured / predicted): n, mape, median, p90, worst, bias, share within 10 % and 12 %.

    The bias is the median of predicted / measured - 1.
    """
    error = error_ln[np.isfinite(error_ln)]
    ape = np.abs(np.expm1(-error))
    return {
        "n": len(ape),
        "mape": float(ape.mean()),
        "median": float(np.median(ape)),
        "p90": float(np.quantile(ape, 0.9)),
        "worst": float(ape.max()),
        "bias": float(np.median(np.expm1(-error))),
        "within_10": float((ape <= 0.10).mean()),
        "within_12": float((ape <= 0.12).mean()),
    }


def deviations(data: Dataset, split: str, theta: Floats | None = None) -> Floats:
    """Standard deviation of ln latency of every row as the rows of the other groups leave it, shape (n,).

    theta: effects fitted to all rows, shape (p,); fitted here if None. By the closed form of what is left out: the
    inverse of the block of the group in the inverse covariance of all rows.
    Source: Rasmussen and Williams, Gaussian Processes for Machine Learning, eq. 5.12, for groups.
    """
    effects = fit_effects(data.design, data.ln_cycles, noise_ln=data.noise_ln) if theta is None else theta
    noise = noise_variance(data.ln_cycles - data.design.predict(effects), data.noise_ln)
    inverse = np.linalg.inv(covariance(data.design, effects) + np.diag(noise))
    groups, variance = data.groups(split), np.zeros(len(noise))
    for group in np.unique(groups):
        held = np.flatnonzero(groups == group)
        variance[held] = np.diag(np.linalg.inv(inverse[np.ix_(held, held)]))
    found: Floats = np.sqrt(variance - noise + data.noise_ln**2)
    return found


def half_widths(data: Dataset, split: str, predicted: Floats) -> dict[float, Floats]:
    """Half-widths of the intervals that an estimate of each row would carry [ln], by level, each of shape (n,).

    The deviation is that which the other groups leave, the residuals are those that ship, without the row's own group,
    as for a new measurement. NaN where not scored.
    """
    groups, ids = data.groups(split), np.array(data.rows["id"], dtype=str)
    deviation = deviations(data, split)
    shipped = shipped_rows()
    shipped_ids = np.array([row["id"] for row in shipped], dtype=str)
    found = {level: np.full(len(groups), np.nan) for level in LEVELS}
    for group in np.unique(groups[np.isfinite(predicted)]):
        held = groups == group
        others = [row for row, own in zip(shipped, np.isin(shipped_ids, ids[held]), strict=True) if not own]
        for i in np.flatnonzero(held & np.isfinite(predicted)).tolist():
            residuals = residuals_of(data.levels[i], others)
            for level, widths in found.items():
                widths[i] = np.log(conformal_factor(residuals, level, widening=float(deviation[i])))
    return found


def coverage(data: Dataset, split: str, predicted: Floats, suites: Collection[str] = ()) -> list[dict[str, Any]]:
    """How often the intervals hold the measurement, by suite (`all`: over the suites) and level.

    Columns: split, suite, level, n, coverage [1], half_width (median, relative to the prediction) [1].
    """
    residual = np.abs(data.ln_cycles - predicted)
    suite_of = np.array(data.rows["suite"], dtype=str)
    wanted = sorted(suites or set(suite_of.tolist()))
    found = []
    widths = half_widths(data, split, predicted)
    for suite in [*wanted, "all"] if len(wanted) > 1 else wanted:
        rows = np.isfinite(predicted) & np.isin(suite_of, wanted if suite == "all" else [suite])
        for level, width in widths.items():
            if rows.any():
                inside = float((residual[rows] <= width[rows]).mean())
                half = float(np.expm1(np.median(width[rows])))
                head = {"split": split, "suite": suite, "level": level, "n": int(rows.sum())}
                found.append(head | {"coverage": inside, "half_width": half})
    return found


def predictions(data: Dataset, split: str, predicted: Floats) -> pd.DataFrame:
    """Measured and predicted latency of every scored row of a split, by tinysim and both baselines.

    predicted: of `out_of_fold`, shape (n,). Columns: split, suite, precision, id, network, device, runtime,
    measured_ms, and a column of milliseconds per model.
    """
    models = {"tinysim": predicted} | baselines(data, split)
    frame = data.rows[["suite", "id", "network", "device", "runtime"]].copy()
    frame.insert(0, "split", split)
    frame.insert(2, "precision", [level["precision"] for level in data.levels])
    frame["measured_ms"] = data.rows["latency_ms"].to_numpy(dtype=np.float64)
    for model, ln in models.items():
        frame[model] = frame["measured_ms"] * np.exp(ln - data.ln_cycles)
    return frame[np.isfinite(predicted)].reset_index(drop=True)


def table_of(frame: pd.DataFrame, suites: Collection[str] = ()) -> pd.DataFrame:
    """Errors by split, suite and precision, of every model of `predictions` on the same rows.

    suites: which to report; all if empty. Columns: split, suite, precision, model, the fields of `scores`, worst_row.
    """
    import pandas as pd

    found = []
    for (split, suite, bits), rows in frame.groupby(["split", "suite", "precision"], sort=False):
        if suites and suite not in suites:
            continue
        for model in MODELS:
            error = np.log(rows["measured_ms"].to_numpy() / rows[model].to_numpy())
            worst = rows["id"].to_numpy()[int(np.argmax(np.abs(np.expm1(-error))))]
            head = {"split": split, "suite": suite, "precision": bits, "model": model}
            found.append(head | scores(error) | {"worst_row": worst})
    return pd.DataFrame(found)


def parameters(fit: Fit) -> list[dict[str, Any]]:
    """What was fitted, by whose it is and which coefficient it moves: how many effects, how many the rows determine.

    The latter is sum(1 - posterior variance / prior variance); over all it is the trace of the hat matrix.
    """
    determined = 1.0 - (fit.sd / fit.design.sigma) ** 2
    found: dict[tuple[str, str], list[float]] = {}
    for (name, _, feature), value in zip(fit.design.keys, determined.tolist(), strict=True):
        features = [feature] if feature != "*" else _SHARED.get(name, ["compute"])
        quantities = {QUANTITIES.get(one, one) for one in features}
        whose = name.split(",")[0].replace(" stall", "").replace(" overhead", "").replace(" code", "")
        found.setdefault((whose, " and ".join(sorted(quantities))), []).append(value)
    return [
        {"of": whose, "parameter": what, "effects": len(values), "determined": float(sum(values))}
        for (whose, what), values in found.items()
    ]


_SHARED: dict[str, list[str]] = {effect.name: list(effect.features) for effect in EFFECTS if effect.shared}

#: Fitted coefficient -> its physical meaning.
QUANTITIES = dict.fromkeys(WORK, "executed over counted cycles") | {
    "weights_stall": "share of wait states seen, weights",
    "code_stall": "share of wait states seen, code",
    "activations_stall": "share of wait states seen, activations",
    "op_overhead": "cycles per operator",
    "inference_overhead": "cycles per inference",
}
