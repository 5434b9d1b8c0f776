"""On and off times of two real battery-free nodes, from their capacitor, thresholds, load and source alone.

Node facts (tasks, quiescent currents, thresholds): LENS-TUGraz/simba @0b48c4e, Simulations/Botoks, Simulations/Gameboy.
Nothing is fitted to the recorded times.
"""

import csv
import math
from pathlib import Path

import numpy as np
import pytest

from tinysim.supply.capacitors import Capacitor
from tinysim.supply.motion import advance, crossing_time_s
from tinysim.supply.port import constant_current, constant_power
from tinysim.supply.presets import load_harvester

DATA = Path(__file__).parent / "data" / "measured_on_off.csv"

# Botoks: 2.2 V LDO behind a hysteresis switch; (A, s)
INIT, SENSE, SEND, BURN = (600e-6, 2.3e-3), (700e-6, 0.75e-3), (1960e-6, 7.25e-3), (3140e-6, 1e7)
QUIESCENT_ON_A, QUIESCENT_OFF_A = 4.5e-6, 3.0e-6
# ENGAGE console: 3.0 V buck of a BQ25570; A and s
RESTORE, COMPUTE, CHECKPOINT = (2.5705e-3, 0.255), (3.1816e-3, 0.270), (2.7839e-3, 0.033)
CHECKPOINT_V, BUCK_V = 3.4, 3.0


def on_time(capacitor, row, source, tasks, repeat):
    """Run tasks from turn-on until the voltage falls to turn-off; the list goes on from `repeat`."""
    time, volts, n = 0.0, row["v_on"], 0
    while True:
        load, duration, floor = tasks[n]
        stop = advance(capacitor, source + load, volts, duration_s=duration, low_v=max(floor, row["v_off"]))
        time, volts = time + stop.time_s, stop.voltage_v
        if volts <= row["v_off"] or math.isinf(time):
            return time
        n = n + 1 if n + 1 < len(tasks) else repeat


def botoks(row):
    capacitor = Capacitor(row["cap_measured_uF"] * 1e-6)
    if row["cell"] == "const_current":
        source = constant_current(float(row["input"].split()[0]) * 1e-6)
    else:
        source = load_harvester(f"solar-{row['cell'].lower()}").port(float(row["input"].split()[0]))
    off = crossing_time_s(capacitor, source + constant_current(-QUIESCENT_OFF_A), row["v_off"], row["v_on"])
    loads = [(constant_current(-i - QUIESCENT_ON_A), t, 0.0) for i, t in (INIT, SENSE, SEND, BURN)]
    burn = row["load"] == "burn"
    return off, on_time(capacitor, row, source, loads if burn else loads[:3], 3 if burn else 1)


def console(row):
    capacitor = Capacitor(row["cap_measured_uF"] * 1e-6)
    chip, panel = load_harvester("bq25570"), load_harvester("solar-engage-gameboy")
    curve = panel.curve(float(row["input"].split()[0]))
    held = 0.8 * curve.voltage_v[-1]
    power = held * np.interp(held, curve.voltage_v, curve.current_a) * chip.peak_efficiency.si
    source = constant_power(float(power))
    off = crossing_time_s(capacitor, source + constant_current(-chip.quiescent.si), row["v_off"], row["v_on"])
    buck = chip.buck(BUCK_V)

    def load(current):
        return buck.port(current, low_v=row["v_off"], high_v=row["v_on"])

    tasks = [
        (load(RESTORE[0]), RESTORE[1], 0.0),
        (load(COMPUTE[0]), math.inf, CHECKPOINT_V),
        (load(CHECKPOINT[0]), CHECKPOINT[1], 0.0),
        (load(COMPUTE[0]), COMPUTE[1], 0.0),
    ]
    return off, on_time(capacitor, row, source, tasks, 2)


@pytest.fixture(scope="module")
def errors():
    with DATA.open() as stream:
        rows = list(csv.DictReader(stream))
    out = []
    for row in rows:
        if not row["mean_off_s"]:
            continue
        row = {
            **row,
            **{key: float(row[key]) for key in ("cap_measured_uF", "v_on", "v_off", "mean_off_s", "mean_on_s")},
        }
        off, on = botoks(row) if row["rig"] == "Botoks" else console(row)
        current, console_rig = row["cell"] == "const_current", row["rig"] != "Botoks"
        out.append((current, off / row["mean_off_s"] - 1.0, on / row["mean_on_s"] - 1.0, console_rig))
    return np.array(out)


def test_all_runs_with_both_states_are_there(errors):
    assert errors.shape == (111, 4)


def test_off_times(errors):
    """Of 17 rows beyond 8 %, 6 have v_on = 2.6 V, which their source also gives as 2.65 V (a quarter of the swing)."""
    off = errors[:, 1]
    assert abs(np.median(off)) <= 0.02
    known_source = errors[:, 0] == 1.0  # a current source, not a cell whose recorded curve stands in for the day's
    assert np.mean(np.abs(off[known_source]) <= 0.08) >= 0.9
    assert np.mean(np.abs(off) <= 0.08) >= 0.84
    assert np.max(np.abs(off)) <= 0.19


def test_the_console_is_wrong_on_and_off_together(errors):
    """Capacitance and swing cancel in the ratio of the two times: what is left is source and load."""
    console = errors[errors[:, 3] == 1.0]
    ratio = (1.0 + console[:, 1]) / (1.0 + console[:, 2]) - 1.0
    assert console.shape[0] == 50
    assert np.mean(np.abs(ratio) <= 0.08) >= 0.93


def test_a_sweep_that_stopped_short_is_carried_on():
    """The node reached 3.05 V at 13,000 lux, though the cell's sweep ended at an open-circuit voltage of 2.857 V."""
    cell = load_harvester("solar-kxob25-02-x8f")
    assert max(cell.curve(13_000).voltage_v) == pytest.approx(2.857)
    assert cell.port(13_000).current_at(3.05) == pytest.approx(97e-6, rel=0.02)
    assert cell.port(20_000).bands[-1].low_v == pytest.approx(3.681, abs=1e-3)  # swept to its end: left as it is


def test_on_times(errors):
    assert abs(np.median(errors[:, 2])) <= 0.05


def test_too_strong_a_source_never_switches_off():
    row = {"cap_measured_uF": 111.0, "v_on": 3.1, "v_off": 2.4, "cell": "const_current", "input": "2000 uA const"}
    source = constant_current(2000e-6)
    mean = (SENSE[0] * SENSE[1] + SEND[0] * SEND[1]) / (SENSE[1] + SEND[1]) + QUIESCENT_ON_A
    assert mean < 2000e-6  # as recorded: no off state in ten seconds
    stop = advance(
        Capacitor(111e-6), source + constant_current(-mean), row["v_on"], duration_s=10.0, low_v=row["v_off"]
    )
    assert stop.reason == "time"
