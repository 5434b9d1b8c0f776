"""Power of boards at operating points, against measured powers, and the laws that relate points."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinysim.deploy.costs import layer_costs
from tinysim.deploy.prices import energy_prices, power_spread, sleep_power
from tinysim.deploy.target import resolve_target
from tinysim.device.library import list_devices, load_device, load_runtime
from tinysim.errors import SpecError
from tinysim.network.load import load_network

L4R5 = "nucleo-l4r5zi"


def prices(board, runtime=None, clock_hz=None, **options):
    device = load_device(board)
    place = {f"{what}": device.memory_for(what) for what in ("code", "weights", "activations")}
    stack = load_runtime(runtime or device.runtimes[0])
    found, gaps = energy_prices(device, stack, clock_hz or device.clock.si, **place, **options)
    assert (found is None) == bool(gaps)
    return found


def milliwatts(board, runtime, networks, **options):
    """Mean power of estimates of networks [mW]."""
    target = replace(resolve_target(board, runtime), prices=prices(board, runtime, **options))
    found = []
    for network in networks:
        costs = layer_costs(load_network(network).table(), target)
        found.append(costs.energy.total.sum() / costs.latency_s.sum() * 1e3)
    return sum(found) / len(found)


# Mean power over the networks, as published; source: mlperf-tiny, rounds v0.5 to v1.3.
@pytest.mark.parametrize(
    ("board", "runtime", "networks", "options", "measured_mw", "tolerance"),
    [
        (L4R5, "x-cube-ai-7.3", "ad ic vww", {"supply_v": 1.8}, 44.8, 0.04),
        (L4R5, "x-cube-ai-7.3", "ad ic vww", {"supply_v": 3.0}, 74.2, 0.04),
        (L4R5, "x-cube-ai-9.0", "ad ic vww", {"supply_v": 3.0, "regulator": "smps"}, 33.0, 0.08),
        ("nucleo-l4r5zi-p", "x-cube-ai-10.2", "ad ic kws", {"supply_v": 3.0}, 33.1, 0.04),
        (L4R5, "microtvm-cmsis-nn", "ad ic vww", {"supply_v": 1.8}, 51.7, 0.04),
        (L4R5, "x-cube-ai-7.1", "ad ic kws", {"supply_v": 1.8}, 46.9, 0.04),
        (L4R5, "tflm-2.3.1-cmsis-nn-2021", "ad ic kws", {"supply_v": 1.8}, 41.1, 0.04),
        ("nucleo-h7a3zi-q", "x-cube-ai-7.3", "ad ic vww", {"supply_v": 3.3}, 154.5, 0.04),
        ("nucleo-u575zi-q", "x-cube-ai-7.3", "ad kws vww", {"supply_v": 1.8}, 25.2, 0.04),
        ("rx65n-cloud-kit", "tflm-cmsis-nn", "ad kws vww", {}, 52.9, 0.04),
    ],
)
def test_power_of_stacks_on_boards(board, runtime, networks, options, measured_mw, tolerance):
    assert milliwatts(board, runtime, networks.split(), **options) == pytest.approx(measured_mw, rel=tolerance)


# Streaming wake words of MLPerf Tiny v1.3 at a slow clock: mean power [mW] of a 32 ms hop, busy nearly throughout.
# What the MCU draws in the rest is not known, at least nothing and at most as much as at work.
@pytest.mark.parametrize(
    ("board", "clock_mhz", "supply_v", "busy_ms", "mean_mw"),
    [
        ("nucleo-h7a3zi-q", 40, 3.0, 29.766, 16.1655),
        ("nucleo-l4r5zi-p", 70, 3.0, 30.7346, 22.719),
        ("nucleo-u575zi-q", 60, 1.8, 31.0831, 9.5213),
    ],
)
def test_power_at_a_slow_clock_that_no_fit_knows(board, clock_mhz, supply_v, busy_ms, mean_mw):
    """The boards were fitted at 280, 120 and 160 MHz; data-sheet currents and leakage make the law of the clock."""
    watts = prices(board, "x-cube-ai-10.2", clock_mhz * 1e6, supply_v=supply_v).power_w
    assert 0.8 * mean_mw <= watts * 1e3 <= 1.2 * mean_mw * 32.0 / busy_ms


@given(st.floats(1.71, 3.6))
@settings(deadline=None)
def test_energy_goes_with_the_supply_on_an_ldo_and_not_on_a_converter(volts):
    base = prices(L4R5, supply_v=1.8).power_w
    assert prices(L4R5, supply_v=volts).power_w == pytest.approx(base * volts / 1.8, rel=1e-9)
    through = prices(L4R5, supply_v=volts, regulator="smps").power_w
    assert through == pytest.approx(prices(L4R5, supply_v=3.0, regulator="smps").power_w, rel=1e-9)


@given(st.floats(-40, 125), st.floats(-40, 125))
@settings(deadline=None)
def test_heat_adds_leakage_only(first, second):
    cool, hot = (prices(L4R5, temperature_c=t) for t in sorted((first, second)))
    assert hot.power_w >= cool.power_w
    assert hot.static_w - cool.static_w == pytest.approx(hot.power_w - cool.power_w, abs=1e-12)
    assert hot.instruction_share * hot.power_w == pytest.approx(cool.instruction_share * cool.power_w, rel=1e-9)


@pytest.mark.parametrize(("clock_mhz", "sheet_ma"), [(240, 72.4), (160, 54.4), (80, 35.1), (40, 19.9)])
def test_measured_inference_follows_the_clocks_of_the_data_sheet(clock_mhz, sheet_ma):
    """ESP32-S3: inference was measured at 240 MHz only; source: ESP32-S3 data sheet v1.2, table 22."""
    full, slow = (prices("esp32-s3-devkit", clock_hz=mhz * 1e6).power_w for mhz in (240, clock_mhz))
    assert slow / full == pytest.approx(sheet_ma / 72.4, rel=1e-6)


def test_25_degrees_is_the_default():
    assert prices(L4R5, temperature_c=25.0).power_w == pytest.approx(prices(L4R5).power_w, rel=1e-12)


@pytest.mark.parametrize("name", list_devices())
def test_prices_of_every_board_are_in_physical_bounds(name):
    found = prices(name)
    if found is None:
        return
    assert 0 < found.power_w < 5
    assert 0 <= found.static_w <= found.power_w
    assert 0 < found.instruction_share <= 0.5
    assert 0 <= found.sram_byte_j < 1e-9
    half = prices(name, clock_hz=load_device(name).clock.si / 2)
    assert half.power_w < found.power_w


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"supply_v": 12.0}, "supply 12 V is outside 0.5 to 6 V"),
        ({"temperature_c": 200.0}, "temperature 200 degC is outside -40 to 125 degC"),
        ({"regulator": "buck"}, "regulator 'buck' is not one of ldo, smps, none"),
    ],
)
def test_impossible_operating_points_are_refused(options, message):
    with pytest.raises(SpecError, match=message):
        prices(L4R5, **options)


def test_sleep_is_the_lowest_state_that_keeps_sram():
    board = load_device(L4R5)
    name, power_w, wake_s = sleep_power(board)
    assert name == "stop2"
    assert wake_s == pytest.approx(5e-6)
    assert power_w == pytest.approx(2.8e-6 * 1.8)
    assert sleep_power(board, supply_v=3.0)[1] == pytest.approx(2.8e-6 * 3.0)
    assert sleep_power(board, temperature_c=35.0)[1] == pytest.approx(2 * 2.8e-6 * 1.8)
    with pytest.raises(SpecError, match=r"no sleep state .coma. of known current .it has sleep, stop2"):
        sleep_power(board, "coma")
    assert prices("samd21") is None
    with pytest.raises(SpecError, match="it has none"):
        sleep_power(load_device("samd21"))


def test_residuals_say_how_well_a_board_is_known():
    own, data_sheet = power_spread(load_device(L4R5)), power_spread(load_device("stm32l4r9"))
    assert "networks left out" in own.basis
    assert "boards left out" in data_sheet.basis
    assert power_spread(load_device("rx65n-cloud-kit")).basis == "power of measured boards, networks left out"

    def typical(spread):
        return sorted(abs(r) for r in spread.residuals)[len(spread.residuals) // 2]

    assert typical(own) < typical(data_sheet)
