"""Effects on power: references, keys, shipped tables, damaged tables."""

from pathlib import Path

import pytest

from tinysim.device import power_effects
from tinysim.device.library import load_device, load_runtime
from tinysim.device.power_effects import (
    PRIOR_SHARE,
    instruction_share,
    power_factor,
    power_keys,
    reference_points,
    shipped_power_effects,
    shipped_power_residuals,
)
from tinysim.errors import SpecError

L4R5, XCUBE = load_device("nucleo-l4r5zi"), load_runtime("x-cube-ai-7.3")


def test_a_calibrated_board_starts_from_its_data_sheet_and_another_from_its_measurement() -> None:
    points, sheet = reference_points(L4R5, calibrated=True)
    assert sheet
    assert {point.running for point in points} == {"data sheet run mode"}
    points, sheet = reference_points(L4R5, calibrated=False)
    assert not sheet
    assert {point.running for point in points} == {"inference"}
    assert reference_points(load_device("samd21"), calibrated=False) == ((), False)


def test_without_effects_nothing_is_added() -> None:
    assert power_factor(XCUBE, L4R5, {}, sheet=True) == 1.0
    assert instruction_share(L4R5, {}) == pytest.approx(PRIOR_SHARE)


def test_the_mean_belongs_to_data_sheet_references_only() -> None:
    names = {sheet: [key[0] for key, _ in power_keys(XCUBE, L4R5, sheet=sheet)] for sheet in (True, False)}
    assert names[True] == ["mean", *names[False]]


def test_shipped_tables_are_whole() -> None:
    effects = shipped_power_effects()
    assert {feature for _, _, feature in effects} == {"power", "instructions"}
    assert {residual.split for residual in shipped_power_residuals()} == {"network", "board"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("effect,level,feature,ln\nmean,,power,much\n", r"power\.csv: row 2: expected effect, level, feature, ln"),
        ("effect,ln\nmean,0.1\n", r"power\.csv: row 2: expected effect, level, feature, ln"),
        (None, r"power\.csv: No such file"),
    ],
)
def test_a_damaged_table_names_its_row(
    text: str | None, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "calibration").mkdir()
    if text is not None:
        (tmp_path / "calibration" / "power.csv").write_text(text)
    monkeypatch.setattr(power_effects, "spec_folder", lambda: tmp_path)
    with pytest.raises(SpecError, match=message):
        shipped_power_effects.__wrapped__()
