"""Calibration on a user's rows: three rows help and do not overfit, contradictions are named, the file is readable."""

from datetime import date
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

import tinysim as ts
from tinysim.calibrate.fit import fit_effects
from tinysim.calibrate.rows import read_rows
from tinysim.calibrate.validate import Dataset, dataset
from tinysim.device.effects import read_effects
from tinysim.errors import InputError, SpecError
from tinysim.report.calibration import calibration_text, write_calibration

BOARD = "nucleo-l4r5zi"


def calibrate(rows: pd.DataFrame | Path, device: str | None = None, beside: Dataset | None = None) -> ts.Calibrated:
    """`ts.calibrate` beside one suite, which is quicker."""
    return ts.calibrate(rows, device, beside=beside or package_rows("mlperf-tiny"))


package_rows = cache(dataset)


def rows_of(factors: dict[str, float], runtime: str = "tflm-cmsis-nn", **columns: object) -> pd.DataFrame:
    """Rows whose latency is the estimate times a factor, by network."""
    latency = [ts.estimate(name, BOARD, runtime).latency_s * 1e3 * factor for name, factor in factors.items()]
    table = {"network": list(factors), "device": BOARD, "runtime": runtime, "latency_ms": latency} | columns
    return pd.DataFrame(table)


def read(tmp_path: Path, table: pd.DataFrame) -> pd.DataFrame:
    path = tmp_path / "rows.csv"
    table.to_csv(path, index=False)
    return read_rows(path)


def test_three_rows_pull_an_unseen_network_along(tmp_path: Path) -> None:
    result = calibrate(read(tmp_path, rows_of({"kws": 1.15, "vww": 1.15, "ic": 1.15})), beside=package_rows())
    path = tmp_path / "mine.yaml"
    write_calibration(path, calibration_text(result, "rows.csv", date(2026, 1, 2)))
    before = ts.estimate("ds-cnn-l", BOARD, "tflm-cmsis-nn").latency_s
    after = ts.estimate("ds-cnn-l", BOARD, "tflm-cmsis-nn", calibration=str(path)).latency_s
    assert 1.05 < after / before < 1.20
    assert (np.abs(result.rows["residual"]) < 0.06).all()
    assert result.errors[1] < result.errors[0]
    assert result.warnings == ()


def test_rows_as_predicted_move_nothing(tmp_path: Path) -> None:
    result = calibrate(read(tmp_path, rows_of({"kws": 1.0, "vww": 1.0, "ic": 1.0})), beside=package_rows())
    assert result.rows["after_ms"].to_numpy() == pytest.approx(result.rows["latency_ms"].to_numpy(), rel=0.01)
    assert max(result.errors) < 0.01


@pytest.fixture(scope="module")
def data() -> Dataset:
    return package_rows()


def test_three_rows_of_a_left_out_board_help_its_others(data: Dataset) -> None:
    """Rows of the package's own table: the fit knows nothing of the board, three rows of one stack are the user's.

    Scored are the stack's other rows, on the first two stacks of each board that have some, three draws each (n = 12).
    """
    plain, helped = [], []
    for board in ("b-u585i-iot02a", "stm32h747i-disco"):
        held = data.groups("board") == board
        beside = Dataset(
            data.rows[~held].reset_index(drop=True),
            [level for level, out in zip(data.levels, held, strict=True) if not out],
            data.design.rows(~held),
            data.ln_cycles[~held],
        )
        theta = fit_effects(beside.design, beside.ln_cycles, noise_ln=beside.noise_ln)
        stacks = [rows for _, rows in data.rows[held].groupby("runtime") if rows["cell"].nunique() >= 5]
        for ours, seed in product(stacks[:2], range(3)):
            chosen = ours.iloc[np.random.default_rng(seed).choice(len(ours), 3, replace=False)]
            result = calibrate(chosen, beside=beside)
            left = ours[~ours["cell"].isin(chosen["cell"])].index.to_numpy()
            measured = data.ln_cycles[left]
            calibrated = np.array(
                [result.effects.get(key, (before, 0.0))[0] for key, before in zip(data.design.keys, theta, strict=True)]
            )
            for effects, errors in ((theta, plain), (calibrated, helped)):
                errors.append(np.abs(np.expm1(data.design.predict(effects)[left] - measured)).mean())
    assert len(helped) == 12
    assert np.mean(helped) < 0.8 * np.mean(plain)


def test_contradictions_and_copies_are_named(tmp_path: Path) -> None:
    table = rows_of({"kws": 1.0, "vww": 1.0})
    table.loc[2] = ["kws", BOARD, "tflm-cmsis-nn", 400.0]
    table.loc[3] = table.loc[1]
    result = calibrate(read(tmp_path, table))
    warnings = " | ".join(result.warnings)
    assert "rows:2 and rows:4 measure one thing and differ by" in warnings
    assert "rows:3 and rows:5 repeat one figure" in warnings
    assert result.rows["fitted"].tolist() == [True, True, True, False]


def test_two_clocks_of_one_cell_are_no_contradiction(tmp_path: Path) -> None:
    latency = [ts.estimate("kws", BOARD, "tflm-cmsis-nn", clock_hz=hz).latency_s * 1e3 for hz in (120e6, 40e6)]
    table = pd.concat([rows_of({"kws": 1.0})] * 2, ignore_index=True).assign(latency_ms=latency, clock_mhz=[120, 40])
    assert calibrate(read(tmp_path, table)).warnings == ()


def test_dead_channels_are_suspected(tmp_path: Path) -> None:
    kept = ts.estimate("vww", BOARD, "tflm-cmsis-nn").macs
    live = ts.estimate("vww", BOARD, "x-cube-ai-9.0").macs
    result = calibrate(read(tmp_path, rows_of({"kws": 1.0, "ic": 1.0, "ad": 1.0, "vww": live / kept})))
    assert "removal of its dead channels" in " ".join(result.warnings)


def test_a_clock_that_cannot_be_right_is_suspected(tmp_path: Path) -> None:
    slow = calibrate(read(tmp_path, rows_of({"kws": 1.5, "ic": 1.5, "vww": 1.5})))
    assert "is the clock 80 MHz instead of 120 MHz?" in " ".join(slow.warnings)
    above = calibrate(read(tmp_path, rows_of({"kws": 1.0}, clock_mhz=200)))
    assert "clock 200 MHz is above the 120 MHz" in " ".join(above.warnings)
    fast = calibrate(read(tmp_path, rows_of({"kws": 0.3})))
    assert "fewer than" in " ".join(fast.warnings)


def test_a_figure_under_two_names_is_suspected(tmp_path: Path) -> None:
    table = rows_of({"kws": 1.0, "ic": 1.0}).assign(latency_ms=[101.37, 101.37])
    assert "different networks with one figure" in " ".join(calibrate(read(tmp_path, table)).warnings)
    table = rows_of({"kws": 1.0}).loc[[0, 0]].assign(latency_ms=101.37, runtime=["x-cube-ai-7.3", "x-cube-ai-8.0"])
    assert "was one carried over" in " ".join(calibrate(read(tmp_path, table)).warnings)


def test_the_file_is_readable_and_says_where_it_is_from(tmp_path: Path) -> None:
    result = calibrate(read(tmp_path, rows_of({"kws": 1.1, "ic": 1.2})))
    path = tmp_path / "mine.yaml"
    text = calibration_text(result, "rows.csv", date(2026, 1, 2))
    write_calibration(path, text)
    write_calibration(path, text)  # a calibration may be replaced
    document = yaml.safe_load(text)
    assert document["date"] == date(2026, 1, 2)
    assert document["tinysim"] == ts.__version__
    assert [row["measured_ms"] for row in document["rows"]] == pytest.approx(result.rows["latency_ms"].tolist())
    assert {row["fitted"] for row in document["rows"]} == {True}
    effects = read_effects(path)
    assert effects.keys() == result.effects.keys()
    for key, (value, sd) in result.effects.items():
        assert effects[key] == pytest.approx((value, sd), abs=1e-5)
    # Calibrated predictions are those that the file makes.
    for row in result.records:
        again = ts.estimate(row["network"], BOARD, row["runtime"], calibration=str(path)).latency_s * 1e3
        assert again == pytest.approx(row["after_ms"], rel=1e-4)
    assert text.count("\n- {") == len(result.rows) + len(result.effects)  # a line each, which diffs
    other = tmp_path / "precious.yaml"
    other.write_text("name: my-board\n")
    with pytest.raises(InputError, match="is no calibration"):
        write_calibration(other, text)


def test_the_board_may_come_from_the_call(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    rows_of({"kws": 1.1, "ic": 1.1}).drop(columns="device").to_csv(path, index=False)
    assert calibrate(path, BOARD).device == BOARD
    with pytest.raises(InputError, match="column 'device' is missing"):
        calibrate(path)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("network", "kwz", "rows:2: 'kwz' is not a network of the zoo"),
        ("runtime", "tflm", "rows:2: unknown runtime 'tflm'"),
        ("device", "nowhere", "rows:2: unknown device 'nowhere'"),
    ],
)
def test_a_wrong_name_is_an_error_that_names_the_row(tmp_path: Path, column: str, value: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        calibrate(read(tmp_path, rows_of({"kws": 1.0}).assign(**{column: value})))


def test_no_rows_and_no_calibration_are_errors(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no rows"):
        read(tmp_path, rows_of({"kws": 1.0}).iloc[:0])
    path = tmp_path / "other.yaml"
    path.write_text("name: x\n")
    with pytest.raises(SpecError, match="no list of effects"):
        read_effects(path)
    path.write_text("effects: [{effect: family, level: x}]\n")
    with pytest.raises(SpecError, match="row 1"):
        read_effects(path)
