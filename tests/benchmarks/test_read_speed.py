"""Speed of reading a model, beside what reads it elsewhere.

Run with ``pytest tests/benchmarks --benchmark-enable --benchmark-only``.
"""

from pathlib import Path
from typing import Any

import pytest

import tinysim as ts

MODELS = sorted((Path(__file__).parents[2] / "examples" / "models").glob("*.tflite"), key=lambda p: p.stat().st_size)


@pytest.mark.benchmark(group="the largest shipped model")
def test_tflite(benchmark: Any) -> None:
    assert benchmark(ts.load_network, MODELS[-1]).macs > 0


@pytest.mark.benchmark(group="the largest shipped model")
def test_litert(benchmark: Any) -> None:
    interpreter = pytest.importorskip("ai_edge_litert.interpreter", reason="needs ai-edge-litert")
    made = benchmark(lambda: interpreter.Interpreter(str(MODELS[-1])).get_tensor_details())
    assert len(made) == len(ts.load_network(MODELS[-1]).tensors)


@pytest.mark.benchmark(group="MobileNetV2 of PyTorch")
def test_pytorch(benchmark: Any) -> None:
    network = benchmark(ts.load_network, mobilenet_v2(), input_shape=(1, 3, 224, 224))
    assert (network.macs, network.params) == (300_774_272, 3_487_816)
    reference = ts.load_network("mobilenet-v2-1.0-224@float32")
    assert network.table().macs[network.table().macs > 0].tolist() == reference.table().macs[
        reference.table().macs > 0
    ].tolist()  # fmt: skip


@pytest.mark.benchmark(group="MobileNetV2 of PyTorch")
@pytest.mark.filterwarnings("ignore")
def test_torch_export(benchmark: Any) -> None:
    torch = pytest.importorskip("torch", reason="needs the extra 'torch'")
    module, x = mobilenet_v2().eval(), torch.zeros(1, 3, 224, 224)
    program = benchmark.pedantic(lambda: torch.export.export(module, (x,)), rounds=1)
    assert sum("conv2d" in str(node.target) for node in program.graph.nodes) == 52


def mobilenet_v2() -> Any:
    """MobileNetV2 1.0 as torchvision has it."""
    torch = pytest.importorskip("torch", reason="needs the extra 'torch'")
    nn = torch.nn

    def block(i: int, o: int, k: int = 3, s: int = 1, groups: int = 1) -> Any:
        conv = nn.Conv2d(i, o, k, s, k // 2, groups=groups, bias=False)
        return nn.Sequential(conv, nn.BatchNorm2d(o), nn.ReLU6(inplace=True))

    class Residual(nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self, i: int, o: int, stride: int, expansion: int) -> None:
            super().__init__()
            hidden = i * expansion
            layers = [block(i, hidden, 1)] if expansion > 1 else []
            layers += [block(hidden, hidden, 3, stride, hidden), nn.Conv2d(hidden, o, 1, bias=False), nn.BatchNorm2d(o)]
            self.layers, self.adds = nn.Sequential(*layers), stride == 1 and i == o

        def forward(self, x: Any) -> Any:
            return x + self.layers(x) if self.adds else self.layers(x)

    stages = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
    layers, i = [block(3, 32, 3, 2)], 32
    for expansion, o, repeats, stride in stages:
        for n in range(repeats):
            layers.append(Residual(i, o, stride if n == 0 else 1, expansion))
            i = o
    head = [block(i, 1280, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(1280, 1000)]
    return nn.Sequential(*layers, *head)
