"""Time in whole ticks on a SimPy environment, and the order of events within a tick."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, cast

import simpy

__all__ = ["DECIDE", "NORMAL", "RESCHEDULE", "After", "Env", "environment"]

#: Priorities of SimPy events within a tick: whatever happens, then schedulers, then arbiters. So all releases of a tick
#: are in before a scheduler chooses, and all requests before an arbiter does.
NORMAL, RESCHEDULE, DECIDE = 1, 2, 3


class Env(Protocol):
    """A `simpy.Environment` whose time is a whole number of ticks."""

    @property
    def now(self) -> int:
        """The present tick."""

    def schedule(self, event: simpy.Event, priority: int = ..., delay: int = ...) -> None:
        """Put a triggered event into the queue."""

    def peek(self) -> float:
        """Tick of the next event."""

    def step(self) -> None:
        """Process the next event."""

    def run(self, until: int) -> object:
        """Process all events before a tick, and go there."""


def environment() -> Env:
    """An environment at tick 0."""
    return cast(Env, simpy.Environment())


class After(simpy.Event):
    """A call some ticks from now, at a priority within that tick.

    What `simpy.Timeout` is to a process, this is to a part that keeps its own state: half the cost of a generator's
    resumption, and a part that changed its mind ignores an event that it no longer waits for.
    """

    _ok, _value = True, None  # as of an event that was triggered

    def __init__(self, env: Env, ticks: int, call: Callable[[Any], None], priority: int = NORMAL) -> None:
        self.callbacks = [call]
        env.schedule(self, priority, ticks)
