"""Features, levels and measured cycles of measured rows."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tinysim.calibrate.layers import is_layer, layer_table
from tinysim.deploy.deployment import priced_rows, runtime_network
from tinysim.deploy.features import inference_features
from tinysim.deploy.flash import flash_use
from tinysim.deploy.layout import Layout, runtime_layout
from tinysim.deploy.memory import plan_arena
from tinysim.deploy.policy import arena_policy
from tinysim.deploy.target import Target, precision_of, resolve_target
from tinysim.device.effects import FEATURES, levels_of
from tinysim.device.library import load_device, load_runtime
from tinysim.network.graph import Network
from tinysim.network.load import load_network
from tinysim.network.table import LayerTable

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ln_cycles", "named_features", "network_features", "row_features", "row_levels", "row_precision"]

Floats = NDArray[np.float64]


def network_features(network: Network, target: Target) -> Floats:
    """Features of one inference on a target, shape (len(FEATURES),) [cycle]."""
    runs = runtime_network(network, target.runtime)
    arena, flash = plan_arena(runs, arena_policy(target)), flash_use(runs, target.runtime)
    return table_features(runs.table(), target, runtime_layout(runs, arena, flash, target))


def table_features(table: LayerTable, target: Target, layout: Layout | None = None) -> Floats:
    """Features of one inference of the layers of a table, shape (len(FEATURES),) [cycle].

    layout: which memories hold them; those of the target's placement if None.
    """
    return inference_features(table, target, priced_rows(table, target), layout)


@lru_cache(maxsize=256)
def _network(name: str) -> tuple[Network, str]:
    network = load_network(name)
    return network, precision_of(network.table())


def row_precision(name: str) -> str:
    """Number format of what a row names: a network or a single layer."""
    return precision_of(layer_table(name)) if is_layer(name) else _network(name)[1]


@lru_cache(maxsize=4096)
def _features(
    network: str, device: str, runtime: str, build: str, clock_hz: float | None, memory: str | None
) -> tuple[float, ...]:
    places = {} if memory is None else {"weights_in": memory, "activations_in": memory}
    target = resolve_target(device, runtime, clock_hz=clock_hz, build=build, precision=row_precision(network), **places)
    return tuple(named_features(network, target).tolist())


def named_features(network: str, target: Target) -> Floats:
    """Features of what a row names on a target: a network or a single layer, shape (len(FEATURES),) [cycle]."""
    if not is_layer(network):
        return network_features(_network(network)[0], target)
    # A layer is no inference, and a bare kernel no operator of an interpreter either.
    found = table_features(layer_table(network), target)
    found[FEATURES.index("inference_overhead")] = 0.0
    if network.startswith("kernel:"):
        found[FEATURES.index("op_overhead")] = 0.0
    return found


def row_features(rows: pd.DataFrame) -> Floats:
    """Features of every row, shape (n, len(FEATURES)) [cycle]."""
    columns = (rows["network"], rows["device"], rows["runtime"], rows["build"], _clocks(rows), _memories(rows))
    return np.array([_features(*key) for key in zip(*columns, strict=True)]).reshape(-1, len(FEATURES))


def row_levels(rows: pd.DataFrame) -> list[dict[str, str]]:
    """Levels of every row: family, stack, precision, build, core, die, board."""
    named = zip(rows["network"], rows["device"], rows["runtime"], rows["build"], strict=True)
    return [
        levels_of(load_runtime(runtime), load_device(device), precision=row_precision(network), build=build)
        for network, device, runtime, build in named
    ]


def ln_cycles(rows: pd.DataFrame) -> Floats:
    """Log of the measured cycles of every row, shape (n,)."""
    clocks = [
        load_device(device).clock.si if clock is None else clock
        for device, clock in zip(rows["device"], _clocks(rows), strict=True)
    ]
    cycles: Floats = np.log(rows["latency_ms"].to_numpy(dtype=np.float64) * 1e-3 * np.array(clocks))
    return cycles


def _clocks(rows: pd.DataFrame) -> list[float | None]:
    return [None if mhz is None or mhz != mhz else float(mhz) * 1e6 for mhz in rows["clock_mhz"]]


def _memories(rows: pd.DataFrame) -> list[str | None]:
    if "memory" not in rows:
        return [None] * len(rows)
    return [name if isinstance(name, str) and name else None for name in rows["memory"]]
