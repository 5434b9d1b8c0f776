"""Parameters of designs reach the formulas, and inverse questions bracket their goals."""

import math
import runpy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import tinysim as ts
from tinysim.cost.accelerator.spec import load_accelerator
from tinysim.errors import InfeasibleError, SpecError
from tinysim.explore.designs import PARAMETERS, AcceleratorModel, changed_accelerator, model_of
from tinysim.explore.inverse import least_design
from tinysim.explore.spaces import ds_cnn

DESIGN = "systolic-16x16-ws"
EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize(
    ("changes", "faster"),
    [
        ({"npu_array_in_c": 32.0, "npu_array_out_c": 32.0}, True),
        ({"npu_array_out_c": 4.0}, False),
        ({"npu_clock_hz": 250e6}, False),
        ({"npu_dram_bytes_per_s": 1e8}, False),
        ({"npu_dram_bytes_per_s": 1e8, "npu_sram_bytes": 1024.0}, False),
    ],
)
def test_an_accelerator_answers_to_its_parameters(changes: dict[str, float], faster: bool) -> None:
    plain, changed = AcceleratorModel(DESIGN)("kws"), AcceleratorModel(DESIGN, changes)("kws")
    assert (changed.latency_s < plain.latency_s) == faster
    assert changed.latency_s != plain.latency_s
    assert changed.sram_peak_bytes == plain.sram_peak_bytes


def test_changes_reach_the_description() -> None:
    spec = changed_accelerator(
        load_accelerator(DESIGN),
        {"npu_array_out_c": 64.0, "npu_sram_banks": 2.0, "npu_sram_bytes": 4096.0, "npu_dram_bytes_per_s": 1e9},
    )
    near, far = spec.memories
    assert (spec.engines[0].unroll.out_c, near.ports, near.size.si) == (64, 2, 4096)
    assert far.bandwidth_bytes_per_s == pytest.approx(1e9)
    # the ports widen with the array that they feed
    assert near.bandwidth_bytes_per_s >= max(spec.engines[0].operand_bytes.values()) * spec.clock.si


def test_a_batch_on_an_accelerator_equals_single_networks() -> None:
    space, model = ds_cnn(), AcceleratorModel(DESIGN, {"npu_sram_bytes": 8192.0})
    encoded = space.encode(space.sample(20, seed=1))
    columns = model.columns(encoded)
    for i in range(20):
        alone = model(encoded[i : i + 1])
        assert [columns[name][i] for name in columns] == list(alone.to_dict().values())


def test_the_accelerator_of_a_board() -> None:
    plain, half = model_of("gap9-evk"), model_of("gap9-evk", None, {"npu_array_in_c": 8.0})
    assert half("kws").latency_s > plain("kws").latency_s == ts.estimate("kws", "gap9-evk").latency_s


@pytest.mark.parametrize(
    ("device", "parameters", "message"),
    [
        ("nucleo-l4r5zi", {"npu_sram_bytes": 1024.0}, "drives no accelerator of nucleo-l4r5zi"),
        ("nucleo-l4r5zi", {"npu_sram": 1.0}, "'npu_sram' is no parameter of a device; did you mean npu_sram"),
        (DESIGN, {"clock_hz": 1e6}, "clock_hz: systolic-16x16-ws is an accelerator"),
        (DESIGN, {"npu_array_out_c": 2.5}, "npu_array_out_c: 2.5 is no whole number"),
        (DESIGN, {"npu_sram_width_bytes": 1.0}, "the array takes 16 B of activations per cycle"),
        ("ethos-u55-128", {"npu_array_out_c": 2.0}, "its compiler's estimate"),
    ],
)
def test_impossible_designs(device: str, parameters: dict[str, float], message: str) -> None:
    with pytest.raises(SpecError) as caught:
        model_of(device, None, parameters)
    assert message in str(caught.value)


def test_least_buffer_and_array() -> None:
    buffer = least_design(
        "vww", DESIGN, vary="npu_sram_bytes", low=1024, high=1 << 20, goal=1 / 30, fixed={"npu_dram_bytes_per_s": 25e6}
    )

    def latency(size: float) -> float:
        return AcceleratorModel(DESIGN, {"npu_sram_bytes": size, "npu_dram_bytes_per_s": 25e6})("vww").latency_s

    assert latency(buffer.answer.value) <= 1 / 30 < latency(buffer.answer.beyond)
    assert buffer.answer.value == buffer.answer.beyond + 1
    assert {row.parameter for row in buffer.sensitivities} > set(buffer.parameters)
    array = least_design(
        "kws", DESIGN, vary=("npu_array_in_c", "npu_array_out_c"), low=1, high=64, goal=20e-6, figure="energy_j"
    )
    assert array.answer.figure <= 20e-6
    assert math.isclose(array.parameters["npu_array_in_c"], array.parameters["npu_array_out_c"])
    with pytest.raises(InfeasibleError):
        least_design("kws", DESIGN, vary="npu_sram_bytes", low=1024, high=4096, goal=1e-9)


def test_a_sweep_of_designs_and_networks(tmp_path: Path) -> None:
    spec = {
        "networks": {"space": "ds-cnn", "sample": 30, "seed": 1},
        "devices": [DESIGN, "systolic-16x16-os"],
        "parameters": {"npu_sram_bytes": ["8 KiB", "64 KiB"], "npu_array_out_c": [8, 16]},
        "chunk_points": 80,
    }
    ts.sweep(spec, tmp_path / "out", workers=1)
    frame = pd.read_parquet(tmp_path / "out").sort_values("point")
    assert len(frame) == 30 * 8
    row = frame.iloc[37]
    space = ds_cnn()
    encoded = space.encode(
        np.random.default_rng([1, 0]).integers(0, space.n_choices, size=(1 << 16, len(space.genes)))[:30]
    )
    cost = AcceleratorModel(row["device"], {n: row[n] for n in ("npu_sram_bytes", "npu_array_out_c")})(
        encoded[int(row["network"]) : int(row["network"]) + 1]
    )
    assert (cost.latency_s, cost.energy_j) == (row["latency_s"], row["energy_j"])


def test_every_parameter_is_documented() -> None:
    page = (EXAMPLES.parent / "docs" / "explore.md").read_text(encoding="utf-8")
    assert [name for name in PARAMETERS if name not in page and name.partition("_")[2] not in page] == []


def test_the_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(EXAMPLES / "inverse_design.py"))
    assert "npu_sram_bytes" in capsys.readouterr().out
