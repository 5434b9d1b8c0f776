"""What does it cost to train on the device? A step of keyword spotting, and a federated round over Bluetooth.

python examples/training_on_device.py
"""

import tinysim as ts
from tinysim.scenario.federated import federated_round

BOARD, SAMPLES, BATCH = "nucleo-l4r5zi", 64, 8

print(f"{'scope':8}{'step':>10}{'RAM':>12}{'energy':>10}{'parameters':>12}{'round: compute':>16}{'radio':>10}")
for scope in ("full", "last", "bias"):
    step = ts.estimate_training("kws", BOARD, scope=scope, batch=BATCH)
    turn = federated_round(step, samples=SAMPLES, radio="ble-nrf52840")
    print(
        f"{scope:8}{step.latency_s:8.2f} s{step.memory.peak_bytes / 1024:8.0f} KiB{step.energy_j * 1e3:7.0f} mJ"
        f"{step.trained:12,}{turn.compute_j * 1e3:13.0f} mJ{turn.radio_j * 1e3:7.2f} mJ"
    )

ram = 640
for scope in ("full", "bias"):
    peak = ts.estimate_training("vww", BOARD, scope=scope).memory.peak_bytes / 1024
    print(f"visual wake words, {scope}: {peak:.0f} KiB, {'fits' if peak <= ram else 'does not fit'} in {ram} KiB")
core, engine = (ts.estimate_training("ic", "gap9-evk", bits=16, accelerator=a) for a in (None, "redmule"))
print(f"resnet-8 on one core of GAP9: {core.latency_s * 1e3:.0f} ms; with RedMulE: {engine.latency_s * 1e3:.0f} ms")
