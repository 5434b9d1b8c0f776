"""Zero-wait cycles of the core tables against timing simulations from the cores' manuals."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from counted_runs import read_runs

from tinysim.cost.counts import Counts
from tinysim.cost.cpu.per_trip import CLASSES, CORES
from tinysim.cost.timing import CoreTiming, zero_wait_cycles

SPECS = Path(__file__).parents[3] / "device_specs" / "cores"
RUNS = read_runs("cmsis_nn_instructions")
#: mean absolute error and 95th percentile that a table must reach: single-issue cores, then those that are means
ACCURACY = {
    "cortex-m0plus": (0.01, 0.03),
    "cortex-m3": (0.015, 0.04),
    "cortex-m4": (0.023, 0.07),
    "cortex-m33": (0.02, 0.04),
    "cortex-m7": (0.05, 0.13),
    "cortex-m55": (0.045, 0.10),
}


def timing_of(core):
    spec = yaml.safe_load((SPECS / f"{core}.yaml").read_text())
    return CoreTiming(**{name: figure["value"] for name, figure in spec["timing"].items()})


@pytest.mark.parametrize("core", list(ACCURACY))
def test_against_simulated_cycles(core):
    runs = RUNS[RUNS.core == core]
    counts = Counts(**{name: runs[name].to_numpy(float) for name in CLASSES})
    error = np.abs(zero_wait_cycles(counts, timing_of(core)) / runs.est_cycles - 1)
    mean, p95 = ACCURACY[core]
    assert error.mean() <= mean
    assert np.quantile(error, 0.95) <= p95


def test_every_core_of_the_kernels_has_a_spec():
    cores = {core for core in CORES if core.startswith("cortex-")} - {"cortex-m0"}
    assert {path.stem for path in SPECS.glob("cortex-*.yaml")} >= cores
