"""What does a DMA channel cost an inference, and what does a second SRAM bank buy?

Every 2 ms DMA writes a block of 27 KiB (a 96 x 96 colour frame, a display, a radio) into the SRAM where a keyword
network computes.
"""

from tinysim.deploy.deployment import deploy
from tinysim.network.load import load_network
from tinysim.simulate.questions import second_bank_gain
from tinysim.simulate.workload import Traffic

deployment = deploy(load_network("kws"), "nucleo-l4r5zi", "tflm-cmsis-nn")
frames = Traffic(name="frames", n_bytes=27_648, target="sram", period_s=2e-3)

for arbiter in ("round-robin", "fixed"):
    one, two = second_bank_gain(deployment, [frames], memory="sram", arbiter=arbiter)
    print(f"{arbiter}: alone {one.alone_cycles:,} cycles")
    print(f"  one bank:  {one.shared_cycles:,} cycles ({one.slowdown:.4f} x), DMA waits {one.dma_waited_cycles:,}")
    print(f"  two banks: {two.shared_cycles:,} cycles ({two.slowdown:.4f} x), DMA waits {two.dma_waited_cycles:,}")
