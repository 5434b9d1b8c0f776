"""From a `Scenario` to a `Plan`: parts and estimates are looked up here and nowhere later."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from tinysim.cost.timing import CoreTiming
from tinysim.device.library import load_device
from tinysim.device.spec import Device
from tinysim.errors import InfeasibleError, MissingFigure, SpecError, nearest
from tinysim.estimate.engine import estimate
from tinysim.estimate.result import Estimate
from tinysim.figures import Figure
from tinysim.scenario.cells import build_battery
from tinysim.scenario.events import Arrivals, Pattern, Trace
from tinysim.scenario.features import feature_cycles, fft_counts, mfcc_counts
from tinysim.scenario.parts import Radio, Sensor, load_part
from tinysim.scenario.plan import Activity, Phase, Plan
from tinysim.scenario.sending import IDLE, send_phases
from tinysim.scenario.spec import Scenario, SensorUse, SleepState, When
from tinysim.scenario.steps import Features, Infer, Run, Send, Sense

__all__ = ["build_plan"]


#: States of boards in which the core waits and its clocks run.
_WAITING = ("sleep", "idle")


@dataclass(frozen=True)
class _Mcu:
    """The MCU's figures, from the scenario or the board."""

    device: Device | None
    runtime: str | None
    clock_hz: float | None
    run_a: float | None
    idle_a: float | None

    def running_a(self) -> float:
        if self.run_a is None:
            raise MissingFigure("mcu.run: the run current is unknown; give it or a device that has it")
        return self.run_a

    def idling_a(self) -> float:
        return self.running_a() if self.idle_a is None else self.idle_a


def build_plan(scenario: Scenario) -> Plan:
    """Resolve parts, estimates, sleep state and rates.

    Raises:
        SpecError: something named does not exist, or a figure is missing; the message names the field.
        InfeasibleError: no sleep state keeps the memory that must survive.
    """
    mcu = _resolve_mcu(scenario)
    spreads: dict[str, float] = {}
    drafts = dict(_drafts(scenario, mcu, spreads))
    rate = sum(draft.arrivals.rate_hz for draft in drafts.values())
    state = _sleep_state(scenario, mcu, 1.0 / rate)
    wake = _wake_phases(scenario, mcu, state)
    naps = [s for s in _states(scenario, mcu) if s.retained != 0]  # in the middle of its work the MCU keeps its memory
    if naps:
        nap = min(naps, key=lambda s: s.current)
        drafts = {n: _with_naps(draft, nap, _wake_phases(scenario, mcu, nap)) for n, draft in drafts.items()}
    activities = tuple(
        Activity(
            name,
            draft.arrivals,
            (*wake, *draft.phases),
            tuple((done + len(wake), go_on) for done, go_on in draft.stops),
            draft.deadline_s,
            draft.field,
        )
        for name, draft in drafts.items()
    )
    always = [(name, current) for name, current in scenario.other.items()]
    always += [draw for name, use in scenario.sensors.items() for draw in _constant(scenario, name, use)]
    if scenario.watchdog is not None and scenario.watchdog.current:
        always.append(("watchdog", scenario.watchdog.current))
    radios = dict.fromkeys(
        step.radio for a in scenario.activities.values() for step in a.steps if isinstance(step, Send)
    )
    for radio in radios:
        part = load_part(radio, Radio) if radio else None
        if part is not None and part.sleep is not None:
            always.append((f"{part.name} asleep", part.sleep.si))
    plan = Plan(
        scenario.name,
        build_battery(scenario.supply),
        activities,
        tuple(always),
        ((f"sleep ({state.name})", state.current),),
    )
    return _with_spreads(plan, scenario, spreads)


def _with_naps(draft: _Draft, state: SleepState, wake: tuple[Phase, ...]) -> _Draft:
    """The draft with the core asleep in waits that are longer than its wake-up."""
    phases: list[Phase] = []
    at = [0]
    wake_s = sum(phase.duration_s for phase in wake)
    for phase in draft.phases:
        idle = dict(phase.draws).get(IDLE, 0.0)
        if phase.waits and phase.duration_s > wake_s and state.current < idle:
            draws = tuple(draw for draw in phase.draws if draw[0] != IDLE)
            asleep = (*draws, (f"sleep ({state.name})", state.current))
            phases += [Phase(phase.label, phase.duration_s - wake_s, asleep), *wake]
        else:
            phases.append(phase)
        at.append(len(phases))
    return replace(draft, phases=tuple(phases), stops=tuple((at[done], go_on) for done, go_on in draft.stops))


def _with_spreads(plan: Plan, scenario: Scenario, spreads: dict[str, float]) -> Plan:
    said = scenario.uncertainty
    for name in said.consumers:
        if name not in plan.consumers:
            raise SpecError(f"uncertainty.consumers: no consumer {name!r}; {nearest(name, plan.consumers)}")
    for name in said.rates:
        if name not in scenario.activities:
            raise SpecError(f"uncertainty.rates: no activity {name!r}; {nearest(name, scenario.activities)}")
    spreads |= {name: math.log1p(share) for name, share in said.consumers.items()}
    spreads |= {f"rate of {name}": math.log1p(share) for name, share in said.rates.items()}
    if said.capacity is not None:
        spreads["capacity"] = math.log1p(said.capacity)
    return Plan(plan.name, plan.battery, plan.activities, plan.always, plan.asleep, tuple(spreads.items()))


# -- MCU ------------------------------------------------------------------------------------------------------------


def _resolve_mcu(scenario: Scenario) -> _Mcu:
    said = scenario.mcu
    if said.device is None:
        return _Mcu(None, None, said.clock, said.run, said.idle)
    device = load_device(said.device)
    clock = said.clock or device.clock.si
    run, idle = said.run, said.idle
    if idle is None and device.power is not None and clock == device.clock.si:
        waiting = [s.current.si for s in device.power.sleep if s.name in _WAITING and s.current.known]
        idle = waiting[0] if waiting else None
    if run is None and device.power is not None:
        points = [p for p in device.power.run if abs(p.clock.si - clock) <= 1e-3 * clock and p.current.known]
        rail = scenario.supply.rail or scenario.supply.voltage
        if points:
            run = min(points, key=lambda p: abs(p.supply.si - rail)).current.si
    return _Mcu(device, said.runtime, clock, run, idle)


def _states(scenario: Scenario, mcu: _Mcu) -> list[SleepState]:
    if scenario.mcu.sleep:
        return list(scenario.mcu.sleep)
    if mcu.device is None or mcu.device.power is None or not mcu.device.power.sleep:
        raise MissingFigure("mcu.sleep: no sleep state is known; give at least one")
    return [
        SleepState(
            name=state.name,
            current=state.current.si,
            wake=state.wake_latency.si if state.wake_latency is not None and state.wake_latency.known else None,
            retained=int(state.retained.si) if state.retained is not None and state.retained.known else 0,
        )
        for state in mcu.device.power.sleep
        if state.current.known
    ]


def _sleep_state(scenario: Scenario, mcu: _Mcu, gap_s: float) -> SleepState:
    """The named state, or the one with the smallest charge over the mean time between events."""
    states, keep = _states(scenario, mcu), scenario.mcu.keep
    names = [state.name for state in states]
    if scenario.mcu.use != "auto" and scenario.mcu.use not in names:
        raise SpecError(f"mcu.use: no sleep state {scenario.mcu.use!r}; {nearest(scenario.mcu.use, names)}")
    fit = [s for s in states if scenario.mcu.use in {"auto", s.name} and (s.retained is None or s.retained >= keep)]
    if not fit:
        largest = max((s.retained or 0) for s in states)
        raise InfeasibleError(
            f"mcu.keep: {keep} bytes must survive sleep, and {scenario.mcu.use} keeps at most {largest}; "
            f"states: {', '.join(names)}"
        )
    # a reset that takes nobody knows how long is no way to sleep, unless it is the only one or was asked for
    fit = [s for s in fit if s.retained != 0 or s.wake] or fit
    return min(
        fit, key=lambda s: s.current * gap_s + sum(p.current_a * p.duration_s for p in _wake_phases(scenario, mcu, s))
    )


def _wake_phases(scenario: Scenario, mcu: _Mcu, state: SleepState) -> tuple[Phase, ...]:
    """Wake-up latency at the run current plus its charge, then the clock's start-up."""
    phases = []
    if state.wake:
        current = (mcu.run_a or 0.0) + state.wake_charge / state.wake
        phases.append(Phase("wake up", state.wake, (("wake-up", current),)))
    elif state.wake_charge:
        raise SpecError(f"mcu.sleep: {state.name}: wake_charge needs wake, the time over which it flows")
    clock = scenario.mcu.clock_start
    if clock is not None:
        phases.append(Phase("start clock", clock.time, (("wake-up", clock.current),)))
    return tuple(phases)


# -- sensors --------------------------------------------------------------------------------------------------------


def _sensor_a(name: str, use: SensorUse) -> tuple[float, float, float]:
    """(measuring, asleep, start-up time) of a sensor."""
    part = load_part(use.part, Sensor) if use.part is not None else None
    try:
        active = use.current if use.current is not None else part.mode_a(use.mode) if part else 0.0
        asleep = use.sleep_current
        if asleep is None:
            asleep = 0.0 if part is None or (use.always and use.duty == 1.0) else part.sleep_a()
    except SpecError as error:
        raise type(error)(f"sensors.{name}: {error}") from error
    return active, asleep, part.start.si if part is not None and part.start is not None else 0.0


def _constant(scenario: Scenario, name: str, use: SensorUse) -> Iterator[tuple[str, float]]:
    active, asleep, _ = _sensor_a(name, use)
    current = use.duty * active + (1.0 - use.duty) * asleep if use.always else asleep
    if current:
        yield name if use.always else f"{name} asleep", current


def _fifo_draft(name: str, use: SensorUse, mcu: _Mcu) -> _Draft:
    assert use.watermark is not None
    assert use.rate is not None
    period = use.watermark / (use.rate * use.sample)
    time = 8 * use.watermark / use.bus
    draw = mcu.idling_a() if use.dma else mcu.running_a()
    read = Phase(f"read {name}", time, ((f"read {name}", draw),))
    part = load_part(use.part, Sensor) if use.part is not None else None
    size = (
        use.fifo if use.fifo is not None else int(part.fifo.si) if part is not None and part.fifo is not None else None
    )
    if size is not None and size < use.watermark:
        raise SpecError(f"sensors.{name}.watermark: {use.watermark} bytes are more than the FIFO's {size}")
    # DMA empties it behind the core's back; the core itself comes when it is free
    slack = None if size is None or use.dma else (size - use.watermark) / (use.rate * use.sample)
    return _Draft(Pattern.periodic(period), (read,), (), slack, ("sensors", name, "watermark"))


# -- activities -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Draft:
    arrivals: Arrivals
    phases: tuple[Phase, ...]
    stops: tuple[tuple[int, float], ...]
    deadline_s: float | None
    field: tuple[str | int, ...]


def _drafts(scenario: Scenario, mcu: _Mcu, spreads: dict[str, float]) -> Iterator[tuple[str, _Draft]]:
    for name, activity in scenario.activities.items():
        phases: list[Phase] = []
        stops: list[tuple[int, float]] = []
        for n, step in enumerate(activity.steps):
            try:
                phases += _phases(step, scenario, mcu, spreads)
            except SpecError as error:
                raise type(error)(f"activities.{name}.steps.{n}: {error}") from error
            last = n == len(activity.steps) - 1
            if step.pass_rate < 1.0 and not last:
                stops.append((len(phases), step.pass_rate))
        yield (
            name,
            _Draft(_arrivals(activity.when), tuple(phases), tuple(stops), activity.deadline, ("activities", name)),
        )
    for name, use in scenario.sensors.items():
        if use.watermark is not None:
            yield f"read {name}", _fifo_draft(name, use, mcu)
    dog = scenario.watchdog
    if dog is not None:
        work = Phase("serve watchdog", dog.duration, (("watchdog", mcu.running_a()),))
        # served every `serve`; the timer bites `timeout` after the last service
        slack = dog.timeout - dog.serve
        yield "watchdog", _Draft(Pattern.periodic(dog.serve), (work,), (), slack, ("watchdog", "timeout"))


def _arrivals(when: When) -> Arrivals:
    if when.every is not None:
        return Pattern.periodic(when.every)
    if when.poisson is not None:
        return Pattern((when.poisson,), (1.0 / when.poisson,), random=True)
    if when.per_hour is not None:
        return Pattern((3600.0,) * 24, tuple(n / 3600.0 for n in when.per_hour), random=True)
    assert when.times is not None
    assert when.repeat is not None
    return Trace(when.times, when.repeat)


def _phases(
    step: Run | Sense | Features | Infer | Send, scenario: Scenario, mcu: _Mcu, spreads: dict[str, float]
) -> list[Phase]:
    rail = scenario.supply.rail or scenario.supply.voltage
    match step:
        case Run():
            name = step.name or "run"
            if step.power is not None:
                current = step.power / rail
            else:
                current = mcu.running_a() if step.current is None else step.current
            return [Phase(name, step.duration, ((name, current),))]
        case Sense():
            return _sense(step, scenario, mcu)
        case Features():
            return [_features(step, mcu)]
        case Infer():
            return [_infer(step, mcu, rail, spreads)]
        case Send():
            return send_phases(step, mcu.idling_a())


def _sense(step: Sense, scenario: Scenario, mcu: _Mcu) -> list[Phase]:
    if step.sensor not in scenario.sensors:
        raise SpecError(f"sensor: no sensor {step.sensor!r}; {nearest(step.sensor, scenario.sensors)}")
    use = scenario.sensors[step.sensor]
    active, asleep, start = _sensor_a(step.sensor, use)
    draws: list[tuple[str, float]] = [(IDLE, mcu.idling_a() if use.dma else mcu.running_a())]
    if not use.always:
        draws.append((step.sensor, active - asleep))
    name = step.name or f"sense {step.sensor}"
    return [Phase(name, step.duration + (0.0 if use.always else start), tuple(draws))]


def _features(step: Features, mcu: _Mcu) -> Phase:
    if mcu.device is None or mcu.clock_hz is None:
        raise SpecError("feature extraction needs mcu.device: its core's timing prices the operations")
    timing = _core_timing(mcu.device.core.timing)
    samples = step.samples or step.points
    if step.kind == "fft":
        counts = fft_counts(step.points)
    else:
        counts = mfcc_counts(samples=samples, points=step.points, mels=step.mels, coefficients=step.coefficients)
    name = step.name or step.kind
    time = step.frames * feature_cycles(counts, timing) / mcu.clock_hz
    return Phase(name, time, ((name, mcu.running_a()),))


def _core_timing(table: dict[str, Figure]) -> CoreTiming:
    return CoreTiming(**{name: figure.si for name, figure in table.items()})


def _infer(step: Infer, mcu: _Mcu, rail_v: float, spreads: dict[str, float]) -> Phase:
    if step.network is None:
        assert step.latency is not None
        assert step.energy is not None
        name = step.name or "infer"
        if step.energy_factor is not None:
            spreads[name] = math.log(step.energy_factor)
        return Phase(name, step.latency, ((name, step.energy / step.latency / rail_v),))
    name = step.name or f"infer {step.network}"
    result = estimate_on(mcu.device, step.network, step.runtime or mcu.runtime, mcu.clock_hz)
    assert result.energy_j is not None
    interval = result.interval(0.9).energy_j
    if interval is not None and result.energy_j > 0:
        spreads[name] = math.log(interval[1] / result.energy_j)
    return Phase(name, result.latency_s, ((name, inference_a(result, rail_v)),))


def estimate_on(device: Device | None, network: str, runtime: str | None, clock_hz: float | None) -> Estimate:
    """Estimate a network on the scenario's board.

    Raises:
        SpecError: no device is named, or its currents are unknown.
    """
    if device is None:
        raise SpecError("a network needs mcu.device; or give latency and energy")
    result = estimate(network, device, runtime, clock_hz=clock_hz)
    if result.energy_j is None:
        raise MissingFigure(f"energy of {network} on {device.name} is unknown: {'; '.join(result.gaps)}")
    return result


def inference_a(result: Estimate, rail_v: float) -> float:
    """Mean current of an inference at a rail: on a linear regulator the current stays, on a converter the power."""
    power = result.deployment.target.device.power
    assert result.energy_j is not None
    assert power is not None
    volts = rail_v if power.regulator == "smps" else power.supply.si
    return result.energy_j / result.latency_s / volts
