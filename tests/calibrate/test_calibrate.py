"""Rows, fits and splits: what is left out stays out, three rows help, and contradictions are named."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import tinysim as ts
from tinysim.calibrate.features import ln_cycles, row_features
from tinysim.calibrate.fit import Design, fit_effects, posterior
from tinysim.calibrate.layers import is_layer, layer_table
from tinysim.calibrate.rows import SUITES, cells, load_rows, read_rows
from tinysim.calibrate.validate import Dataset, baselines, dataset, out_of_fold, scores
from tinysim.device.effects import FEATURES, WORK, coefficients, levels_of, read_effects
from tinysim.device.library import load_device, load_runtime, sources
from tinysim.errors import InputError, SpecError
from tinysim.estimate.interval import conformal_factor


@pytest.fixture(scope="module")
def data() -> Dataset:
    return dataset()


def test_every_row_names_what_exists_and_its_source() -> None:
    rows = load_rows()
    assert set(rows["suite"]) == set(SUITES)
    assert rows["id"].is_unique
    assert set(rows["source"]) <= set(sources())
    for name in set(rows["network"]):
        assert len(layer_table(name) if is_layer(name) else ts.load_network(name).table())


def test_copies_of_a_measurement_share_a_cell() -> None:
    table = pd.DataFrame(
        {
            "network": ["a", "a", "a", "b"],
            "device": ["x"] * 4,
            "runtime": ["r1", "r2", "r1", "r1"],
            "build": [""] * 4,
            "latency_ms": [10.0, 10.01, 12.0, 10.0],
        }
    )
    first, copy, again, other = cells(table)
    assert first == copy == again  # r2 repeats r1's figure; the third is r1's own cell
    assert other != first


def test_a_group_left_out_does_not_move_its_own_prediction(data: Dataset) -> None:
    held = data.groups("network") == "mlperf-tiny-kws"
    changed = data.ln_cycles + np.where(held, 0.7, 0.0)
    other = Dataset(data.rows, data.levels, data.design, changed)
    only = held  # one fold is enough
    design = data.design.collapsed()
    plain, moved = (
        design.rows(only).predict(fit_effects(design.rows(~only), d.ln_cycles[~only])) for d in (data, other)
    )
    assert np.array_equal(plain, moved)


def test_an_unseen_network_is_predicted_better_than_by_cycles_per_mac(data: Dataset) -> None:
    mlperf = np.array(data.rows["suite"] == "mlperf-tiny")
    held = data.groups("network") == "mlperf-tiny-kws"
    design = data.design.collapsed()
    predicted = design.rows(held).predict(fit_effects(design.rows(~held), data.ln_cycles[~held]))
    error = scores((data.ln_cycles[held] - predicted)[mlperf[held]])
    naive = scores((data.ln_cycles - baselines(data, "network")["cycles/MAC"])[held & mlperf])
    assert error["mape"] < 0.12
    assert error["mape"] < naive["mape"]


def test_only_boards_with_a_known_core_and_stack_are_scored(data: Dataset) -> None:
    scored = data.scored("board")
    assert not scored[np.array(data.rows["device"] == "rx65n-cloud-kit")].any()  # the only RXv2
    assert scored[np.array(data.rows["device"] == "nucleo-h7a3zi-q")].any()


def test_collapsed_designs_predict_the_same() -> None:
    levels = [
        levels_of(load_runtime(runtime), load_device("nucleo-l4r5zi"))
        for runtime in ("x-cube-ai-7.3", "x-cube-ai-8.0", "tflm-cmsis-nn")
    ]
    features = np.random.default_rng(1).uniform(1e3, 1e6, (3, len(FEATURES)))
    design = Design.of(levels, features)
    small = design.collapsed()
    measured = np.log(features.sum(axis=1) * [1.2, 1.1, 0.8])
    assert len(small.keys) < len(design.keys)
    whole, less = (d.predict(fit_effects(d, measured, tolerance=1e-9)) for d in (design, small))
    assert whole == pytest.approx(less, abs=1e-6)


def test_the_prior_rules_where_rows_are_silent() -> None:
    levels = [levels_of(load_runtime("tflm-cmsis-nn"), load_device("nucleo-l4r5zi"))]
    design = Design.of(levels, np.full((1, len(FEATURES)), 1e4))
    theta = fit_effects(design, design.predict(np.zeros(len(design.keys))))
    assert theta == pytest.approx(0.0, abs=1e-6)
    fit = posterior(design, design.predict(theta), theta)
    assert (fit.sd <= design.sigma + 1e-12).all()
    assert 0 < fit.effective_parameters <= 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("network,device,runtime\nkws,b,r\n", "column 'latency_ms' is missing"),
        ("network,device,runtime,latency_ms\nkws,b,r,fast\n", "row 2: latency_ms 'fast'"),
        ("network,device,runtime,latency_ms\nkws,b,r,-1\n", "row 2: latency_ms"),
    ],
)
def test_bad_rows_are_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_rows(path)


def test_bad_effects_are_named(tmp_path: Path) -> None:
    path = tmp_path / "effects.csv"
    path.write_text("effect,level,feature,ln\nfamily,x,conv,0.1\n")
    with pytest.raises(SpecError, match="row 2"):
        read_effects(path)
    with pytest.raises(SpecError, match="No such file"):
        read_effects(tmp_path / "none.csv")


def test_unknown_levels_leave_the_counted_kernels() -> None:
    levels = dict.fromkeys(("family", "stack", "precision", "build", "core", "die", "board"), "nobody")
    levels["kernels"] = "stand-in"
    assert set(coefficients(levels, {}).values()) == {0.0, -2.3}


def test_intervals_are_as_wide_as_the_residuals_say() -> None:
    residuals = np.random.default_rng(0).normal(0, 0.1, 2000)
    for level in (0.5, 0.8, 0.9):
        inside = np.abs(np.random.default_rng(1).normal(0, 0.1, 4000)) <= np.log(
            conformal_factor(residuals.tolist(), level)
        )
        assert inside.mean() == pytest.approx(level, abs=0.03)


def test_out_of_fold_leaves_nothing_out_of_the_report(data: Dataset) -> None:
    few = np.array(data.rows["device"] == "ek-ra8d1") | np.array(data.rows["device"] == "nrf5340-dk")
    small = Dataset(
        data.rows[few].reset_index(drop=True),
        [level for level, keep in zip(data.levels, few, strict=True) if keep],
        data.design.rows(few),
        data.ln_cycles[few],
    )
    assert np.isfinite(out_of_fold(small, "cell")).all()


def test_two_stall_parameters_explain_microtvm_on_the_l4r5() -> None:
    """Counted kernels, ideal factors: waits behind weights and behind code are all that is fitted."""
    from scipy.optimize import nnls

    rows = load_rows("mlperf-tiny")
    rows = rows[(rows["runtime"] == "microtvm-cmsis-nn") & (rows["device"] == "nucleo-l4r5zi")]
    parts = row_features(rows)
    at = {name: i for i, name in enumerate(FEATURES)}
    counted = parts[:, [at[name] for name in WORK]].sum(axis=1)
    stalls = parts[:, [at["weights_stall"], at["code_stall"]]]
    measured = np.exp(ln_cycles(rows))
    exposure, _ = nnls(stalls / measured[:, None], 1.0 - counted / measured)
    predicted = counted + stalls @ exposure
    assert len(rows) >= 7
    assert np.abs(predicted / measured - 1).max() < 0.10
