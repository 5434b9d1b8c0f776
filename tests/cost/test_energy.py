"""Formulas of energy: conservation, monotony, laws of supply, temperature and clock."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinysim.cost.energy import (
    RAIL_V,
    EnergyPrices,
    active_energy,
    issue_time,
    layer_energy,
    leakage_scale,
    running_power,
    supply_power,
)
from tinysim.device.library import load_device

POSITIVE = st.floats(1e-6, 1e3)
SHARE = st.floats(0, 1)
LAYERS = st.lists(st.tuples(POSITIVE, SHARE, st.floats(0, 1e9), st.floats(0, 1e9)), min_size=1, max_size=8)


def prices_of(power: float, static: float, share: float) -> EnergyPrices:
    return EnergyPrices(power, static * power, 3e-12, 5e-12, share)


@given(LAYERS, POSITIVE, SHARE, SHARE)
def test_components_are_not_negative_and_add_up_to_power_times_time(layers, power, static, share):
    time, filled, sram, flash = (np.array(column) for column in zip(*layers, strict=True))
    energy = layer_energy(
        time, issue_s=time * filled, sram_bytes=sram, flash_bytes=flash, prices=prices_of(power, static, share)
    )
    expected = power * ((1 - share) * time + share * time * filled)
    np.testing.assert_allclose(energy.total, expected, rtol=1e-9, atol=1e-300)
    for part in (energy.core, energy.sram, energy.flash, energy.static):
        assert (part >= -1e-9 * expected).all()


@given(POSITIVE, POSITIVE, SHARE, SHARE)
def test_a_core_that_waits_draws_less(time, power, share, filled):
    prices = prices_of(power, 0.0, share)
    busy = layer_energy(time, issue_s=time, sram_bytes=0.0, flash_bytes=0.0, prices=prices).total
    waits = layer_energy(time, issue_s=time * filled, sram_bytes=0.0, flash_bytes=0.0, prices=prices).total
    assert waits <= busy * (1 + 1e-12)
    assert waits >= (1 - share) * busy * (1 - 1e-9)


def test_columns_equal_one_layer_at_a_time():
    prices, time, issue = EnergyPrices(0.04, 0.01, 1e-9, 2e-9, 0.2), np.array([0.1, 0.2]), np.array([0.05, 0.2])
    whole = layer_energy(time, issue_s=issue, sram_bytes=np.array([1e5, 2e5]), flash_bytes=0.0, prices=prices)
    for i in range(2):
        one = layer_energy(time[i], issue_s=issue[i], sram_bytes=1e5 * (i + 1), flash_bytes=0.0, prices=prices)
        assert one.total == pytest.approx(whole.total[i], rel=1e-12)
        assert one.core == pytest.approx(whole.core[i], rel=1e-12)


def test_a_sweep_of_power_is_a_leading_axis():
    prices = EnergyPrices(np.array([[0.01], [0.02]]))
    energy = layer_energy(np.array([1.0, 2.0, 3.0]), sram_bytes=0.0, flash_bytes=0.0, prices=prices)
    np.testing.assert_allclose(energy.total, [[0.01, 0.02, 0.03], [0.02, 0.04, 0.06]])


def test_issue_never_exceeds_the_cycles():
    time = issue_time(np.array([50.0, 500.0]), slot_cycles=0.5, cycles=np.array([100.0, 100.0]), clock_hz=1.0)
    np.testing.assert_allclose(time, [25.0, 100.0])


@given(POSITIVE, st.floats(1.0, 5.0), st.floats(1.0, 5.0))
def test_an_ldo_passes_the_current_and_a_converter_the_power(current, rated, wanted):
    ldo = supply_power(current, rated_v=rated, regulator="ldo", supply_v=wanted, to="ldo")
    smps = supply_power(current, rated_v=rated, regulator="smps", supply_v=wanted, to="smps")
    assert ldo == pytest.approx(current * wanted)
    assert smps == pytest.approx(current * rated)


@given(POSITIVE, st.floats(1.0, 5.0))
def test_there_and_back_through_the_other_regulator(current, volts):
    converted = supply_power(current, rated_v=volts, regulator="ldo", supply_v=volts, to="smps").item() / volts
    back = supply_power(converted, rated_v=volts, regulator="smps", supply_v=volts, to="ldo").item() / volts
    assert back == pytest.approx(current, rel=1e-9)


def test_rail_voltage_is_the_mean_of_the_boards_that_state_both_regulators():
    def sheet(board, regulator):
        device = load_device(board)
        points = [p for p in device.power.run if p.regulator == regulator and not p.running.startswith("inference")]
        return [p for p in points if p.clock.si == device.clock.si]

    rails = []
    for ldo_board, smps_board in (
        ("nrf52840-dk", "nrf52840-dk"),
        ("samd51", "samd51"),
        ("nucleo-l4r5zi", "nucleo-l4r5zi-p"),
    ):
        ldo = np.mean([p.current.si / p.clock.si for p in sheet(ldo_board, "ldo")])
        smps = np.mean([p.current.si * p.supply.si / p.clock.si for p in sheet(smps_board, "smps")])
        rails.append(smps / ldo)
    assert pytest.approx(np.mean(rails), rel=0.01) == RAIL_V


@pytest.mark.parametrize("regulator", ["ldo", "smps"])
def test_law_of_supply_against_a_data_sheet_that_states_two_supplies(regulator):
    """SAM D51: 136 and 137 uA/MHz on the LDO, 103 and 65 uA/MHz on the buck, at 1.8 and 3.3 V."""
    points = {p.supply.si: p for p in load_device("samd51").power.run if p.regulator == regulator}
    low, high = points[1.8], points[3.3]
    predicted = supply_power(low.current.si, rated_v=1.8, regulator=regulator, supply_v=3.3, to=regulator).item()
    assert predicted == pytest.approx(high.current.si * 3.3, rel=0.15)


def test_leakage_doubles_in_ten_kelvin():
    np.testing.assert_allclose(leakage_scale(np.array([15.0, 25.0, 35.0])), [0.5, 1.0, 2.0])


@given(st.floats(1e5, 1e9), st.floats(1e5, 1e9), POSITIVE, SHARE)
def test_power_rises_with_the_clock(first, second, power, leak):
    low, high = sorted((first, second))
    at = {"clocks_hz": np.array([1e8]), "powers_w": np.array([power]), "leakage_w": leak * power}
    assert running_power(low, **at) <= running_power(high, **at) * (1 + 1e-12)
    assert running_power(0.0, **at) == pytest.approx(leak * power)


def test_power_passes_through_the_known_clocks():
    clocks, powers = np.array([1e6, 2e6, 4e6]), np.array([1.0, 1.5, 4.0])
    np.testing.assert_allclose(running_power(clocks, clocks_hz=clocks, powers_w=powers, leakage_w=0.1), powers)
    assert running_power(6e6, clocks_hz=clocks, powers_w=powers, leakage_w=0.1) == pytest.approx(6.5)


def test_energy_is_volts_times_amperes_times_seconds():
    assert active_energy(2.0, supply_v=3.0, current_a=np.array([0.1, 0.2])).tolist() == pytest.approx([0.6, 1.2])
