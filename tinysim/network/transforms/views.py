"""Tidying: operators that only rename axes, and operators whose results nobody reads."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tinysim.network.graph import Network, Op, Tensor
from tinysim.network.transforms.rewrite import Draft

__all__ = ["drop_unused", "simplify_views"]


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
