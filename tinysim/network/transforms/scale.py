"""Compound scaling: width, resolution and depth of any network that the builder can rebuild.

Source: Tan and Le, "EfficientNet", arXiv:1905.11946, for the three axes; widths are rounded as in MobileNetV2.
"""

from __future__ import annotations

from collections.abc import Sequence

from tinysim.errors import NetworkError
from tinysim.network.graph import Network, Op
from tinysim.network.kinds import FAMILY
from tinysim.network.transforms.rebuild import Rebuild

__all__ = ["scale_depth", "scale_resolution", "scale_width"]

_LONGEST_BLOCK = 12


def scale_width(network: Network, factor: float, *, divisor: int = 8) -> Network:
    """Channels of all layers but the last times `factor`, rounded to a multiple of `divisor` (at least one).

    Every layer is rounded by itself; MobileNetV2 rounds before it expands and so differs by up to a multiple.

    Raises:
        NetworkError: a factor <= 0, or an operator that cannot be rebuilt.
    """
    if factor <= 0 or divisor < 1:
        raise NetworkError(f"width factor {factor}, divisor {divisor}; accepted: above 0")
    last = _last_layers(network)

    def width(op: Op, channels: int) -> int:
        if op.outputs[0] in last or factor == 1.0:
            return channels
        rounded = max(divisor, int(channels * factor + divisor / 2) // divisor * divisor)
        return rounded + divisor if rounded < 0.9 * channels * factor else rounded

    rebuild = Rebuild(network, width)
    rebuild.inputs({})
    rebuild.run(network.ops)
    return rebuild.done()


def _last_layers(network: Network) -> set[int]:
    """Outputs of the weighty layers on which an output depends through no other one: their channels are the classes."""
    producer = {t: op for op in network.ops for t in op.outputs}
    found: set[int] = set()
    waiting = list(network.outputs)
    seen: set[int] = set()
    while waiting:
        t = waiting.pop()
        op = producer.get(t)
        if op is None or t in seen:
            continue
        seen.add(t)
        if FAMILY[op.kind] in {"conv", "recurrent"} or op.kind == "fully_connected":
            found.add(t)
            if op.kind != "depthwise_conv2d":
                continue
        waiting += op.inputs
    return found


def scale_resolution(network: Network, height: int, width: int | None = None) -> Network:
    """The network on images of another height and width (the same, unless given).

    Global pools stay global and flattened layers grow; a network with several image inputs scales the first.

    Raises:
        NetworkError: no image input, a size too small for the network, or an operator that cannot be rebuilt.
    """
    image = next((t for t in network.inputs if len(network.tensors[t].shape) == 4), None)
    if image is None:
        raise NetworkError(f"{network.name}: has no image input (4 axes)")
    n, _, _, channels = network.tensors[image].shape
    rebuild = Rebuild(network, lambda op, width: width)
    rebuild.inputs({image: (n, height, width or height, channels)})
    rebuild.run(network.ops)
    return rebuild.done()


def scale_depth(network: Network, factor: float) -> Network:
    """Repeat blocks that occur several times in a row `factor` times as often (at least once).

    A block is a run of operators through whose ends a single value passes, with the same shape at both ends.

    Raises:
        NetworkError: a factor <= 0, or an operator that cannot be rebuilt.
    """
    if factor <= 0:
        raise NetworkError(f"depth factor {factor}; accepted: above 0")
    pieces = _pieces(network)
    signatures = [tuple(_signature(network, op) for op in piece) for piece in pieces]
    rebuild = Rebuild(network, lambda op, width: width)
    rebuild.inputs({})
    at = 0
    while at < len(pieces):
        length, times = _repetition(network, pieces, signatures, at)
        block = [op for piece in pieces[at : at + length] for op in piece]
        for turn in range(max(1, round(times * factor)) if times > 1 else 1):
            if turn:  # feed the block's output into the block again
                rebuild.made[_entry(network, block)] = rebuild.made[block[-1].outputs[0]]
            rebuild.run(block)
        end = pieces[at + length * times - 1][-1].outputs[0]
        rebuild.made[end] = rebuild.made[block[-1].outputs[0]]
        at += length * times
    return rebuild.done()


def _pieces(network: Network) -> list[list[Op]]:
    """The operators, cut where a single activation is alive."""
    last_use = {t: i for i, op in enumerate(network.ops) for t in op.inputs}
    last_use |= dict.fromkeys(network.outputs, len(network.ops))
    pieces: list[list[Op]] = [[]]
    alive = set(network.inputs)
    for i, op in enumerate(network.ops):
        pieces[-1].append(op)
        alive |= set(op.outputs)
        alive = {t for t in alive if last_use.get(t, -1) > i}
        if len(alive) == 1 and op.outputs[0] in alive:
            pieces.append([])
    return [piece for piece in pieces if piece]


def _entry(network: Network, block: Sequence[Op]) -> int:
    """The activation that a block reads and does not make."""
    made = {t for op in block for t in op.outputs}
    constant = network.tensors
    return next(
        t for op in block for t in op.inputs
        if t >= 0 and t not in made and not (constant[t].is_constant or constant[t].is_variable)
    )  # fmt: skip


def _signature(network: Network, op: Op) -> tuple[object, ...]:
    shapes = tuple(network.tensors[t].shape for t in (*op.inputs, *op.outputs) if t >= 0)
    return op.kind, shapes, tuple(sorted((k, str(v)) for k, v in op.attrs.items()))


def _repetition(network: Network, pieces: list[list[Op]], signatures: Sequence[object], at: int) -> tuple[int, int]:
    """Length of the block at `at` and how often it repeats; the most operators win, then the shortest block."""
    best = (1, 1)
    for length in range(1, min(_LONGEST_BLOCK, (len(pieces) - at) // 2) + 1):
        block = signatures[at : at + length]
        times = 1
        while signatures[at + times * length : at + (times + 1) * length] == block:
            times += 1
        first, final = pieces[at], pieces[at + length - 1]
        same = network.tensors[_entry(network, first)].shape == network.tensors[final[-1].outputs[0]].shape
        weighty = any(FAMILY[op.kind] in {"conv", "matmul"} for piece in pieces[at : at + length] for op in piece)
        if times > 1 and same and weighty and times * length > best[0] * best[1]:
            best = (length, times)
    return best
