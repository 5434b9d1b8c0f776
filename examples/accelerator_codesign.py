"""How large a buffer does an accelerator need? The least-DRAM-energy design for MobileNetV2 between 64 KiB and 2 MiB.

    python examples/accelerator_codesign.py codesign.png

Each design is a buffer size, layers fused or not, and weights compressed or not. DRAM is LPDDR4, the buffer a
single-ported SRAM of 128 bit at 22 nm; 256 multipliers, so a byte of the buffer feeds 16 of them.
"""

import sys

import numpy as np

from tinysim.cost.accelerator.energy import dram_energy_j_per_byte, sram_access
from tinysim.cost.accelerator.fusion import external_traffic, line_buffer_bytes
from tinysim.network.load import load_network

table = load_network("mobilenet-v2-1.0-224").table()
kib = 2.0 ** np.linspace(6, 11, 41)
second = table.in2_elements * table.activation_bits / 8
first = table.in_bytes - second
lines = line_buffer_bytes(kernel_h=table.kernel_h, in_w=table.in_w, in_c=table.in_c)
lines[table.is_kind("mean")] = 0  # sums up as the map passes
per_byte = dram_energy_j_per_byte("LPDDR4")
access = sram_access(size_bytes=kib * 1024, width_bits=128, node_nm=22)
buffer_j = table.macs.sum() / 16 * access.read_j / 16

designs = {}
for fused in (False, True):
    for ratio in (1.0, 0.7):  # assumed: an entropy coder on 8-bit weights
        traffic = external_traffic(
            weights=table.weight_bytes * ratio, inputs=first, outputs=table.out_bytes, second_inputs=second,
            lines=lines, buffer_bytes=kib * 1024, fused=fused,
        )  # fmt: skip
        designs[f"{'fused' if fused else 'layer by layer'}, weights x {ratio:g}"] = traffic

compulsory = table.weight_bytes.sum() + first[0] + table.out_bytes[-1]
print(f"{table.macs.sum():,} MACs; weights, input and output once: {compulsory / 1e6:.2f} MB")
print(f"{'design':30}{'64 KiB':>10}{'256 KiB':>10}{'1 MiB':>10}{'2 MiB':>10}   DRAM energy per inference [mJ]")
for name, traffic in designs.items():
    row = [traffic.total_bytes[np.argmin(abs(kib - size))] * per_byte * 1e3 for size in (64, 256, 1024, 2048)]
    print(f"{name:30}" + "".join(f"{value:10.3f}" for value in row))

name = min(designs, key=lambda key: designs[key].total_bytes.min())
best = designs[name]
least = int(np.argmin(best.total_bytes))  # the smallest of the sizes that reach it
runs = int(best.begins[least].sum())
both = best.total_bytes * per_byte + buffer_j
print(
    f"\nleast DRAM energy: {name}, {kib[least]:.0f} KiB: {best.total_bytes[least] * per_byte * 1e3:.3f} mJ, {runs} runs"
)
print(
    f"  of {best.total_bytes[least] / 1e6:.2f} MB, weights are {table.weight_bytes.sum() * 0.7 / 1e6:.2f} MB: no buffer"
)
print("  saves these; what it saves are the maps between layers, once lines and weights of a run fit.")
total = int(np.argmin(both))
print(f"least DRAM and buffer energy: {kib[total]:.0f} KiB: {both[total] * 1e3:.3f} mJ, because a byte from a larger")
print(
    f"  SRAM costs more ({access.read_j[total] / 16 * 1e12:.2f} pJ, at 2 MiB {access.read_j[-1] / 16 * 1e12:.2f} pJ)."
)

if len(sys.argv) > 1:
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(7, 4), layout="constrained")
    for label, traffic in designs.items():
        axis.plot(kib, traffic.total_bytes * per_byte * 1e3, label=label, ls="-" if "fused" in label else "--")
    axis.plot(kib, both * 1e3, "k:", label=f"{name}, with the buffer's energy")
    axis.set(
        xscale="log", xlabel="buffer [KiB]", ylabel="energy per inference [mJ]", title="MobileNetV2 1.0, 224 x 224"
    )
    axis.set_xticks([64, 128, 256, 512, 1024, 2048], labels=["64", "128", "256", "512", "1024", "2048"])
    axis.set_ylim(0)
    axis.legend(fontsize="small")
    figure.savefig(sys.argv[1], dpi=150)
