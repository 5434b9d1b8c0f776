"""Closed form, exact event stepping, ledger, Monte Carlo."""

import csv
import itertools
import math
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinysim.errors import InputError
from tinysim.scenario.events import Arrivals, Pattern, Trace
from tinysim.scenario.montecarlo import lifetimes, tornado
from tinysim.scenario.plan import Activity, Battery, Phase, Plan
from tinysim.scenario.steady import busy_share, steady
from tinysim.scenario.stepping import simulate
from tinysim.scenario.timeline import timeline
from tinysim.supply.batteries import CircuitCell, IdealCell, KiBaM, PeukertCell, RakhmatovVrudhula
from tinysim.supply.cell import Cell

UNITS = {"h": 3600.0, "day": 86400.0}
with (Path(__file__).parent / "data" / "duty_cases.csv").open() as stream:
    CASES = list(csv.DictReader(stream))

FIVE = (
    Phase("wake", 2e-3, (("core", 1e-3),)),
    Phase("sense", 10e-3, (("sensor", 0.5e-3),)),
    Phase("infer", 30e-3, (("infer", 8e-3 / 3),)),
    Phase("radio", 3e-3, (("radio", 5e-3),)),
)


EVERY_SECOND = Pattern.periodic(1.0)


def plan_of(
    cell: Cell,
    arrivals: Arrivals = EVERY_SECOND,
    *,
    phases: tuple[Phase, ...] = FIVE,
    stops: tuple[tuple[int, float], ...] = (),
    deadline: float | None = None,
    sleep_a: float = 2e-6 / 3,
) -> Plan:
    work = Activity("work", arrivals, phases, stops, deadline)
    return Plan("test", Battery(cell, 3.0, 3.0), (work,), (), (("sleep", sleep_a),))


def cells(charge: float) -> list[Cell]:
    curve = {"soc": (0.0, 0.5, 1.0), "ocv_v": (2.0, 2.8, 3.1)}
    return [
        IdealCell(capacity_c=charge),
        IdealCell(capacity_c=charge, self_discharge_per_s=1e-8),
        PeukertCell(capacity_c=charge, exponent=1.15, rated_s=20 * 3600.0),
        KiBaM(capacity_c=charge, available_share=0.6, rate_per_s=1e-4),
        KiBaM(capacity_c=charge, available_share=0.2, rate_per_s=3.0),
        RakhmatovVrudhula(capacity_c=charge, beta=0.08, terms=6),
        CircuitCell(capacity_c=charge, resistance_ohm=15.0, cutoff_v=2.1, pairs=((10.0, 0.5),), **curve),
        CircuitCell(capacity_c=charge, resistance_ohm=9.0, cutoff_v=2.1, resistances_ohm=(90.0, 15.0, 9.0), **curve),
    ]


@pytest.mark.parametrize("case", CASES, ids=lambda c: c["id"])
def test_published_duty_cycles(case: dict[str, str]) -> None:
    on = Phase("on", float(case["on_s"]), (("load", float(case["on_a"])),))
    cell = IdealCell(capacity_c=float(case["capacity_c"]) * float(case["usable"]))
    plan = plan_of(cell, Pattern.periodic(float(case["period_s"])), phases=(on,), sleep_a=float(case["sleep_a"]))
    expected = float(case["expected"]) * UNITS[case["unit"]]
    mean = cell.capacity_c / steady(plan).cell_a
    assert mean == pytest.approx(expected, rel=float(case["tol_rel"])), case["source"]
    assert simulate(plan).time_s == pytest.approx(mean, abs=float(case["period_s"]))


def test_published_budgets_of_constant_currents() -> None:
    # 52 mAh over 43800 h: at most 1.19 uA (zufek.com); nRF52840 with 173.88 uA on 500 mAh: about 4.0 months (embedwise)
    assert pytest.approx(1.19e-6, rel=5e-3) == 52 * 3.6 / (43800 * 3600)
    sum_a = (1.42 + 168 + 3.46 + 1.00) * 1e-6
    cell = IdealCell(capacity_c=500 * 3.6)
    assert cell.time_to_empty(cell.full_state(), sum_a) / (86400 * 365.25 / 12) == pytest.approx(4.0, abs=0.1)


def test_mean_power_of_the_five_states() -> None:
    # wake 2 ms 3 mW, sense 10 ms 1.5 mW, infer 30 ms 8 mW, radio 3 ms 15 mW, sleep 2 uW, period 1 s: 307.91 uW
    assert steady(plan_of(IdealCell(capacity_c=1.0))).power_w == pytest.approx(307.91e-6, rel=1e-6)


@pytest.mark.parametrize("cell", cells(50.0), ids=lambda c: type(c).__name__)
def test_stepping_equals_the_closed_form_where_both_apply(cell: Cell) -> None:
    plan = plan_of(cell)
    exact = steady(plan).lifetime()
    run = simulate(plan)
    assert run.time_s == pytest.approx(exact.time_s, rel=1e-9)
    assert run.cause == exact.cause
    horizon = math.floor(0.5 * run.time_s)
    half = simulate(plan, horizon_s=horizon)
    used = sum(half.ledger.used_j.values())
    assert used == pytest.approx(horizon * steady(plan).power_w, rel=1e-9)
    assert not half.cause


@pytest.mark.parametrize("deadline", [None, 1e-3])
@pytest.mark.parametrize("cell", cells(50.0), ids=lambda c: type(c).__name__)
def test_equal_events_taken_at_once_are_those_taken_one_by_one(cell: Cell, deadline: float | None) -> None:
    """A trace of one event a period is stepped through, a fixed period leapt over."""
    leapt = simulate(plan_of(cell, deadline=deadline))
    stepped = simulate(plan_of(cell, Trace((0.0,), 1.0), deadline=deadline))
    assert (leapt.cause, leapt.events, leapt.misses) == (stepped.cause, stepped.events, stepped.misses)
    assert leapt.time_s == pytest.approx(stepped.time_s, rel=1e-12)
    np.testing.assert_allclose(leapt.state.modes, stepped.state.modes, rtol=1e-9, atol=1e-9)
    for name, joules in stepped.ledger.used_j.items():
        assert leapt.ledger.used_j[name] == pytest.approx(joules, rel=1e-9)
    half = simulate(plan_of(cell), horizon_s=0.5 * stepped.time_s)
    assert half.events["work"] == math.ceil(0.5 * stepped.time_s - 0.045)
    assert not half.cause


@pytest.mark.parametrize("engine", ["closed form", "stepping"])
def test_a_year_of_five_states_on_kibam_takes_less_than_a_second(engine: str) -> None:
    cell = KiBaM(capacity_c=3600.0 * 1.0, available_share=0.6, rate_per_s=1e-4)
    plan, year = plan_of(cell), 365.25 * 86400.0
    start = time.process_time()
    if engine == "stepping":
        assert simulate(plan, horizon_s=year).events["work"] == year
    else:
        assert steady(plan).lifetime().time_s > year * 1.1
    assert time.process_time() - start < 1.0


def test_random_stepping_is_fast() -> None:
    plan = plan_of(KiBaM(capacity_c=3600.0, available_share=0.6, rate_per_s=1e-4), Pattern((1.0,), (1.0,), random=True))
    start = time.process_time()
    run = simulate(plan, horizon_s=3e6)
    assert run.events["work"] == pytest.approx(3e6, rel=3e-3)
    # the target is 1e7 simulated seconds per second; a shared machine may take longer
    assert time.process_time() - start < 1.5


def test_random_events_scatter_as_the_closed_form_says() -> None:
    plan = plan_of(IdealCell(capacity_c=1.0), Pattern((1.0,), (1.0,), random=True), stops=((2, 0.3),))
    state = steady(plan)
    times = np.array([simulate(plan, seed=seed).time_s for seed in range(150)])
    mean = 1.0 / state.cell_a
    sigma = math.sqrt(state.noise_c2_per_s * mean) / state.cell_a
    assert times.mean() == pytest.approx(mean, abs=4 * sigma / math.sqrt(times.size))
    assert times.std() == pytest.approx(sigma, rel=0.25)


def test_a_seed_gives_one_result_and_another_seed_another() -> None:
    plan = plan_of(IdealCell(capacity_c=0.1), Pattern((1.0,), (1.0,), random=True))
    assert simulate(plan, seed=3) == simulate(plan, seed=3)
    assert simulate(plan, seed=3).time_s != simulate(plan, seed=4).time_s


def test_events_wait_for_the_one_mcu_and_miss_deadlines() -> None:
    # two events at 0 s and 0.1 s of 0.5 s work each, every 10 s: the second is served at 0.5 s, done after 0.9 s
    work = (Phase("run", 0.5, (("core", 1e-3),)),)
    plan = plan_of(IdealCell(capacity_c=100.0), Trace((0.0, 0.1), 10.0), phases=work, deadline=0.8)
    run = simulate(plan, horizon_s=100.0)
    assert run.events == {"work": 20}
    assert run.misses == {"work": 10}
    relaxed = replace(plan, activities=(replace(plan.activities[0], deadline_s=0.91),))
    assert simulate(relaxed, horizon_s=100.0).misses == {"work": 0}


def test_cascades_split_as_their_pass_rates_say() -> None:
    activity = plan_of(IdealCell(capacity_c=1.0), stops=((1, 0.1), (3, 0.2))).activities[0]
    assert [p.probability for p in activity.paths] == pytest.approx([0.9, 0.08, 0.02])
    assert [len(p.phases) for p in activity.paths] == [1, 3, 4]


@settings(max_examples=40, deadline=None)
@given(
    which=st.integers(0, 6),
    charge=st.floats(0.05, 5.0),
    random=st.booleans(),
    go_on=st.floats(0.05, 1.0),
    sleep_a=st.floats(1e-7, 1e-4),
    quiescent=st.floats(0.0, 1e-5),
    buck=st.booleans(),
    horizon=st.one_of(st.just(math.inf), st.floats(10.0, 3000.0)),
    seed=st.integers(0, 99),
)
def test_the_ledger_closes(
    which: int,
    charge: float,
    random: bool,
    go_on: float,
    sleep_a: float,
    quiescent: float,
    buck: bool,
    horizon: float,
    seed: int,
) -> None:
    plan = plan_of(cells(charge)[which], Pattern((2.0,), (0.5,), random=random), stops=((2, go_on),), sleep_a=sleep_a)
    battery = replace(plan.battery, rail_v=1.8 if buck else 3.0, gain=1.8 / 2.7 if buck else 1.0, quiescent_a=quiescent)
    run = simulate(replace(plan, battery=battery, always=(("sensor", 1e-5),)), horizon_s=horizon, seed=seed)
    ledger = run.ledger
    assert abs(ledger.residual_j) <= 1e-9 * ledger.cell_j
    assert min(*ledger.used_j.values(), ledger.converter_j, ledger.self_discharge_j, ledger.left_j) >= -1e-9
    assert run.time_s <= horizon
    assert bool(run.cause) == (run.time_s < horizon)


def test_timeline_shows_what_the_stepping_draws() -> None:
    plan = plan_of(IdealCell(capacity_c=10.0), Pattern((3.0,), (1 / 3,), random=True), stops=((2, 0.5),))
    film = timeline(plan, 60.0, seed=5)
    assert film[0].start_s == 0.0
    assert all(a.end_s == pytest.approx(b.start_s) for a, b in itertools.pairwise(film))
    assert {s.state for s in film} <= {"sleep", "wake", "sense", "infer", "radio"}


def test_uncertainty_flows_into_the_interval() -> None:
    plan = plan_of(KiBaM(capacity_c=100.0, available_share=0.6, rate_per_s=1e-3))
    still = lifetimes(plan, runs=10)
    assert still.interval(0.9)[0] == pytest.approx(still.interval(0.9)[1], rel=1e-9)
    narrow = lifetimes(replace(plan, spreads=(("infer", math.log(1.1)),)), runs=30, seed=1)
    wide = lifetimes(replace(plan, spreads=(("infer", math.log(1.5)), ("capacity", math.log(1.1)))), runs=30, seed=1)
    (a, b), (c, d) = narrow.interval(), wide.interval()
    assert d - c > 2 * (b - a) > 0
    assert np.array_equal(lifetimes(plan, runs=5, seed=7).sample_s, lifetimes(plan, runs=5, seed=7).sample_s)
    with pytest.raises(InputError, match="runs = 1"):
        lifetimes(plan, runs=1)
    with pytest.raises(InputError, match="level"):
        still.interval(1.5)


def test_the_tornado_ranks_what_matters() -> None:
    plan = plan_of(IdealCell(capacity_c=100.0))
    bars = {bar.name: bar for bar in tornado(plan)}
    assert set(bars) == {"sleep", "core", "sensor", "infer", "radio", "capacity", "rate of work"}
    assert next(iter(bars)) in {"capacity", "rate of work"}
    assert bars["capacity"].high_s == pytest.approx(1.1 * steady(plan).lifetime().time_s, rel=1e-6)
    assert bars["infer"].low_s > bars["infer"].high_s
    assert not bars["infer"].stated


def test_scaling_a_rate_scales_its_work() -> None:
    plan = plan_of(IdealCell(capacity_c=1.0))
    assert busy_share(plan.scaled({"rate of work": 2.0})) == pytest.approx(2 * busy_share(plan))
    assert steady(plan.scaled({"infer": 3.0})).current_a["infer"] == pytest.approx(3 * steady(plan).current_a["infer"])
