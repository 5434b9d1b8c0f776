"""What does each way of compressing a network gain on a board?"""

import tinysim as ts
from tinysim.network.transforms import prune_channels, prune_unstructured, quantize, scale_resolution, scale_width

BOARD, RUNTIME = "nucleo-l4r5zi", "tflm-cmsis-nn"

original = ts.load_network("mobilenet-v1-0.25-96-c2@float32")
int8 = quantize(original, "int8")
ways = {
    "float32": original,
    "int8": int8,
    "int16x8": quantize(original, "int16x8"),
    "int8, 90 % of the weights zero": prune_unstructured(int8, 0.9),
    "int8, half of the channels": prune_channels(int8, 0.5),
    "int8, half the width": scale_width(int8, 0.5),
    "int8, 64 x 64 pixels": scale_resolution(int8, 64),
}

print(f"{'':32}{'MACs':>12}{'weights':>12}{'arena':>12}{'time':>12}{'energy':>12}")
for name, network in ways.items():
    result = ts.estimate(network, BOARD, RUNTIME)
    memory = result.memory
    print(
        f"{name:32}{result.macs:>12,}{memory.weights_bytes:>10,} B{memory.sram_peak_bytes:>10,} B"
        f"{result.latency_s * 1e3:>9.1f} ms{(result.energy_j or 0) * 1e3:>9.2f} mJ"
    )
    if network is ways["int8, 90 % of the weights zero"]:
        print(f"{'':4}{result.explain().rpartition('. ')[2]}")
