"""One chunk of a sweep: computed from the specification alone, written as one Parquet file, whole or not at all."""

from __future__ import annotations

import json
import os
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import tinysim
from tinysim.explore.cost_model import COLUMNS, CostModel
from tinysim.explore.designs import PARAMETERS, AcceleratorModel, model_of
from tinysim.explore.encoded import Encoded
from tinysim.explore.sweep_spec import SweepSpec

__all__ = ["UNITS", "chunk_columns", "chunk_path", "run_chunk"]

#: column -> unit
UNITS = {"latency_s": "s", "energy_j": "J", "sram_peak_bytes": "byte", "flash_bytes": "byte", "macs": "1"} | PARAMETERS
#: columns that no parameter of a device changes
_FIXED = ("sram_peak_bytes", "flash_bytes", "macs")
#: settings whose prices a worker keeps
_MODELS = 128


def chunk_path(folder: Path, number: int) -> Path:
    """File of a chunk."""
    return folder / f"part-{number:07d}.parquet"


@lru_cache(maxsize=4)
def _spec(text: str) -> SweepSpec:
    return SweepSpec.model_validate_json(text)


@lru_cache(maxsize=_MODELS)
def _model(device: str, runtime: str | None, parameters: tuple[tuple[str, float], ...]) -> CostModel | AcceleratorModel:
    return model_of(device, runtime, dict(parameters))


def chunk_columns(spec: SweepSpec, number: int) -> dict[str, NDArray[Any]]:
    """Columns of a chunk, a value per point: point, network, device, parameters, costs."""
    start = number * spec.networks_per_chunk
    stop = min(spec.networks.count, start + spec.networks_per_chunk)
    space = spec.networks.search_space
    encoded = None if space is None else space.encode(spec.networks.vectors(start, stop), threads=1)
    networks = np.arange(start, stop)
    fixed: dict[str, dict[str, NDArray[Any]]] = {}
    parts: list[dict[str, NDArray[Any]]] = []
    for setting in range(spec.n_settings):
        device, parameters = spec.setting(setting)
        model = _model(device, spec.runtime, tuple(parameters.items()))
        costs = _costs(model, encoded, spec, start, stop, timing_only=device in fixed)
        fixed.setdefault(device, {name: costs[name] for name in _FIXED if name in costs})
        columns: dict[str, NDArray[Any]] = {"point": networks * spec.n_settings + setting, "network": networks}
        columns["device"] = np.full(len(networks), spec.devices.index(device), dtype=np.int32)
        columns |= {name: np.full(len(networks), value) for name, value in parameters.items()}
        parts.append(columns | {name: (costs | fixed[device])[name] for name in COLUMNS})
    # points of one network stand together
    return {name: np.stack([part[name] for part in parts], axis=1).ravel() for name in parts[0]}


def _costs(
    model: CostModel | AcceleratorModel,
    encoded: Encoded | None,
    spec: SweepSpec,
    start: int,
    stop: int,
    *,
    timing_only: bool,
) -> dict[str, NDArray[Any]]:
    if encoded is not None:
        return model.columns(encoded, COLUMNS[:2] if timing_only else COLUMNS, threads=1)
    costs = [model(name).to_dict() for name in spec.networks.names[start:stop]]
    # None becomes not a number
    return {name: np.array([cost[name] for cost in costs], dtype=np.float64) for name in COLUMNS}


def run_chunk(text: str, folder: str, number: int) -> int:
    """Compute and write a chunk; returns its points.

    It is written under another name first, so that a kill leaves no half file.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    spec, path = _spec(text), chunk_path(Path(folder), number)
    columns = chunk_columns(spec, number)
    arrays, fields = [], []
    for name, values in columns.items():
        if name == "device":
            array: Any = pa.DictionaryArray.from_arrays(pa.array(values), pa.array(spec.devices))
        elif name.endswith("_bytes") and name not in PARAMETERS:
            array = pa.array(values.astype(np.float64), from_pandas=True).cast(pa.int64())
        else:
            array = pa.array(values, from_pandas=True)
        arrays.append(array)
        unit = {"unit": UNITS[name]} if name in UNITS else None
        fields.append(pa.field(name, array.type, metadata=unit))
    about = {"tinysim_version": tinysim.__version__, "sweep": text, "names": json.dumps(spec.networks.names)}
    table = pa.Table.from_arrays(arrays, schema=pa.schema(fields, metadata=about))
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    pq.write_table(table, scratch, compression="zstd")
    os.replace(scratch, path)
    return len(table)
