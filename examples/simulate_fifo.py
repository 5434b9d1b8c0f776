"""How deep must a microphone's FIFO be to lose nothing while a vision network runs on the same core?"""

from tinysim.deploy.deployment import deploy
from tinysim.deploy.target import resolve_target
from tinysim.network.load import load_network
from tinysim.simulate.questions import fifo_samples_without_loss
from tinysim.simulate.soc import SocSpec
from tinysim.simulate.workload import Sensor, System, Task

target = resolve_target("nucleo-l4r5zi", "tflm-cmsis-nn")
vision = Task.inference(deploy(load_network("vww"), target), name="vision", period_s=1.0)

for scheduler, priority, how in (
    ("preemptive", None, "by interrupt"),
    ("preemptive", 1, "by a more urgent task"),
    ("cooperative", 1, "between layers"),
    ("preemptive", 0, "after the inference"),
):
    microphone = Sensor(name="microphone", rate_hz=16_000, watermark=16, target="sram", priority=priority)
    soc = SocSpec.from_target(target, scheduler=scheduler, switch_cycles=200)
    system = System(soc=soc, tasks=(vision,), sensors=(microphone,))
    depth = fifo_samples_without_loss(system, "microphone", until_s=4.0)
    print(f"emptied {how}: {depth} samples ({depth / 16:.1f} ms)")
