"""Pruning and clustering: what they change is a property of the weights; only removed channels change the work.

Unstructured and N:M sparsity gain speed only where a runtime has kernels for it; clustering gains flash only where a
runtime stores indices into a codebook. Source: measured ratios of 1.00 without such kernels, docs/validation.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinysim.errors import NetworkError, nearest
from tinysim.network.graph import Network, Op, Tensor
from tinysim.network.kinds import FAMILY
from tinysim.network.transforms.channels import Mask, is_separator, keep_channels, tie

__all__ = ["cluster", "codebook_bytes", "prune_channels", "prune_n_m", "prune_unstructured"]

Array = NDArray[Any]


def prune_unstructured(network: Network, sparsity: float, *, layers: Iterable[str] | None = None) -> Network:
    """Zero the fraction `sparsity` of the smallest weights of each layer (or of the `layers` named).

    MACs, shapes and bytes stay; `weight_sparsity` rises to at least `sparsity`.

    Raises:
        NetworkError: a fraction outside 0 .. 1, or no such layer.
    """
    if not 0.0 <= sparsity <= 1.0:
        raise NetworkError(f"sparsity {sparsity}; accepted: 0 to 1")

    def prune(tensor: Tensor, op: Op) -> Tensor:
        gone = round(sparsity * tensor.elements)
        if tensor.data is None:
            return replace(tensor, sparsity=max(tensor.sparsity, gone / tensor.elements))
        smallest = np.argsort(np.abs(_distance(tensor)).reshape(-1), kind="stable")[:gone]
        return _zeroed(tensor, smallest)

    return _on_weights(network, prune, layers)


def prune_n_m(network: Network, n: int, m: int, *, layers: Iterable[str] | None = None) -> Network:
    """Keep the `n` largest of every `m` weights in a row along the input channels; a shorter rest stays.

    Raises:
        NetworkError: not 0 < n <= m, or no such layer.
    """
    if not 0 < n <= m:
        raise NetworkError(f"{n}:{m} sparsity; accepted: 0 < n <= m")

    def prune(tensor: Tensor, op: Op) -> Tensor:
        depth = tensor.shape[-1]
        if op.kind == "depthwise_conv2d":
            return tensor  # its channels are outputs: there is no row to thin out
        if tensor.data is None:
            return replace(tensor, sparsity=max(tensor.sparsity, (depth // m) * (m - n) / depth))
        whole = depth // m * m
        rows = np.abs(_distance(tensor))[..., :whole].reshape(-1, m)
        smallest = np.argsort(rows, axis=1, kind="stable")[:, : m - n] + m * np.arange(len(rows))[:, None]
        places = np.arange(tensor.elements).reshape(-1, depth)[:, :whole].reshape(-1)
        return _zeroed(tensor, places[smallest.reshape(-1)])

    return _on_weights(network, prune, layers)


def prune_channels(
    network: Network, fraction: float, *, layers: Iterable[str] | None = None, multiple: int = 1
) -> Network:
    """Remove the fraction of output channels of each convolution and dense layer; neighbours follow.

    Channels tied by depthwise layers, adds and concatenations go together or stay; those of the network's outputs stay.
    Kept are the first ones, a number divisible by `multiple`: cost does not depend on which. With `layers`, only these
    ask for fewer channels.

    Raises:
        NetworkError: a fraction outside 0 .. 1, or no such layer.
    """
    if not 0.0 <= fraction < 1.0 or multiple < 1:
        raise NetworkError(f"fraction {fraction}, multiple {multiple}; accepted: 0 <= fraction < 1, multiple >= 1")
    chosen = _chosen(network, layers)
    masks: dict[int, Mask] = {}
    for op in network.ops:
        if FAMILY[op.kind] not in {"conv", "matmul"} or op.kind == "depthwise_conv2d":
            continue
        out = op.outputs[0]
        channels = network.tensors[out].shape[-1]
        kept = channels
        if op.name in chosen and is_separator(network, op):
            kept = min(channels, max(multiple, math.ceil((1 - fraction) * channels / multiple) * multiple))
        masks[out] = np.arange(channels) < kept

    def nothing(op: Op, kept: Mask) -> Mask:
        return np.zeros(network.tensors[op.inputs[0]].shape[-1], bool)

    return keep_channels(network, tie(network, masks, nothing))


def cluster(network: Network, clusters: int, *, layers: Iterable[str] | None = None) -> Network:
    """Let the weights of each layer take at most `clusters` values, spread evenly over their range.

    Costs stay as they are; `codebook_bytes` gives the size for a runtime that stores indices.

    Raises:
        NetworkError: fewer than two clusters, or no such layer.
    """
    if clusters < 2:
        raise NetworkError(f"{clusters} clusters; accepted: 2 or more")

    def share(tensor: Tensor, op: Op) -> Tensor:
        if tensor.data is None:
            return tensor
        low, high = float(tensor.data.min()), float(tensor.data.max())
        centres = np.unique(np.linspace(low, high, clusters).astype(tensor.data.dtype))
        nearest_centre = np.abs(tensor.data.reshape(-1, 1).astype(np.float64) - centres).argmin(axis=1)
        data = centres[nearest_centre].reshape(tensor.data.shape)
        return _with_data(tensor, data)

    made = _on_weights(network, share, layers)
    return replace(made, metadata={**network.metadata, "clusters": clusters})


def codebook_bytes(network: Network, clusters: int) -> int:
    """Bytes of the weights as indices into a codebook per layer: ceil(n log2(k) / 8) + k values."""
    total = 0
    for op in network.ops:
        weights = _weights_of(network, op)
        for t in weights:
            tensor = network.tensors[t]
            total += math.ceil(tensor.elements * math.ceil(math.log2(clusters)) / 8) + clusters * tensor.bits // 8
    return total


def _weights_of(network: Network, op: Op) -> list[int]:
    """Weight tensors of an operator, without biases."""
    if FAMILY[op.kind] not in {"conv", "matmul", "recurrent"} or op.kind == "batch_matmul":
        return []
    return [t for t in op.inputs[1:] if t >= 0 and network.tensors[t].is_constant and len(network.tensors[t].shape) > 1]


def _chosen(network: Network, layers: Iterable[str] | None) -> set[str]:
    names = {op.name for op in network.ops}
    chosen = names if layers is None else set(layers)
    for name in chosen:
        if name not in names:
            raise NetworkError(f"{network.name}: no layer {name!r}; {nearest(name, names)}")
    return chosen


def _on_weights(network: Network, change: Callable[[Tensor, Op], Tensor], layers: Iterable[str] | None) -> Network:
    chosen = _chosen(network, layers)
    tensors = list(network.tensors)
    for op in network.ops:
        for t in _weights_of(network, op) if op.name in chosen else []:
            tensors[t] = change(tensors[t], op)
    return replace(network, tensors=tuple(tensors))


def _zero(tensor: Tensor) -> Array:
    """Zero points, shaped to broadcast over the tensor."""
    q = tensor.quantization
    points = q.zero_point if q else (0,)
    shape = [-1 if q and len(points) > 1 and i == q.axis else 1 for i in range(len(tensor.shape))]
    return np.reshape(np.array(points), shape)


def _distance(tensor: Tensor) -> Array:
    assert tensor.data is not None
    distance: Array = tensor.data.astype(np.float64) - _zero(tensor)
    return distance


def _zeroed(tensor: Tensor, places: Array) -> Tensor:
    assert tensor.data is not None
    data = tensor.data.copy().reshape(-1)
    data[places] = np.broadcast_to(_zero(tensor), tensor.shape).reshape(-1)[places].astype(data.dtype)
    return _with_data(tensor, data.reshape(tensor.shape))


def _with_data(tensor: Tensor, data: Array) -> Tensor:
    sparsity = 1.0 - np.count_nonzero(data != _zero(tensor)) / max(1, data.size)
    return replace(tensor, data=data, sparsity=float(sparsity))
