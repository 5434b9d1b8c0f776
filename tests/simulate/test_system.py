"""Schedulers, sleep, accelerator, FIFOs, ledger: laws that any system obeys, and small cases worked by hand."""

import json
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinysim.errors import InfeasibleError, InputError, SpecError
from tinysim.simulate.engine import simulate_system
from tinysim.simulate.perfetto import check_trace
from tinysim.simulate.simulation import Simulation
from tinysim.simulate.soc import AcceleratorSpec, MemorySpec, SleepSpec, SocSpec
from tinysim.simulate.work import NpuLayer, NpuWork, Use, Work
from tinysim.simulate.workload import Sensor, System, Task, Traffic

MEMORIES = (MemorySpec(name="sram", read_byte_j=1e-12, write_byte_j=2e-12), MemorySpec(name="flash", wait_cycles=3))
SOC = SocSpec(clock_hz=1e6, memories=MEMORIES, run_w=0.01, idle_w=0.001)


def us(ticks: float) -> float:
    return ticks * 1e-6


works = st.builds(
    lambda sram, flash, compute, n: Work("w", sram + flash + compute, (Use("sram", sram, n), Use("flash", flash, n))),
    st.integers(0, 40), st.integers(0, 20), st.integers(1, 60), st.integers(0, 200),
)  # fmt: skip
layers = st.builds(
    lambda compute, cycles, n, tiles: NpuLayer(
        "n", compute, (Use("sram", cycles, n), Use("flash", cycles, n)), max(tiles, 1), streamed=not tiles
    ),
    st.integers(0, 60), st.integers(0, 50), st.integers(0, 100), st.integers(0, 5),
)  # fmt: skip

commands = st.builds(lambda layer: NpuWork("c", (layer,)), layers)


@st.composite
def systems(draw: st.DrawFn) -> System:
    cores = draw(st.integers(1, 2))
    soc = SOC.model_copy(
        update={
            "cores": cores,
            "bus": draw(st.sampled_from(["matrix", "shared"])),
            "arbiter": draw(st.sampled_from(["round-robin", "fixed"])),
            "scheduler": draw(st.sampled_from(["preemptive", "cooperative"])),
            "switch_cycles": draw(st.integers(0, 5)),
            "dma_channels": draw(st.integers(1, 2)),
            "accelerator": AcceleratorSpec(burst_bytes=draw(st.sampled_from([4, 64]))),
            "sleep": draw(st.none() | st.just(SleepSpec(power_w=1e-4, wake_s=us(7), after_s=us(20)))),
        }
    )
    tasks = [
        Task(
            name=f"t{k}", works=tuple(draw(st.lists(works | commands, min_size=1, max_size=3))),
            priority=draw(st.integers(0, 2)), core=draw(st.integers(0, cores - 1)), backlog=draw(st.integers(0, 2)),
            period_s=us(draw(st.integers(60, 600))), deadline_s=us(draw(st.integers(50, 500))),
            jitter_s=us(draw(st.integers(0, 30))),
        )
        for k in range(draw(st.integers(1, 3)))
    ]  # fmt: skip
    traffic = [
        Traffic(name=f"d{k}", n_bytes=draw(st.integers(1, 300)), source=draw(st.sampled_from([None, "flash"])),
                target="sram", period_s=us(draw(st.integers(40, 400))))
        for k in range(draw(st.integers(0, 2)))
    ]  # fmt: skip
    sensors = [
        Sensor(name="s", rate_hz=draw(st.sampled_from([1e3, 16e3, 44.1e3])), watermark=draw(st.integers(1, 8)),
               fifo_samples=8, target="sram", by_dma=draw(st.booleans()), feeds="t0", window=3)
        for _ in range(draw(st.integers(0, 1)))
    ]  # fmt: skip
    return System(soc=soc, tasks=tuple(tasks), traffic=tuple(traffic), sensors=tuple(sensors))


@settings(max_examples=120, deadline=None)
@given(systems(), st.integers(0, 3))
def test_laws_of_any_system(system, seed):
    run = simulate_system(system, us(3000), seed=seed)
    assert run.cycles == 3000
    # The spans of a core cover its time, one after the other; nothing overlaps on any other resource.
    for name in run.resources:
        spans = [span for span in run.spans if span.resource == name]
        assert all(a.end <= b.start for a, b in pairwise(spans))
        assert all(0 <= span.waited <= span.end - span.start for span in spans)
        if name.startswith("core"):
            assert sum(span.end - span.start for span in spans) == run.cycles
    # Bytes and joules.
    assert sum(port.n_bytes for port in run.ports) == sum(span.n_bytes for span in run.spans)
    assert all(port.busy_cycles <= run.cycles for port in run.ports)
    watts = {"idle": 0.001, "sleep": 1e-4, "transfer": 0.0, "fetch": 0.0, "tile": 0.0}
    power = sum(watts.get(span.kind, 0.01) * (span.end - span.start) / 1e6 for span in run.spans)
    moved = sum(span.joules for span in run.spans if span.kind in ("transfer", "fetch"))
    assert check_trace(run.to_perfetto()) >= len(run.spans)
    assert run.energy_j == pytest.approx(power + moved, rel=1e-9)
    # Little's law: mean number present = sum of the times present / time.
    present = sum((job.end if job.end is not None else run.cycles) - job.release for job in run.jobs if not job.dropped)
    assert run.mean_jobs == pytest.approx(present / run.cycles, rel=1e-12)
    for fifo in run.fifos:
        assert fifo.arrived == int(3000e-6 * system.sensors[0].rate_hz + 1e-9)
        assert 0 <= fifo.arrived - fifo.taken - fifo.lost <= fifo.peak <= 8


@settings(max_examples=40, deadline=None)
@given(systems(), st.integers(0, 3))
def test_same_seed_same_run_and_in_pieces_too(system, seed):
    whole, pieces = Simulation(system, seed=seed), Simulation(system, seed=seed)
    expected = whole.run(us(1500))
    for end in (100, 101, 700):
        pieces.run(us(end))
    again = pieces.run(us(1500))
    assert (again.spans, again.jobs, again.ports, again.fifos) == (
        expected.spans, expected.jobs, expected.ports, expected.fifos
    )  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(systems())
def test_a_core_works_while_something_is_ready(system):
    """Work conservation: while a core idles, every unfinished job of its tasks waits for the accelerator."""
    run = simulate_system(replace(system, sensors=()), us(2000), seed=1)
    cores = {task.name: f"core{task.core}" for task in system.tasks if all(isinstance(w, Work) for w in task.works)}
    for job in run.jobs:
        if job.task in cores and not job.dropped:
            end = run.cycles if job.end is None else job.end
            idle = [s for s in run.spans if s.resource == cores[job.task] and s.kind in ("idle", "sleep")]
            assert not any(max(s.start, job.release) < min(s.end, end) for s in idle)


def task(name: str, cycles: int, **fields) -> Task:
    return Task(name=name, works=(Work(name, cycles),), **fields)


def spans(run, kind=("layer",)):
    return [(s.name, s.start, s.end) for s in run.spans if s.resource == "core0" and s.kind in kind]


def test_preemption_and_cooperation():
    long = Task(name="long", works=(Work("l1", 100), Work("l2", 100)))
    tasks = (long, task("short", 30, priority=1, offset_s=us(50), count=1))
    run = simulate_system(System(soc=SOC, tasks=tasks))
    assert spans(run) == [("l1", 0, 50), ("short", 50, 80), ("l1", 80, 130), ("l2", 130, 230)]
    cooperative = SOC.model_copy(update={"scheduler": "cooperative", "switch_cycles": 5})
    run = simulate_system(System(soc=cooperative, tasks=tasks))
    assert spans(run, ("layer", "switch")) == [
        ("l1", 0, 100), ("switch", 100, 105), ("short", 105, 135), ("switch", 135, 140), ("l2", 140, 240)
    ]  # fmt: skip


def test_releases_of_one_tick_run_by_priority_whatever_their_order():
    tasks = (task("a", 10), task("b", 10, priority=2), task("c", 10, priority=1))
    for order in (tasks, tasks[::-1]):
        assert [name for name, *_ in spans(simulate_system(System(soc=SOC, tasks=order)))] == ["b", "c", "a"]


@pytest.mark.parametrize("scheduler", ["preemptive", "cooperative"])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_a_release_at_the_tick_of_an_end_is_seen_whatever_their_order(scheduler, order):
    """At tick 100 the first job ends and the most urgent one is released: it goes before the one that waits."""
    tasks = (task("first", 100, priority=1), task("low", 50), task("high", 10, priority=2, offset_s=us(100), count=1))
    soc = SOC.model_copy(update={"scheduler": scheduler, "switch_cycles": 5})
    run = simulate_system(System(soc=soc, tasks=tuple(tasks[k] for k in order)))
    assert spans(run) == [("first", 0, 100), ("high", 105, 115), ("low", 120, 170)]


def test_sleep_costs_a_wake_up_and_saves_energy():
    sleep = SleepSpec(name="stop", power_w=1e-5, wake_s=us(9), after_s=us(30))
    periodic = task("t", 20, period_s=us(200), count=2)
    run = simulate_system(System(soc=SOC.model_copy(update={"sleep": sleep}), tasks=(periodic,)))
    kinds = [(s.kind, s.end - s.start) for s in run.spans]
    assert kinds == [("layer", 20), ("idle", 30), ("sleep", 150), ("wake", 9), ("layer", 20)]
    assert run.energy_j == pytest.approx(1e-6 * (49 * 0.01 + 30 * 0.001 + 150 * 1e-5))


def test_an_interrupted_cooperative_task_goes_on_first():
    soc = SOC.model_copy(update={"scheduler": "cooperative", "interrupt_cycles": 2, "switch_cycles": 7})
    tasks = (task("low", 100), task("high", 10, priority=1, offset_s=us(40), count=1))
    sensor = Sensor(name="s", rate_hz=20e3, cycles_per_sample=1)
    run = simulate_system(System(soc=soc, tasks=tasks, sensors=(sensor,)))
    order = [name for name, *_ in spans(run, ("layer", "interrupt", "switch")) if name != "low"]
    assert order == ["s interrupt", "s interrupt", "switch", "high"]


def test_tiles_are_double_buffered():
    """Four tiles of 10 ticks to fetch and 10 to compute: 50 ticks with two buffers, 80 with one."""
    command = NpuWork("c", (NpuLayer("conv", 40, (Use("sram", 40, 160),), 4),))
    for buffers, expected in ((2, 50), (1, 80)):
        soc = SOC.model_copy(update={"accelerator": AcceleratorSpec(buffers=buffers), "interrupt_cycles": 0})
        run = simulate_system(System(soc=soc, tasks=(Task(name="t", works=(command,)),)))
        assert run.cycles == expected
        assert sum(s.end - s.start for s in run.spans if s.kind == "tile") == 40


@settings(max_examples=60, deadline=None)
@given(st.lists(layers, min_size=1, max_size=4))
def test_an_accelerator_is_never_faster_than_its_busiest_part(found):
    soc = SOC.model_copy(update={"accelerator": AcceleratorSpec(), "interrupt_cycles": 0})
    system = System(soc=soc, tasks=(Task(name="t", works=(NpuWork("c", tuple(found)),)),))
    cycles = simulate_system(system).cycles
    assert cycles >= sum(layer.bound_cycles for layer in found)
    assert cycles <= sum(layer.compute_cycles + sum(use.cycles for use in layer.moves) for layer in found)


def test_the_core_runs_another_task_while_the_accelerator_works():
    soc = SOC.model_copy(update={"accelerator": AcceleratorSpec(), "interrupt_cycles": 4})
    vision = Task(name="vision", works=(Work("driver", 10), NpuWork("c", (NpuLayer("conv", 100),)), Work("argmax", 5)))
    run = simulate_system(System(soc=soc, tasks=(vision, task("audio", 50, priority=-1))))
    assert spans(run, ("layer", "interrupt")) == [
        ("driver", 0, 10), ("audio", 10, 60), ("accelerator interrupt", 110, 114), ("argmax", 114, 119)
    ]  # fmt: skip


def test_a_streamed_layer_takes_the_longest_of_array_and_memories():
    soc = SOC.model_copy(update={"accelerator": AcceleratorSpec(), "interrupt_cycles": 0})
    for compute, expected in ((30, 40), (50, 50)):
        layer = NpuLayer("conv", compute, (Use("sram", 40, 160), Use("flash", 10, 40)), streamed=True)
        run = simulate_system(System(soc=soc, tasks=(Task(name="t", works=(NpuWork("c", (layer,)),)),)))
        assert run.cycles == expected
        assert [s.end - s.start for s in run.spans if s.kind == "tile"] == [compute]


def test_a_full_fifo_loses_what_arrives():
    blocker = task("blocker", 5000, priority=1)
    sensor = Sensor(name="s", rate_hz=10e3, fifo_samples=20, priority=0)
    fifo = simulate_system(System(soc=SOC, tasks=(blocker,), sensors=(sensor,)), us(5000)).fifos[0]
    assert (fifo.arrived, fifo.taken, fifo.lost, fifo.peak) == (50, 0, 30, 20)


def test_overload_drops_and_misses():
    run = simulate_system(System(soc=SOC, tasks=(task("t", 150, period_s=us(100), deadline_s=us(100)),)), us(10_000))
    jobs = run.of_task("t")
    assert sum(job.dropped for job in jobs) == pytest.approx(len(jobs) / 3, abs=2)
    assert run.miss_rate("t") == 1.0


def test_progress_stops_a_run_that_goes_on_later():
    system = System(soc=SOC, tasks=(task("t", 10, period_s=us(20), count=12_000),))
    seen: list[int] = []

    def stop(tick: int, events: int) -> bool:
        seen.append(events)
        return len(seen) < 2

    run = Simulation(system)
    part = run.run(progress=stop)
    whole = run.run()
    assert len(seen) == 2
    assert 0 < part.cycles < whole.cycles
    assert whole.jobs == simulate_system(system).jobs


def test_a_checkpoint_resumes_in_another_process_and_knows_its_system():
    system = System(soc=SOC, tasks=(task("t", 10, period_s=us(20), jitter_s=us(5)),))
    run = Simulation(system, seed=7)
    run.run(us(1000))
    checkpoint = json.loads(json.dumps(run.checkpoint()))
    resumed = Simulation.resumed(system, checkpoint)
    assert resumed.run(us(2000)).jobs == run.run(us(2000)).jobs
    other = System(soc=SOC, tasks=(task("t", 11, period_s=us(20), jitter_s=us(5)),))
    with pytest.raises(InputError, match="is not of this system: its replay differs"):
        Simulation.resumed(other, checkpoint)
    with pytest.raises(InputError, match="checkpoint lacks digest"):
        Simulation.resumed(system, {"seed": 7, "events": 1, "tick": 1})


def test_runs_without_end_are_refused():
    with pytest.raises(InputError, match="nothing here has an end"):
        simulate_system(System(soc=SOC, tasks=(task("t", 10, period_s=us(20)),)))
    with pytest.raises(InfeasibleError, match="task once may never end: periodic work takes 150% of core 0"):
        simulate_system(System(soc=SOC, tasks=(task("once", 10), task("t", 30, period_s=us(20)))))
    run = Simulation(System(soc=SOC, tasks=(task("t", 10),)))
    run.run(us(100))
    with pytest.raises(InputError, match=r"until_s 5e-05 lies before the present 0\.0001 s"):
        run.run(us(50))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: task("t", 1, period_s=0.0), "task t: period_s must be positive, got 0.0"),
        (lambda: task("t", 1, offset_s=-1.0), "task t: offset_s must be 0 or more, got -1.0"),
        (lambda: task("t", 1, period_s=1.0, jitter_s=2.0), "task t: jitter_s 2 exceeds period_s 1"),
        (lambda: Traffic(name="d", n_bytes=0), "traffic d: n_bytes must be positive, got 0"),
        (lambda: Sensor(name="s", rate_hz=1.0, watermark=9, fifo_samples=8), "watermark 9 lies above fifo_samples 8"),
        (lambda: Sensor(name="s", rate_hz=float("nan")), "rate_hz must be positive, got nan"),
        (lambda: System(soc=SOC, tasks=(task("t", 1), task("t", 1))), "need different names, got t, t"),
        (lambda: System(soc=SOC, tasks=(task("t", 1, core=1),)), "t: core 1 does not exist; accepted: 0 to 0"),
        (lambda: System(soc=SOC, tasks=(Task(name="t", works=(NpuWork("c", ()),)),)), "none; give soc.accel"),
        (lambda: NpuLayer("conv", 10, (), 0), "'conv': needs compute_cycles >= 0 and tiles >= 1, one if streamed"),
        (lambda: System(soc=SOC, sensors=(Sensor(name="s", rate_hz=1.0, feeds="x"),)), "feeds unknown task 'x'"),
    ],
)  # fmt: skip
def test_wrong_descriptions_say_what_is_accepted(make, message):
    with pytest.raises((InputError, SpecError), match=message):
        make()
