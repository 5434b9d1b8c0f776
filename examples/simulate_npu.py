"""Visual wake words on a Cortex-M55 with an Ethos-U55 while DMA fetches the next frame; a trace for ui.perfetto.dev.

    python examples/simulate_npu.py trace.json

The accelerator's cycles and bytes per operator are those of the Vela compiler; the events decide what waits for what.
"""

import json
import sys
from pathlib import Path

from tinysim.cost.accelerator.ethos.estimate import estimate_vela
from tinysim.cost.accelerator.ethos.systems import load_system
from tinysim.cost.accelerator.spec import load_accelerator
from tinysim.network.load import load_network
from tinysim.simulate.engine import simulate_system
from tinysim.simulate.perfetto import check_trace
from tinysim.simulate.soc import AcceleratorSpec, MemorySpec, SocSpec
from tinysim.simulate.work import NpuWork, Work, npu_layers
from tinysim.simulate.workload import System, Task, Traffic

table = load_network("vww").table()
memories, clock_hz = load_system("Ethos_U55_High_End_Embedded", "Shared_Sram")
columns = ("in_h", "in_w", "in_c", "out_h", "out_w", "out_c", "kernel_h", "kernel_w", "stride_h", "stride_w")
vela = estimate_vela(
    load_accelerator("ethos-u55-128").vela, memories, kind=table.kind_names, **{c: getattr(table, c) for c in columns}
)
names = [f"{row}_{table.kind_names[row]}" for row in vela.ops.layer]
layers = npu_layers(names, vela.npu_cycles, vela.memory_cycles, vela.memory_bytes)

soc = SocSpec(
    clock_hz=clock_hz,
    memories=(
        MemorySpec(name="sram", bytes_per_cycle=memories.staging.bytes_per_cycle),
        MemorySpec(name=memories.constants.name, bytes_per_cycle=memories.constants.bytes_per_cycle),
    ),
    accelerator=AcceleratorSpec(name="ethos-u55"),
    dma_burst_bytes=64,
)
driver = Work("driver", 2_000)  # assumed: set up the command stream, clean the cache
inference = Task(name="vww", works=(driver, NpuWork("command stream", layers)))
camera = Traffic(name="camera", n_bytes=96 * 96 * 3, target="sram")

alone = simulate_system(System(soc=soc, tasks=(inference,)))
shared = simulate_system(System(soc=soc, tasks=(inference,), traffic=(camera,)))
print(f"Vela, no waiting at all: {int(vela.op_cycles.sum()):,} cycles")
print(f"tiles and interrupts:    {alone.cycles:,} cycles")
print(f"and a frame by DMA:      {shared.cycles:,} cycles, of which {shared.waited_cycles():,} wait for ports")

trace = shared.to_perfetto()
print(f"trace: {check_trace(trace)} spans")
if len(sys.argv) > 1:
    Path(sys.argv[1]).write_text(json.dumps(trace), encoding="utf-8")
