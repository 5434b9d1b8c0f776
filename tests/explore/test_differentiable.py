"""Differentiable costs are the exact model's where networks exist, and their gradients are the finite differences."""

import numpy as np
import pytest

import tinysim as ts
from tinysim.errors import InputError
from tinysim.explore.differentiable import ChoiceCost, channels_kept, smooth_maximum
from tinysim.explore.layers import conv
from tinysim.explore.row_costs import row_costs
from tinysim.network.table import LayerTable

torch = pytest.importorskip("torch", reason="needs the extra 'torch'")

MODEL = ts.CostModel("nucleo-l4r5zi", "tflm-cmsis-nn")
WIDTHS = (4, 8, 16, 24)


def layer(c_in: int, c_out: int, kernel: int) -> dict[str, object]:
    return conv(16, 16, c_in, c_out, kernel)


@pytest.fixture(scope="module")
def cost() -> ChoiceCost:
    return ChoiceCost(MODEL, layer, WIDTHS, WIDTHS, (1, 3, 5))


@pytest.mark.parametrize(("c_in", "c_out", "choice"), [(4, 8, 0), (24, 16, 1), (16, 24, 2)])
def test_corners_are_the_exact_model(cost: ChoiceCost, c_in: int, c_out: int, choice: int) -> None:
    exact = row_costs(LayerTable.from_columns(layer(c_in, c_out, (1, 3, 5)[choice])), MODEL.target)
    p = torch.nn.functional.one_hot(torch.tensor(choice), 3).double()
    found = cost(c_in, c_out, p)
    assert float(found["latency_s"]) == exact.cycles[0] / MODEL.target.clock_hz
    assert float(found["energy_j"]) == exact.energy_j[0]
    assert float(found["flash_bytes"]) == exact.flash_bytes[0]


@pytest.mark.parametrize("figure", ["latency_s", "energy_j", "live_bytes", "flash_bytes"])
def test_gradients_are_finite_differences(cost: ChoiceCost, figure: str) -> None:
    def value(x: torch.Tensor) -> torch.Tensor:
        c_in, c_out = channels_kept(torch.sigmoid(x[:12])), channels_kept(torch.sigmoid(x[12:24]))
        return cost(c_in, c_out, torch.softmax(x[24:], dim=0))[figure]

    x = torch.linspace(-1.0, 1.3, 27, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(value(x), x)
    h = 1e-5
    for i in range(27):
        step = torch.zeros(27, dtype=torch.float64)
        step[i] = h
        with torch.no_grad():
            difference = float(value(x + step) - value(x - step)) / (2 * h)
        assert float(gradient[i]) == pytest.approx(difference, rel=1e-3, abs=1e-9 * float(value(x.detach())))


@pytest.mark.parametrize("figure", ["latency_s", "energy_j", "live_bytes", "flash_bytes"])
def test_gradients_are_the_exact_model_s_steps(figure: str) -> None:
    """With every channel count priced, the gradient between two is the exact model's difference."""
    every = ChoiceCost(MODEL, lambda a, b, _: layer(a, b, 3), (8,), range(4, 12))
    for below in (4, 7, 10):
        x = torch.tensor(below + 0.5, dtype=torch.float64, requires_grad=True)
        (gradient,) = torch.autograd.grad(every(8, x)[figure], x)
        step = float(every(8, below + 1)[figure] - every(8, below)[figure])
        assert float(gradient) == pytest.approx(step, rel=1e-9)


def test_bit_widths_are_choices() -> None:
    bits = ChoiceCost(MODEL, lambda a, b, w: layer(a, b, 3) | {"weight_bits": w}, (8,), (8,), (8, 4, 2))
    p = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(bits(8, 8, torch.softmax(p, dim=0))["flash_bytes"], p)
    assert gradient[0] > 0 > gradient[2]


def test_smooth_maximum_bounds_the_maximum() -> None:
    values = torch.tensor([3000.0, 7000.0, 6900.0], dtype=torch.float64, requires_grad=True)
    smooth = smooth_maximum(values)
    assert 7000 <= float(smooth.detach()) <= 7000 * (1 + np.log(3) / 50)
    (gradient,) = torch.autograd.grad(smooth, values)
    assert gradient.sum() == pytest.approx(1.0)
    assert gradient[1] > gradient[2] > gradient[0]


def test_errors(cost: ChoiceCost) -> None:
    with pytest.raises(InputError, match="channel counts must rise"):
        ChoiceCost(MODEL, layer, (8, 4), WIDTHS, (1,))
    with pytest.raises(InputError, match="probabilities of shape"):
        cost(4, 4, torch.ones(2))
