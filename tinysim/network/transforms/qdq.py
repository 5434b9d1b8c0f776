"""Quantized operators out of DEQUANTIZE - operator - QUANTIZE, the form in which ONNX files carry int8 networks."""

from __future__ import annotations

from dataclasses import replace

from tinysim.network.graph import Network, Op, Tensor
from tinysim.network.kinds import FAMILY
from tinysim.network.quantization import activation_quantization, bias_quantization, share_scales, weight_quantization
from tinysim.network.transforms.quantize import convert_constant
from tinysim.network.transforms.rewrite import Draft
from tinysim.network.transforms.views import drop_unused

__all__ = ["fuse_qdq"]

#: What moves elements of any type: conversions may as well stand behind or before.
_MOVERS = frozenset({"reshape", "squeeze", "expand_dims", "transpose", "slice", "concatenation", "pad"})
_WEIGHTS_AXIS = {"conv2d": 0, "depthwise_conv2d": 3, "transpose_conv": 0}


def fuse_qdq(network: Network) -> Network:
    """Turn float operators whose activations all come from DEQUANTIZE and go to QUANTIZE alone into integer ones.

    What stands between other operators stays, so that partly quantized networks keep their conversions.
    """
    if not any(op.kind == "quantize" for op in network.ops):
        return network
    draft = Draft(_pulled(_pushed(network)))
    producer, readers = draft.producer(), draft.readers()
    for i, op in enumerate(draft.ops):
        if not op or op.kind in {"quantize", "dequantize"} or len(op.outputs) != 1:
            continue
        active = [
            t for t in op.inputs if t >= 0 and not draft.tensors[t].is_constant and not draft.tensors[t].is_variable
        ]
        sources = [draft.ops[producer[t]] if t in producer else None for t in active]
        reader = draft.only_reader(readers, op.outputs[0])
        if not active or reader is None or reader.kind != "quantize":
            continue
        if not all(source and source.kind == "dequantize" for source in sources):
            continue
        whole = {t: source.inputs[0] for t, source in zip(active, sources, strict=True) if source}
        made = replace(op, inputs=tuple(whole.get(t, t) for t in op.inputs), outputs=reader.outputs)
        draft.ops[i] = _integer_constants(draft, made)
        draft.ops[draft.ops.index(reader)] = None
        producer[reader.outputs[0]] = i
    return share_scales(drop_unused(draft.done()))


def _active(draft: Draft, op: Op) -> list[int]:
    return [t for t in op.inputs if t >= 0 and not draft.tensors[t].is_constant]


def _pushed(network: Network) -> Network:
    """DEQUANTIZE goes behind what only moves its result; one that a QUANTIZE follows goes with it."""
    draft = Draft(network)
    sources = {op.outputs[0]: op.inputs[0] for op in network.ops if op.kind == "dequantize"}
    same: dict[int, int] = {}
    ops: list[Op | None] = []
    for old in network.ops:
        op = replace(old, inputs=tuple(same.get(t, t) for t in old.inputs))
        active = _active(draft, op)
        if op.kind == "dequantize":
            sources[op.outputs[0]] = op.inputs[0]
        if op.kind == "quantize" and op.inputs[0] in sources and op.outputs[0] not in draft.outputs:
            same[op.outputs[0]] = sources[op.inputs[0]]
        elif op.kind in _MOVERS and active and all(t in sources for t in active):
            whole = _like(draft, draft.tensors[sources[active[0]]], op.outputs[0])
            inputs = tuple(sources.get(t, t) for t in op.inputs)
            ops += [replace(op, inputs=inputs, outputs=(whole,)), Op("dequantize", (whole,), op.outputs, {}, op.name)]
            sources[op.outputs[0]] = whole
        else:
            ops.append(op)
    draft.ops = ops
    return drop_unused(draft.done())


def _pulled(network: Network) -> Network:
    """QUANTIZE goes before what only moves its input."""
    draft = Draft(network)
    producer, readers = draft.producer(), draft.readers()
    for i in reversed(range(len(draft.ops))):
        op = draft.ops[i]
        source = (
            draft.ops[producer[op.inputs[0]]] if op and op.kind == "quantize" and op.inputs[0] in producer else None
        )
        while op and source and source.kind in _MOVERS and len(_active(draft, source)) == 1:
            if draft.only_reader(readers, op.inputs[0]) is not op:
                break
            (x,) = _active(draft, source)
            at = producer[op.inputs[0]]
            whole = _like(draft, draft.tensors[op.outputs[0]], x)
            moved = replace(source, inputs=tuple(whole if t == x else t for t in source.inputs), outputs=op.outputs)
            # The QUANTIZE takes the place of the operator that moves, which takes its.
            draft.ops[i], draft.ops[at] = moved, replace(op, inputs=(x,), outputs=(whole,))
            producer |= {op.outputs[0]: i, whole: at}
            readers = draft.readers()
            i, op = at, draft.ops[at]
            source = draft.ops[producer[x]] if x in producer else None
    return draft.done()


def _like(draft: Draft, tensor: Tensor, shaped: int) -> int:
    """A tensor of the type and scale of one with the shape of another."""
    other = draft.tensors[shaped]
    return draft.add(replace(tensor, name=f"{other.name}/{tensor.dtype}", shape=other.shape))


def _integer_constants(draft: Draft, op: Op) -> Op:
    """The operator with int8 weights, int32 biases and int8 operands."""
    inputs = list(op.inputs)
    weighty = op.kind in _WEIGHTS_AXIS or op.kind == "fully_connected"
    first = draft.tensors[op.inputs[2 if op.kind == "transpose_conv" else 0]]
    function = str(op.attrs.get("activation", op.kind))
    out = draft.tensors[op.outputs[0]]
    draft.tensors[op.outputs[0]] = replace(out, quantization=activation_quantization(out.dtype, function))
    for position, t in enumerate(inputs):
        tensor = draft.tensors[t] if t >= 0 else None
        if tensor is None or not tensor.is_constant or not tensor.dtype.startswith("float"):
            continue
        if weighty and len(tensor.shape) > 1:
            quantization = weight_quantization(tensor.shape, "int8", _WEIGHTS_AXIS.get(op.kind))
            inputs[position] = draft.add(convert_constant(tensor, "int8", quantization))
        elif weighty and FAMILY[op.kind] != "recurrent":
            quantization = bias_quantization(first.quantization, draft.tensors[inputs[1]].quantization)
            inputs[position] = draft.add(convert_constant(tensor, "int32", quantization))
        else:
            inputs[position] = draft.add(convert_constant(tensor, "int8", activation_quantization("int8")))
    return replace(op, inputs=tuple(inputs))
