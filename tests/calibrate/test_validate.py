"""Validation: what it reports is what the predictions say, on the same rows for every model."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tinysim.calibrate.fit import fit_effects, noise_variance, posterior
from tinysim.calibrate.validate import (
    LEVELS,
    MODELS,
    Dataset,
    coverage,
    dataset,
    deviations,
    half_widths,
    parameters,
    predictions,
    table_of,
)
from tinysim.deploy.spread import Posterior, residuals_of, shipped_posterior, shipped_rows
from tinysim.device.effects import FEATURES
from tinysim.errors import InputError
from tinysim.report.validation import Validation, print_validation, validate
from tinysim.report.validation_page import write_validation


@pytest.fixture(scope="module")
def data() -> Dataset:
    return dataset("mlperf-tiny")


@pytest.fixture(scope="module")
def predicted(data: Dataset) -> np.ndarray:
    """Stands in for a fit: 8 % off, up and down."""
    return data.ln_cycles + np.where(np.arange(len(data.rows)) % 2, 0.08, -0.08)


def test_models_are_scored_on_the_same_rows(data: Dataset, predicted: np.ndarray) -> None:
    some = predicted.copy()
    some[::3] = np.nan
    frame = predictions(data, "cell", some)
    assert len(frame) == np.isfinite(some).sum()
    assert np.isfinite(frame[list(MODELS)].to_numpy()).all()
    table = table_of(frame)
    assert table.groupby(["split", "suite", "precision"])["n"].nunique().eq(1).all()
    ours = table[table["model"] == "tinysim"]
    assert ours["n"].sum() == len(frame)
    assert ours["median"].to_numpy() == pytest.approx(0.08, abs=0.006)
    assert ours["within_10"].eq(1.0).all()
    assert set(ours["worst_row"]) <= set(data.rows["id"])


def test_baselines_see_nothing_of_the_group(data: Dataset, predicted: np.ndarray) -> None:
    held = data.groups("network") == "mlperf-tiny-kws"
    moved = Dataset(data.rows, data.levels, data.design, data.ln_cycles + np.where(held, 0.5, 0.0))
    before, after = (predictions(d, "network", predicted)[list(MODELS[1:])].to_numpy()[held] for d in (data, moved))
    # Latencies of the frame are measured ones times the ratio of cycles, so undo the move.
    assert after * np.exp(0.5) == pytest.approx(before, rel=1e-9)


def test_a_pair_is_a_board_whose_stack_another_board_of_the_core_knows(data: Dataset) -> None:
    board, pair = data.scored("board"), data.scored("pair")
    assert (board | ~pair).all()
    for i in np.flatnonzero(pair):
        mine = data.levels[i]
        assert any(
            other["board"] != mine["board"] and other["core"] == mine["core"] and other["stack"] == mine["stack"]
            for other in data.levels
        )


def test_intervals_of_a_row_do_not_know_its_group(data: Dataset, predicted: np.ndarray) -> None:
    few = predicted.copy()
    few[5:] = np.nan
    widths = half_widths(data, "board", few)
    for i in range(5):
        assert np.isfinite([widths[level][i] for level in LEVELS]).all()
        assert widths[0.5][i] <= widths[0.8][i] <= widths[0.9][i]
    assert np.isnan(widths[0.9][5:]).all()


def test_what_was_measured_near_narrows_a_prediction(data: Dataset) -> None:
    levels = data.levels[int(np.flatnonzero(np.array(data.rows["runtime"] == "x-cube-ai-7.3"))[0])]
    shares = np.full(len(FEATURES), 1 / len(FEATURES))
    known, board, stack = (
        shipped_posterior().deviation(levels | changed, shares)
        for changed in ({}, {"board": "mine", "die": "mine"}, {"stack": "theirs-1", "family": "theirs"})
    )
    assert known < board < stack
    own = {("board", "mine", "*"): 0.01, ("die", "mine", "*"): 0.01}
    calibrated = shipped_posterior().deviation(levels | {"board": "mine", "die": "mine"}, shares, own)
    assert known < calibrated < board


def test_the_closed_form_of_left_out_rows_is_the_deviation_of_a_prediction(data: Dataset) -> None:
    """`deviations` leaves a group out of all rows; `Posterior` predicts it from the others: one number."""
    theta = fit_effects(data.design, data.ln_cycles, noise_ln=data.noise_ln)
    shares = data.design.shares(theta)
    noise = noise_variance(data.ln_cycles - data.design.predict(theta), data.noise_ln)
    held = data.groups("network") == "mlperf-tiny-kws"
    rest = tuple(level for level, out in zip(data.levels, held, strict=True) if not out)
    others = Posterior(rest, shares[~held], noise[~held])
    row = int(np.flatnonzero(held)[0])
    assert others.deviation(data.levels[row], shares[row]) == pytest.approx(
        deviations(data, "network", theta)[row], rel=1e-6
    )


def test_residuals_of_a_precision_are_counted_in_deviations() -> None:
    residuals = np.array(residuals_of({"precision": "int8"}, shipped_rows()))
    assert len(residuals) > 700
    assert 0.4 < np.median(np.abs(residuals)) < 1.0


def test_coverage_counts_rows_inside(data: Dataset) -> None:
    exact, far = coverage(data, "cell", data.ln_cycles), coverage(data, "cell", data.ln_cycles + 3.0)
    assert [row["level"] for row in exact] == list(LEVELS)
    assert {row["coverage"] for row in exact} == {1.0}
    assert {row["coverage"] for row in far} == {0.0}


def test_parameters_add_up_to_the_effective_ones(data: Dataset) -> None:
    fit = posterior(data.design, data.ln_cycles, fit_effects(data.design, data.ln_cycles))
    rows = parameters(fit)
    assert sum(row["effects"] for row in rows) == len(data.design.keys)
    assert sum(row["determined"] for row in rows) == pytest.approx(fit.effective_parameters, rel=0.01)
    assert {row["parameter"] for row in rows} >= {"executed over counted cycles", "cycles per operator"}


@pytest.fixture
def result(data: Dataset, predicted: np.ndarray) -> Validation:
    frame = pd.concat([predictions(data, split, predicted) for split in ("cell", "board")], ignore_index=True)
    scores = json.loads(table_of(frame).to_json(orient="records"))
    covered = [row for split in ("cell", "board") for row in coverage(data, split, predicted)]
    fitted = [{"of": "core", "parameter": "cycles per operator", "effects": 3, "determined": 1.5}]
    return Validation(len(data.rows), 3, 1.5, fitted, scores, covered, frame)


def test_a_page_has_every_table_and_picture(result: Validation, tmp_path: Path) -> None:
    page, picture = write_validation(result, tmp_path / "validation.md")
    text = page.read_text()
    assert picture.name == "mlperf-tiny.png"
    assert picture.stat().st_size < 250_000
    assert "(validation/mlperf-tiny.png)" in text
    assert all(row["worst_row"] in text for row in result.scores)
    assert text.count("**tinysim**") == sum(row["model"] == "tinysim" for row in result.scores)
    assert "| core | cycles per operator | 3 | 1.5 |" in text


def test_prints_and_serialises(result: Validation, capsys: pytest.CaptureFixture[str]) -> None:
    print_validation(result)
    out = capsys.readouterr().out
    assert "cycles/MAC by layer type" in out
    document = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert {row["model"] for row in document["scores"]} == set(MODELS)
    assert set(document["splits"]) == {"cell", "board"}


def test_unknown_suites_and_splits_are_named() -> None:
    with pytest.raises(InputError, match="unknown split 'cells'; did you mean cell"):
        validate(splits=["cells"])
    with pytest.raises(InputError, match="unknown suite 'mlperf'"):
        validate(["mlperf"], ["pair"])
