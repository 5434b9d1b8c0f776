"""Speed of the discrete-event engine: events per second, and one inference with DMA and bus detail.

Run with ``pytest tests/benchmarks/test_simulate_speed.py --benchmark-enable --benchmark-only``; `extra_info` holds the
events of a round, so events per second is events / mean. The raw SimPy loop beside them is the machine's yardstick.
"""

from typing import Any

import pytest
import simpy

from tinysim.deploy.deployment import deploy
from tinysim.network.load import load_network
from tinysim.simulate.simulation import Simulation
from tinysim.simulate.soc import MemorySpec, SocSpec
from tinysim.simulate.timeline import Timeline
from tinysim.simulate.work import Work, inference_works
from tinysim.simulate.workload import System, Task, Traffic

SOC = SocSpec(clock_hz=100e6, memories=(MemorySpec(name="sram"),), run_w=0.01)


def run(benchmark: Any, system: System, until_s: float | None = None) -> Timeline:
    timeline = benchmark.pedantic(
        lambda simulation: simulation.run(until_s), setup=lambda: ((Simulation(system),), {}), rounds=5
    )
    benchmark.extra_info["events"] = timeline.events
    assert isinstance(timeline, Timeline)
    return timeline


@pytest.mark.benchmark(group="events")
def test_raw_simpy(benchmark: Any) -> None:
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

    benchmark.extra_info["events"] = 100_000
    assert benchmark(loop) == 10 * 9_999


@pytest.mark.benchmark(group="events")
def test_bursts_of_two_channels_on_one_port(benchmark: Any) -> None:
    blocks = tuple(Traffic(name=name, n_bytes=400_000, target="sram") for name in "ab")
    timeline = run(benchmark, System(soc=SOC, traffic=blocks, every_burst=True), 1.0)
    assert timeline.events == pytest.approx(100_000, rel=0.01)  # a request and an end for each of 50,000 bursts
    assert timeline.ports[0].n_bytes == 800_000


@pytest.mark.benchmark(group="events")
def test_jobs_of_two_tasks(benchmark: Any) -> None:
    tasks = tuple(
        Task(name=name, works=(Work(name, cycles),), period_s=10e-6, priority=cycles)
        for name, cycles in (("a", 100), ("b", 300))
    )
    timeline = run(benchmark, System(soc=SOC, tasks=tasks), 0.1)
    assert sum(job.end is not None for job in timeline.jobs) == 20_000
    assert timeline.events > 2 * 20_000


@pytest.mark.benchmark(group="one inference")
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
    assert timeline.events > 20_000 if traffic else timeline.events < 100
