"""Where should each operator run? Visual wake words: the cheapest partition, all on the accelerator, none.

python examples/accelerator_partition.py
"""

import tinysim as ts

BOARDS = [
    ("stm32n6570-dk", "st-edge-ai-3.0"),
    ("max78002evkit", "max78-cnn"),
    ("xg24-dk2601b", "tflm-mvp"),
    ("gap9-evk", "gapflow-ne16"),
    ("mcx-n947", "eiq-neutron"),
    ("corstone-300", "vela"),
]

print(
    f"{'board':15}{'optimal':>11}{'greedy':>11}{'core only':>11}   optimal: layers there, runs, cycles of handing over"
)
for board, runtime in BOARDS:
    best, greedy, none = (ts.estimate("vww", board, runtime, offload=way) for way in ("optimal", "greedy", "none"))
    times = "".join(f"{est.latency_s * 1e3:8.2f} ms" for est in (best, greedy, none))
    there = best.accelerator
    print(f"{board:15}{times}   {there['layers']} of {len(best.layers)}, {there['runs']}, {there['handover_cycles']:,}")

est = ts.estimate("vww", "max78002evkit", "max78-cnn")
print("\nThe MAX78002 has no depthwise convolution, so the network goes back and forth; its slowest layers:")
slowest = est.to_frame().nlargest(4, "cycles")[["kind", "engine", "cycles", "overhead_cycles"]]
print(slowest.to_string())

print("\nAn Ethos-U55 as its compiler sees it, in two memory modes and two systems:")
for system, mode in [
    ("Ethos_U55_High_End_Embedded", "Shared_Sram"),
    ("Ethos_U55_High_End_Embedded", "Sram_Only"),
    ("Ethos_U55_Deep_Embedded", "Shared_Sram"),
]:
    vela = ts.estimate("vww", "corstone-300", accelerator_system=system, memory_mode=mode)
    stall = vela.cycles_by_cause["weight_stall"] / vela.cycles
    print(f"  {system:30}{mode:14}{vela.latency_s * 1e3:6.2f} ms, {stall:4.0%} waiting for weights")
