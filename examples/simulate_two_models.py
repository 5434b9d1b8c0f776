"""How many deadlines do two models miss that share one core? Audio each 250 ms, vision each 750 ms."""

from tinysim.deploy.deployment import deploy
from tinysim.deploy.target import resolve_target
from tinysim.network.load import load_network
from tinysim.simulate.questions import deadline_miss_rates
from tinysim.simulate.soc import SocSpec
from tinysim.simulate.workload import System, Task

target = resolve_target("nucleo-l4r5zi", "tflm-cmsis-nn")
audio, vision = (deploy(load_network(name), target) for name in ("kws", "vww"))

for scheduler in ("preemptive", "cooperative"):
    for first in ("audio", "vision"):
        tasks = (
            Task.inference(
                audio, name="audio", period_s=0.25, deadline_s=0.2, jitter_s=0.02, priority=first == "audio"
            ),
            Task.inference(vision, name="vision", period_s=0.75, deadline_s=0.75, priority=first == "vision"),
        )
        system = System(soc=SocSpec.from_target(target, scheduler=scheduler, switch_cycles=200), tasks=tasks)
        missed = deadline_miss_rates(system, until_s=20.0, seed=1)
        print(f"{scheduler}, {first} first: " + ", ".join(f"{name} misses {rate:.1%}" for name, rate in missed.items()))
