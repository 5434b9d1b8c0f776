"""The fit of power on measured energies: errors of left-out networks and MCUs, bounds, shipped tables."""

from dataclasses import replace

import numpy as np
import pytest

from tinysim.calibrate.energy import (
    energy_rows,
    fit_power,
    out_of_fold_power,
    predict_power,
    write_power,
)
from tinysim.calibrate.energy_validation import LEVELS, Latencies, validate_energy
from tinysim.device.library import spec_folder
from tinysim.device.power_effects import shipped_power_effects, shipped_power_residuals


@pytest.fixture(scope="module")
def rows():
    return energy_rows()


@pytest.fixture(scope="module")
def effects(rows):
    return fit_power(rows)


@pytest.fixture(scope="module")
def validation(rows):
    return validate_energy(rows, splits=("network", "board"), predicted_latency=False).set_index(["split", "model"])


@pytest.fixture(scope="module")
def end_to_end(rows):
    """Cells left out of the fits of latency (its shipped residuals) and of power."""
    found = validate_energy(rows, splits=("cell",)).set_index(["latency", "model"])
    return found.loc["predicted"]


def test_rows_are_measured_and_known(rows):
    assert len(rows.table) == 71
    assert np.isfinite(rows.reference_w).all()
    assert ((rows.issue > 0) & (rows.issue <= 1)).all()


def test_left_out_networks_and_boards_meet_the_targets(validation):
    network, board = validation.loc[("network", "effects")], validation.loc[("board", "effects")]
    assert network.mape <= 0.07
    assert board.mape <= 0.20
    for split in (network, board):
        for level in LEVELS:
            assert split[f"coverage_{level * 100:.0f}"] == pytest.approx(level, abs=0.12)
    assert network.n == 71
    assert board.n == 68, "the RX65N has no data-sheet current"


def test_energies_of_left_out_cells_from_predicted_latencies(end_to_end):
    effects = end_to_end.loc["effects"]
    assert effects.n == 71
    assert effects.mape <= 0.12
    assert effects.mape < end_to_end.loc["power of the board"].mape
    for level in LEVELS:
        assert effects[f"coverage_{level * 100:.0f}"] == pytest.approx(level, abs=0.12)


def test_shipped_latency_residuals_are_found_for_every_row(rows):
    assert np.isfinite(Latencies.left_out("cell").of(rows)).all()


def test_effects_beat_the_baselines(validation):
    assert validation.mape["network", "effects"] < 0.75 * validation.mape["network", "power of the board"]
    assert validation.mape["board", "effects"] < 0.5 * validation.mape["board", "data sheet current"]


def test_every_price_is_in_its_physical_bounds(effects):
    shares = [np.exp(ln) for (_, _, feature), ln in effects.items() if feature == "instructions"]
    assert all(0 < share <= 0.5 for share in shares)
    assert all(abs(ln) < 1 for (effect, _, feature), ln in effects.items() if feature == "power" and effect != "mean")


def test_fit_recovers_what_made_the_rows(rows):
    """Rows made by known effects, without noise: predictions return to them within the shrinkage."""
    made = fit_power(rows) | {("board", "nucleo-u575zi-q", "power"): 0.3}
    table = rows.table.assign(energy_uj=predict_power(rows, made) * rows.latency_s * 1e6)
    known = replace(rows, table=table)
    again = predict_power(known, fit_power(known))
    np.testing.assert_allclose(again, known.power_w, rtol=0.01)


def test_left_out_rows_do_not_serve_their_own_prediction(rows):
    """Tenfold energies of one network leave the predictions of that network where they were."""
    network = rows.table.network[0]
    energy = rows.table.energy_uj.where(rows.table.network != network, 10 * rows.table.energy_uj)
    changed = out_of_fold_power(replace(rows, table=rows.table.assign(energy_uj=energy)), "network")
    held = (rows.table.network == network).to_numpy()
    np.testing.assert_allclose(changed[held], out_of_fold_power(rows, "network")[held], rtol=1e-12)


def test_shipped_tables_are_those_of_the_fit(rows, effects, tmp_path):
    write_power(tmp_path)
    for name in ("power.csv", "power_residuals.csv"):
        made, shipped = ((folder / name).read_text() for folder in (tmp_path, spec_folder() / "calibration"))
        assert made.count("\n") == shipped.count("\n")
        assert [line.rpartition(",")[0] for line in made.splitlines()] == [
            line.rpartition(",")[0] for line in shipped.splitlines()
        ]
    shipped_w = predict_power(rows, shipped_power_effects())
    np.testing.assert_allclose(shipped_w, predict_power(rows, effects), rtol=0.03)
    boards = {residual.board for residual in shipped_power_residuals()}
    assert boards == set(rows.board)
