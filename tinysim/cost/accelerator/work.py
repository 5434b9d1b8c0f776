"""What each layer asks of any accelerator: loop extents, operand bytes, multiply-accumulates."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tinysim.cost.accelerator.spec import AXES, Accelerator, Engine, Limits
from tinysim.errors import UnsupportedOperator
from tinysim.network.kinds import FAMILY, KIND_CODE, KINDS

if TYPE_CHECKING:
    from tinysim.network.table import LayerTable

__all__ = ["Work", "columns_of", "engine_of", "kind_codes", "per_network", "supported", "work_of"]

Array = npt.NDArray[Any]

#: Columns of `LayerTable` that are read, with the value of those left out.
_COLUMNS: dict[str, float | None] = {
    "in_h": 1, "in_w": 1, "in_c": None, "out_h": 1, "out_w": 1, "out_c": None, "kernel_h": 1, "kernel_w": 1,
    "stride_h": 1, "stride_w": 1, "dilation_h": 1, "dilation_w": 1, "groups": 1, "batch": 1, "in2_elements": 0,
    "weight_bits": 8, "activation_bits": 8, "weight_sparsity": 0.0, "network": 0,
}  # fmt: skip

_FAMILY = np.array([FAMILY[kind.name] for kind in KINDS])


@dataclass(frozen=True, eq=False)
class Work:
    """Columns over layers."""

    kind: Array
    """codes into KINDS"""
    extents: Array
    """[layer, axis] elements along each of AXES"""
    macs: Array
    """multiply-accumulates, window elements of pooling, or elements of the rest"""
    weight_bytes: Array
    """weights at their width [byte]"""
    encoded_bytes: Array
    """weights as stored, where given, else not a number [byte]"""
    in_elements: Array
    """elements of the activation inputs"""
    in_bytes: Array
    """activation inputs [byte]"""
    out_bytes: Array
    """output [byte]"""
    live_bytes: Array
    """activations that are kept while the layer runs: its own inputs and output, unless others are known [byte]"""
    network: Array
    """network that the layer belongs to"""
    columns: dict[str, Array]
    """the columns themselves"""

    def without(self, kinds: tuple[str, ...]) -> Work:
        """The work with nothing to do for these kinds."""
        kept = np.where(np.isin(self.kind, [KIND_CODE[kind] for kind in kinds]), 0.0, 1.0)
        return replace(
            self,
            extents=self.extents * kept[:, None],
            macs=self.macs * kept,
            in_elements=self.in_elements * kept,
            in_bytes=self.in_bytes * kept,
            out_bytes=self.out_bytes * kept,
            live_bytes=self.live_bytes * kept,
        )


def columns_of(table: LayerTable) -> dict[str, Array]:
    """The columns of a `LayerTable` as keyword arguments of this package's functions."""
    return {"kind": np.array(table.kind_names)} | {name: getattr(table, name) for name in _COLUMNS}


def kind_codes(kind: npt.ArrayLike) -> Array:
    """Codes into KINDS of names.

    Raises:
        UnsupportedOperator: a name that is no kind.
    """
    names = np.atleast_1d(np.asarray(kind)).astype(str)
    unknown = sorted(set(names) - set(KIND_CODE))
    if unknown:
        raise UnsupportedOperator(f"unknown operator kind {unknown[0]!r}")
    return np.array([KIND_CODE[name] for name in names], dtype=np.int64)


def work_of(*, kind: npt.ArrayLike, **columns: npt.ArrayLike) -> Work:
    """Loop extents and operand bytes of each layer.

    kind: operator names; columns: those of `LayerTable`; activation_sparsity: zeros among each layer's inputs;
    encoded_weight_bytes and live_bytes: see `Work`.
    An element-wise, pooling or moving operator counts one step per output element and window position; a recurrent
    layer all its gates.
    """
    code = kind_codes(kind)
    c = {
        name: np.broadcast_to(np.asarray(columns.get(name, default), dtype=float), code.shape)
        for name, default in (_COLUMNS | {"activation_sparsity": 0.0}).items()
    }
    family = _FAMILY[code]
    depthwise = code == KIND_CODE["depthwise_conv2d"]
    conv, matmul, recurrent = family == "conv", family == "matmul", family == "recurrent"
    gates = np.select([code == KIND_CODE["unidirectional_sequence_lstm"], code == KIND_CODE["gru"]], [4.0, 3.0], 1.0)
    window = np.where(conv | np.isin(family, ("pool", "reduce")), c["kernel_h"] * c["kernel_w"], 1.0)
    depth = np.select(
        [depthwise, conv, matmul, recurrent], [1.0, c["in_c"] / c["groups"], c["in_c"], c["in_c"] + c["out_c"]], 1.0
    )
    rows = np.select([matmul | recurrent], [c["batch"] * c["in_h"]], c["batch"] * c["out_h"])
    wide = np.select([matmul, recurrent], [c["in_w"], 1.0], c["out_w"])
    # A transposed convolution meets every input, not every output, with every tap.
    transposed = code == KIND_CODE["transpose_conv"]
    rows, wide = np.where(transposed, c["in_h"], rows), np.where(transposed, c["in_w"], wide)
    channels = c["out_c"] * np.where(recurrent, gates, 1.0)
    still = family == "view"
    extents = np.stack([channels, depth, window, rows, wide], axis=-1) * np.where(still, 0.0, 1.0)[:, None]
    weights = np.where(conv | recurrent | (code == KIND_CODE["fully_connected"]), channels * depth * window, 0.0)
    elements = c["batch"] * c["in_h"] * c["in_w"] * c["in_c"] + c["in2_elements"]
    outputs = c["batch"] * c["out_h"] * c["out_w"] * c["out_c"]
    moved = [np.where(still, 0.0, np.ceil(n * c["activation_bits"] / 8)) for n in (elements, outputs)]
    return Work(
        kind=code,
        extents=extents,
        macs=extents.prod(axis=-1),
        weight_bytes=np.ceil(weights * c["weight_bits"] / 8),
        encoded_bytes=np.broadcast_to(np.asarray(columns.get("encoded_weight_bytes", np.nan), dtype=float), code.shape),
        in_elements=np.where(still, 0.0, elements),
        in_bytes=moved[0],
        out_bytes=moved[1],
        live_bytes=np.broadcast_to(np.asarray(columns.get("live_bytes", moved[0] + moved[1]), dtype=float), code.shape),
        network=np.asarray(c["network"], dtype=np.int64),
        columns=c,
    )


def per_network(values: Array, network: Array) -> Array:
    """Sums of [..., layer] over the layers of each network: [..., network].

    >>> per_network(np.array([1.0, 2.0, 4.0]), np.array([0, 2, 0])).tolist()
    [5.0, 0.0, 2.0]
    """
    present, which = np.unique(network, return_inverse=True)
    sums = np.zeros((*values.shape[:-1], int(present[-1]) + 1 if len(present) else 0))
    if len(present):
        order = np.argsort(which, kind="stable")
        starts = np.searchsorted(which[order], np.arange(len(present)))
        sums[..., present] = np.add.reduceat(values[..., order], starts, axis=-1)
    return sums


def _outside(limits: Limits, c: dict[str, Array]) -> dict[str, Array]:
    """Which layers exceed which limit of an engine."""
    longest = {
        "kernel": np.maximum(c["kernel_h"], c["kernel_w"]),
        "kernel_area": c["kernel_h"] * c["kernel_w"],
        "stride": np.maximum(c["stride_h"], c["stride_w"]),
        "dilation": np.maximum(c["dilation_h"], c["dilation_w"]),
        "channels": np.maximum(c["in_c"], c["out_c"]),
        "extent": np.maximum.reduce([c["in_h"], c["in_w"], c["out_h"], c["out_w"]]),
    }
    return {
        f"{name.replace('_', ' ')} above {most}": longest[name] > most
        for name, most in limits.model_dump().items()
        if most is not None
    }


def _refusals(engine: Engine, work: Work) -> tuple[Array, Array]:
    """Mask of the layers that the engine's kinds cover, and its first objection to each."""
    covered = np.isin(work.kind, [KIND_CODE[kind] for kind in engine.kinds])
    reasons = np.full(len(work.kind), "", dtype=object)
    widths = {
        f"activations of {'/'.join(map(str, engine.activation_bits))} bit only": ~np.isin(
            work.columns["activation_bits"], engine.activation_bits
        ),
        f"weights of {'/'.join(map(str, engine.weight_bits))} bit only": (work.weight_bytes > 0)
        & ~np.isin(work.columns["weight_bits"], engine.weight_bits),
    }
    for text, broken in (widths | _outside(engine.limits, work.columns)).items():
        reasons[(reasons == "") & broken] = text
    return covered, reasons


def engine_of(spec: Accelerator, work: Work) -> tuple[Array, Array]:
    """Index of the first engine that takes each layer (-1: none does), and why none does."""
    chosen = np.full(len(work.kind), -1)
    why = np.full(len(work.kind), "operator not in the accelerator's list", dtype=object)
    for index, engine in enumerate(spec.engines):
        covered, reasons = _refusals(engine, work)
        free = (chosen < 0) & covered
        chosen[free & (reasons == "")] = index
        why[free & (reasons != "")] = reasons[free & (reasons != "")]
    why[chosen >= 0] = ""
    # What has nothing to do needs no engine.
    view = work.without(spec.fused).extents[:, AXES.index("out_c")] == 0
    chosen[(chosen < 0) & view], why[view] = 0, ""
    return chosen, why


def supported(spec: Accelerator, *, kind: npt.ArrayLike, **columns: npt.ArrayLike) -> tuple[Array, Array]:
    """Mask of the layers that the accelerator runs, and for each other one the reason.

    >>> from tinysim.cost.accelerator.spec import load_accelerator
    >>> mask, why = supported(load_accelerator("ethos-u55-128"), kind=["conv2d", "gather"], in_c=8, out_c=8)
    >>> mask.tolist(), why[1]
    ([True, False], "operator not in the NPU's list")
    """
    if spec.vela is not None:
        from tinysim.cost.accelerator.ethos.supported import ethos_supported

        return ethos_supported(spec.vela, kind=kind, **columns)
    chosen, why = engine_of(spec, work_of(kind=kind, **columns))
    return chosen >= 0, why
