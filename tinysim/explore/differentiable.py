"""Costs as torch functions of soft choices, for searches by gradient (extra `torch`).

Costs are interpolated between networks that exist, so every corner is the exact model's and the gradient lies between
them: a *choice* weighs the costs of its options, a *width* between two channel counts is linear in between. Memory is a
smooth maximum over the layers' live bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tinysim.errors import InputError
from tinysim.explore.cost_model import CostModel
from tinysim.explore.row_costs import row_costs
from tinysim.explore.space import Row
from tinysim.network.table import COLUMNS, LayerTable

if TYPE_CHECKING:
    import torch

__all__ = ["ChoiceCost", "channels_kept", "smooth_maximum"]

#: differentiable figures of a layer
FIGURES = ("latency_s", "energy_j", "live_bytes", "flash_bytes")


def smooth_maximum(values: torch.Tensor, *, sharpness: float = 50.0) -> torch.Tensor:
    """A maximum with a gradient everywhere, never below the true one, above it by at most ln(n) / sharpness of it.

    M = m / s ln(sum exp(s v / m)), m = max v held constant, s = sharpness
    """
    import torch

    scale = values.detach().max().clamp(min=torch.finfo(values.dtype).tiny)
    return scale / sharpness * torch.logsumexp(sharpness * values / scale, dim=-1)


def channels_kept(mask: torch.Tensor) -> torch.Tensor:
    """Channels that a mask of gates in 0..1 keeps: their sum, at least 1.

    A mask makes a width: round it to get the network that is built.
    """
    return mask.sum(dim=-1).clamp(min=1.0)


class ChoiceCost:
    """Costs of one layer over a grid of options: channel counts in, channel counts out, and any further choices.

    Args:
        model: where it runs.
        make: (in channels, out channels, option) -> the layer's row.
        in_channels, out_channels: channel counts that are priced, rising; between them costs are linear.
        options: further choices (kernel sizes, bit widths), weighed by the probabilities of a call.

    Raises:
        InputError: fewer than one channel count, or ones that don't rise.
    """

    def __init__(
        self,
        model: CostModel,
        make: Any,
        in_channels: Sequence[int],
        out_channels: Sequence[int],
        options: Sequence[Any] = (None,),
    ) -> None:
        import torch

        for channels in (in_channels, out_channels):
            if not channels or list(channels) != sorted(set(channels)):
                raise InputError(f"channel counts must rise, got {list(channels)}")
        rows: list[Row] = [make(a, b, o) for o in options for a in in_channels for b in out_channels]
        columns = {name: [row.get(name, default) for row in rows] for name, (default, _) in COLUMNS.items()}
        priced = row_costs(LayerTable.from_columns(columns), model.target)
        live = priced.in_bytes + priced.out_bytes + priced.scratch_bytes.sum(axis=1)
        figures = np.stack([priced.cycles / model.target.clock_hz, priced.energy_j, live, priced.flash_bytes])
        shape = (len(FIGURES), len(options), len(in_channels), len(out_channels))
        self._grid = torch.as_tensor(figures.reshape(shape), dtype=torch.float64)
        self._axes = tuple(torch.as_tensor(list(c), dtype=torch.float64) for c in (in_channels, out_channels))

    def __call__(
        self, c_in: torch.Tensor | float, c_out: torch.Tensor | float, option: torch.Tensor | None = None
    ) -> dict[str, torch.Tensor]:
        """Figures of the layer, scalars with gradients: latency_s, energy_j, live_bytes, flash_bytes.

        c_in, c_out: channels, also between the priced counts. option: probabilities of the options, sum 1.
        """
        import torch

        weights = [
            _hat(torch.as_tensor(c, dtype=torch.float64), axis)
            for c, axis in zip((c_in, c_out), self._axes, strict=True)
        ]
        p = torch.ones(1, dtype=torch.float64) if option is None else option.to(torch.float64)
        if p.shape != self._grid.shape[1:2]:
            raise InputError(f"probabilities of shape {tuple(p.shape)}, expected ({self._grid.shape[1]},)")
        values = torch.einsum("foij,o,i,j->f", self._grid, p, *weights)
        return dict(zip(FIGURES, values, strict=True))


def _hat(x: torch.Tensor, knots: torch.Tensor) -> torch.Tensor:
    """Weights of the knots in linear interpolation, shape (n,); constant outside them."""
    import torch

    if len(knots) == 1:
        return torch.ones(1, dtype=knots.dtype)
    inside = x.clamp(knots[0], knots[-1])
    at = torch.searchsorted(knots, inside.detach(), right=True).clamp(1, len(knots) - 1)
    share = (inside - knots[at - 1]) / (knots[at] - knots[at - 1])
    left = torch.nn.functional.one_hot(at - 1, len(knots)).to(knots.dtype)
    right = torch.nn.functional.one_hot(at, len(knots)).to(knots.dtype)
    return left * (1 - share) + right * share
