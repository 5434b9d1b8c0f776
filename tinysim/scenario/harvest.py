"""`harvest_run`: a battery-free scenario from its file to completion rate, outages and energy ledger."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tinysim.errors import InfeasibleError, SpecError, TinysimError, TraceError
from tinysim.estimate.engine import estimate
from tinysim.network.load import load_network
from tinysim.scenario.harvest_spec import HarvestScenario, HarvestSource
from tinysim.scenario.intermittent import Intermittence, Node, run_node
from tinysim.scenario.life import finite, in_days
from tinysim.scenario.parts import Nvm, VectorEngine, load_part
from tinysim.scenario.policies import prepare
from tinysim.scenario.reader import read_spec
from tinysim.scenario.tasks import Workload, from_engine, from_estimate, split
from tinysim.supply.feed import Feed
from tinysim.supply.harvesters import constant_feed, irradiance_trace, markov_feed, periodic_feed
from tinysim.supply.hybrid import HybridRun
from tinysim.supply.plane import plane_irradiance
from tinysim.supply.presets import ChargerSpec, list_chargers, load_harvester
from tinysim.supply.traces import PowerTrace, VITrace, read_irradiance, read_trace

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["HarvestRun", "build_feed", "build_node", "build_workload", "harvest_run"]

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class HarvestRun:
    """What a battery-free node achieved."""

    name: str
    feed: Feed
    result: Intermittence

    def answer(self) -> str:
        """What it achieved, in a sentence."""
        r, ledger = self.result, self.result.supply.ledger
        what = f"{r.completed:,} of {r.requests:,} requests" if r.node.request_s else f"{r.completed:,} inferences"
        lost = {
            "converters": ledger.converter_loss_j,
            "leakage": ledger.leakage_j,
            "a full capacitor": ledger.clipped_j,
        }
        worst = max(lost, key=lambda name: lost[name])
        given = max(0.0, -ledger.stored_j)
        source = ledger.harvested_j + given
        origin = (
            "harvested" if given < 0.01 * source else f"({ledger.harvested_j:.3g} J harvested, the rest from storage)"
        )
        first = f"the first after {in_days(r.first_result_s)}" if r.completed else "none completed"
        used = f"{ledger.used_j / source:.0%} of {source:.3g} J {origin} reached the load" if source else ""
        return (
            f"{self.name}: {what} in {in_days(r.duration_s)} ({r.completion_rate:.1%}), {first}; "
            f"{r.failures:,} power failures, {r.redone_share:.1%} of the work done again; {used}, "
            f"most of the rest was lost to {worst}."
        )

    def to_frame(self) -> pd.DataFrame:
        """One row per phase: off, boot, idle, work, save."""
        return self.result.supply.to_frame()

    def to_dict(self) -> dict[str, Any]:
        """Plain data: the document that ``tinysim harvest --json`` prints (docs/harvest.md)."""
        r, kept = self.result, self.result.node.kept
        return {
            "schema_version": SCHEMA_VERSION,
            "scenario": self.name,
            "workload": kept.workload.name,
            "policy": kept.policy,
            "tasks": len(kept.workload.tasks),
            "inference_time_s": kept.time_s,
            "inference_energy_j": kept.energy_j,
            "commit_energy_j": kept.commit_j,
            "duration_s": r.duration_s,
            "requests": r.requests,
            "completed": r.completed,
            "completion_rate": r.completion_rate,
            "in_time_rate": r.in_time_rate,
            "first_result_s": finite(r.first_result_s),
            "forward_progress": r.forward_progress,
            "redone_share": r.redone_share,
            "power_failures": r.failures,
            "failed_saves": r.failed_saves,
            "outage_s": {str(q): value for q, value in r.outages_s().items()},
            "staleness_s": finite(r.staleness_s()),
            "ledger": asdict(r.supply.ledger),
            "cell": None if r.hybrid is None else _cell(r.hybrid),
            "answer": self.answer(),
        }


def _cell(hybrid: HybridRun) -> dict[str, float]:
    first, last = hybrid.energy_j[[0, -1]] / hybrid.cell.capacity_j
    return {
        "capacity_j": hybrid.cell.capacity_j,
        "start_share": float(first),
        "end_share": float(last),
        "charged_j": hybrid.charged_j,
        "given_j": hybrid.given_j,
    }


def build_feed(source: HarvestSource, *, folder: Path, seed: int) -> Feed:
    """The harvest as a feed of a capacitor.

    Raises:
        TraceError: a file that is no harvest; row and field are named.
    """
    total_s = source.duration or 1.0  # a made harvest has one
    steady = source.rf or source.thermoelectric or source.piezo
    if source.constant is not None or steady is not None:
        feed = constant_feed(steady.power_w() if steady else source.constant or 0.0, total_s)
        inputs, edges = feed.inputs, feed.edges_s
    elif source.periodic is not None:
        feed = periodic_feed(source.periodic.powers, source.periodic.spans, total_s=total_s)
        inputs, edges = feed.inputs, feed.edges_s
    elif source.markov_on is not None:
        rng = np.random.default_rng(seed)
        feed = markov_feed(
            power_w=source.markov_on,
            mean_on_s=source.mean_on or 1.0,
            mean_off_s=source.mean_off or 1.0,
            total_s=total_s,
            rng=rng,
        )
        inputs, edges = feed.inputs, feed.edges_s
    elif source.per_hour is not None:
        inputs = _daily(source, np.random.default_rng(seed))
        edges = np.arange(inputs.size + 1.0) * source.step
    else:
        feed = _trace(source, folder)
        inputs, edges = feed.inputs, feed.edges_s
        gross = inputs if feed.gross is None else feed.gross
        return Feed(edges, inputs * source.scale * source.efficiency, "power", gross * source.scale)
    gross = inputs * source.scale
    return Feed(edges, gross * source.efficiency, "power", gross)


def _daily(source: HarvestSource, rng: np.random.Generator) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Hourly means with lognormal flicker, an AR(1) process in ln(power)."""
    from scipy.signal import lfilter

    count = max(round((source.duration or 0.0) / source.step), 1)
    hour = (np.arange(count) * source.step // 3600.0).astype(int) % 24
    power: np.ndarray[Any, np.dtype[np.float64]] = np.asarray(source.per_hour, float)[hour]
    if not source.flicker:
        return power
    keep = math.exp(-source.step / source.flicker_time)
    noise = rng.standard_normal(count) * source.flicker * math.sqrt(1.0 - keep * keep)
    start = rng.standard_normal() * source.flicker
    walk, _ = lfilter([1.0], [1.0, -keep], noise, zi=[keep * start])
    return np.asarray(power * np.exp(walk - 0.5 * source.flicker**2))


def _trace(source: HarvestSource, folder: Path) -> Feed:
    """A recorded harvest: power as it is, voltage and current through the charger if there is one."""
    if source.irradiance is not None:
        time, irradiance = read_irradiance(folder / source.irradiance, max_gap_s=source.max_gap)
        if source.site is not None:
            site = source.site
            irradiance = plane_irradiance(
                time,
                irradiance,
                start=site.start,
                latitude_deg=site.latitude,
                longitude_deg=site.longitude,
                tilt_deg=site.tilt,
                azimuth_deg=site.azimuth,
                albedo=site.albedo,
            )
        inside = _inside(time, source.duration)
        if source.cell is not None:
            return irradiance_trace(source.cell.cell(), time[inside], irradiance[inside], name=source.irradiance).feed()
        watts = irradiance * (source.area or 0.0) * (source.panel_efficiency or 0.0)
        return PowerTrace(time[inside], watts[inside], source.irradiance).feed()
    trace = read_trace(folder / str(source.trace), max_gap_s=source.max_gap)
    inside = _inside(trace.time_s, source.duration)
    if isinstance(trace, PowerTrace):
        if source.charger is not None:
            raise TraceError(f"{trace.name}: harvest.charger needs columns of voltage and current, not of power")
        return PowerTrace(trace.time_s[inside], trace.power_w[inside], trace.name).feed()
    trace = VITrace(trace.time_s[inside], trace.voltage_v[inside], trace.current_a[inside], trace.name)
    if source.charger is None:
        return trace.power().feed()
    chip = load_harvester(source.charger)
    if not isinstance(chip, ChargerSpec):
        raise SpecError(f"harvest.charger: {source.charger} is no charger; accepted: {', '.join(list_chargers())}")
    return chip.charger().feed(trace)


def _inside(time_s: np.ndarray[Any, np.dtype[np.float64]], duration_s: float | None) -> Any:
    return time_s - time_s[0] < (math.inf if duration_s is None else duration_s)


def build_workload(scenario: HarvestScenario) -> tuple[Workload, Nvm]:
    """Tasks of the inference, and the memory of the checkpoints."""
    work = scenario.work
    if work.engine is not None:
        engine = load_part(work.engine, VectorEngine)
        tasks = from_engine(load_network(work.network), engine)
        nvm = load_part(work.nvm or engine.nvm, Nvm)
    else:
        result = estimate(work.network, str(work.device), work.runtime)
        tasks = from_estimate(result, boot_time_s=work.boot_time or 0.0, boot_energy_j=work.boot_energy)
        nvm = load_part(str(work.nvm), Nvm)
    return tasks, nvm


def build_node(scenario: HarvestScenario, tasks: Workload, nvm: Nvm) -> Node:
    """The node with the granularity and policy of the scenario.

    Raises:
        InfeasibleError: work draws more than the cell behind the capacitor can give.
    """
    spec, storage = scenario.node, scenario.storage
    cut = split(tasks, spec.tiles) if spec.tasks == "tile" else tasks
    policy = "none" if spec.tasks == "inference" and spec.policy == "static" else spec.policy
    node = Node(
        kept=prepare(cut, policy, nvm),
        capacitor=storage.capacitor(),
        on_v=storage.turn_on,
        off_v=storage.turn_off,
        request_s=spec.request,
        efficiency=spec.efficiency,
        idle_w=spec.idle,
        off_w=spec.off_draw,
        cell=None if storage.cell is None else storage.cell.cell(),
    )
    if storage.cell is not None and node.work().draw > storage.cell.max_power_w():
        raise InfeasibleError(
            f"work draws {node.work().draw:.4g} W, and {storage.cell.battery} gives {storage.cell.max_power_w():.4g} W"
        )
    return node


def harvest_run(scenario: HarvestScenario | str | Path, *, folder: str | Path = ".") -> HarvestRun:
    """Run a battery-free scenario.

    Args:
        scenario: path of a YAML file, or a `HarvestScenario`.
        folder: where the traces of a `HarvestScenario` are; of a file, the folder it is in.

    Raises:
        SpecError, TraceError: the scenario or its trace is wrong; field or row are named.
        InfeasibleError: a task can never complete.
    """
    if isinstance(scenario, HarvestScenario):
        return _run(scenario, Path(folder))
    spec, origin = read_spec(HarvestScenario, scenario)
    try:
        return _run(spec, Path(scenario).parent)
    except InfeasibleError as error:
        raise InfeasibleError(f"{origin.place(('storage', 'capacitance'))}: {error}") from error
    except TraceError:
        raise  # it names its own file
    except TinysimError as error:
        raise type(error)(f"{origin.file}: {error}") from error


def _run(spec: HarvestScenario, folder: Path) -> HarvestRun:
    feed = build_feed(spec.harvest, folder=folder, seed=spec.seed)
    node = build_node(spec, *build_workload(spec))
    return HarvestRun(spec.name, feed, run_node(node, feed, start_v=spec.storage.start))
