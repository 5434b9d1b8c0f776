"""Time in whole ticks on a SimPy environment, and the order of events within a tick."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Protocol, TypeAlias, cast

import simpy

__all__ = ["DECIDE", "NORMAL", "RESCHEDULE", "Env", "Events", "environment", "fire"]

#: Priorities of SimPy events within a tick: whatever happens, then schedulers, then arbiters. So all releases of a tick
#: are in before a scheduler chooses, and all requests before an arbiter does.
NORMAL, RESCHEDULE, DECIDE = 1, 2, 3

#: What a process is.
Events: TypeAlias = Generator[simpy.Event, Any, None]


class Env(Protocol):
    """A `simpy.Environment` whose time is a whole number of ticks."""

    @property
    def now(self) -> int:
        """The present tick."""

    def event(self) -> simpy.Event:
        """An event to be triggered."""

    def timeout(self, delay: int) -> simpy.Event:
        """An event `delay` ticks from now."""

    def process(self, generator: Generator[simpy.Event, Any, Any]) -> simpy.Process:
        """Start a process."""

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


def fire(env: Env, event: simpy.Event, priority: int, delay: int = 0) -> None:
    """Trigger an event so that it is processed after `delay` ticks, at a priority within that tick."""
    event._ok, event._value = True, None  # what Event.succeed sets, which takes neither delay nor priority
    env.schedule(event, priority, delay)
