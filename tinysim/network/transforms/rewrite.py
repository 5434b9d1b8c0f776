"""A network taken apart for rewriting: operators in a list, tensors that are added and never moved."""

from __future__ import annotations

from dataclasses import replace

from tinysim.network.check import check_network
from tinysim.network.graph import Network, Op, Tensor

__all__ = ["Draft"]


class Draft:
    """A mutable copy of a network; `done` gives the network back, without tensors that nothing uses."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.tensors = list(network.tensors)
        self.ops: list[Op | None] = list(network.ops)
        self.outputs = list(network.outputs)

    def producer(self) -> dict[int, int]:
        """Tensor -> position of the operator that writes it."""
        return {t: i for i, op in enumerate(self.ops) if op for t in op.outputs}

    def readers(self) -> dict[int, list[int]]:
        """Tensor -> positions of the operators that read it."""
        found: dict[int, list[int]] = {}
        for i, op in enumerate(self.ops):
            for t in op.inputs if op else ():
                found.setdefault(t, []).append(i)
        return found

    def only_reader(self, readers: dict[int, list[int]], t: int) -> Op | None:
        """The operator that alone reads tensor `t`, which is no output of the network."""
        positions = [i for i in readers.get(t, []) if self.ops[i]]
        return self.ops[positions[0]] if len(positions) == 1 and t not in self.outputs else None

    def add(self, tensor: Tensor) -> int:
        """A new tensor."""
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def redirect(self, old: int, new: int) -> None:
        """Let everything that reads `old` read `new`."""
        for i, op in enumerate(self.ops):
            if op and old in op.inputs:
                self.ops[i] = replace(op, inputs=tuple(new if t == old else t for t in op.inputs))
        self.outputs = [new if t == old else t for t in self.outputs]

    def done(self) -> Network:
        """The rewritten network, checked."""
        ops = [op for op in self.ops if op]
        used = {*self.network.inputs, *self.outputs, *(t for op in ops for t in (*op.inputs, *op.outputs) if t >= 0)}
        place = {t: i for i, t in enumerate(sorted(used))} | {-1: -1}
        made = replace(
            self.network,
            tensors=tuple(self.tensors[t] for t in sorted(used)),
            ops=tuple(
                replace(op, inputs=tuple(place[t] for t in op.inputs), outputs=tuple(place[t] for t in op.outputs))
                for op in ops
            ),
            inputs=tuple(place[t] for t in self.network.inputs),
            outputs=tuple(place[t] for t in self.outputs),
            file_bytes=None,
        )
        check_network(made)
        return made
