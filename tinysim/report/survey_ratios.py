"""The rows of the survey that state a ratio: predicted, and beside them what was measured elsewhere.

Ratios are baseline over improved: 2 is half the time, half the bytes or half the energy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tinysim.cost.accelerator import columns_of, load_accelerator, network_cost, supported
from tinysim.estimate.engine import estimate
from tinysim.estimate.result import Estimate
from tinysim.network.load import load_network
from tinysim.network.transforms import prune_channels, prune_unstructured
from tinysim.report.survey import BOARDS, read_table

__all__ = ["Ratio", "edge_tpu_rows", "measured_ratios", "predicted_ratios"]

_TINY = ("mlperf-tiny-ad", "mlperf-tiny-kws", "mlperf-tiny-ic", "mlperf-tiny-vww")
_ARM = BOARDS[:2]
#: A searched network and one that is not, with int8 top-1 on ImageNet [%]; source: github.com/mit-han-lab/mcunet.
_SEARCHED = (("mcunet-in0", 40.4, "mobilenet-v2-0.3-80", 38.6), ("mcunet-in1", 49.9, "mobilenet-v2-0.35-144", 49.0))


#: Of both ends of a layer a third remains, so of the weights between them a tenth.
_THIN = "a third of the channels kept"


@dataclass(frozen=True)
class Ratio:
    """A predicted ratio of one network."""

    claim: str
    what: str
    network: str
    core: str
    quantity: str
    ratio: float


def measured_ratios() -> list[dict[str, str]]:
    """Measured ratios by claim, summarised over the networks of each source."""
    return read_table("measured_ratios.csv")


def predicted_ratios() -> list[Ratio]:
    """Ratios of the survey's claims on CMSIS-NN, int8, sparsity and architecture search."""
    return [*_cmsis_nn(), *_int8(), *_sparsity(), *_search()]


def _energy(result: Estimate) -> float:
    assert result.energy_j is not None, f"{result.device} has no running current"
    return result.energy_j


def _cmsis_nn() -> list[Ratio]:
    rows = []
    for board in _ARM:
        for name in _TINY:
            base, fast = (estimate(name, board.device, r) for r in ("tflm-reference", "tflm-cmsis-nn"))
            claim, what = "CMSIS-NN optimized models", "CMSIS-NN against TFLM's reference kernels, int8"
            network = base.network
            rows.append(Ratio(claim, what, network, board.core, "speed", base.latency_s / fast.latency_s))
            rows.append(Ratio(claim, what, network, board.core, "energy", _energy(base) / _energy(fast)))
            power = (_energy(base) / base.latency_s) / (_energy(fast) / fast.latency_s)
            rows.append(Ratio(claim, what, network, board.core, "power while running", power))
    return rows


def _int8() -> list[Ratio]:
    rows = []
    for board in _ARM:
        for name in _TINY:
            base, small = (estimate(f"{name}@{f}", board.device, "tflm-cmsis-nn") for f in ("float32", "int8"))
            pairs = {
                "weights": (base.memory.weights_bytes, small.memory.weights_bytes),
                "flash of the program": (base.memory.flash_bytes or 0, small.memory.flash_bytes or 0),
                "arena": (base.memory.sram_peak_bytes, small.memory.sram_peak_bytes),
                "speed": (base.latency_s, small.latency_s),
            }
            rows += [
                Ratio("int8 quantization", "int8 against float32, TFLM + CMSIS-NN", small.network, board.core, q, a / b)
                for q, (a, b) in pairs.items()
            ]
    return rows


def _sparsity() -> list[Ratio]:
    """90 % zeros by dense kernels, as a bitmap with the rest, and as channels that are gone."""
    network = load_network("ic")
    zeros, channels = prune_unstructured(network, 0.9), prune_channels(network, 1 - 0.1**0.5)
    weights = float(network.table().weights.sum())
    zero = float(zeros.table().weight_sparsity @ network.table().weights)
    stored = weights / (weights / 8 + weights - zero)
    rows = []
    for board in _ARM:
        base, sparse, thin = (estimate(n, board.device, "tflm-cmsis-nn") for n in (network, zeros, channels))
        for what, result in (("90 % of the weights zero, dense kernels", sparse), (_THIN, thin)):
            claim, name, core = "weight pruning", network.name, board.core
            rows.append(Ratio(claim, what, name, core, "speed", base.latency_s / result.latency_s))
            rows.append(
                Ratio(claim, what, name, core, "weights", base.memory.weights_bytes / result.memory.weights_bytes)
            )
    what = "90 % of the weights zero, stored as a bitmap and the others"
    return [*rows, Ratio("weight pruning", what, network.name, "any", "weights", stored)]


def _search() -> list[Ratio]:
    rows = []
    for searched, top_1, plain, plain_top_1 in _SEARCHED:
        for board in _ARM:
            ours, theirs = (estimate(n, board.device, board.runtime) for n in (searched, plain))
            what = f"{searched} ({top_1} % top-1) against {plain} ({plain_top_1} %)"
            ratio = _energy(theirs) / _energy(ours)
            rows.append(Ratio("NAS-generated (ProxylessNAS)", what, searched, board.core, "energy", ratio))
    return rows


def edge_tpu_rows() -> list[dict[str, str | float]]:
    """Predicted latency of networks on the Coral Edge TPU; operators it does not take are left out."""
    spec = load_accelerator("coral-edge-tpu")
    rows: list[dict[str, str | float]] = []
    for name in (*_TINY, "mobilenet-v2-1.0-224", "efficientnet-lite0"):
        network = load_network(name)
        columns: dict[str, Any] = columns_of(network.table())
        taken, _ = supported(spec, **columns)
        cost = network_cost(spec, **{key: column[taken] for key, column in columns.items()})
        rows.append({"network": name, "macs": network.macs, "latency_s": float(np.sum(cost.latency_s))})
    return rows
