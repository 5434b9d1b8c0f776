"""Questions: small cases worked by hand, and the examples with the real networks."""

import re
import runpy
from pathlib import Path

import pytest

from tinysim.deploy.deployment import deploy
from tinysim.errors import InputError
from tinysim.network.load import load_network
from tinysim.simulate.questions import (
    contention_cost,
    deadline_miss_rates,
    fifo_samples_without_loss,
    second_bank_gain,
)
from tinysim.simulate.soc import MemorySpec, SocSpec
from tinysim.simulate.work import Work
from tinysim.simulate.workload import Sensor, System, Task, Traffic

EXAMPLES = Path(__file__).parents[2] / "examples"
SOC = SocSpec(clock_hz=1e6, memories=(MemorySpec(name="sram"),), interrupt_cycles=10)


def task(name: str, cycles: int, period: int, deadline: int, priority: int) -> Task:
    return Task(
        name=name, works=(Work(name, cycles),), period_s=period * 1e-6, deadline_s=deadline * 1e-6, priority=priority
    )


def test_deadlines_under_two_priorities():
    """Audio 20 of 100 ticks, vision 150 of 300: whoever is second ends 20 x 2 or 150 ticks later."""
    for first, expected in (("audio", {"audio": 0.0, "vision": 0.0}), ("vision", {"audio": 2 / 3, "vision": 0.0})):
        tasks = (task("audio", 20, 100, 60, first == "audio"), task("vision", 150, 300, 200, first == "vision"))
        assert deadline_miss_rates(System(soc=SOC, tasks=tasks), 3e-3) == pytest.approx(expected)


def test_deadlines_need_a_deadline():
    with pytest.raises(InputError, match="no task has a deadline_s"):
        deadline_miss_rates(System(soc=SOC, tasks=(Task(name="t", works=(Work("t", 1),)),)), 1.0)


def test_fifo_depth_is_enough_and_one_less_is_not():
    def system(depth: int | None) -> System:
        sensor = Sensor(name="s", rate_hz=50e3, watermark=4, priority=0, fifo_samples=depth, cycles_per_sample=1)
        return System(soc=SOC, tasks=(task("t", 300, 1000, 1000, 1),), sensors=(sensor,))

    from tinysim.simulate.engine import simulate_system

    depth = fifo_samples_without_loss(system(8), "s", 10e-3)
    assert 300 / 20 <= depth <= 300 / 20 + 4
    assert simulate_system(system(depth), 10e-3).fifos[0].lost == 0
    assert simulate_system(system(depth - 1), 10e-3).fifos[0].lost > 0
    with pytest.raises(InputError, match="no sensor 'x'; accepted: s"):
        fifo_samples_without_loss(system(8), "x", 1e-3)


def test_a_second_bank_ends_contention_and_priority_shifts_it():
    deployment = deploy(load_network("ad"), "nucleo-l4r5zi", "tflm-cmsis-nn")
    copies = [Traffic(name="copies", n_bytes=2_000, target="sram", period_s=0.1e-3)]
    one, two = second_bank_gain(deployment, copies, memory="sram")
    assert one.slowdown > 1 == two.slowdown
    assert one.dma_waited_cycles > 0 == two.dma_waited_cycles
    fixed = contention_cost(deployment, copies, arbiter="fixed")
    assert fixed.shared_cycles > one.shared_cycles
    assert fixed.dma_waited_cycles < one.dma_waited_cycles


def test_the_page_runs():
    page = (EXAMPLES.parent / "docs" / "simulate.md").read_text(encoding="utf-8")
    names: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(compile(block, "docs/simulate.md", "exec"), names)
    assert names["whole"].cycles == 5 * 120_000_000
    assert names["part"].jobs == names["whole"].jobs


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("contention", "(1.0000 x), DMA waits 0"),
        ("two_models", "preemptive, audio first: audio misses"),
        ("fifo", "emptied by interrupt: 16 samples (1.0 ms)"),
        ("npu", "and a frame by DMA:"),
    ],
)
def test_examples_run(name, said, capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("sys.argv", ["example", str(tmp_path / "trace.json")])
    runpy.run_path(str(EXAMPLES / f"simulate_{name}.py"), run_name="__main__")
    assert said in capsys.readouterr().out
    assert (tmp_path / "trace.json").exists() == (name == "npu")
