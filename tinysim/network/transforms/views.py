"""Tidying: operators that only rename axes, and operators whose results nobody reads."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tinysim.network.graph import Network, Op, Tensor
from tinysim.network.transforms.rewrite import Draft

__all__ = ["drop_unused", "signal_inputs", "simplify_views", "sink_views"]

_POINTWISE = frozenset({"mul", "add", "sub", "relu", "relu6", "relu_n1_to_1"})


def drop_unused(network: Network) -> Network:
    """The network without operators on which no output depends."""
    draft = Draft(network)
    needed = set(network.outputs)
    for i in reversed(range(len(draft.ops))):
        op = draft.ops[i]
        if op and needed.isdisjoint(op.outputs) and op.kind not in {"assign_variable", "call_once"}:
            draft.ops[i] = None
        elif op:
            needed.update(op.inputs)
    return draft.done()


def sink_views(network: Network) -> Network:
    """Reshapes that keep the channels go behind the batch norm or the activation that alone reads them.

    A convolution over a signal is one over an image of width 1 between two reshapes; so what follows it can be folded.
    """
    draft = Draft(network)
    producer, readers = draft.producer(), draft.readers()
    for i, op in enumerate(draft.ops):
        if not op or op.kind not in _POINTWISE:
            continue
        views = [t for t in op.inputs if not draft.tensors[t].is_constant]
        source = draft.ops[producer[views[0]]] if len(views) == 1 and views[0] in producer else None
        if source is None or source.kind != "reshape" or draft.only_reader(readers, views[0]) is not op:
            continue
        x, out = draft.tensors[source.inputs[0]], draft.tensors[op.outputs[0]]
        alone = all(draft.tensors[t].elements in {1, x.shape[-1]} for t in op.inputs if t != views[0])
        if not alone or x.shape[-1] != out.shape[-1]:
            continue
        made = draft.add(replace(out, name=f"{op.name}/inner", shape=x.shape))
        position = producer[views[0]]
        inputs = tuple(source.inputs[0] if t == views[0] else t for t in op.inputs)
        draft.ops[position] = replace(op, inputs=inputs, outputs=(made,))
        draft.ops[i] = replace(source, inputs=(made, *source.inputs[1:]), outputs=op.outputs)
        producer |= {made: position, op.outputs[0]: i}
        readers[made] = [i]
    return draft.done()


def signal_inputs(network: Network) -> Network:
    """Inputs (N, C, L) that are only ever read with channels last become (N, L, C), as images do."""
    draft = Draft(network)
    readers = draft.readers()
    for t in network.inputs:
        op = draft.only_reader(readers, t)
        if op is None or op.kind != "transpose" or len(draft.tensors[t].shape) != 3:
            continue
        order = draft.tensors[op.inputs[1]].data
        if order is None or order.tolist() != [0, 2, 1] or op.outputs[0] in draft.outputs:
            continue
        draft.tensors[t] = replace(draft.tensors[t], shape=draft.tensors[op.outputs[0]].shape)
        draft.redirect(op.outputs[0], t)
        draft.ops[draft.ops.index(op)] = None
    return draft.done()


def simplify_views(network: Network) -> Network:
    """Fewer reshapes: transposes that move only axes of size 1 become reshapes, reshapes of reshapes become one.

    A reshape that drops the axes that a reduction kept goes into the reduction; one to the same shape goes altogether.
    """
    draft = Draft(network)
    for i, op in enumerate(draft.ops):
        if (op and op.kind == "transpose" and _moves_nothing(draft, op)) or (
            op and op.kind in {"squeeze", "expand_dims"}
        ):
            draft.ops[i] = _reshape(draft, op, op.inputs[0])
    producer = draft.producer()
    readers = draft.readers()
    for i, op in enumerate(draft.ops):
        if not op or op.kind != "reshape":
            continue
        x, out = op.inputs[0], op.outputs[0]
        source = draft.ops[producer[x]] if x in producer else None
        if source and source.kind == "reshape":
            op = draft.ops[i] = _reshape(draft, op, source.inputs[0])
            x = op.inputs[0]
            source = draft.ops[producer[x]] if x in producer else None
        shape, made = draft.tensors[x].shape, draft.tensors[out].shape
        alone = len([j for j in readers.get(x, []) if draft.ops[j]]) == 1 and x not in draft.outputs
        if shape == made and out not in draft.outputs:
            draft.redirect(out, x)
            draft.ops[i] = None
            readers = draft.readers()
        elif source and source.attrs.get("keep_dims") and alone and _drops_kept_axes(draft, source, made):
            attrs = dict(source.attrs) | {"keep_dims": False}
            draft.ops[producer[x]] = replace(source, outputs=(out,), attrs=attrs)
            producer[out] = producer[x]
            draft.ops[i] = None
    return drop_unused(draft.done())


def _moves_nothing(draft: Draft, op: Op) -> bool:
    order = draft.tensors[op.inputs[1]].data
    shape = draft.tensors[op.inputs[0]].shape
    if order is None:
        return False
    moved = [int(axis) for axis in order if shape[int(axis)] != 1]
    return moved == sorted(moved)


def _reshape(draft: Draft, op: Op, x: int) -> Op:
    shape = np.array(draft.tensors[op.outputs[0]].shape, np.int32)
    constant = draft.add(Tensor(f"{op.name}/shape", shape.shape, "int32", is_constant=True, data=shape))
    return Op("reshape", (x, constant), op.outputs, {}, op.name)


def _drops_kept_axes(draft: Draft, op: Op, shape: tuple[int, ...]) -> bool:
    """Whether `shape` is what the reduction gives without its kept axes."""
    axes = draft.tensors[op.inputs[1]].data if len(op.inputs) > 1 else None
    full = draft.tensors[op.inputs[0]].shape
    if axes is None:
        return False
    gone = {int(axis) % len(full) for axis in np.reshape(axes, -1)}
    return shape == tuple(size for i, size in enumerate(full) if i not in gone)
