"""Battery models: protocol, exactness, monotonicity, periodic closed form against plain stepping, bad input."""

import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinysim.errors import InfeasibleError, InputError
from tinysim.supply.ageing import (
    arrhenius_factor,
    capacity_at,
    cutoff_from_dropout_v,
    derated,
    self_discharge_per_s,
    shelf_life_s,
)
from tinysim.supply.batteries import CircuitCell, IdealCell, KiBaM, PeukertCell, RakhmatovVrudhula
from tinysim.supply.capacitors import Capacitor
from tinysim.supply.cell import LoadProfile
from tinysim.supply.motion import voltage_after_v
from tinysim.supply.port import constant_current
from tinysim.supply.pulse import buffer_recovery_s, min_buffer_f, pulse_voltage_v

YEAR = 365.25 * 86400.0
WAKE = LoadProfile((1e-3, 0.5e-3, 2.7e-3, 5e-3, 0.7e-6), (2e-3, 10e-3, 30e-3, 3e-3, 0.955), periodic=True)

IDEAL = IdealCell(capacity_c=100.0)
PEUKERT = PeukertCell(capacity_c=100.0, exponent=1.2, rated_s=1e4)
KIBAM = KiBaM(capacity_c=100.0, available_share=0.3, rate_per_s=1e-3)
RV = RakhmatovVrudhula(capacity_c=100.0, beta=0.05)
CIRCUIT = CircuitCell(
    capacity_c=100.0,
    soc=(0.0, 0.1, 1.0),
    ocv_v=(2.5, 3.5, 4.2),
    resistance_ohm=0.5,
    cutoff_v=3.0,
    pairs=((0.3, 200.0),),
)
CELLS = [IDEAL, PEUKERT, KIBAM, RV, CIRCUIT]
each = pytest.mark.parametrize("cell", CELLS, ids=lambda cell: type(cell).__name__)

currents = st.one_of(st.just(0.0), st.floats(0.02, 0.5))
segments = st.lists(st.tuples(currents, st.floats(20.0, 500.0)), min_size=1, max_size=5).filter(
    lambda rows: any(i > 0.0 for i, _ in rows)
)


def profile_of(rows, *, periodic=True):
    return LoadProfile([i for i, _ in rows], [t for _, t in rows], periodic=periodic)


@each
@given(current=st.floats(0.0, 2.0), first=st.floats(0.0, 300.0), second=st.floats(0.0, 300.0))
def test_advance_is_a_flow(cell, current, first, second):
    halfway = cell.advance(cell.full_state(), current, first)
    once = cell.advance(cell.full_state(), current, first + second)
    assert cell.advance(halfway, current, second).modes == pytest.approx(once.modes, rel=1e-9, abs=1e-9)


@each
@given(rows=segments)
@settings(max_examples=12, deadline=None)
def test_repeating_equals_stepping_through(cell, rows):
    profile = profile_of(rows)
    quick = cell.lifetime(profile)
    copies = quick.periods + 2  # at most 100 C / (20 s x 20 mA)
    plain = cell.lifetime(LoadProfile(profile.currents_a * copies, profile.durations_s * copies))
    assert plain.time_s == pytest.approx(quick.time_s, rel=1e-9)
    assert plain.cause == quick.cause


@each
@given(current=st.floats(1e-3, 0.5), more=st.floats(1.0, 3.0))
@settings(max_examples=25, deadline=None)
def test_less_load_lasts_longer(cell, current, more):
    full = cell.full_state()
    assert cell.time_to_empty(full, current) >= cell.time_to_empty(full, current * more) * (1.0 - 1e-12)


@each
@given(rows=segments, factor=st.floats(1.0, 4.0))
@settings(max_examples=12, deadline=None)
def test_more_capacity_lasts_longer(cell, rows, factor):
    larger = derated(cell, capacity_factor=factor)
    assert larger.lifetime(profile_of(rows)).time_s >= cell.lifetime(profile_of(rows)).time_s * (1.0 - 1e-12)


@each
@given(current=st.floats(1e-2, 1.0))
@settings(max_examples=25, deadline=None)
def test_margin_is_zero_at_the_end_and_positive_before(cell, current):
    full = cell.full_state()
    end = cell.time_to_empty(full, current)
    before = cell.advance(full, current, end * (1.0 - 1e-6))
    assert min(cell.margins(before, current).values()) > 0.0 or end == 0.0
    assert min(cell.margins(cell.advance(full, current, end), current).values()) == pytest.approx(0.0, abs=1e-6)


def test_a_dip_between_the_ends_of_a_segment_is_found():
    # heavy, rest, light: fast diffusion dips as the load returns, then the slow recovery lifts the margin again
    def margins(capacity):
        cell = RakhmatovVrudhula(capacity_c=capacity, beta=0.02)
        state = cell.advance(cell.advance(cell.full_state(), 0.02, 1500.0), 0.0, 300.0)
        at = np.linspace(0.0, 600.0, 6001)
        left = np.array([cell.margins(cell.advance(state, 4e-3, t), 4e-3)["available charge"] for t in at])
        return cell, state, at, left

    _, _, _, left = margins(400.0)
    depth = min(left[0], left[-1]) - left.min()
    assert depth > 0.1
    assert 0 < left.argmin() < left.size - 1
    cell, state, at, left = margins(400.0 - left.min() - 0.5 * depth)  # empty at the bottom of the dip, not at its ends
    assert min(left[0], left[-1]) > 0.0
    first = cell.lifetime(LoadProfile((4e-3,), (600.0,)), state).time_s
    assert first == pytest.approx(at[np.argmax(left <= 0.0)], abs=0.1)


@pytest.mark.parametrize("cell", [IDEAL, KIBAM, RV, CIRCUIT], ids=lambda cell: type(cell).__name__)
def test_charge_is_conserved(cell):  # not Peukert's: it takes more than the current
    state = cell.advance(cell.full_state(), 0.25, 40.0)
    assert cell.capacity_c - state.charge_c == pytest.approx(0.25 * 40.0)


def test_recovery_after_rest():
    tired = KIBAM.advance(KIBAM.full_state(), 0.5, 50.0)
    rested = KIBAM.advance(tired, 0.0, 1000.0)
    assert rested.charge_c == tired.charge_c
    assert KIBAM.margins(rested, 0.0)["available charge"] > KIBAM.margins(tired, 0.0)["available charge"]


def test_two_wells_and_diffusion_tend_to_a_tank_at_light_load():
    for cell in (KIBAM, RV):
        assert cell.time_to_empty(cell.full_state(), 1e-6) == pytest.approx(1e8, rel=1e-3)


def test_periods_in_closed_form_equal_stepping():
    cell = KiBaM(
        capacity_c=810.0, available_share=0.3, rate_per_s=1e-4, self_discharge_per_s=self_discharge_per_s(0.01)
    )
    modes = cell.full_state()
    for _ in range(50):
        for current, duration in WAKE:
            modes = cell.advance(modes, current, duration)
    assert cell.after_periods(WAKE, 50) == pytest.approx(modes.modes, rel=1e-12)
    assert cell.after_periods(WAKE, [0, 50]).shape == (2, 2)


def test_a_year_of_five_state_wakes_takes_less_than_a_second():
    cell = KiBaM(
        capacity_c=8100.0, available_share=0.3, rate_per_s=1e-4, self_discharge_per_s=self_discharge_per_s(0.01)
    )
    start = time.process_time()
    life = cell.lifetime(WAKE)
    assert time.process_time() - start < 1.0
    assert YEAR < life.time_s < 10 * YEAR
    assert life.periods == math.floor(life.time_s)
    assert cell.margins(life.state, 0.0)["available charge"] < 1e-2


def test_no_load_and_no_self_discharge_last_for_ever():
    assert IDEAL.lifetime(LoadProfile((0.0,), (1.0,), periodic=True)).time_s == math.inf
    assert IDEAL.lifetime(LoadProfile((0.1,), (10.0,))).time_s == math.inf


def test_self_discharge_alone_empties_on_the_shelf():
    cell = IdealCell(capacity_c=100.0, self_discharge_per_s=self_discharge_per_s(0.1))
    assert cell.time_to_empty(cell.full_state(), 0.0) == pytest.approx(10 * YEAR)
    assert shelf_life_s(cell.self_discharge_per_s, 0.8) == pytest.approx(2 * YEAR)
    assert shelf_life_s(0.0, 0.5) == math.inf


def test_brown_out_at_the_first_pulse():
    life = CIRCUIT.lifetime(LoadProfile((10e-3, 3.0), (5.0, 1.0), periodic=True))
    assert (life.time_s, life.cause) == (5.0, "voltage")


def test_power_load_of_a_circuit():
    full = CIRCUIT.full_state()
    current = CIRCUIT.current_for_power_a(full, 1.0)
    assert current * CIRCUIT.voltage_v(full, current) == pytest.approx(1.0)
    with pytest.raises(InfeasibleError, match=r"above what 4\.200 V behind 0\.5 ohm can give"):
        CIRCUIT.current_for_power_a(full, 10.0)


def test_a_higher_cutoff_ends_earlier():
    strict = CIRCUIT.with_cutoff(3.3, dropout_v=0.2)
    assert strict.cutoff_v == 3.5 == cutoff_from_dropout_v(load_min_v=3.3, dropout_ohm=2.0, current_a=0.1)
    assert strict.time_to_empty(strict.full_state(), 0.1) < CIRCUIT.time_to_empty(CIRCUIT.full_state(), 0.1)


def test_cold_and_age():
    old = derated(CIRCUIT, capacity_factor=0.8, resistance_factor=2.0)
    assert (old.capacity_c, old.resistance_ohm) == (80.0, 1.0)
    assert old.decay_per_s == pytest.approx(CIRCUIT.decay_per_s)  # R up, C down: the same time constant
    assert arrhenius_factor(308.15, activation_j_mol=50e3) > 1.8
    with pytest.raises(InputError, match="outside the table"):
        capacity_at(200.0, table_k=[250.0, 300.0], table_share=[0.5, 1.0])
    with pytest.raises(InputError, match="IdealCell has no resistance"):
        derated(IDEAL, resistance_factor=2.0)


@given(
    resistance=st.floats(1.0, 100.0),
    esr=st.floats(0.0, 5.0),
    buffer=st.floats(1e-6, 1e-3),
    duration=st.floats(1e-4, 1e-1),
)
@settings(max_examples=20, deadline=None)
def test_pulse_equals_the_cell_with_a_pair_solved_numerically(resistance, esr, buffer, duration):
    current, open_v, steps = 15e-3, 3.0, 4000
    volts, dt = open_v, duration / steps
    for _ in range(steps):  # midpoint rule on the buffer's own voltage

        def slope(v):
            node = (open_v * esr + v * resistance - current * resistance * esr) / (resistance + esr)
            inflow = (open_v - node) / resistance - current
            return inflow / buffer

        volts += dt * slope(volts + 0.5 * dt * slope(volts))
    node = (open_v * esr + volts * resistance - current * resistance * esr) / (resistance + esr)
    if duration / steps < 0.5 * (resistance + esr) * buffer:
        got = pulse_voltage_v(
            open_v=open_v,
            resistance_ohm=resistance,
            current_a=current,
            duration_s=duration,
            buffer_f=buffer,
            buffer_esr_ohm=esr,
        )
        assert float(got) == pytest.approx(node, abs=2e-3)


@given(resistance=st.floats(80.0, 300.0), duration=st.floats(1e-4, 1e-2))
def test_smallest_buffer_just_avoids_brown_out(resistance, duration):
    pulse = {"open_v": 3.0, "resistance_ohm": resistance, "current_a": 15e-3, "duration_s": duration}
    size = min_buffer_f(**pulse, brownout_v=2.0, buffer_esr_ohm=1.0)
    end = pulse_voltage_v(**pulse, buffer_f=size, buffer_esr_ohm=1.0)
    assert size == 0.0 or float(end) == pytest.approx(2.0)
    assert float(end) >= 2.0 - 1e-9


@given(resistance=st.floats(1.0, 100.0), esr=st.floats(0.0, 5.0), duration=st.floats(1e-4, 1e-1))
@settings(max_examples=30, deadline=None)
def test_a_hybrid_store_sags_as_the_pulse_formula_says(resistance, esr, duration):
    cell = derated(CIRCUIT, resistance_factor=resistance / CIRCUIT.resistance_ohm)
    full = cell.full_state()
    open_v = cell.voltage_v(full, 0.0)
    store = Capacitor(47e-6, esr_ohm=esr)
    first = open_v - 15e-3 * resistance * esr / (resistance + esr)  # the jump over R || r
    volts = voltage_after_v(store, cell.port(full) - constant_current(15e-3), first, duration)
    wanted = pulse_voltage_v(
        open_v=open_v,
        resistance_ohm=resistance,
        current_a=15e-3,
        duration_s=duration,
        buffer_f=47e-6,
        buffer_esr_ohm=esr,
    )
    assert volts == pytest.approx(float(wanted), rel=1e-9)


def test_a_buffer_with_too_much_esr_does_not_help():
    with pytest.raises(InfeasibleError, match="browns out at once"):
        min_buffer_f(
            open_v=3.0, resistance_ohm=100.0, current_a=15e-3, duration_s=1e-3, brownout_v=2.0, buffer_esr_ohm=500.0
        )
    assert buffer_recovery_s(resistance_ohm=100.0, buffer_f=1e-4) == pytest.approx(0.0460517)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: IdealCell(capacity_c=0.0), "capacity_c = 0.0"),
        (lambda: IdealCell(capacity_c=1.0, self_discharge_per_s=-1.0), "self_discharge_per_s = -1.0"),
        (lambda: KiBaM(capacity_c=1.0, available_share=1.0, rate_per_s=1.0), r"must lie in \(0, 1\)"),
        (lambda: PeukertCell(capacity_c=1.0, exponent=0.9, rated_s=1.0), "exponent = 0.9"),
        (lambda: RakhmatovVrudhula(capacity_c=1.0, beta=0.0), "beta = 0.0"),
        (lambda: LoadProfile((1.0,), (1.0, 2.0)), "as many currents as durations"),
        (lambda: LoadProfile((1.0, -1.0), (1.0, 1.0)), "segment 1: current_a = -1.0"),
        (lambda: LoadProfile((1.0,), (0.0,)), "segment 0: duration_s = 0.0"),
        (lambda: LoadProfile((1.0,), (math.inf,), periodic=True), "duration_s = inf"),
        (lambda: CircuitCell(capacity_c=1.0, soc=(0, 1), ocv_v=(4, 3), resistance_ohm=0, cutoff_v=1), "rise together"),
        (
            lambda: CircuitCell(
                capacity_c=1, soc=(0, 1), ocv_v=(3, 4), resistance_ohm=1, cutoff_v=1, resistances_ohm=(1, 2)
            ),
            "fall as it rises",
        ),
        (lambda: KiBaM.fit([3, 2, 1], [1, 2, 3]), "rise with three rising discharge times"),
    ],
)
def test_bad_input_is_named(make, words):
    with pytest.raises(InputError, match=words):
        make()


def test_cutoff_above_the_full_cell_is_infeasible():
    with pytest.raises(InfeasibleError, match=r"cut-off of 4\.3 V is not below .* full"):
        CircuitCell(capacity_c=1.0, soc=(0, 1), ocv_v=(3, 4.2), resistance_ohm=0.1, cutoff_v=4.3)
    with pytest.raises(InfeasibleError, match="no pair of wells"):
        KiBaM.fit([1.0, 2.0, 2.9], [1.0, 2.0, 3.0])
