"""Scenario files: what they may say, what is wrong with them, what the commands print."""

import json
import math
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from tinysim.cli.main import cli, main
from tinysim.errors import InfeasibleError, MissingFigure, SpecError
from tinysim.scenario.build import build_plan
from tinysim.scenario.life import battery_life, load_scenario
from tinysim.scenario.spec import Scenario
from tinysim.scenario.steady import steady
from tinysim.supply.batteries import CircuitCell, IdealCell, KiBaM, PeukertCell

BASE = """\
name: beacon
supply:
  cell: {model: kibam, capacity: 20 mAh, available_share: 0.6, well_rate: 1.0e-4}
  voltage: 3.0 V
  resistance: 20 ohm
  brownout: 2.0 V
mcu:
  run: 4 mA
  clock: 64 MHz
  sleep:
    - {name: deep, current: 0.5 uA, wake: 200 us, wake_charge: 2 uC, retained: 0 B}
    - {name: light, current: 3 uA, wake: 20 us, retained: 64 KiB}
activities:
  beat:
    when: {every: 1 s}
    steps:
      - {do: run, duration: 5 ms, pass_rate: 20 %}
      - {do: infer, latency: 20 ms, energy: 200 uJ, energy_factor: 1.2}
      - {do: send, how: advertise, radio: ble-nrf52840, payload: 20 B}
"""


def file_of(folder: Path, *changes: tuple[str, str], base: str = BASE) -> Path:
    text = base
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    path = folder / "beacon.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def spec_of(*changes: tuple[str, str]) -> Scenario:
    text = BASE
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    return Scenario.model_validate(yaml.safe_load(text))


def test_a_scenario_is_what_its_numbers_say() -> None:
    plan = build_plan(spec_of())
    means = steady(plan).current_a
    assert means["run"] == pytest.approx(5e-3 * 4e-3)
    assert means["infer"] == pytest.approx(0.2 * 200e-6 / 3.0)
    # three channels: 140 us ramp and 36 x 8 us of air each, at 6.40 mA
    assert means["send advertise"] == pytest.approx(0.2 * 3 * (140e-6 + 288e-6) * 6.4e-3)
    assert means["idle core"] == pytest.approx(0.2 * 3 * 428e-6 * 4e-3)
    assert dict(plan.spreads) == pytest.approx({"infer": math.log(1.2)})


def test_the_sleep_state_is_the_cheapest_that_keeps_enough() -> None:
    # deep costs 2 uC + 0.8 uC a wake-up and saves 2.5 uA: light is cheaper at 1 s, deep at 10 s
    assert build_plan(spec_of()).asleep[0][0] == "sleep (light)"
    assert build_plan(spec_of(("every: 1 s", "every: 10 s"))).asleep[0][0] == "sleep (deep)"
    kept = spec_of(("every: 1 s", "every: 10 s"), ("  clock: 64 MHz", "  clock: 64 MHz\n  keep: 32 KiB"))
    assert build_plan(kept).asleep[0][0] == "sleep (light)"
    # Shutdown draws 33 nA and starts from reset in a time that the board does not state: Stop 2 keeps its memory
    states = BASE[BASE.index("  sleep:") : BASE.index("activities:")]
    board = (("  run: 4 mA\n  clock: 64 MHz\n", "  device: nucleo-l4r5zi\n"), (states, ""))
    assert build_plan(spec_of(*board)).asleep[0][0] == "sleep (stop2)"
    asked = (*board, ("device: nucleo-l4r5zi", "device: nucleo-l4r5zi\n  use: shutdown"))
    assert build_plan(spec_of(*asked)).asleep[0][0] == "sleep (shutdown)"
    with pytest.raises(InfeasibleError, match=r"mcu\.keep: 131072 bytes"):
        build_plan(spec_of(("  clock: 64 MHz", "  clock: 64 MHz\n  keep: 128 KiB")))


def test_a_buck_passes_power_and_a_regulator_current() -> None:
    ldo = spec_of(("  voltage: 3.0 V", "  voltage: 3.0 V\n  rail: 1.8 V\n  converter: {kind: ldo, quiescent: 1 uA}"))
    buck = spec_of(("  voltage: 3.0 V", "  voltage: 3.0 V\n  rail: 1.8 V\n  converter: {kind: buck, efficiency: 0.9}"))
    a, b = steady(build_plan(ldo)), steady(build_plan(buck))
    rail = sum(c for n, c in b.current_a.items() if n != "converter")
    assert b.cell_a == pytest.approx(rail * 1.8 / 0.9 / 3.0)
    assert a.cell_a == pytest.approx(sum(c for n, c in a.current_a.items() if n != "converter") + 1e-6)
    for state in (a, b):  # all energy out of the cell is some consumer's or the converter's
        assert sum(state.current_a.values()) * 1.8 == pytest.approx(state.cell_power_w)


def test_the_core_sleeps_while_lora_waits_for_its_windows() -> None:
    """Two windows 1 s apart: the cheapest state that keeps the memory, and its wake-up, instead of the run current."""
    send = "{do: send, how: lora, radio: lora-ns3, payload: 12 B, windows: 2, listen: 30 ms}"
    lora = ("{do: send, how: advertise, radio: ble-nrf52840, payload: 20 B}", send)
    plan = build_plan(spec_of(("every: 1 s", "every: 60 s"), lora))
    work = next(p for p in plan.paths if p.phases[-1].label.endswith("listen"))
    waits = [p for p in work.phases if p.label.endswith("wait")]
    assert [p.duration_s for p in waits] == pytest.approx([1.0 - 20e-6, 0.97 - 20e-6])
    for phase in waits:
        assert dict(phase.draws)["sleep (light)"] == pytest.approx(3e-6)
        assert "idle core" not in dict(phase.draws)
    assert sum(p.label == "wake up" for p in work.phases) == 3
    stops = build_plan(spec_of(lora)).activities[0].stops
    assert [done for done, _ in stops] == [2]


def test_a_waiting_core_draws_the_sleep_current_of_its_board() -> None:
    board = ("  run: 4 mA\n  clock: 64 MHz\n", "  device: nucleo-l4r5zi\n")
    plan = build_plan(spec_of(board))
    sent = next(p for a in plan.activities for p in a.phases if p.label.endswith("transmit"))
    assert dict(sent.draws)["idle core"] == pytest.approx(3.6e-3)


def test_a_fifo_wakes_the_mcu_at_its_watermark() -> None:
    use = "{part: lis2dh12, mode: 25Hz, rate: 25 Hz, sample: 6 B, watermark: 150 B, bus: 1 MHz}"
    imu = f"sensors:\n  imu: {use}\nactivities:"
    plan = build_plan(spec_of(("activities:", imu)))
    read = next(a for a in plan.activities if a.name == "read imu")
    assert read.arrivals.rate_hz == pytest.approx(1.0)
    assert read.phases[-1].duration_s == pytest.approx(1.2e-3)
    assert dict(plan.always) == {"imu": pytest.approx(6e-6)}


CELL = "{model: kibam, capacity: 20 mAh, available_share: 0.6, well_rate: 1.0e-4}"


@pytest.mark.parametrize(
    ("cell", "kind", "capacity_c"),
    [
        ("{preset: pl-383562}", IdealCell, 3096.0),
        ("{preset: pl-383562, model: kibam, stored: 6 month}", KiBaM, 3096.0 * 0.7),
        ("{preset: pl-383562, model: circuit, usable: 80 %}", CircuitCell, 3096.0 * 0.8),
        ("{preset: cr2032, model: peukert, temperature: 0 degC}", PeukertCell, 810.0 * 0.789),
    ],
)
def test_a_preset_serves_as_the_model_that_is_asked_for(cell: str, kind: type, capacity_c: float) -> None:
    built = build_plan(spec_of((CELL, cell))).battery.cell
    assert type(built) is kind
    assert built.capacity_c == pytest.approx(capacity_c, rel=1e-3)


WRONG = [
    ((CELL, "{preset: cr2033}"), "line 3, supply.cell.preset: unknown entry 'cr2033' of batteries: did you mean"),
    ((CELL, "{preset: cr2032, model: kibam}"), "line 3, supply.cell.model: battery cr2032: no sourced figure for"),
    ((CELL, "{preset: cr2032, temperature: -40 degC}"), "line 3, supply.cell.temperature: capacity_at: 233.15"),
    ((CELL, "{preset: pl-383562, stored: 9 year}"), "line 3, supply.cell.stored: self-discharge has emptied"),
    ((CELL, "{model: circuit, capacity: 1 Ah}"), "line 3, supply.cell: model circuit needs a preset"),
    ((CELL, "{model: ideal, capacity: 1 Ah, temperature: 20 degC}"), "line 3, supply.cell: temperature does not"),
    (("retained: 0 B", "retaind: 0 B"), "line 11, mcu.sleep.0.retaind: unknown field; did you mean retained?"),
    (("every: 1 s", "every: 1 volt"), "line 15, activities.beat.when.every: '1 volt'"),
    (("every: 1 s", "evry: 1 s"), "line 15, activities.beat.when.evry: unknown field; did you mean every?"),
    (("do: run", "do: dance"), "line 17, activities.beat.steps.0: Input tag 'dance'"),
    (("capacity: 20 mAh, ", ""), "line 3, supply.cell: model kibam needs capacity"),
    (("  run: 4 mA\n", ""), "line 16, activities.beat.steps.0: mcu.run"),
    (("ble-nrf52840", "ble-nrf5284"), "line 19, activities.beat.steps.2: unknown part 'ble-nrf5284'; did you mean"),
    (("ble-nrf52840", "lora-rylr998"), "line 19, activities.beat.steps.2: radio: lora-rylr998 speaks lora"),
    (("duration: 5 ms", "duration: -5 ms"), "line 17, activities.beat.steps.0.duration: Input should be greater"),
    (("latency: 20 ms, ", ""), "line 18, activities.beat.steps.1: give a network, or both"),
]


@pytest.mark.parametrize(("change", "message"), WRONG, ids=[m for _, m in WRONG])
def test_a_wrong_field_is_named_with_its_line(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    with pytest.raises(SpecError) as caught:
        battery_life(file_of(tmp_path, change), runs=2)
    assert str(caught.value).startswith(f"beacon.yaml {message}")
    assert "\n" not in str(caught.value)


IMPOSSIBLE = [
    ((("every: 1 s", "every: 6 ms"),), "duty over 100 %.*beat"),
    ((("resistance: 20 ohm", "resistance: 150 ohm"),), "line 14, activities.beat: brown-out at the first pulse"),
    (
        (("brownout: 2.0 V", "brownout: 2.0 V\n  max_current: 20 uA"),),
        "line 3, supply.cell: the average of .* most of it is",
    ),
    ((("activities:", "watchdog: {timeout: 20 ms, serve: 10 ms}\nactivities:"),), "the watchdog bites: beat keeps"),
]


@pytest.mark.parametrize(("changes", "message"), IMPOSSIBLE, ids=[m for _, m in IMPOSSIBLE])
def test_what_cannot_work_says_which_line_and_why(
    tmp_path: Path, changes: tuple[tuple[str, str], ...], message: str
) -> None:
    with pytest.raises(InfeasibleError, match=message):
        battery_life(file_of(tmp_path, *changes), runs=2)


def test_a_circuit_is_empty_where_its_converter_gives_up() -> None:
    """An LDO for 3.0 V with 0.3 V of drop-out leaves what a cell has below 3.3 V."""
    cell = (CELL, "{preset: pl-383562, model: circuit}")
    high = ("  voltage: 3.0 V\n  resistance: 20 ohm", "  voltage: 4.1 V\n  rail: 3.0 V\n  converter: CONVERTER")
    plain = build_plan(spec_of(cell, high, ("CONVERTER", "{kind: ldo}"))).battery
    short = build_plan(spec_of(cell, high, ("CONVERTER", "{kind: ldo, dropout: 0.3 V}"))).battery
    assert (plain.brownout_v, short.brownout_v) == pytest.approx((2.0, 3.3))
    assert short.cell.cutoff_v == pytest.approx(3.3)
    full = short.cell.full_state()
    assert short.cell.time_to_empty(full, 0.1) < plain.cell.time_to_empty(full, 0.1)
    with pytest.raises(ValueError, match="dropout belongs to an ldo or a buck"):
        spec_of(("resistance: 20 ohm", "converter: {kind: none, dropout: 0.3 V}"))


def test_a_buffer_capacitor_saves_the_pulse(tmp_path: Path) -> None:
    weak = ("resistance: 20 ohm", "resistance: 150 ohm\n  buffer: {capacitance: 220 uF, esr: 50 mohm}")
    assert battery_life(file_of(tmp_path, weak), runs=2).run.cause


def test_a_missing_currents_withholds_the_answer(tmp_path: Path) -> None:
    no_sleep = BASE[: BASE.index("  sleep:")] + BASE[BASE.index("activities:") :]
    with pytest.raises(MissingFigure, match=r"mcu\.sleep"):
        battery_life(file_of(tmp_path, base=no_sleep), runs=2)


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="No such file"):
        load_scenario(tmp_path / "none.yaml")
    broken = tmp_path / "broken.yaml"
    broken.write_text("a: [1, 2", encoding="utf-8")
    with pytest.raises(SpecError, match="no YAML"):
        load_scenario(broken)


def test_battery_command(tmp_path: Path) -> None:
    path, png, page = file_of(tmp_path), tmp_path / "a.png", tmp_path / "a.html"
    result = CliRunner().invoke(
        cli, ["battery", str(path), "--runs", "10", "--png", str(png), "--html", str(page), "--json"]
    )
    assert result.exit_code == 0, result.output
    data = json.loads(result.output)
    assert data["lifetime_s"] == pytest.approx(data["closed_form_lifetime_s"], rel=1e-2)
    assert data["interval"]["lifetime_s"][0] < data["lifetime_s"] < data["interval"]["lifetime_s"][1]
    assert sum(c["share"] for c in data["consumers"]) == pytest.approx(1.0)
    ledger = data["ledger"]
    spent = sum(ledger["used_j"].values()) + sum(v for k, v in ledger.items() if k not in {"used_j", "cell_j"})
    assert spent == pytest.approx(ledger["cell_j"], rel=1e-9)
    assert png.read_bytes().startswith(b"\x89PNG")
    text = page.read_text(encoding="utf-8")
    assert "data:image/png;base64," in text
    assert "http" not in text.replace("http-equiv", "")
    plain = CliRunner().invoke(cli, ["battery", str(path), "--runs", "10"])
    assert "What eats it: run" in plain.output


def test_a_user_sees_one_line_and_no_traceback(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["battery", str(file_of(tmp_path, ("every: 1 s", "every: 1 volt")))])
    assert caught.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert captured.err.startswith("tinysim: beacon.yaml line ")
