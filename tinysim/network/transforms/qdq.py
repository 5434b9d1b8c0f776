"""Quantized operators out of DEQUANTIZE - operator - QUANTIZE, the form in which ONNX files carry int8 networks."""

from __future__ import annotations

from dataclasses import replace

from tinysim.network.graph import Network, Op
from tinysim.network.kinds import FAMILY
from tinysim.network.quantization import activation_quantization, bias_quantization, share_scales, weight_quantization
from tinysim.network.transforms.quantize import convert_constant
from tinysim.network.transforms.rewrite import Draft
from tinysim.network.transforms.views import drop_unused

__all__ = ["fuse_qdq"]

_WEIGHTS_AXIS = {"conv2d": 0, "depthwise_conv2d": 3, "transpose_conv": 0}


def fuse_qdq(network: Network) -> Network:
    """Turn float operators whose activations all come from DEQUANTIZE and go to QUANTIZE alone into integer ones.

    What stands between other operators stays, so that partly quantized networks keep their conversions.
    """
    if not any(op.kind == "quantize" for op in network.ops):
        return network
    draft = Draft(network)
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
