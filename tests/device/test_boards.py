"""The shipped boards, cores and runtimes: complete, sourced, and true to a few facts read in the data sheets."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tinysim.calibrate.rows import load_rows
from tinysim.device.library import (
    list_devices,
    list_runtimes,
    load_core,
    load_device,
    load_runtime,
    read_yaml,
    sources,
    spec_folder,
)
from tinysim.device.spec import Device, WaitStates
from tinysim.figures import Figure

BOARDS = list_devices()
CORES = sorted(p.stem for p in (spec_folder() / "cores").glob("*.yaml"))

#: Boards that outside checks and published tables call by these names (design.md).
NAMED = [
    "nucleo-l4r5zi",
    "nucleo-u575zi-q",
    "nucleo-h7a3zi-q",
    "stm32h747i-disco",
    "stm32n6570-dk",
    "b-u585i-iot02a",
    "nrf5340-dk",
    "ek-ra8d1",
    "esp32-s3-devkit",
    "max78002evkit",
    "nucleo-g0b1re",
    "rx65n-cloud-kit",
    "xg24-dk2601b",
    "gap9-evk",
    "apollo510-evb",
]


def _sources_of(device: Device) -> set[str]:
    of_figures = {figure.source for _, figure in device.figures() if figure.source is not None}
    return of_figures | {table.source for memory in device.memories for table in memory.wait_states}


def test_library_has_at_least_35_boards_and_the_named_ones() -> None:
    assert len(BOARDS) >= 35
    assert set(NAMED) <= set(BOARDS)


@pytest.mark.parametrize("name", BOARDS)
def test_board_is_complete_and_sourced(name: str) -> None:
    device = load_device(name)
    assert device.name == name
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name)
    assert _sources_of(device) <= set(sources())
    assert device.core.name in CORES
    for runtime in device.runtimes:
        cores = load_runtime(runtime).cores
        assert not cores or device.core.name in cores, f"{runtime} does not run on {device.core.name}"
    if device.accelerator is not None:
        assert (spec_folder() / "accelerators" / f"{device.accelerator}.yaml").is_file()
    assert device.clock.si > 1e6
    ranges = {table.voltage_range for memory in device.memories for table in memory.wait_states}
    assert device.voltage_range in ranges if ranges else device.voltage_range is None


@pytest.mark.parametrize("name", BOARDS)
def test_clock_lies_within_the_wait_state_table(name: str) -> None:
    device = load_device(name)
    for memory in device.memories:
        for table in memory.wait_states:
            if table.voltage_range == device.voltage_range:
                assert device.clock.si <= table.max_clock_hz[-1] * (1 + 1e-9)
                assert list(table.wait_cycles) == sorted(table.wait_cycles)


@pytest.mark.parametrize("name", BOARDS)
def test_deeper_sleep_draws_no_more(name: str) -> None:
    power = load_device(name).power
    if power is None:
        pytest.skip("no currents")
    asleep = [state.current.si for state in power.sleep if state.current.known]
    running = [point.current.si for point in power.run if point.current.known and point.running.startswith("inference")]
    assert asleep == sorted(asleep, reverse=True)
    assert not asleep or not running or asleep[0] < max(running)


@pytest.mark.parametrize(
    "names",
    [
        {board: load_device(board).aliases for board in BOARDS},
        {runtime: load_runtime(runtime).aliases for runtime in list_runtimes()},
    ],
    ids=["boards", "runtimes"],
)
def test_aliases_are_unique(names: dict[str, tuple[str, ...]]) -> None:
    seen: dict[str, str] = {}
    for name, aliases in names.items():
        for alias in {name, *aliases}:
            assert alias not in seen, f"{alias!r} is {seen[alias]} and {name}"
            seen[alias] = name


@pytest.mark.parametrize("name", CORES)
def test_core_timing_is_sourced_and_prices_every_class(name: str) -> None:
    core = load_core(name)
    assert core.name == name
    assert {f.source for f in core.timing.values()} <= set(sources())
    assert {"load", "store", "mac", "mul", "alu", "div", "branch", "branch_taken"} <= set(core.timing)
    assert all(f.si >= 0 for f in core.timing.values())


@pytest.mark.parametrize("name", list_runtimes())
def test_runtime_is_sourced_and_used(name: str) -> None:
    runtime = load_runtime(name)
    assert runtime.name == name
    assert runtime.code_bytes is None or runtime.code_bytes.source in sources()
    assert set(runtime.cores) <= set(CORES)
    assert any(name in load_device(board).runtimes for board in BOARDS)


def test_sources_say_where_they_are_and_whether_they_were_read() -> None:
    for key, source in read_yaml(spec_folder() / "sources.yaml").items():
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", key)
        assert source["title"]
        assert source["where"]
        assert "year" in source or "retrieved" in source, key
        assert source["read"] in (True, False, "quoted"), key


def test_no_source_key_is_defined_twice() -> None:
    files = {path.name: list(read_yaml(path)) for path in spec_folder().glob("sources*.yaml")}
    keys = [key for of_file in files.values() for key in of_file]
    assert {key for key in keys if keys.count(key) > 1} == set()
    assert set(keys) == set(sources())


def test_every_source_of_the_boards_is_used() -> None:
    used = {source for board in BOARDS for source in _sources_of(load_device(board))}
    used |= {f.source for core in CORES for f in load_core(core).timing.values()}
    used |= {r.code_bytes.source for r in map(load_runtime, list_runtimes()) if r.code_bytes is not None}
    used |= set(load_rows()["source"])
    own = set(read_yaml(spec_folder() / "sources.yaml"))
    assert own <= used, f"unused: {sorted(own - used)}"


def _flash(name: str) -> tuple[Device, float]:
    device = load_device(name)
    return device, device.memory("flash").wait_cycles(device.clock.si, device.voltage_range)


@pytest.mark.parametrize(
    ("name", "wait"),
    # st-hal-l4, st-hal-u5, st-hal-h7, st-hal-f7, st-hal-g0: latency at the clock of the measurements
    [
        ("nucleo-l4r5zi", 5),
        ("nucleo-u575zi-q", 4),
        ("nucleo-h7a3zi-q", 6),
        ("stm32f746g-disco", 7),
        ("nucleo-g0b1re", 2),
        ("rx65n-cloud-kit", 2),
        ("stm32l476", 4),
    ],
)
def test_wait_states_at_the_measured_clock(name: str, wait: int) -> None:
    assert _flash(name)[1] == wait


def test_wait_states_fall_with_the_clock_and_depend_on_the_voltage_range() -> None:
    flash = load_device("nucleo-u575zi-q").memory("flash")
    assert [flash.wait_cycles(f, "range 1") for f in (160e6, 128e6, 96e6, 64e6, 32e6)] == [4, 3, 2, 1, 0]
    assert flash.wait_cycles(50e6, "range 3") == 3
    assert flash.wait_cycles(50e6, "range 1") == 1
    assert flash.wait_cycles(200e6, "range 1") == 4, "above the table: its last step"


def test_l4r5_draws_one_current_on_its_ldo_at_any_supply() -> None:
    """Source: mlperf-tiny, X-CUBE-AI 7.3 at 1.8 V (round v1.0) and 3.0 V (round v1.1)."""
    power = load_device("nucleo-l4r5zi").power
    assert power is not None
    points = {p.supply.si: p.current.si for p in power.run if p.running == "inference x-cube-ai-7.3"}
    assert set(points) == {1.8, 3.0}
    assert points[1.8] == pytest.approx(points[3.0], rel=0.03)
    assert all(p.regulator == "ldo" for p in power.run)


def test_h7a3_draws_one_power_on_its_smps_at_any_supply() -> None:
    """Source: mlperf-tiny, X-CUBE-AI 7.3 at 3.0 V (round v1.1) and 3.3 V (round v1.0)."""
    power = load_device("nucleo-h7a3zi-q").power
    assert power is not None
    watts = [p.supply.si * p.current.si for p in power.run if p.running == "inference x-cube-ai-7.3"]
    assert len(watts) == 2
    assert watts[0] == pytest.approx(watts[1], rel=0.03)


def test_figures_carry_their_path() -> None:
    figures = dict(load_device("nucleo-l4r5zi").figures())
    assert figures["memories.flash.size"].si == 2048 * 1024
    assert figures["memories.sram.size"].si == 640 * 1024
    assert figures["clock"].si == 120e6
    assert all(isinstance(f, Figure) for f in figures.values())


@pytest.mark.parametrize(
    ("clocks", "waits"), [((1e6, 2e6), (0,)), ((), ()), ((2e6, 1e6), (0, 1))], ids=["lengths", "empty", "falling"]
)
def test_wait_state_tables_that_make_no_sense_are_refused(clocks: tuple[float, ...], waits: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="max_clock_hz"):
        WaitStates(voltage_range="all", max_clock_hz=clocks, wait_cycles=waits, source="x")


def test_template_is_a_board() -> None:
    docs = Path(__file__).parents[2] / "docs"
    device = load_device(docs / "device-template.yaml")
    assert device.name == "my-board"
    assert device.memory_for("weights").wait_cycles(device.clock.si, device.voltage_range) == 3
    assert device.memory_for("activations").name == "sram"
    fields = set(Device.model_fields) - {"accelerator"}
    text = (docs / "device-template.yaml").read_text(encoding="utf-8")
    assert {f for f in fields if not re.search(rf"^{f}:", text, re.MULTILINE)} == set()
