"""Battery-less operation: tasks, checkpoint policies, runs, inverse questions, the command."""

import json
import math
import sys
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from tinysim.cli.main import cli
from tinysim.errors import InfeasibleError, InputError, SpecError, TraceError
from tinysim.estimate.engine import estimate
from tinysim.network.load import load_network
from tinysim.scenario.harvest import build_feed, build_node, build_workload, harvest_run
from tinysim.scenario.harvest_spec import HarvestScenario
from tinysim.scenario.intermittent import Node, run_node
from tinysim.scenario.inverse import best_granularity, compare_networks, smallest_capacitor, smallest_scale
from tinysim.scenario.parts import Nvm, Radio, VectorEngine, load_part
from tinysim.scenario.policies import PolicyName, prepare
from tinysim.scenario.radio import lora_airtime_s
from tinysim.scenario.reader import read_spec
from tinysim.scenario.tasks import Task, Workload, from_engine, from_estimate, live_bytes, split
from tinysim.supply.capacitors import Capacitor
from tinysim.supply.feed import Feed
from tinysim.supply.motion import crossing_time_s
from tinysim.supply.plane import plane_irradiance
from tinysim.supply.port import constant_power, terminal_voltage_v
from tinysim.supply.traces import read_irradiance

FREE = Nvm.model_validate(
    {
        "kind": "nvm",
        "name": "free",
        "title": "",
        "write_energy": {"value": 0.0, "unit": "J", "kind": "assumed", "source": "x"},
        "read_energy": {"value": 0.0, "unit": "J", "kind": "assumed", "source": "x"},
    }
)
FRAM = load_part("fram-msp430-dma", Nvm)


def work_of(count: int = 4, energy: float = 1e-3, seconds: float = 0.1, state: float = 100.0) -> Workload:
    return Workload("test", tuple(Task(f"t{n}", seconds, energy, state, state, 50) for n in range(count)))


def node_of(policy: PolicyName = "static", work: Workload | None = None, nvm: Nvm = FRAM, **more: object) -> Node:
    given: dict[str, object] = {"capacitor": Capacitor(1e-3, rated_v=5.0), "on_v": 3.0, "off_v": 1.8} | more
    return Node(prepare(work or work_of(), policy, nvm), **given)  # type: ignore[arg-type]


def test_back_to_back_without_checkpoints_follows_the_closed_form() -> None:
    # 4 mJ of work at 10 mW from 1 mF between 3.0 and 1.8 V (2.88 mJ) with 5 mW of harvest: each inference takes 0.4 s
    # and 2 mJ net, so after turn-on a second one never completes on its own charge.
    work = work_of(4, 1e-3, 0.1)
    node = node_of("none", work, FREE)
    feed = Feed.sampled([5e-3], 100.0)
    result = run_node(node, feed)
    first = 0.5 * 1e-3 * 9.0 / 5e-3 + 0.4
    assert result.first_result_s == pytest.approx(first, rel=1e-9)
    cycle = 2.88e-3 / 5e-3  # both the way down (net -5 mW) and the way up (net +5 mW)
    done = math.floor((100.0 - 0.9) / (2 * cycle))
    assert result.completed == pytest.approx(done, abs=1)
    assert result.failures == pytest.approx(done, abs=1)
    # of the 0.576 s awake in each cycle 0.4 s are kept
    assert result.redone_share == pytest.approx(1.0 - 0.4 / cycle, abs=5e-3)
    assert result.forward_progress == pytest.approx(0.4 / (2 * cycle), rel=2e-2)


def test_static_checkpoints_keep_whole_tasks_and_loops_keep_iterations() -> None:
    work = work_of(4, 1e-3, 0.1)
    none, static, jit, loop = (prepare(work, p, FREE) for p in ("none", "static", "jit", "loop"))
    assert (none.safe_s(0.25), static.safe_s(0.25), jit.safe_s(0.25)) == (0.0, 0.2, 0.25)
    assert loop.safe_s(0.2511) == pytest.approx(0.25)
    assert static.safe_s(0.4) == pytest.approx(0.4)


def test_policies_pay_for_what_they_write() -> None:
    work = work_of(3, state=100.0)
    static = prepare(work, "static", FRAM)
    assert static.commit_j == pytest.approx(3 * FRAM.write(104)[0])
    assert static.commit_s == pytest.approx(3 * FRAM.write(104)[1])
    assert static.resume(0.25) == pytest.approx(FRAM.read(100))
    jit = prepare(work, "jit", FRAM)
    assert jit.commit_j == 0.0
    assert jit.save_j == pytest.approx(FRAM.write(204)[0])
    loop = prepare(work, "loop", FRAM)
    assert loop.commit_j == pytest.approx(3 * FRAM.write_energy.si * (100 + 4 * 50))
    # Hibernus' threshold: V = sqrt(V_off^2 + 2 E / C)
    volts = jit.threshold_v(capacitance_f=330e-6, off_v=1.8, efficiency=1.0)
    assert volts == pytest.approx(math.sqrt(1.8**2 + 2 * jit.save_j / 330e-6), rel=1e-12)


def test_a_just_in_time_checkpoint_loses_nothing() -> None:
    larger = Capacitor(1.2e-3, rated_v=5.0)  # just enough for an inference at once
    result = run_node(node_of("jit", capacitor=larger), Feed.sampled([2e-3], 200.0))
    assert result.failures > 10
    assert result.failed_saves == 0
    assert result.lost_s == 0.0
    assert result.completed > run_node(node_of("none", capacitor=larger), Feed.sampled([2e-3], 200.0)).completed


def test_a_task_that_can_never_complete_is_named_with_the_capacitor_that_would_do() -> None:
    big = Workload("big", (Task("small", 0.1, 1e-4, 10, 10), Task("huge", 1.0, 20e-3, 10, 10)))
    with pytest.raises(InfeasibleError, match=r"task 'huge' of big needs .* can never complete .*uF would do"):
        run_node(node_of("static", big), Feed.sampled([1e-3], 10.0))
    # a harvest that carries the load by itself needs no capacitor
    assert run_node(node_of("static", big), Feed.sampled([50e-3], 10.0)).completed > 0


@settings(max_examples=30, deadline=None)
@given(
    policy=st.sampled_from(["none", "static", "jit", "loop"]),
    power=st.lists(st.one_of(st.just(0.0), st.floats(1e-9, 8e-3)), min_size=3, max_size=40),
    farads=st.floats(1e-3, 2e-2),
    efficiency=st.floats(0.6, 1.0),
    leak=st.floats(1e5, 1e7),
    request=st.one_of(st.none(), st.floats(1.0, 30.0)),
    esr=st.sampled_from([0.0, 5.0]),
)
def test_the_ledger_closes_and_nothing_is_done_twice(
    policy: PolicyName,
    power: list[float],
    farads: float,
    efficiency: float,
    leak: float,
    request: float | None,
    esr: float,
) -> None:
    node = node_of(
        policy,
        work_of(6, 2e-4, 0.05),
        capacitor=Capacitor(farads, leakage_ohm=leak, esr_ohm=esr, rated_v=4.0),
        efficiency=efficiency,
        request_s=request,
        idle_w=2e-6,
        off_w=1e-6,
    )
    gross = np.array(power)
    result = run_node(node, Feed.sampled(gross * 0.8, 5.0, gross=gross))
    ledger = result.supply.ledger
    assert abs(ledger.residual_j) <= 1e-9 * max(ledger.harvested_j, 1e-12)
    assert ledger.harvested_j == pytest.approx(gross.sum() * 5.0)
    kept = result.completed * node.kept.energy_j + (result.open_s + result.lost_s) * node.kept.power_w
    assert kept <= ledger.used_j * (1.0 + 1e-9) + 1e-12
    assert np.all(np.diff(result.done_s) > 0.0)
    assert 0.0 <= result.completion_rate <= 1.0
    if policy == "jit" and not result.failed_saves:
        assert result.lost_s == 0.0


def test_staleness_grows_while_nothing_completes() -> None:
    node = node_of("none", work_of(1, 1e-5, 0.01), FREE, request_s=10.0)
    steady = run_node(node, Feed.sampled([1e-3], 400.0))
    assert steady.in_time_rate > 0.95
    assert steady.staleness_s() == pytest.approx(5.0, abs=0.2)
    never = run_node(node, Feed.sampled([0.0], 100.0))
    assert (never.completed, never.first_result_s, never.staleness_s()) == (0, math.inf, math.inf)


def test_delgados_lorawan_node_sends_every_minute() -> None:
    # Delgado et al. 2020: 1 byte at SF7 with downlink windows every 60 s from 47 mF and 1 mW
    radio = load_part("lora-ns3", Radio)
    air = float(lora_airtime_s(1 + 13, spreading_factor=7))
    assert radio.standby is not None
    currents = [(air, radio.tx_a(None)), (2.0, radio.standby.si), (2 * 0.03, radio.rx.si)]
    tasks = tuple(Task(f"p{n}", t, t * a * 3.3, 0.0, 0.0) for n, (t, a) in enumerate(currents))
    node = node_of(
        "none",
        Workload("uplink", tasks),
        FREE,
        capacitor=Capacitor(47e-3, rated_v=3.3),
        idle_w=3.3 * 5.5e-6,
        request_s=60.0,
    )
    result = run_node(node, Feed.sampled([1e-3], 6 * 3600.0), start_v=3.0)
    assert result.completion_rate > 0.99


def test_tasks_of_an_estimate_add_up() -> None:
    result = estimate("kws", "nucleo-l4r5zi", "tflm-cmsis-nn")
    work = from_estimate(result)
    assert work.time_s == pytest.approx(result.latency_s, rel=1e-9)
    assert work.energy_j == pytest.approx(result.energy_j, rel=1e-9)
    fine = split(work, 4)
    assert fine.time_s == pytest.approx(work.time_s)
    assert fine.energy_j == pytest.approx(work.energy_j)
    assert sum(t.new_bytes for t in fine.tasks) == pytest.approx(sum(t.new_bytes for t in work.tasks))
    assert len(fine.tasks) > len(work.tasks)


def test_live_state_counts_residual_branches() -> None:
    network = load_network("ic")
    live = live_bytes(network)
    outputs = [sum(network.tensors[t].n_bytes for t in op.outputs) for op in network.ops]
    assert all(a >= b for a, b in zip(live, outputs, strict=True))
    assert any(a > b for a, b in zip(live, outputs, strict=True))  # a shortcut waits for its addition


def test_the_vector_engine_costs_what_its_benchmarks_say() -> None:
    engine = load_part("msp430fr5994-lea", VectorEngine)
    network = load_network("kws")
    work = from_engine(network, engine)
    calls = sum(t.iterations for t in work.tasks if "pool" not in t.name and "softmax" not in t.name)
    least = calls * engine.call_energy.si + network.macs * engine.mac_energy.si
    assert least < work.energy_j < 4 * least
    assert work.boot_energy_j == pytest.approx(0.5 * 330e-6 * (2.99**2 - 2.91**2), rel=1e-9)


@pytest.mark.parametrize("name", ["batteryfree_msp430", "batteryfree_m33"])
def test_a_week_at_one_hertz(name: str) -> None:
    """How long it takes is measured in tests/benchmarks/test_harvest_speed.py."""
    path = Path(__file__).parents[2] / "examples" / "scenarios" / f"{name}.yaml"
    spec, _ = read_spec(HarvestScenario, path)
    feed, node = build_feed(spec.harvest, folder=path.parent, seed=0), build_node(spec, *build_workload(spec))
    assert feed.inputs.size == 7 * 86400
    result = run_node(node, feed)
    assert result.completed > 500
    assert 0.3 < result.completion_rate < 0.9


# -- inverse questions ----------------------------------------------------------------------------------------------


def test_the_smallest_capacitor_is_the_smallest() -> None:
    node = node_of("none", work_of(4, 1e-3, 0.1), FREE, request_s=20.0)
    feed = Feed.sampled([1e-3], 1000.0)
    farads = smallest_capacitor(node, feed, target=0.9)
    need = 2 * (4e-3 - 0.4e-3) / (3.0**2 - 1.8**2)  # 4 mJ less what comes in meanwhile, if it starts at turn-on
    assert farads <= need * 1.02

    def rate(c: float) -> float:
        return run_node(replace(node, capacitor=Capacitor(c, rated_v=5.0)), feed).completion_rate

    assert rate(farads) >= 0.9
    with pytest.raises(InfeasibleError, match="can never complete"):
        rate(0.5 * farads)


def test_no_capacitor_helps_a_harvest_that_is_too_small() -> None:
    node = node_of("none", work_of(4, 1e-3, 0.1), FREE, request_s=1.0)
    with pytest.raises(InfeasibleError, match="the harvest is too small"):
        smallest_capacitor(node, Feed.sampled([1e-3], 200.0), low_f=1e-4, high_f=1e-2)


def test_the_panel_for_a_week_scales_with_the_request() -> None:
    feed = Feed.sampled([2e-4, 0.0] * 20, 600.0)
    node = node_of("static", work_of(4, 1e-3, 0.1), capacitor=Capacitor(50e-3, rated_v=5.0), request_s=60.0)
    factor = smallest_scale(node, feed, target=0.8)
    twice = smallest_scale(replace(node, request_s=30.0), feed, target=0.8)
    assert twice > 1.5 * factor


def test_granularity_and_networks_are_ranked() -> None:
    feed = Feed.sampled([1e-3], 500.0)
    work = work_of(4, 2.4e-3, 0.2)
    node = node_of("static", work)
    ranked = best_granularity(work, FRAM, node, feed, tiles=(1, 4, 16))
    assert [c.completed for c in ranked] == sorted((c.completed for c in ranked), reverse=True)
    failed = next(c for c in ranked if c.name == "none")
    assert failed.completed == 0
    assert "can never complete" in failed.note
    nets = compare_networks({"small": work_of(2, 1e-3), "large": work_of(8, 2e-3)}, FRAM, node, feed)
    assert [c.name for c in nets] == ["small", "large"]


# -- files and command ----------------------------------------------------------------------------------------------

SMALL = """\
name: small
harvest: {constant: 2 mW, duration: 10 min}
storage: {capacitance: 10 mF, rated: 5 V, turn_on: 3.3 V, turn_off: 1.9 V}
work: {network: kws, engine: msp430fr5994-lea}
node: {policy: static, request: 60 s}
"""


def test_harvest_command(tmp_path: Path) -> None:
    path, png, page = tmp_path / "small.yaml", tmp_path / "a.png", tmp_path / "a.html"
    path.write_text(SMALL, encoding="utf-8")
    result = CliRunner().invoke(cli, ["harvest", str(path), "--json", "--png", str(png), "--html", str(page)])
    assert result.exit_code == 0, result.output
    data = json.loads(result.output)
    ledger = data["ledger"]
    assert ledger["harvested_j"] == pytest.approx(1.2)
    assert sum(v for k, v in ledger.items() if k != "harvested_j") == pytest.approx(1.2, rel=1e-9)
    assert data["completed"] == 10
    assert png.read_bytes().startswith(b"\x89PNG")
    assert "data:image/png;base64," in page.read_text(encoding="utf-8")
    assert "10 of 10 requests" in CliRunner().invoke(cli, ["harvest", str(path)]).output


BAD = [
    ("turn_on: 3.3 V", "turn_on: 1.5 V", SpecError, "line 3, storage: thresholds the wrong way round"),
    ("constant: 2 mW, ", "", SpecError, "line 2, harvest: give one of"),
    ("engine: msp430fr5994-lea", "device: nucleo-l4r5zi", SpecError, "line 4, work: a device needs"),
    ("10 mF", "100 uF", InfeasibleError, "line 3, storage.capacitance: task .* can never complete"),
    ("policy: static", "policy: hope", SpecError, "line 5, node.policy"),
    ("constant: 2 mW, duration: 10 min", "trace: t.csv", TraceError, r"t\.csv, row 2, power_w: -1e-06"),
    ("constant: 2 mW,", "constant: 2 mW, charger: bq25504,", SpecError, "line 2, harvest: a charger needs a trace"),
    (
        "constant: 2 mW, duration: 10 min",
        "trace: vi.csv, charger: bq25505",
        SpecError,
        "did you mean bq255",
    ),
    ("constant: 2 mW, duration: 10 min", "trace: vi.csv, charger: teg-40x40", SpecError, "accepted: bq25504, bq25570"),
    ("constant: 2 mW, duration: 10 min", "trace: w.csv, charger: bq25504", TraceError, "w.csv: .* not of power"),
    (
        "constant: 2 mW, duration: 10 min",
        "irradiance: sun.csv, area: 1 cm**2, panel_efficiency: 20 %",
        TraceError,
        "sun.csv, row 1, irradiance_w_m2: 'dark' is no number",
    ),
    (
        "constant: 2 mW",
        "periodic: {powers: [1 mW, 0 W], spans: [1 s]}",
        SpecError,
        "line 2, harvest.periodic: needs as many spans as powers, has 1 and 2",
    ),
    (
        "constant: 2 mW",
        "rf: {transmit: 3 W, distance: 3 cm, frequency: 915 MHz, rectifier_efficiency: 30 %}",
        SpecError,
        "line 2, harvest.rf: .* far field",
    ),
    (
        "constant: 2 mW",
        "rf: {transmit: 3 W, distance: 3 s, frequency: 915 MHz, rectifier_efficiency: 30 %}",
        SpecError,
        "line 2, harvest.rf.distance",
    ),
    (
        "constant: 2 mW",
        "thermoelectric: {part: teg-40x40, seebeck: 20 mV/kelvin, difference: 5 kelvin}",
        SpecError,
        "line 2, harvest.thermoelectric: give either a part",
    ),
    (
        "constant: 2 mW",
        "thermoelectric: {part: bq25504, difference: 5 kelvin}",
        SpecError,
        "line 2, harvest.thermoelectric: part: bq25504 is no thermoelectric generator",
    ),
    (
        "constant: 2 mW",
        "piezo: {open_peak: 5 V, capacitance: 20 nF, frequency: 50 Hz, output: 4.5 V, drop: 0.3 V}",
        SpecError,
        "line 2, harvest.piezo: the rectifier never opens",
    ),
    ("constant: 2 mW", "piezo: {open: 5 V}", SpecError, "line 2, harvest.piezo"),
    ("constant: 2 mW, duration: 10 min", "periodic: {powers: [1 mW], spans: [1 s]}", SpecError, "periodic needs a dur"),
    ("constant: 2 mW, duration: 10 min", "trace: none.csv", TraceError, "none.csv: cannot be read: No such file"),
]


@pytest.mark.parametrize(("old", "new", "error", "message"), BAD, ids=[m for *_, m in BAD])
def test_bad_input_says_where(tmp_path: Path, old: str, new: str, error: type[Exception], message: str) -> None:
    (tmp_path / "t.csv").write_text("time_s,power_uW\n0,5\n1,6\n2,-1\n", encoding="utf-8")
    (tmp_path / "w.csv").write_text("time_s,power_mw\n0,5\n1,6\n", encoding="utf-8")
    (tmp_path / "vi.csv").write_text("time_s,voltage_v,current_ma\n0,1.2,0.5\n1,1.2,0.5\n", encoding="utf-8")
    (tmp_path / "sun.csv").write_text("time_s,irradiance_w_m2\n0,5\n1,dark\n", encoding="utf-8")
    path = tmp_path / "small.yaml"
    path.write_text(SMALL.replace(old, new), encoding="utf-8")
    with pytest.raises(error, match=message):
        harvest_run(path)


def test_a_pattern_repeats(tmp_path: Path) -> None:
    path = tmp_path / "small.yaml"
    path.write_text(SMALL.replace("constant: 2 mW", "periodic: {powers: [6 mW, 0 W], spans: [20 s, 40 s]}"), "utf-8")
    run = harvest_run(path)
    assert run.feed.edges_s.tolist() == pytest.approx(np.cumsum([0.0, *[20.0, 40.0] * 10]).tolist())
    assert run.result.supply.ledger.harvested_j == pytest.approx(10 * 6e-3 * 20.0)


STEADY = [
    # eta P G_t G_r (lambda / 4 pi d)^2, Friis
    (
        "rf: {transmit: 3 W, distance: 3 m, frequency: 915 MHz, receive_gain: 4, rectifier_efficiency: 30 %}",
        0.3 * 3.0 * 4.0 * (299792458.0 / 915e6 / (4.0 * math.pi * 3.0)) ** 2,
    ),
    # the data sheet's 4 mW at 10 K, by the square of the difference
    ("thermoelectric: {part: teg-40x40, difference: 5 kelvin}", 1e-3),
    ("thermoelectric: {seebeck: 40 mV/kelvin, resistance: 4 ohm, difference: 5 kelvin}", 0.2**2 / 16.0),
    # 4 f C V (V_oc - V - 2 V_d), Ottman et al. 2002
    (
        "piezo: {open_peak: 20 V, capacitance: 100 nF, frequency: 60 Hz, output: 9 V, drop: 0.5 V}",
        4.0 * 60.0 * 100e-9 * 9.0 * 10.0,
    ),
]


@pytest.mark.parametrize(("source", "watts"), STEADY, ids=[s.partition(":")[0] for s, _ in STEADY])
def test_a_harvester_is_described_by_its_physics(tmp_path: Path, source: str, watts: float) -> None:
    path = tmp_path / "small.yaml"
    path.write_text(SMALL.replace("constant: 2 mW", f"{source}, efficiency: 80 %"), encoding="utf-8")
    ledger = harvest_run(path).result.supply.ledger
    assert ledger.harvested_j == pytest.approx(600.0 * watts)
    assert ledger.converter_loss_j >= 0.2 * 600.0 * watts * (1.0 - 1e-9)


def test_irradiance_becomes_power(tmp_path: Path) -> None:
    (tmp_path / "sun.csv").write_text("# GHI\ntime_s,irradiance_w_m2\n0,0\n300,100\n", encoding="utf-8")
    sun = "irradiance: sun.csv, area: 25 cm**2, panel_efficiency: 20 %, efficiency: 80 %"
    path = tmp_path / "small.yaml"
    path.write_text(SMALL.replace("constant: 2 mW, duration: 10 min", sun), encoding="utf-8")
    run = harvest_run(path)
    assert run.feed.inputs.tolist() == pytest.approx([0.0, 100 * 25e-4 * 0.2 * 0.8])
    assert run.result.supply.ledger.harvested_j == pytest.approx(300 * 100 * 25e-4 * 0.2)


SUN = "irradiance: sun.csv, cell: {short: 60 mA, open: 5 V, mpp_voltage: 4 V, mpp_current: 55 mA}"
SITE = 'site: {start: "2001-01-08T00:00:00-05:00", latitude: 36.1, longitude: -79.95, tilt: TILT}'


def sunny(folder: Path, source: str) -> Path:
    path = folder / "small.yaml"
    path.write_text(SMALL.replace("constant: 2 mW, duration: 10 min", source), encoding="utf-8")
    return path


def test_irradiance_through_a_cell(tmp_path: Path) -> None:
    """Under standard conditions the cell gives its maximum power, 4 V x 55 mA."""
    (tmp_path / "sun.csv").write_text("time_s,irradiance_w_m2\n0,0\n300,1000\n", encoding="utf-8")
    assert harvest_run(sunny(tmp_path, SUN)).feed.inputs.tolist() == pytest.approx([0.0, 0.22], rel=1e-4)
    with pytest.raises(SpecError, match=r"line 2, harvest\.cell: give either a part"):
        harvest_run(sunny(tmp_path, "irradiance: sun.csv, cell: {short: 60 mA}"))
    with pytest.raises(SpecError, match="line 2, harvest: irradiance needs either area"):
        harvest_run(sunny(tmp_path, SUN + ", area: 1 cm**2"))
    with pytest.raises(SpecError, match=r"line 2, harvest\.site\.latitude"):
        harvest_run(sunny(tmp_path, f"{SUN}, {SITE}".replace("36.1", "96").replace("TILT", "0")))


def test_a_tilted_panel_sees_the_winter_sun(tmp_path: Path) -> None:
    pytest.importorskip("pvlib")
    rows = Path(__file__).parents[2] / "examples" / "scenarios" / "january_greensboro.csv"
    (tmp_path / "sun.csv").write_text(rows.read_text(encoding="utf-8"), encoding="utf-8")
    joules = {}
    for name, source in {"bare": SUN, **{t: f"{SUN}, {SITE}".replace("TILT", t) for t in ("0", "50", "180")}}.items():
        spec, _ = read_spec(HarvestScenario, sunny(tmp_path, source))
        feed = build_feed(spec.harvest, folder=tmp_path, seed=0)
        joules[name] = float(np.sum(feed.inputs * np.diff(feed.edges_s)))
    assert joules["0"] == pytest.approx(joules["bare"], rel=1e-2)  # a flat panel sees the horizontal irradiance
    assert 1.2 < joules["50"] / joules["0"] < 2.2
    assert joules["180"] < 0.3 * joules["0"]  # face down: what the ground sends back


def test_flat_and_face_down_panels_are_exact() -> None:
    pytest.importorskip("pvlib")
    time, ghi = read_irradiance(Path(__file__).parents[2] / "examples" / "scenarios" / "january_greensboro.csv")
    start = datetime(2001, 1, 8, tzinfo=timezone(timedelta(hours=-5)))
    place = {"start": start, "latitude_deg": 36.1, "longitude_deg": -79.95, "albedo": 0.2}
    assert plane_irradiance(time, ghi, tilt_deg=0.0, **place) == pytest.approx(ghi, abs=1e-9)
    assert plane_irradiance(time, ghi, tilt_deg=180.0, **place) == pytest.approx(0.2 * ghi, abs=1e-9)
    with pytest.raises(InputError, match="time zone"):
        plane_irradiance(time, ghi, tilt_deg=0.0, **(place | {"start": datetime(2001, 1, 8)}))


def test_without_pvlib_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pvlib", None)
    (tmp_path / "sun.csv").write_text("time_s,irradiance_w_m2\n0,0\n300,1000\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"pip install 'tinysim\[pvlib\]'"):
        harvest_run(sunny(tmp_path, f"{SUN}, {SITE}".replace("TILT", "30")))


@pytest.mark.parametrize(("ohm", "harvest_w"), [(10.0, 0.0), (0.1, 10e-3), (2.0, 10e-3), (10.0, 10e-3)])
def test_an_esr_shortens_a_discharge(ohm: float, harvest_w: float) -> None:
    """40 mW from 10 mF, turned on at 3.0 V inside: exact, also where the harvest carries a part of the load."""
    part = Capacitor(10e-3, esr_ohm=ohm, rated_v=5.0)
    node = node_of("static", work_of(4, 4e-3, 0.1), FREE, capacitor=part)
    result = run_node(node, Feed.sampled([harvest_w], 2.0), start_v=3.0)
    phases = result.supply.to_frame()
    first = phases[phases.label == "off"].index[1]
    on = float((phases.end_s - phases.start_s)[:first].sum())
    net = constant_power(harvest_w - 40e-3)
    whole = crossing_time_s(part, net, terminal_voltage_v(part, net.bands[0], 3.0), 1.8)
    assert on == pytest.approx(whole, rel=1e-9)
    lost = 1.0 - result.supply.ledger.used_j / (result.supply.ledger.used_j + result.supply.ledger.converter_loss_j)
    if not harvest_w:
        assert ohm * 40e-3 / 3.0**2 < lost < ohm * 40e-3 / 1.8**2


def test_an_esr_that_browns_out_at_once_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "small.yaml"
    path.write_text(SMALL.replace("rated: 5 V", "rated: 5 V, esr: 5 kohm"), encoding="utf-8")
    with pytest.raises(InfeasibleError, match=r"line 3, storage.capacitance: an ESR of 5000 ohm"):
        harvest_run(path)
    path.write_text(SMALL.replace("rated: 5 V", "rated: 5 V, esr: -1 ohm"), encoding="utf-8")
    with pytest.raises(SpecError, match=r"line 3, storage\.esr"):
        harvest_run(path)


def test_a_charger_books_what_it_loses(tmp_path: Path) -> None:
    """0.6 mW at 1.2 V and 0.5 mA through a BQ25504: its table says 0.87 there."""
    rows = "".join(f"{second},1.2,0.5\n" for second in range(60))
    (tmp_path / "vi.csv").write_text("time_s,voltage_v,current_ma\n" + rows, encoding="utf-8")
    path = tmp_path / "small.yaml"
    path.write_text(SMALL.replace("constant: 2 mW, duration: 10 min", "trace: vi.csv, charger: bq25504"), "utf-8")
    run = harvest_run(path)
    assert run.feed.inputs == pytest.approx(np.full(60, 0.87 * 0.6e-3))
    assert run.result.supply.ledger.harvested_j == pytest.approx(60 * 0.6e-3)
    assert run.result.supply.ledger.converter_loss_j >= 60 * 0.13 * 0.6e-3 * (1 - 1e-9)


def test_a_flickering_day_keeps_its_mean(tmp_path: Path) -> None:
    day = ", ".join(["1 mW"] * 24)
    path = tmp_path / "small.yaml"
    flicker = f"per_hour: [{day}], flicker: 0.5, flicker_time: 60 s, duration: 3 day, step: 10 s"
    path.write_text(SMALL.replace("constant: 2 mW, duration: 10 min", flicker), encoding="utf-8")
    run = harvest_run(path)
    assert run.feed.inputs.mean() == pytest.approx(1e-3, rel=0.05)
    assert np.log(run.feed.inputs).std() == pytest.approx(0.5, rel=0.1)


def test_a_node_refuses_nonsense() -> None:
    with pytest.raises(InputError, match=r"off 3\.0 V < on 2\.0 V"):
        node_of(on_v=2.0, off_v=3.0)
    with pytest.raises(InputError, match="power feed"):
        run_node(node_of(), Feed.sampled([1e-3], 1.0, kind="current"))
    with pytest.raises(InputError, match="at least 1"):
        split(work_of(), 0)


STORED = """
name: stored
harvest: {constant: 1 mW, duration: 10 min}
storage: {STORAGE, turn_on: 3.3 V, turn_off: 1.9 V}
work: {network: kws, engine: msp430fr5994-lea}
node: {policy: static, tasks: tile, tiles: 8, request: 1 min, idle: 2 uW, efficiency: 0.85}
"""
BACKED = "capacitance: 10 mF, rated: 5 V, cell: {battery: lir1025, assist_below: 2.2 V, assist_until: 2.8 V}"


def stored(folder: Path, storage: str) -> Path:
    path = folder / "stored.yaml"
    path.write_text(STORED.replace("STORAGE", storage), encoding="utf-8")
    return path


def test_a_cell_behind_the_capacitor_carries_the_nights() -> None:
    """The shipped example: without its cell it completes half of the requests."""
    path = Path(__file__).parents[2] / "examples" / "scenarios" / "batteryfree_hybrid.yaml"
    run = harvest_run(path)
    document = run.to_dict()
    assert run.result.completion_rate == 1.0
    assert document["cell"]["given_j"] > 30.0
    assert document["cell"]["charged_j"] > 20.0
    spec, _ = read_spec(HarvestScenario, path)
    bare = harvest_run(spec.model_copy(update={"storage": spec.storage.model_copy(update={"cell": None})}))
    assert bare.to_dict()["cell"] is None
    assert bare.result.completion_rate < 0.6


def test_a_cell_lets_a_task_complete_that_the_capacitor_cannot_hold(tmp_path: Path) -> None:
    small = BACKED.replace("10 mF", "100 uF")
    node = "policy: none, tasks: inference, request"
    path = stored(tmp_path, small)
    path.write_text(path.read_text().replace("policy: static, tasks: tile, tiles: 8, request", node), encoding="utf-8")
    assert harvest_run(path).result.completed == 10
    path.write_text(path.read_text().replace("lir1025", "lir1025, start: 0.0001"), encoding="utf-8")
    with pytest.raises(InfeasibleError, match=r"its cell 0.00\d+ J: it can never complete"):
        harvest_run(path)


def test_parts_of_the_library_and_dc_bias(tmp_path: Path) -> None:
    spec, _ = read_spec(HarvestScenario, stored(tmp_path, "part: mlcc-100u-6v3, parallel: 20"))
    part = spec.storage.capacitor()
    assert part.capacitance_f == pytest.approx(2e-3)
    assert part.leakage_ohm == pytest.approx(978e3 / 20)
    assert part.rated_v == 6.3
    bias = "part: mlcc-100u-6v3, parallel: 20, bias: {voltages: [0 V, 4 V], shares: [1, 0.5]}"
    derated = read_spec(HarvestScenario, stored(tmp_path, bias))[0].storage.capacitor().capacitance_f
    assert 0.5 * 2e-3 < derated < 0.75 * 2e-3
    esr = read_spec(HarvestScenario, stored(tmp_path, "part: edlc-avx-scmt7, esr: 12 ohm"))[0].storage.capacitor()
    assert (esr.esr_ohm, esr.rated_v) == (12.0, 5.5)


@pytest.mark.parametrize(
    ("storage", "words"),
    [
        ("leakage: 1 Mohm", r"line 4, storage: give a part of the library, or capacitance and rated"),
        ("part: edlc-avx-scmt7, rated: 5 V", "a part has its own capacitance"),
        ("part: edlc-avx-scmt", "unknown entry 'edlc-avx-scmt' of capacitors: did you mean edlc-avx-scmt7"),
        ("part: edlc-capxx-hw203", "no sourced leakage"),
        ("capacitance: 1 mF, rated: 5 V, parallel: 2", "parallel belongs to a part"),
        ("part: edlc-maxwell-bcap0025", r"turn_on 3.3 V <= rated 3 V"),
        (BACKED.replace("2.2 V", "1.2 V"), r"assist_below 1.2 V lies below turn_off 1.9 V"),
        (BACKED.replace("2.8 V", "2.1 V"), r"line 4, storage.cell: .*assist_v 2.2 must be below assist_until_v 2.1"),
        (BACKED.replace("lir1025", "lir102"), r"storage.cell: unknown entry 'lir102' of batteries"),
        (BACKED.replace("lir1025", "lir1025, charge: 1 mW"), "belong together"),
        (
            BACKED.replace("lir1025", "cr2032, charge: 1 mW, charge_above: 4 V, charge_until: 3.5 V"),
            "no rechargeable battery",
        ),
        (
            BACKED.replace("lir1025", "lir1025, charge: 1 mW, charge_above: 6 V, charge_until: 3.5 V"),
            "charge_above 6 V lies above rated 5 V",
        ),
        (
            BACKED.replace("lir1025", "lir1025, charge: 1 mW, charge_above: 4 V, charge_until: 3 V"),
            r"charge_until 3 V lies below turn_on 3.3 V",
        ),
        ("capacitance: 1 mF, rated: 5 V, bias: {voltages: [0, 3], shares: [1, 1]}", "outside the table"),
    ],
)
def test_bad_storage_is_named(tmp_path: Path, storage: str, words: str) -> None:
    with pytest.raises(SpecError, match=words):
        harvest_run(stored(tmp_path, storage))
