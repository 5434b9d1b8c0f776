"""The compiler's estimate of an Ethos-U (`model: vela`) as columns over layers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinysim.cost.accelerator.ethos.estimate import estimate_vela
from tinysim.cost.accelerator.ethos.systems import load_system
from tinysim.cost.accelerator.spec import Accelerator
from tinysim.cost.accelerator.work import work_of

__all__ = ["default_system", "vela_cost"]


def default_system(spec: Accelerator) -> str:
    """The compiler's configuration of this accelerator whose clock is nearest to the description's."""
    return min(spec.systems, key=lambda name: abs(load_system(name, "Sram_Only")[1] - spec.clock.si))


def vela_cost(spec: Accelerator, columns: dict[str, Any], system: str | None, memory_mode: str) -> dict[str, Any]:
    """Columns over the layers: the compiler's operators, summed by the layer they came from. Energy is unknown.

    columns: those of `LayerTable`, of the layers that the NPU runs. Cycles are those of the NPU.

    Raises:
        SpecError: an unknown configuration or memory mode.
    """
    assert spec.vela is not None, "the caller chose this model for an Ethos-U"
    memories, _ = load_system(system or default_system(spec), memory_mode)
    n = len(columns["kind"])
    if not n:
        return {name: np.zeros(0) for name in _COLUMNS} | {"levels": {}, "memory_cycles": {}, "memory_bytes": {}}
    wanted = {name: values for name, values in columns.items() if name not in ("network", "groups")}
    if "encoded_weight_bytes" in wanted:
        wanted["weight_bytes"] = wanted.pop("encoded_weight_bytes")
    found = estimate_vela(spec.vela, memories, **wanted)

    def by_layer(values: NDArray[Any]) -> NDArray[np.float64]:
        summed: NDArray[np.float64] = np.bincount(found.ops.layer, weights=values, minlength=n).astype(np.float64)
        return summed

    work = work_of(**columns)
    constants, feature_maps = memories.constants.name, {memories.feature_maps.name, memories.staging.name}
    moved = {name: by_layer(values) for name, values in found.memory_bytes.items()}
    own = moved[constants] if constants not in feature_maps else np.minimum(work.weight_bytes, moved[constants])
    rest = sum(moved.values(), np.zeros(n)) - own
    written = np.minimum(work.out_bytes, rest)
    waits = {name: by_layer(values) for name, values in found.memory_cycles.items()}
    of_weights = waits[constants] if constants not in feature_maps else np.zeros(n)
    return {
        "op_cycles": by_layer(found.op_cycles),
        "setup_cycles": np.zeros(n),
        "compute_cycles": by_layer(found.npu_cycles),
        "weight_cycles": of_weights,
        "data_cycles": sum(waits.values(), np.zeros(n)) - of_weights,
        "weight_bytes": own,
        "read_bytes": rest - written,
        "write_bytes": written,
        "energy_j": np.full(n, np.nan),
        "levels": {},
        "memory_cycles": waits,
        "memory_bytes": moved,
        "compiled": found,
    }


_COLUMNS = ("op_cycles", "setup_cycles", "compute_cycles", "weight_cycles", "data_cycles", "weight_bytes", "read_bytes",
            "write_bytes", "energy_j")  # fmt: skip
