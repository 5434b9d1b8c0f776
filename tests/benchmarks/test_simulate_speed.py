"""Speed of the discrete-event engine: events per second, and one inference with DMA and bus detail.

Run with ``pytest tests/benchmarks/test_simulate_speed.py --benchmark-enable --benchmark-only``. Times are those of the
process, not of the wall; `extra_info` holds the events of a round and events per second at the best round. Two loops of
SimPy alone are the machine's yardstick: processes that only wait, and bare callbacks.
"""

import time
from typing import Any

import pytest
import simpy

from tinysim.deploy.deployment import deploy
from tinysim.deploy.target import resolve_target
from tinysim.network.load import load_network
from tinysim.simulate.simulation import Simulation
from tinysim.simulate.soc import MemorySpec, SocSpec
from tinysim.simulate.ticks import After, environment
from tinysim.simulate.timeline import Timeline
from tinysim.simulate.work import Work, inference_works
from tinysim.simulate.workload import System, Task, Traffic

SOC = SocSpec(clock_hz=100e6, memories=(MemorySpec(name="sram"),), run_w=0.01)


def run(benchmark: Any, system: System, until_s: float | None = None) -> Timeline:
    timeline = benchmark.pedantic(
        lambda simulation: simulation.run(until_s), setup=lambda: ((Simulation(system),), {}), rounds=5
    )
    rate(benchmark, timeline.events)
    assert isinstance(timeline, Timeline)
    return timeline


def rate(benchmark: Any, events: int) -> None:
    benchmark.extra_info["events"] = events
    if benchmark.enabled:
        benchmark.extra_info["events_per_s"] = round(events / benchmark.stats.stats.min)


@pytest.mark.benchmark(group="events", timer=time.process_time)
def test_simpy_processes(benchmark: Any) -> None:
    def loop() -> int:
        env, count = simpy.Environment(), 0

        def tick() -> Any:
            nonlocal count
            while True:
                yield env.timeout(1)
                count += 1

        for _ in range(10):
            env.process(tick())
        env.run(until=10_000)
        return count

    assert benchmark(loop) == 10 * 9_999
    rate(benchmark, 100_000)


@pytest.mark.benchmark(group="events", timer=time.process_time)
def test_simpy_callbacks(benchmark: Any) -> None:
    def loop() -> int:
        env, count = environment(), 0

        def tick(_: object) -> None:
            nonlocal count
            count += 1
            After(env, 1, tick)

        for _ in range(10):
            After(env, 1, tick)
        env.run(until=10_001)
        return count

    assert benchmark(loop) == 10 * 10_000
    rate(benchmark, 100_000)


@pytest.mark.benchmark(group="events", timer=time.process_time)
def test_bursts_of_two_channels_on_one_port(benchmark: Any) -> None:
    blocks = tuple(Traffic(name=name, n_bytes=400_000, target="sram") for name in "ab")
    timeline = run(benchmark, System(soc=SOC, traffic=blocks, every_burst=True), 1.0)
    assert timeline.events == pytest.approx(100_000, rel=0.01)  # a request and an end for each of 50,000 bursts
    assert timeline.ports[0].n_bytes == 800_000


@pytest.mark.benchmark(group="events", timer=time.process_time)
def test_jobs_of_two_tasks(benchmark: Any) -> None:
    tasks = tuple(
        Task(name=name, works=(Work(name, cycles),), period_s=10e-6, priority=cycles)
        for name, cycles in (("a", 100), ("b", 300))
    )
    timeline = run(benchmark, System(soc=SOC, tasks=tasks), 0.1)
    assert sum(job.end is not None for job in timeline.jobs) == 20_000
    assert timeline.events > 2 * 20_000


@pytest.mark.benchmark(group="events", timer=time.process_time)
def test_layers_of_two_networks(benchmark: Any) -> None:
    """Keyword spotting and an anomaly detector on one core, half a minute."""
    target = resolve_target("nucleo-l4r5zi", "tflm-cmsis-nn")
    tasks = tuple(
        Task.inference(deploy(load_network(name), target), period_s=period, priority=priority)
        for name, period, priority in (("kws", 0.3, 1), ("ad", 0.03, 0))
    )
    timeline = run(benchmark, System(soc=SocSpec.from_target(target), tasks=tasks), 30.0)
    assert len(timeline.of_task(tasks[0].name)) == 100
    layers = sum(span.kind == "layer" for span in timeline.spans)
    assert 10_000 < layers < timeline.events


@pytest.mark.benchmark(group="one inference", timer=time.process_time)
@pytest.mark.parametrize("traffic", [False, True], ids=["alone", "camera and weights by DMA"])
def test_vww(benchmark: Any, traffic: bool) -> None:
    """The next frame line by line, and all weights copied to SRAM meanwhile, in bursts of 64 bytes."""
    deployment = deploy(load_network("vww"), "nucleo-l4r5zi", "tflm-cmsis-nn")
    soc = SocSpec.from_target(deployment.target, dma_burst_bytes=64)
    camera = Traffic(name="camera", n_bytes=96 * 3, target="sram", period_s=0.25 / 96)
    weights = Traffic(name="weights", n_bytes=220_000, source="flash", target="sram")
    blocks = (camera, weights) if traffic else ()
    timeline = run(benchmark, System(soc=soc, tasks=(Task.inference(deployment),), traffic=blocks))
    alone = sum(work.cycles for work in inference_works(deployment))
    assert timeline.cycles == alone + timeline.waited_cycles("core0")
    assert timeline.events > 10_000 if traffic else timeline.events < 100
