"""Search by gradient, as PLiNIO does: channel masks and kernel sizes learn with the weights, latency is a loss.

The task is made up (the direction of noisy stripes), small enough to train in seconds on one core. Each layer has a
mask over its channels and weighs two kernel sizes, ever more sharply; the cost of a layer is `ChoiceCost`, the memory a
smooth maximum over the layers. What comes out is rounded to a network and estimated as any other.
"""

import numpy as np
import torch
from torch.nn.functional import conv2d, cross_entropy

import tinysim as ts
from tinysim.explore.chain import chain_network
from tinysim.explore.differentiable import ChoiceCost, channels_kept, smooth_maximum
from tinysim.explore.layers import conv, head
from tinysim.network.table import COLUMNS, LayerTable

BOARD, RUNTIME = "nucleo-l4r5zi", "tflm-cmsis-nn"
SIZE, CLASSES, WIDEST, KERNELS = 16, 6, 24, (1, 3)
LATENCY_S, SRAM_BYTES, STEPS = 0.015, 10 * 1024, 110

torch.manual_seed(0)
model = ts.CostModel(BOARD, RUNTIME)
widths = range(1, WIDEST + 1)
costs = [
    ChoiceCost(model, lambda a, b, k: conv(SIZE, SIZE, a, b, k), (1,), widths, KERNELS),
    *(ChoiceCost(model, lambda a, b, k: conv(SIZE, SIZE, a, b, k), widths, widths, KERNELS) for _ in range(2)),
]


class Searched(torch.nn.Module):
    """Three convolutions with masks, a global mean and a classifier."""

    def __init__(self) -> None:
        super().__init__()
        inputs = (1, WIDEST, WIDEST)
        self.weights = torch.nn.ParameterList([torch.randn(WIDEST, c, 3, 3) * (2 / (9 * c)) ** 0.5 for c in inputs])
        self.gates = torch.nn.ParameterList([torch.full((WIDEST,), 2.0) for _ in inputs])
        self.kernels = torch.nn.ParameterList([torch.zeros(len(KERNELS)) for _ in inputs])
        self.temperature = 1.0
        self.classify = torch.nn.Linear(WIDEST, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        centre = torch.zeros(3, 3)
        centre[1, 1] = 1.0
        for weight, gate, kernel in zip(self.weights, self.gates, self.kernels, strict=True):
            point, full = torch.softmax(kernel / self.temperature, dim=0)
            x = torch.relu(conv2d(x, weight * (point * centre + full), padding=1))
            x = x * torch.sigmoid(gate)[:, None, None]
        return self.classify(x.mean(dim=(2, 3)))

    def cost(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Latency [s] and a smooth peak of memory [B] of the convolutions."""
        kept = [torch.tensor(1.0), *(channels_kept(torch.sigmoid(gate)) for gate in self.gates)]
        layers = [
            cost(kept[i], kept[i + 1], torch.softmax(self.kernels[i] / self.temperature, dim=0))
            for i, cost in enumerate(costs)
        ]
        return sum(c["latency_s"] for c in layers), smooth_maximum(torch.stack([c["live_bytes"] for c in layers]))


def batch(size: int) -> tuple[torch.Tensor, torch.Tensor]:
    labels = torch.randint(CLASSES, (size,))
    angle, phase = (labels * torch.pi / CLASSES)[:, None, None], 2 * torch.pi * torch.rand(size, 1, 1)
    across = torch.cos(angle) * torch.arange(SIZE)[:, None] + torch.sin(angle) * torch.arange(SIZE)
    return (torch.sin(2.0 * across + phase) + 0.5 * torch.randn(size, SIZE, SIZE))[:, None], labels


net = Searched()
optimizer = torch.optim.Adam(net.parameters(), lr=0.03)
before = [float(value.detach()) for value in net.cost()]
for step in range(STEPS):
    net.temperature = 0.02 ** (step / STEPS)
    x, labels = batch(24)
    latency, memory = net.cost()
    over = torch.relu(latency / LATENCY_S - 1) + torch.relu(memory / SRAM_BYTES - 1)
    loss = cross_entropy(net(x), labels) + over
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

with torch.no_grad():
    after = [float(value) for value in net.cost()]
    x, labels = batch(256)
    accuracy = float((net(x).argmax(dim=1) == labels).float().mean())
channels = [1, *(max(1, round(float(channels_kept(torch.sigmoid(gate.detach()))))) for gate in net.gates)]
kernels = [KERNELS[int(kernel.argmax())] for kernel in net.kernels]
rows = [conv(SIZE, SIZE, a, b, k) for a, b, k in zip(channels, channels[1:], kernels, strict=False)]
rows += head(SIZE, SIZE, channels[-1], CLASSES)
columns = {name: [row.get(name, default) for row in rows] for name, (default, _) in COLUMNS.items()}
network = chain_network(LayerTable.from_columns(columns), "searched")
estimate = ts.estimate(network, BOARD, RUNTIME)

print(f"convolutions before: {before[0] * 1e3:.1f} ms, {before[1] / 1024:.1f} KiB")
print(f"after: {after[0] * 1e3:.1f} ms, {after[1] / 1024:.1f} KiB; accuracy on the made-up task {accuracy:.0%}")
print(f"channels {channels[1:]}, kernels {kernels}")
print(
    f"of {estimate.latency_s * 1e3:.1f} ms, the convolutions take {sum(estimate.to_frame().latency_s[:3]) * 1e3:.1f} ms"
)
print(estimate)
assert np.isfinite(estimate.latency_s)
