"""Time in whole ticks on a SimPy environment, and the order of events within a tick."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any, Protocol, cast

import simpy
from simpy.events import EventPriority

__all__ = ["DECIDE", "NORMAL", "RESCHEDULE", "After", "Env", "Timer", "environment"]

#: Priorities of SimPy events within a tick: whatever happens, then schedulers, then arbiters. So all releases of a tick
#: are in before a scheduler chooses, and all requests before an arbiter does.
NORMAL, RESCHEDULE, DECIDE = EventPriority(1), EventPriority(2), EventPriority(3)


class Counts(Protocol):
    """Somebody who knows how many jobs a run waits for."""

    left: int


class Env(simpy.Environment):
    """A `simpy.Environment` whose time is a whole number of ticks, with the inner loop of its `run` written out.

    Half of the cost of an event in SimPy is in calls around its callbacks (`peek`, `step`, the property `now`). Events,
    their queue and their order are SimPy's, and so are its processes, which run here as anywhere.
    """

    def __init__(self) -> None:
        super().__init__(0)
        self.tick = 0
        """the present tick: `now` as a plain attribute"""

    def step(self) -> None:
        """Process the next event."""
        if self._queue:
            self.tick = cast(int, self._queue[0][0])
        super().step()

    def run(self, until: Any = None) -> Any:
        """Process all events before a tick, and go there; as in SimPy."""
        found = super().run(until)
        self.tick = cast(int, self._now)
        return found

    def run_events(self, most: int, before: float, jobs: Counts | None) -> int:
        """Process up to `most` events before a tick, while `jobs` (if given) waits for one; returns how many."""
        queue = self._queue
        for n in range(most):
            if not queue or queue[0][0] >= before or (jobs is not None and not jobs.left):
                return n
            self._now, _, _, event = heappop(queue)
            self.tick = self._now  # type: ignore[assignment]
            callbacks, event.callbacks = event.callbacks, None  # type: ignore[assignment]
            for callback in callbacks:
                callback(event)
            if not event._ok and not hasattr(event, "_defused"):
                raise cast(BaseException, event._value)
        return most


def environment() -> Env:
    """An environment at tick 0."""
    return Env()


class After(simpy.Event):
    """A call some ticks from now, at a priority within that tick.

    What `simpy.Timeout` is to a process, this is to a part that keeps its own state: half the cost of a generator's
    resumption, and a part that changed its mind ignores an event that it no longer waits for.
    """

    _ok, _value = True, None  # as of an event that was triggered

    def __init__(self, env: Env, ticks: int, call: Callable[[Any], None], priority: EventPriority = NORMAL) -> None:
        self.callbacks = [call]
        env.schedule(self, priority, ticks)


class Timer(simpy.Event):
    """An `After` that is used again and again, one call at a time: nothing is made for an event."""

    _ok, _value = True, None

    def __init__(self, env: Env, call: Callable[[Any], None], priority: EventPriority = NORMAL) -> None:
        self._env, self._calls, self._priority = env, [call], priority

    def start(self, ticks: int) -> None:
        """Call some ticks from now. The call before must have come."""
        env = self._env
        self.callbacks = self._calls
        heappush(env._queue, (env.tick + ticks, self._priority, next(env._eid), self))  # `schedule`, without its call

    def start_for(self, call: Callable[[Any], None], ticks: int) -> None:
        """The same with another call."""
        self.callbacks = [call]
        self._env.schedule(self, self._priority, ticks)
