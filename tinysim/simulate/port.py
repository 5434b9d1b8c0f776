"""A port of the bus: one burst at a time, chosen by an arbiter.

In every tick all requests come first and the choice last, so that the order of events within a tick cannot change a
result. Bursts are asked for one by one; one stream may also be *attached*, whose bursts are known in closed form and
cost no events (`tinysim.simulate.stream`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import simpy

from tinysim.simulate.ticks import DECIDE, Env, Timer

if TYPE_CHECKING:
    from tinysim.simulate.stream import Stream

__all__ = ["Master", "Port"]


class Master:
    """Somebody on the bus: the place in the turn order, and the rank under a fixed arbiter (smaller goes first)."""

    __slots__ = ("index", "name", "rank")

    def __init__(self, index: int, name: str, rank: int) -> None:
        self.index, self.name, self.rank = index, name, rank


class Port:
    """One port and its arbiter.

    A burst that has begun is finished. Work is conserved: the port is never idle while a burst waits.
    """

    __slots__ = (
        "_decision", "_grant", "busy_cycles", "due", "env", "fixed", "held_until", "index", "last", "mark", "masters",
        "n_bytes", "name", "queue", "stream",
    )  # fmt: skip

    def __init__(self, env: Env, name: str, *, fixed: bool, masters: int) -> None:
        self.env, self.name, self.fixed, self.masters = env, name, fixed, masters
        self.queue: list[tuple[Master, int, Callable[[simpy.Event], None]]] = []
        self._decision, self._grant = Timer(env, self._decide, DECIDE), Timer(env, self._decide)
        self.held_until = 0
        self.due: int | None = None
        self.last = masters - 1
        self.stream: Stream | None = None
        self.index = 0
        self.mark = 0
        self.busy_cycles = 0
        self.n_bytes = 0

    def request(self, master: Master, cycles: int, ended: Callable[[simpy.Event], None]) -> None:
        """Ask for a burst of `cycles` > 0; `ended` is called when it has ended."""
        self.queue.append((master, cycles, ended))
        if self.due is None:
            self._decide_at(max(self.env.tick, self.held_until))

    def attach(self, stream: Stream, index: int) -> None:
        """Let a stream use the port without events."""
        self.stream, self.index = stream, index
        self.mark = stream.held_before(index, stream.done) if stream.done else 0
        if self.due is None and self.held_until > self.env.tick:
            self._decide_at(self.held_until)

    def detach(self, stream: Stream) -> None:
        """The attached stream leaves, at the end of a burst."""
        if stream.done < stream.total:
            self._note_turn(stream)
        elif stream.layout.parts[self.index] > self.mark:
            self.last = stream.master.index
        self.stream = None

    def _note_turn(self, stream: Stream) -> None:
        """Give the attached stream its place in the turn order if it began a burst since the last grant."""
        held = stream.held_before(self.index, stream.done)
        if held > self.mark:
            self.last, self.mark = stream.master.index, held

    def _decide_at(self, tick: int) -> None:
        self.due = tick
        self._decision.start(tick - self.env.tick)

    def _decide(self, _: simpy.Event) -> None:
        """Choose who holds the port next; all requests of this tick are in."""
        now, stream, burst, queue = self.env.tick, self.stream, None, self.queue
        self.due = None
        if stream is None and len(queue) == 1:  # nobody to choose between
            master, cycles, ended = queue.pop()
            self.last, self.held_until = master.index, now + cycles
            self._grant.start_for(ended, cycles)
            return
        if stream is not None:
            stream.advance(now)
            burst = stream.burst_here(self, self.index)
            if burst is not None and burst[0] < stream.done:  # a burst that has begun is finished
                if queue:
                    self._decide_at(now + burst[1] - stream.done)
                return
        if queue and stream is not None:
            self._note_turn(stream)
        waiting = [self._order(master) for master, _, _ in queue]
        if stream is not None and burst is not None:
            if not waiting or self._order(stream.master) < min(waiting):
                stream.resume(now)
                if waiting:
                    self._decide_at(now + burst[1] - burst[0])
                return
            stream.block(self)
        if waiting:
            master, cycles, ended = queue.pop(waiting.index(min(waiting)))
            self.last, self.held_until = master.index, now + cycles
            self._grant.start_for(ended, cycles)
            if queue or (stream is not None and (burst or stream.arrival(self.index, now) < self.held_until)):
                self._decide_at(self.held_until)

    def _order(self, master: Master) -> tuple[int, int]:
        """Key of the next master: the smallest goes. Fixed: by rank; else in turn after the last one."""
        turn = (master.index - self.last - 1) % self.masters
        return (master.rank, turn) if self.fixed else (0, turn)
