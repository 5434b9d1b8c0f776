"""Every battery, capacitor, threshold, checkpoint and outage case of the reference table that supply can express."""

import csv
import re
from pathlib import Path

import numpy as np
import pytest

from tinysim.supply import mppt, outage
from tinysim.supply.ageing import leakage_from_self_discharge_ohm
from tinysim.supply.batteries import IdealCell, KiBaM, PeukertCell, RakhmatovVrudhula, kim_qiao_ocv_v
from tinysim.supply.capacitors import (
    Capacitor,
    checkpoint_voltage_v,
    min_capacitance_f,
    recharge_time_s,
    usable_energy_j,
)
from tinysim.supply.cell import LoadProfile
from tinysim.supply.feed import Feed
from tinysim.supply.motion import crossing_time_s
from tinysim.supply.port import Band, constant_current, constant_power, terminal_voltage_v, thevenin
from tinysim.supply.presets import load_battery
from tinysim.supply.stepping import Demand, hysteresis, run
from tinysim.supply.traces import DiodeSurface
from tinysim.supply.tremblay import DischargeCurve

DATA = Path(__file__).parent / "data"
MIN, HOUR, DAY = 60.0, 3600.0, 86400.0
MAH = 3.6


def rows():
    with (DATA / "reference_cases.csv").open() as stream:
        return list(csv.DictReader(stream))


CASES = rows()


def numbers(text):
    """`C=100e-6 R=1000` as a dict; the first mention of a name counts."""
    return {key: float(value) for key, value in reversed(re.findall(r"(\w+)=([-+0-9.e]+)", text))}


def cases(*names):
    """Rows of some cases, as parameters with readable ids."""
    picked = [row for row in CASES if row["case"] in names]
    assert picked
    return pytest.mark.parametrize("row", picked, ids=lambda row: f"{row['case']}: {row['inputs'][:40]}")


def expect(row, value, rel=1e-9):
    assert value == pytest.approx(float(row["expected"]), rel=rel), row["source"]


CHARGES = {
    "cap_rc_charge": lambda p: (thevenin(p["Vs"], p["R"]), p["V0"], p["V1"]),
    "cap_cc_charge": lambda p: (constant_current(p["I"]), p["V0"], p["V1"]),
    "cap_cp_net_discharge": lambda p: (constant_power(p["Ph"]) - constant_power(p["Pl"]), p["V0"], p["V1"]),
    "cap_cc_charge_leak": lambda p: (constant_current(p["I"]), p["V0"], p["V1"]),
    "cap_cp_charge_leak": lambda p: (constant_power(p["P"]), p["V0"], p["V1"]),
    "cap_delgado_off_charge": lambda p: (thevenin(p["E"], p["E"] ** 2 / p["Ph"]), p["V0"], p["V1"]),
}


@cases(*CHARGES)
def test_capacitor_charging(row):
    p = numbers(row["inputs"])
    port, start, end = CHARGES[row["case"]](p)
    expect(row, crossing_time_s(Capacitor(p["C"], p.get("Rleak", np.inf)), port, start, end))


@cases("cap_esr_cp_load")
def test_terminal_voltage(row):
    p = numbers(row["inputs"])
    load = Band(0.0, np.inf, power_w=-p["P"])
    expect(row, terminal_voltage_v(Capacitor(1e-3, esr_ohm=p["ESR"]), load, p["Voc"]))


@cases("cap_min_capacity")
def test_min_capacitance(row):
    p = numbers(row["inputs"])
    expect(row, min_capacitance_f(energy_j=p["E"], on_v=p["Von"], off_v=p["Voff"]))


@cases("ckpt_threshold_capsimu")
def test_checkpoint_threshold(row):
    p = numbers(row["inputs"])
    expect(row, checkpoint_voltage_v(capacitance_f=p["C"], off_v=p["Voff"], energy_j=128 * 101.475e-9))


@cases("energy_reboot_inas")
def test_reboot_energy(row):
    p = numbers(row["inputs"])
    expect(row, usable_energy_j(capacitance_f=p["C"], high_v=p["V1"], low_v=p["V2"]))


@cases("recharge_inas")
def test_recharge(row):
    p = numbers(row["inputs"])
    left = usable_energy_j(capacitance_f=p["C"], high_v=p["Von"], low_v=p["Voff"]) - p["Epc"]
    time = recharge_time_s(
        capacitance_f=p["C"],
        source_v=p["Vsup"],
        source_ohm=p["R"],
        on_v=p["Von"],
        off_v=p["Voff"],
        energy_j=float(left),
    )
    expect(row, time)


@cases("intermittent_cycle")
def test_intermittent_cycle(row):
    node = hysteresis(on_draw=10e-3, off_draw=0.0, on_v=3.0, off_v=1.8)
    result = run(Capacitor(100e-6), Feed.sampled(np.full(10, 1e-3), 1.0), node, start_v=1.8)
    label = row["inputs"].split("t_")[1]
    durations = result.durations_s(label)
    assert durations.size > 20
    for duration in durations:
        expect(row, duration)


def checkpointing(on, off, restore, save):
    """Just-in-time checkpointing with a constant current per state."""
    while True:
        yield Demand("off", off, high_v=3.3)
        yield Demand("restore", restore, duration_s=5e-3)
        yield Demand("compute", on, low_v=2.1)
        yield Demand("save", save, duration_s=5e-3)


@cases("jit_checkpoint_cycle")
def test_jit_checkpoint_cycle(row):
    p = numbers(row["inputs"])
    feed = Feed.sampled(np.full(300, p["Iin"]), 0.1, kind="current")
    result = run(Capacitor(p["C"]), feed, checkpointing(1e-3, 26e-6, 971e-6, 811e-6), start_v=2.1)
    off = [n for n, label in enumerate(result.labels) if label == "off"]
    cycle = result.start_s[off[2]] - result.start_s[off[1]]
    if row["inputs"].endswith("cycle"):
        expect(row, cycle)
    else:
        expect(row, result.durations_s("compute")[1] / cycle)


@cases("poisson_outage_no_ckpt")
def test_outage(row):
    expect(row, outage.completion_time_s(5.0, failures_per_s=0.1, downtime_s=2.0))
    sample = outage.sampled_completion_s(
        5.0, failures_per_s=0.1, downtime_s=2.0, runs=200_000, rng=np.random.default_rng(7)
    )
    error = sample.std() / np.sqrt(sample.size)
    assert abs(sample.mean() - float(row["expected"])) < 3.0 * error


@cases("young_period")
def test_young(row):
    expect(row, outage.young_period_s(checkpoint_s=5e-3, mean_time_between_failures_s=10.0))


KIBAM_LOADS = {
    "CL_250": [(0.25, 1)],
    "CL_500": [(0.5, 1)],
    "CL_alt": [(0.5, 1), (0.25, 1)],
    "ILs_250": [(0.25, 1), (0, 1)],
    "ILs_500": [(0.5, 1), (0, 1)],
    "ILs_alt": [(0.5, 1), (0, 1), (0.25, 1), (0, 1)],
    "ILl_500": [(0.5, 1), (0, 2)],
}


@cases("kibam_lifetime")
def test_kibam_lifetime(row):
    capacity = 5.5 if row["inputs"].startswith("B1") else 11.0
    load = KIBAM_LOADS[re.match(r"B\d (\w+):", row["inputs"]).group(1)]
    cell = KiBaM(capacity_c=capacity * MIN, available_share=0.166, rate_per_s=0.122 / MIN)
    profile = LoadProfile([i for i, _ in load], [t * MIN for _, t in load], periodic=True)
    minutes = cell.lifetime(profile).time_s / MIN
    assert minutes == pytest.approx(float(row["expected"]), abs=0.005001)
    assert minutes == pytest.approx(float(row["checked_here"].split()[1]), abs=1e-6)


def test_kibam_ssc_sequence():
    wanted = [row for row in CASES if row["case"] == "kibam_ssc"]
    cell = KiBaM.fit([60 * HOUR, 93 * HOUR, 100 * HOUR], [HOUR, 10 * HOUR, 20 * HOUR])
    assert (cell.rate_per_s * HOUR, cell.available_share) == pytest.approx((0.677, 0.47511), abs=1e-4)
    assert cell.capacity_c / HOUR == pytest.approx(108.159, abs=1e-2)
    state = cell.state_at(0.5 * cell.capacity_c)
    for row in wanted:
        asked = float(re.search(r"requested I=([\d.]+)", row["inputs"]).group(1))
        state = cell.advance(state, min(asked, cell.max_current_a(state, HOUR)), HOUR)
        assert state.charge_c / HOUR == pytest.approx(float(row["expected"]), abs=0.1), row["inputs"]


def rv(name):
    alpha, beta = {"Itsy": (35220, 0.637), "Dualfoil": (40027, 0.276)}[name]
    return RakhmatovVrudhula(capacity_c=alpha * 1e-3 * MIN, beta=beta / np.sqrt(MIN))


@cases("rv_const")
def test_rv_constant(row):
    cell = rv("Itsy")
    current = float(re.search(r"(\d+) mA continuous", row["inputs"]).group(1)) * 1e-3
    time = cell.time_to_empty(cell.full_state(), current)
    assert np.ceil(time) == float(row["expected"])  # ns-3 looks once a second
    assert time == pytest.approx(float(re.search(r"exact ([\d.]+)", row["checked_here"]).group(1)), abs=0.01)


def rv_profile(name, text):
    """Profile of a row; the long ones, cut with `...` there, are rebuilt from their rule (ns-3 test, same source)."""
    six = [628, 494.7, 252.3, 234.1, 137.9, 113.9]
    if name == "C13":
        loads, stamps = [300, *(six * 5), 265.6], [0]
        stamps += [o + 22.5 * n for n in range(5) for o in (0.5, 1.5, 2.5, 7.5, 12.5, 17.5)] + [110.5]
    elif name == "C14":
        loads, stamps = [300, *(six[::-1] * 5), 265.6], [0]
        stamps += [o + 22.5 * n for n in range(5) for o in (0.5, 5.5, 10.5, 15.5, 20.5, 21.5)] + [112.5]
    elif name in ("C18", "C19"):
        first = [84.3, 108.3] if name == "C18" else [75.5, 94.9]
        loads, stamps = [*first, 204.5, 222.7] * 10 + [222.7], [5.0 * n for n in range(41)]
    elif name == "C20":
        loads, stamps = [494.7, 628] * 50, list(range(100))
    elif name == "C21":
        loads, stamps = [494.7, 628, 57.6] * 50, list(range(150))
    elif name == "C22":
        loads, stamps = [5 + 5 * n for n in range(150)], list(range(150))
    else:
        pairs = re.findall(r"([\d.]+)@([\d.]+)", text)
        loads, stamps = [float(i) for i, _ in pairs], [float(t) for _, t in pairs]
    if "..." in text:  # the part that the row shows must be the same
        shown = [(float(i), float(t)) for i, t in re.findall(r"([\d.]+)@([\d.]+)", text)]
        assert list(zip(loads, stamps, strict=True))[: len(shown)] == shown
    return LoadProfile.from_stamps(np.array(loads) * 1e-3, np.array(stamps) * MIN)


@cases("rv_profile")
def test_rv_profile(row):
    name, battery = row["inputs"].split()[:2]
    minutes = rv(battery).lifetime(rv_profile(name, row["inputs"])).time_s / MIN
    assert minutes == pytest.approx(float(row["expected"]), abs=2.0)
    assert minutes == pytest.approx(float(row["checked_here"].split()[0]), abs=5.1e-5 + 1e-12)


@cases("tremblay_ns3")
def test_tremblay(row):
    curve = DischargeCurve(
        full_v=4.17,
        exponential_v=3.714,
        nominal_v=3.57,
        capacity_ah=2.33,
        exponential_ah=1.74,
        nominal_ah=2.14,
        resistance_ohm=0.083,
        typical_current_a=0.466,
    )
    assert float(curve.voltage_v(3459.0, 2.33)) == pytest.approx(float(row["expected"]), abs=0.01)


@cases("peukert", "peukert_rated")
def test_peukert(row):
    rated = 20.0 if row["case"] == "peukert_rated" else 100.0  # the plain C / I^k is the law rated at 1 A
    cell = PeukertCell(capacity_c=100 * HOUR, exponent=1.2, rated_s=rated * HOUR)
    hours = cell.time_to_empty(cell.full_state(), 10.0) / HOUR
    expect(row, hours, 1e-9 if row["case"] == "peukert_rated" else 0.005 / 6.31)


def days_of(mah, profile):
    """Capacity over mean current, as the sources reckon; the exact first moment lies within one period of it."""
    mean = mah * MAH / profile.mean_current_a
    exact = IdealCell(capacity_c=mah * MAH).lifetime(profile).time_s
    assert abs(exact - mean) <= profile.period_s
    return mean / DAY


def periodic(*steps):
    return LoadProfile([i for i, _ in steps], [t for _, t in steps], periodic=True)


DUTY = {
    "I_tx=7 mA": (lambda: 24 * days_of(225, periodic((7e-3, 3e-3), (3e-6, 0.997))), 5e-4),
    "40 wakes/day": (lambda: days_of(1000, periodic((0.12, 10.0), (10e-6, 2150.0))), 0.2 / 73.8),
    "2000 mAh x80%": (lambda: days_of(1600, periodic((80e-3, 0.25), (10e-6, 59.75))), 1e-6),
    "52 mAh": (lambda: 1e6 * 52 * MAH / (43800 * HOUR), 0.005),
    "nRF52840: sleep": (lambda: days_of(500, periodic((173.88e-6, 1.0))) / 30.0, 0.05 / 4.0),
    "nRF52840 250 mAh": (lambda: days_of(250, periodic((1280e-6, 2.0), (4.3e-6, 600.0))), 1e-6),
}


@cases("duty_battery")
def test_duty_cycle_on_a_tank(row):
    value, rel = next(DUTY[key] for key in DUTY if row["inputs"].startswith(key))
    expect(row, value(), rel)


@cases("tiny_duty")
def test_mean_of_five_states(row):
    states = [(3e-3, 2e-3), (1.5e-3, 10e-3), (8e-3, 30e-3), (15e-3, 3e-3), (2e-6, 0.955)]
    expect(row, 1e6 * periodic(*states).mean_current_a, 1e-6)  # watts in place of amperes: the same mean


@cases("cr2032_rate")
def test_cr2032_rate(row):
    exponent = float(re.search(r"n=([\d.]+)", row["expected"]).group(1))
    assert load_battery("cr2032").figure("peukert_exponent") == exponent
    assert np.log((240 / 0.5) / (155 / 3)) / np.log(3 / 0.5) == pytest.approx(exponent, abs=1e-3)


@cases("cr2032_temp")
def test_cr2032_cold(row):
    expect(row, load_battery("cr2032").capacity_share(253.15))


@cases("shepherd_lipo_voc")
def test_lipo_open_circuit(row):
    expect(row, float(kim_qiao_ocv_v(1.0, load_battery("lpm1254").ocv.values)))


@cases("self_discharge")
def test_self_discharge_as_leakage(row):
    # no voltage is given: 5 % of 100 mAh in 30 days through 559 kOhm means 3.88 V, about a cell at half charge
    leak = leakage_from_self_discharge_ohm(capacity_c=100 * MAH, voltage_v=3.88, share_lost=0.05, over_s=30 * DAY)
    expect(row, leak, 1e-3)
    cell = load_battery("lpm1254")
    assert float(kim_qiao_ocv_v(0.5, cell.ocv.values)) == pytest.approx(3.88, abs=0.1)


@pytest.fixture(scope="module")
def jogging():
    data = np.genfromtxt(DATA / "jogging_33s.csv", delimiter=",", names=True, skip_header=2)
    surface = DiodeSurface(data["time_s"], data["a_A"], data["b_A"], data["c_per_V"])
    return surface.resampled(10e-3, duration_s=32.0)  # shepherd samples one curve in 10 ms


TRACKERS = {
    "cv10": lambda s: mppt.constant_voltage(s, 1.0).power(),
    "mppt_voc": lambda s: mppt.fractional_open_voltage(s, fraction=0.76, interval_s=0.1, sampling_s=1.2e-3).power(),
    "mppt_bq_solar": lambda s: mppt.fractional_open_voltage(
        s, fraction=0.76, interval_s=16.0, sampling_s=0.256
    ).power(),
    "mppt_bq_thermoelectric": lambda s: mppt.fractional_open_voltage(
        s, fraction=0.5, interval_s=16.0, sampling_s=0.256
    ).power(),
    "mppt_po": lambda s: mppt.perturb_and_observe(s, step_v=10e-3, interval_s=18e-3, start_v=2.5, max_v=5.0).power(),
    "mppt_opt": mppt.optimal,
}


@cases("shepherd_harvest")
def test_shepherd_harvest(row, jogging):
    tracker = TRACKERS[row["inputs"].split()[-1]]
    expect(row, 1e3 * tracker(jogging).energy_j, 0.01)  # shepherd's own voltage steps cost it up to a percent


def test_every_row_is_used():
    source = "".join(path.read_text() for path in Path(__file__).parent.glob("test_supply_*.py"))
    assert all(f'"{row["case"]}"' in source for row in CASES)
