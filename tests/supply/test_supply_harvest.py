"""Traces, harvesters, trackers, converters and presets: figures, bounds, and errors that name row and field."""

import doctest
import importlib
import math
import pkgutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

import tinysim.supply
from tinysim.errors import InputError, MissingFigure, SpecError, TraceError
from tinysim.supply import mppt
from tinysim.supply.capacitors import Capacitor
from tinysim.supply.converters import BoostCharger, Buck, EfficiencyTable, Ldo
from tinysim.supply.cycles import cycle_times_s
from tinysim.supply.feed import Feed
from tinysim.supply.harvesters import (
    SolarCell,
    Thermoelectric,
    constant_feed,
    friis_power_w,
    irradiance_trace,
    markov_feed,
    periodic_feed,
    piezo_power_w,
)
from tinysim.supply.motion import crossing_time_s
from tinysim.supply.presets import (
    AmbientSpec,
    ChargerSpec,
    SolarSpec,
    list_batteries,
    list_harvesters,
    load_battery,
    load_harvester,
)
from tinysim.supply.stepping import hysteresis, run
from tinysim.supply.traces import DiodeSurface, PowerTrace, VITrace, read_trace, resampled

SPECS = Path(tinysim.__file__).parent.parent / "device_specs"


def test_examples_in_the_docstrings():
    modules = [
        importlib.import_module(f"tinysim.supply.{m.name}") for m in pkgutil.iter_modules(tinysim.supply.__path__)
    ]
    results = [doctest.testmod(module) for module in modules]
    assert sum(result.failed for result in results) == 0
    assert sum(result.attempted for result in results) > 40


def test_public_names_are_sorted_and_exist():
    for info in pkgutil.iter_modules(tinysim.supply.__path__):
        module = importlib.import_module(f"tinysim.supply.{info.name}")
        if hasattr(module, "__all__"):
            assert list(module.__all__) == sorted(module.__all__)
            assert all(hasattr(module, name) for name in module.__all__)


# -- traces -----------------------------------------------------------------------------------------------------------


def trace_file(tmp_path, text, name="trace.csv"):
    path = tmp_path / name
    path.write_text(text)
    return path


def test_reading_converts_units(tmp_path):
    trace = read_trace(trace_file(tmp_path, "# by hand\ntime (ms),power_uW\n0,1\n500,3\n1000,5\n"))
    assert trace.time_s.tolist() == [0.0, 0.5, 1.0]
    assert trace.power_w == pytest.approx([1e-6, 3e-6, 5e-6])
    assert trace.energy_j == pytest.approx(4.5e-6)
    pair = read_trace(
        trace_file(tmp_path, "t,u,i\n0,2,1\n1,2,3\n"),
        columns={"t": "time", "u": "voltage", "i": "current"},
        units={"time": "s", "voltage": "V", "current": "mA"},
    )
    assert isinstance(pair, VITrace)
    assert pair.power().energy_j == pytest.approx(8e-3)
    assert pair.current_feed().kind == "current"


@pytest.mark.parametrize(
    ("text", "options", "words"),
    [
        ("time_s,power_W\n0,1\n1,\n2,1\n", {}, r"trace.csv, row 1, power_w: nan; accepted is a finite number"),
        ("time_s,power_W\n0,1\n1,-2\n", {}, r"row 1, power_w: -2; a harvest must not be negative"),
        ("time_s,power_mw\n0,1\n1,-2\n", {}, r"row 1, power_w: -0.002; a harvest must not be negative"),
        ("time_s,power_W\n0,1\n2,1\n1,1\n", {}, r"row 2, time_s: 1 after 2; time must rise"),
        ("time_s,power_W\n0,1\n1,1\n9,1\n", {"max_gap_s": 2.0}, r"row 2, time_s: gap of 8 s after 1 s; at most 2 s"),
        ("time_s,power_W\n0,1\n1,3 mW\n", {}, r"row 1, power_W: '3 mW' is no number; a column has one unit"),
        ("time_s,power_W,power_mW\n0,1,1\n1,1,1\n", {}, r"column 'power_mW': a second column of power"),
        ("time_s,power_mW\n0,1\n1,1\n", {"units": {"power": "W"}}, r"column 'power_mW': mixed units, 'mW'"),
        ("time_s,power\n0,1\n1,1\n", {}, r"column 'power': no unit"),
        ("time_s,power_V\n0,1\n1,1\n", {}, r"column 'power_V': unit 'V' does not fit"),
        ("time_s,lux\n0,1\n1,1\n", {}, r"found no quantity; accepted is power, or voltage and current"),
        ("power_W\n1\n1\n", {}, r"no time column among \['power_W'\]"),
        ("time_s,power_W\n0,1\n", {}, r"two or more rows, got 1"),
        ("", {}, r"cannot be read as a CSV trace"),
    ],
)
def test_bad_traces_name_row_and_field(tmp_path, text, options, words):
    with pytest.raises(TraceError, match=words):
        read_trace(trace_file(tmp_path, text), **options)


@given(
    power=st.lists(st.floats(0.0, 1.0), min_size=4, max_size=60),
    step=st.floats(0.05, 2.0),
)
def test_resampling_keeps_the_energy(power, step):
    trace = PowerTrace(0.1 * np.arange(len(power)), power)
    count = int(np.floor(0.1 * len(power) / step * (1 + 1e-12)))
    if count < 2:
        with pytest.raises(TraceError, match="less than two samples"):
            resampled(trace, step)
        return
    out = resampled(trace, step)
    covered = np.sum(trace.power_w * np.clip(count * step - trace.time_s, 0.0, 0.1))
    assert out.energy_j == pytest.approx(covered, rel=1e-9, abs=1e-12)


def test_feed_of_a_trace_books_the_converter():
    trace = PowerTrace([0.0, 1.0, 2.0], [1e-3, 2e-3, 0.0])
    feed = trace.feed(lambda power: np.where(power > 1.5e-3, 0.9, 0.8))
    assert feed.inputs == pytest.approx([0.8e-3, 1.8e-3, 0.0])
    assert feed.gross == pytest.approx([1e-3, 2e-3, 0.0])


# -- harvesters -------------------------------------------------------------------------------------------------------

PANEL = SolarCell(short_a=14.8e-3, open_v=3.56, mpp_v=2.6, mpp_a=12.1e-3, beta_v_per_k=-8e-3)
CELL = SolarCell(short_a=35e-3, open_v=0.69, mpp_v=0.56, mpp_a=32.5e-3)


@pytest.mark.parametrize("cell", [PANEL, CELL], ids=["shunt", "series"])
def test_single_diode_passes_through_its_data(cell):
    v, i = cell.curve(1000.0, points=4000)
    assert v[-1] == pytest.approx(cell.open_v)
    assert np.interp(cell.mpp_v, v, i) == pytest.approx(cell.mpp_a, rel=1e-5)
    assert (v * i).max() == pytest.approx(cell.mpp_v * cell.mpp_a, rel=1e-5)
    assert i[0] == pytest.approx(cell.short_a, rel=1e-3)
    _, series_ohm, shunt_s = cell.parameters()
    assert min(series_ohm, shunt_s) == 0.0 < max(series_ohm, shunt_s)


@given(low=st.floats(20.0, 900.0), more=st.floats(1.0, 3.0))
def test_more_light_gives_more(low, more):
    assert PANEL.mpp_power_w(low * more) >= PANEL.mpp_power_w(low) * (1.0 - 1e-9)
    assert PANEL.mpp_power_w([0.0, low])[0] == 0.0


def test_irradiance_series_becomes_power():
    day = 1000.0 * np.clip(np.sin(np.linspace(0.0, np.pi, 25)), 0.0, None)
    trace = irradiance_trace(CELL, 3600.0 * np.arange(25), day)
    assert trace.power_w[1:-1] == pytest.approx(CELL.mpp_power_w(day[1:-1]), rel=1e-4)
    assert trace.power_w[0] == 0.0
    assert irradiance_trace(CELL, [0.0, 1.0], [0.0, 0.0]).energy_j == 0.0
    with pytest.raises(TraceError, match="irradiance, row 1"):
        irradiance_trace(CELL, [0.0, 1.0], [1.0, -1.0])


def test_heat_lowers_the_open_voltage():
    assert PANEL.curve(1000.0, temperature_k=328.15)[0][-1] < PANEL.curve(1000.0)[0][-1]
    with pytest.raises(InputError, match="no diode fits"):
        SolarCell(short_a=1.0, open_v=2.0, mpp_v=0.9, mpp_a=0.9)
    with pytest.raises(InputError, match="no single-diode curve"):
        SolarCell(short_a=1.0, open_v=2.0, mpp_v=1.9, mpp_a=0.999).curve(1000.0)
    with pytest.raises(InputError, match="0 < mpp_v < open_v"):
        SolarCell(short_a=1.0, open_v=2.0, mpp_v=2.1, mpp_a=0.9)


def test_solar_cell_charges_a_capacitor_towards_open_circuit():
    time = crossing_time_s(Capacitor(1e-3), PANEL.port(500.0), 0.0, 2.0)
    assert 0.2 < time < 1e-3 * 2.0 / (0.4 * 14.8e-3)
    assert crossing_time_s(Capacitor(1e-3), PANEL.port(500.0), 0.0, 4.0) == math.inf


def test_on_off_source_has_its_mean_and_its_seed():
    make = {"power_w": 1e-3, "mean_on_s": 2.0, "mean_off_s": 6.0, "total_s": 2e4}
    feed = markov_feed(**make, rng=np.random.default_rng(11))
    again = markov_feed(**make, rng=np.random.default_rng(11))
    assert np.array_equal(feed.edges_s, again.edges_s)
    share = np.sum(np.diff(feed.edges_s)[feed.inputs > 0]) / feed.duration_s
    assert share == pytest.approx(0.25, abs=0.03)
    with pytest.raises(InputError, match="must be > 0"):
        markov_feed(power_w=1.0, mean_on_s=0.0, mean_off_s=1.0, total_s=1.0, rng=np.random.default_rng(0))


@given(total=st.floats(0.5, 50.0))
def test_periodic_source_ends_where_asked(total):
    feed = periodic_feed([2.0, 1.0], [1.0, 0.5], total_s=total)
    assert feed.edges_s[-1] == total
    assert constant_feed(2.0, total).duration_s == total


def test_friis_falls_with_the_square_of_distance():
    near, far = friis_power_w(transmit_w=3.0, distance_m=[2.0, 4.0], frequency_hz=868e6)
    assert near == pytest.approx(4.0 * far)
    with pytest.raises(InputError, match="far field"):
        friis_power_w(transmit_w=1.0, distance_m=0.01, frequency_hz=868e6)


def test_piezo_is_best_at_half_the_open_voltage():
    volts = np.linspace(0.0, 12.0, 1201)
    power = piezo_power_w(open_peak_v=10.0, capacitance_f=20e-9, frequency_hz=60.0, output_v=volts, drop_v=0.25)
    assert volts[power.argmax()] == pytest.approx(4.75)
    assert power[-1] == 0.0


def test_thermoelectric_port_is_a_diode():
    teg = load_harvester("teg-40x40").generator()
    assert teg.matched_power_w(10.0) == pytest.approx(4e-3)
    assert teg.port(10.0).current_at(0.5) == 0.0
    assert Thermoelectric(seebeck_v_per_k=0.02, resistance_ohm=2.0).port(10.0).current_at(0.1) == pytest.approx(0.05)


# -- trackers ---------------------------------------------------------------------------------------------------------


@given(a=st.floats(1e-4, 1e-2), b=st.floats(1e-8, 1e-5), c=st.floats(2.0, 8.0), fraction=st.floats(0.3, 0.95))
@settings(max_examples=30, deadline=None)
def test_no_tracker_beats_the_optimum(a, b, c, fraction):
    grid = 0.01 * np.arange(400)
    one = np.ones(grid.size)
    surface = DiodeSurface(grid, a * one, b * one, c * one)
    best = mppt.optimal(surface)
    held = np.linspace(0.0, surface.open_v()[0], 20001)
    assert best.power_w[0] == pytest.approx((held * np.maximum(a - b * np.expm1(c * held), 0)).max(), rel=1e-6)
    others = [
        mppt.constant_voltage(surface, 1.0),
        mppt.fractional_open_voltage(surface, fraction=fraction, interval_s=1.0, sampling_s=0.05),
        mppt.perturb_and_observe(surface, step_v=0.01, interval_s=0.02, start_v=2.0, max_v=5.0),
    ]
    for trace in others:
        assert trace.power().energy_j <= best.energy_j * (1.0 + 1e-12)


def test_sampling_costs_its_share_of_time():
    grid = 0.01 * np.arange(3200)
    one = np.ones(grid.size)
    surface = DiodeSurface(grid, 1e-3 * one, 1e-6 * one, 4.0 * one)
    kept = [
        mppt.fractional_open_voltage(surface, fraction=0.76, interval_s=16.0, sampling_s=s).power().energy_j
        for s in (1e-9, 0.256)
    ]
    assert kept[1] / kept[0] == pytest.approx(1.0 - 0.256 / 16.0)
    with pytest.raises(InputError, match="0 < fraction < 1"):
        mppt.fractional_open_voltage(surface, fraction=1.5, interval_s=16.0, sampling_s=0.2)


def test_surface_does_not_reach_beyond_its_end():
    surface = DiodeSurface([0.0, 1.0], [1e-3, 1e-3], [1e-6, 1e-6], [4.0, 4.0])
    with pytest.raises(TraceError, match="asked for 9"):
        surface.resampled(0.1, duration_s=9.0)


# -- converters -------------------------------------------------------------------------------------------------------

TABLE = EfficiencyTable(np.array([1.0, 2.0]), np.array([1e-6, 1e-4]), np.array([[0.5, 0.7], [0.6, 0.9]]))


def test_table_interpolates_in_voltage_and_in_log_current():
    assert TABLE.at(1.0, 1e-5) == pytest.approx(0.6)
    assert TABLE.at(1.5, 1e-4) == pytest.approx(0.8)
    assert TABLE.at([0.0, 9.0], [1e-9, 1.0]) == pytest.approx([0.5, 0.9])
    single = EfficiencyTable(np.array([2.0]), np.array([1e-3]), np.array([[0.8]]))
    assert single.at(5.0, 2e-3) == pytest.approx(0.8)


def test_stepped_table_holds_each_entry_up_to_the_next():
    table = load_harvester("bq25504").charger().table
    assert table.at(1.10, 300e-6) == 0.85  # the bin of 1.05..1.18 V and 262..524 uA
    assert table.at(1.10, 10e-6) == 0.77  # 8..16 uA, the second column
    assert table.at(0.0, 0.0) == 0.01
    assert table.at(9.0, 1.0) == 0.90


@given(v=st.floats(0.0, 6.0), i=st.floats(0.0, 0.2))
@settings(deadline=None)
def test_a_converter_never_gives_more_than_it_takes(v, i):
    charger, buck = load_harvester("bq25570").charger(), load_harvester("bq25570").buck(1.8)
    assert 0.0 <= charger.output_power_w(v, i) <= v * i
    assert buck.input_power_w(v, i) >= min(v, 1.8) * i


def test_cold_start_is_slow_and_ends():
    chip = load_harvester("bq25570")
    curve = load_harvester("solar-engage-gameboy").curve(10000)
    port = chip.charger().port_from_curve(curve.voltage_v, curve.current_a)
    cold, warm = port.bands
    assert (cold.high_v, warm.low_v) == (1.73, 1.73)
    assert cold.power_w == pytest.approx(0.06 * 0.33 * np.interp(0.33, curve.voltage_v, curve.current_a))
    assert warm.power_w > 20.0 * cold.power_w
    dim = load_harvester("solar-am1417").curve(300)
    assert chip.charger().port_from_curve(dim.voltage_v, dim.current_a).bands[0].power_w == 0.0  # below 15 uW


def test_charger_books_its_loss_along_a_trace():
    trace = VITrace([0.0, 1.0, 2.0], [0.05, 1.2, 2.0], [1e-3, 1e-3, 2e-3])
    feed = load_harvester("bq25504").charger().feed(trace)
    assert feed.gross == pytest.approx([0.05e-3, 1.2e-3, 4e-3])
    assert feed.inputs == pytest.approx([0.0, 0.88 * 1.2e-3, 0.90 * 4e-3])  # 50 mV are too little to boost


def test_buck_and_ldo_as_loads():
    buck = load_harvester("bq25570").buck(3.0)
    port = buck.port(3e-3, low_v=3.3, high_v=4.0)
    assert -port.current_at(3.6) * 3.6 == pytest.approx(float(buck.input_power_w(3.6, 3e-3)), rel=5e-3)
    ldo = Ldo(output_v=2.2, quiescent_a=4.5e-6, dropout_v=0.1)
    assert ldo.port(1e-3).current_at(3.0) == pytest.approx(-1.0045e-3)
    assert ldo.cutoff_v == pytest.approx(2.3)
    assert isinstance(buck, Buck)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: EfficiencyTable(np.array([1.0]), np.array([1e-3]), np.array([[1.2]])), r"row 0, column 0: 1.2"),
        (lambda: EfficiencyTable(np.array([2.0, 1.0]), np.array([1.0]), np.ones((2, 1))), r"rising voltages"),
        (lambda: EfficiencyTable(np.array([1.0]), np.array([0.0]), np.ones((1, 1))), r"currents > 0"),
        (lambda: BoostCharger(table=TABLE, min_input_v=0.1, mppt_fraction=0.0), r"0 < mppt_fraction"),
        (lambda: load_harvester("bq25570").buck(9.0), r"no buck stage at 9 V; known: \[1.8"),
        (lambda: load_harvester("solar-am1417").curve(5), r"no curve at 5 lux"),
        (lambda: load_battery("cr2023"), r"did you mean cr2032"),
        (lambda: load_harvester("solar-am141"), r"did you mean solar-am1417"),
    ],
)
def test_bad_specs_are_named(make, words):
    with pytest.raises(SpecError, match=words):
        make()


# -- closed-form cycles -----------------------------------------------------------------------------------------------


@given(power=st.floats(1e-5, 9e-3), leak=st.sampled_from([math.inf, 1e5, 1e3]))
@settings(max_examples=20, deadline=None)
def test_closed_form_cycles_equal_stepping(power, leak):
    capacitor = Capacitor(1e-3, leak)
    on, off = cycle_times_s(capacitor, power, on_draw=10e-3, off_draw=1e-6, on_v=3.0, off_v=1.8)
    node = hysteresis(on_draw=10e-3, off_draw=1e-6, on_v=3.0, off_v=1.8)
    result = run(capacitor, Feed.sampled(np.full(400, power), 1.0), node, start_v=1.8)
    for label, span in (("on", on), ("off", off)):
        found = result.durations_s(label)
        assert found == pytest.approx(np.full(found.size, float(span)), rel=1e-9)


def test_cycles_broadcast_and_refuse_nonsense():
    grid = np.array([1e-3, 2e-3])[:, None]
    on, off = cycle_times_s(
        Capacitor(1e-3), grid, on_draw=5e-3, on_v=np.array([2.5, 3.0, 3.5]), off_v=1.8, kind="current"
    )
    assert on.shape == off.shape == (2, 3)
    with pytest.raises(InputError, match="must be above turn-off"):
        cycle_times_s(Capacitor(1e-3), 1.0, on_draw=1.0, on_v=1.0, off_v=2.0)
    with pytest.raises(InputError, match="ESR is not part"):
        cycle_times_s(Capacitor(1e-3, esr_ohm=1.0), 1.0, on_draw=1.0, on_v=2.0, off_v=1.0)


# -- presets ----------------------------------------------------------------------------------------------------------


def keys_in(data):
    """Every value of a `source` key in nested data."""
    if isinstance(data, dict):
        yield from ([data["source"]] if "source" in data else [])
        data = list(data.values())
    if isinstance(data, list):
        for part in data:
            yield from keys_in(part)


@pytest.mark.parametrize("kind", ["batteries", "harvesters"])
def test_every_figure_has_a_known_source(kind):
    known = yaml.safe_load((SPECS / "sources_supply.yaml").read_text())
    assert all(set(entry) == {"title", "where", "year"} for entry in known.values())
    for path in sorted((SPECS / kind).glob("*.yaml")):
        used = set(keys_in(yaml.safe_load(path.read_text())))
        assert used, path.name
        assert used <= set(known), path.name


def test_every_source_is_used():
    known = yaml.safe_load((SPECS / "sources_supply.yaml").read_text())
    files = [path for folder in ("batteries", "capacitors", "harvesters") for path in (SPECS / folder).glob("*.yaml")]
    used = {key for path in files for key in keys_in(yaml.safe_load(path.read_text()))}
    assert used == set(known)


@pytest.mark.parametrize("name", list_batteries())
def test_every_battery_builds(name):
    spec = load_battery(name)
    assert spec.name == name
    cell = spec.cell()
    assert cell.capacity_c == spec.capacity.si
    assert not spec.nominal.known or 1.0 < spec.nominal.si < 4.0


def test_batteries_asked_for_are_there():
    wanted = {"cr2032", "cr2450", "aa-alkaline", "aaa-alkaline", "aa-lithium", "er14505", "lir2450"}
    assert wanted <= set(list_batteries())
    lipo = [load_battery(n) for n in list_batteries() if load_battery(n).chemistry == "li-polymer"]
    assert min(b.capacity.si for b in lipo) <= 20 * 3.6
    assert max(b.capacity.si for b in lipo) >= 500 * 3.6


def test_a_cell_of_another_size_scales_its_resistance():
    half = load_battery("pl-383562").cell("circuit", capacity_c=430 * 3.6)
    full = load_battery("pl-383562").cell("circuit")
    assert half.resistance_ohm == pytest.approx(2.0 * full.resistance_ohm)
    assert half.decay_per_s == pytest.approx(full.decay_per_s)


def test_cold_takes_capacity_where_a_figure_says_so():
    coin = load_battery("cr2032")
    assert coin.cell(temperature_k=253.15).capacity_c == pytest.approx(0.578 * 810.0)
    with pytest.raises(MissingFigure, match=r"cr2450: no sourced figure for the capacity at 253\.15 K"):
        load_battery("cr2450").cell(temperature_k=253.15)
    with pytest.raises(InputError, match="outside the table"):
        coin.cell(temperature_k=200.0)


@pytest.mark.parametrize("name", list_harvesters())
def test_every_harvester_builds(name):
    spec = load_harvester(name)
    assert spec.name == name
    if isinstance(spec, SolarSpec):
        powers = [max(np.array(c.voltage_v) * np.array(c.current_a)) for c in spec.curves]
        assert powers == sorted(powers)
        assert all(spec.port(c.lux).current_at(0.5) > 0.0 for c in spec.curves)
    elif isinstance(spec, ChargerSpec):
        assert spec.charger().duty == pytest.approx(0.984)
        assert all(spec.buck(stage.output_v).output_v == stage.output_v for stage in spec.bucks)
    else:
        assert isinstance(spec, AmbientSpec)
        assert spec.power_w(1e-4) > 0.0


def test_standard_condition_data_are_asked_for_by_name():
    assert load_harvester("solar-engage-gameboy").cell().mpp_power_w(1000.0) == pytest.approx(31.46e-3, rel=1e-3)
    with pytest.raises(MissingFigure, match="solar-am1417: no sourced standard-condition data"):
        load_harvester("solar-am1417").cell()
    with pytest.raises(MissingFigure, match="no sourced Seebeck"):
        load_harvester("ambient-indoor-light").generator()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"capacity": {"value": 1, "unit": "V", "kind": "datasheet", "source": "x"}},
            r"own.yaml: capacity: .*'V' does not fit",
        ),
        ({"capacity": {"value": 1, "unit": "C", "kind": "datasheet"}}, r"own.yaml: capacity: .*needs a source"),
        ({"extra": 1}, r"own.yaml: extra: Extra inputs"),
    ],
)
def test_own_battery_files_are_checked(tmp_path, change, words):
    data = yaml.safe_load((SPECS / "batteries" / "cr2450.yaml").read_text())
    path = tmp_path / "own.yaml"
    path.write_text(yaml.safe_dump({**data, **change}))
    with pytest.raises(SpecError, match=words):
        load_battery(str(path))
    with pytest.raises(SpecError, match="No such file"):
        load_battery(str(tmp_path / "missing.yaml"))
