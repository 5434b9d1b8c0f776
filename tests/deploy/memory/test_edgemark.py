"""EdgeMark's minimum RAM on the NUCLEO-L4R5ZI, above the base program, against the planned arena."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from tinysim.deploy.memory import plan_arena
from tinysim.network import Op
from tinysim.network.zoo import build_network

ROWS = pd.read_csv(Path(__file__).parent / "data" / "edgemark_arena.csv")
NAMES = {"AE": "mlperf-tiny-ad", "DS_CNN": "mlperf-tiny-kws", "ResNet": "mlperf-tiny-ic", "MBNet": "mlperf-tiny-vww"}
#: interpreter and resolver objects and half a step of the arena search: one figure for all rows
STATIC_BYTES = 1150


def edgemark(model, number_format):
    """A network of the suite; its classifiers end in a softmax."""
    name = NAMES.get(model.removeprefix("TinyMLPerf_")) or "edgemark-" + model.lower().replace("_", "-")
    network = build_network(name if number_format == "int8" else f"{name}@{number_format}")
    if not model.startswith("CNN") or network.ops[-1].kind == "softmax":
        return network
    (logits,) = network.outputs
    tensors = (*network.tensors, network.tensors[logits])
    ops = (*network.ops, Op("softmax", (logits,), (len(tensors) - 1,)))
    return replace(network, tensors=tensors, ops=ops, outputs=(len(tensors) - 1,))


def test_minimum_ram():
    planned = [plan_arena(edgemark(row.model, row.format)).peak_bytes for row in ROWS.itertuples()]
    errors = np.abs((np.array(planned) + STATIC_BYTES) / ROWS.arena_bytes - 1)
    assert errors.mean() < 0.05
    assert errors.median() < 0.02


def test_16_bit_softmax_keeps_two_tables():
    """Two tables of 513 values: EdgeMark's FC_7 takes 8,168 B with 16-bit activations, 6,112 B with 8-bit ones."""
    narrow, wide = (plan_arena(edgemark("CNN_1", form)) for form in ("int8", "int16x8"))
    assert wide.tail_bytes - narrow.tail_bytes == 2 * 1040
