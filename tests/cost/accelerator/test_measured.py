"""Descriptions against silicon: errors of figures fitted without the network, family or layer that they predict."""

import numpy as np
import pandas as pd
import pytest
from fitting import fit, left_out_errors, predicted
from networks import DATA, stacked, with_stored_weights

from tinysim.cost.accelerator.ethos.estimate import estimate_vela
from tinysim.cost.accelerator.ethos.systems import load_system
from tinysim.cost.accelerator.layer_cost import layer_cost, network_cost
from tinysim.cost.accelerator.machine import machine_of
from tinysim.cost.accelerator.spec import load_accelerator
from tinysim.cost.accelerator.work import supported

MEASURED = pd.read_csv(DATA / "measured.csv", keep_default_na=False, na_values={"energy_uj": [""]})
N6 = pd.read_csv(DATA / "n6_measured.csv")
MVP = pd.read_csv(DATA / "mvp_layers.csv")
SHAPE = ["kind", "in_h", "in_w", "in_c", "out_h", "out_w", "out_c", "kernel_h", "kernel_w", "stride_h", "stride_w"]


def rows_of(name, **conditions):
    rows = MEASURED[MEASURED.accelerator == name]
    for column, accepted in conditions.items():
        rows = rows[accepted(rows[column])]
    return rows.reset_index(drop=True)


def prepared(name, rows):
    """Columns and measured seconds at the clock of the description."""
    spec = load_accelerator(name)
    columns = stacked(list(rows.network), weight_bits=rows.weight_bits.to_numpy())
    taken, _ = supported(spec, **columns)
    seconds = rows.latency_ms.to_numpy() / 1e3 * rows.clock_mhz.to_numpy() * 1e6 / spec.clock.si
    return spec, {name: column[taken] for name, column in columns.items()}, seconds


def n6():
    inside = N6[N6.external_ram_kib.fillna(0) == 0].reset_index(drop=True)
    columns = stacked(list(inside.network))
    columns = with_stored_weights(columns, inside.weights_flash_kib * 1024, inside.share_of_4_bit_weights)
    return inside, columns, inside.inference_ms.to_numpy() / 1e3


def test_stm32n6_without_the_family():
    rows, columns, seconds = n6()
    start = {
        "convolution__utilization": 0.23,
        "npu_ram__bytes_per_cycle": 1.6,
        "external_flash__bytes_per_cycle": 0.4,
        "setup_cycles": 4000.0,
        "start_s": 5e-5,
    }
    families = rows.family.to_numpy()
    errors = left_out_errors(load_accelerator("stm32n6-neural-art"), start, columns, seconds, families)
    assert len(rows) == 62
    assert np.abs(errors).mean() <= 0.075
    # One network more than half of whose time is not in its layers (decoding on the CPU).
    assert np.abs(errors[families != "st_ssd_mobilenet_v1"]).mean() <= 0.07


def test_stm32n6_as_shipped():
    _, columns, seconds = n6()
    errors = predicted(machine_of(load_accelerator("stm32n6-neural-art")), columns) / seconds - 1
    assert np.abs(errors).mean() <= 0.062


GAP8 = ["convolution__utilization", "depthwise__utilization"]
LEFT_OUT = [
    # accelerator, rows, figures to fit, mean absolute error without the network
    ("gap8-cluster", {}, [*GAP8, "l3__bytes_per_cycle", "setup_cycles"], 21, 0.07),
    ("max78002", {"clock_mhz": lambda c: c >= 100}, ["convolution__position_cycles"], 9, 0.06),
    ("nxp-neutron-n1-16", {}, ["setup_cycles"], 3, 0.15),
    ("syntiant-ndp120", {"note": lambda n: n == "v1.0"}, ["utilization"], 3, 0.18),
    ("gap9-ne16", {}, ["utilization"], 3, 0.25),
    ("coral-edge-tpu", {}, ["host_link__bytes_per_cycle", "systolic__utilization"], 15, 0.21),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "conditions", "figures", "count", "error"), LEFT_OUT, ids=[row[0] for row in LEFT_OUT]
)
def test_networks_left_out(name, conditions, figures, count, error):
    rows = rows_of(name, group=lambda g: g != "dory", **conditions)
    spec, columns, seconds = prepared(name, rows)
    machine = machine_of(spec)
    start = {figure: shipped(machine, figure) for figure in figures}
    errors = left_out_errors(spec, start, columns, seconds, rows.network.to_numpy())
    assert len(rows) == count
    assert np.abs(errors).mean() <= error


def shipped(machine, name):
    """The number of the description that a name of `vary` reaches."""
    owner, _, field = name.rpartition("__")
    names = [part.name.replace("-", "_") for part in (*machine.spec.engines, *machine.spec.memories)]
    values = getattr(machine, field)
    if not owner:
        return float(np.min(values))
    index = names.index(owner)
    return float(values[index if index < len(machine.spec.engines) else index - len(machine.spec.engines)])


def test_max78002_without_pipeline_needs_no_fit():
    rows = rows_of("max78002", clock_mhz=lambda c: c < 100)
    spec, columns, seconds = prepared("max78002", rows)
    errors = predicted(machine_of(spec).vary(position_cycles=0.0), columns) / seconds - 1
    assert len(rows) == 6
    assert np.abs(errors).max() <= 0.03


def test_max78000_needs_no_fit():
    spec, columns, seconds = prepared("max78000", rows_of("max78000"))
    assert predicted(machine_of(spec), columns)[0] == pytest.approx(seconds[0], rel=0.12)


def mvp_layers():
    rows = MVP[(MVP.latency_ms >= 0.06) & (MVP.clock_mhz == 78)]  # the profiler counts in steps of 0.03 ms
    rows = rows[rows.kind.isin(["conv2d", "depthwise_conv2d", "fully_connected", "add"])].reset_index(drop=True)
    return rows, {name: rows[name].to_numpy() for name in SHAPE} | {"network": np.arange(len(rows))}


def test_mvp_layers_of_networks_left_out():
    rows, columns = mvp_layers()
    spec = load_accelerator("silabs-mvp")
    machine = machine_of(spec)
    figures = ["convolution__utilization", "convolution__output_cycles", "depthwise__utilization"]
    figures += ["depthwise__output_cycles", "fully_connected__utilization", "vector__utilization"]
    start = {figure: shipped(machine, figure) for figure in figures} | {"setup_cycles": 3700.0}
    errors = left_out_errors(spec, start, columns, rows.latency_ms.to_numpy() / 1e3, rows.network.to_numpy())
    assert (len(rows), rows.network.nunique()) == (171, 15)
    assert np.abs(errors).mean() <= 0.10


def test_mvp_networks_from_the_layers_of_others():
    rows = rows_of("silabs-mvp", note=lambda n: n.str.contains("v4"))
    spec, columns, seconds = prepared("silabs-mvp", rows)
    errors = predicted(machine_of(spec), columns) / seconds - 1
    assert len(rows) == 3
    assert np.abs(errors).mean() <= 0.06


def test_gap8_layers_left_out():
    measured = rows_of("gap8-cluster", group=lambda g: g == "dory").set_index("network").latency_ms
    columns = stacked(["mobilenet-v1-1.0-128"])
    kept = np.isin(columns["kind"], ["conv2d", "depthwise_conv2d", "mean", "fully_connected"])
    columns = {name: column[kept] for name, column in columns.items()}
    names = ["Conv1", *(f"{kind}Conv{i + (kind == 'Pw')}" for i in range(1, 14) for kind in ("Dw", "Pw")), "Pool", "FC"]
    rows = [i for i, name in enumerate(names) if f"dory:{name}" in measured.index]
    rows += [names.index("DwConv7"), names.index("PwConv8")]
    measured = measured.rename({"dory:DwConv7-11(each)": "dory:DwConv7", "dory:PwConv8-12(each)": "dory:PwConv8"})
    seconds = measured.loc[[f"dory:{names[i]}" for i in rows]].to_numpy() / 1e3
    spec = load_accelerator("gap8-cluster-dory")
    machine = machine_of(spec)
    figures = ["convolution__utilization", "convolution__output_cycles", "depthwise__input_cycles"]
    figures += ["depthwise__output_cycles", "l3__bytes_per_cycle", "setup_cycles"]
    start = {figure: shipped(machine, figure) for figure in figures}
    # The weights of the whole network decide where each layer's live, so every layer is priced every time.
    errors = left_out_errors(
        spec,
        start,
        columns,
        seconds,
        np.arange(len(rows)),
        price=lambda m: layer_cost(m, **columns).op_cycles[rows] / 1e8,
    )
    assert len(rows) == 21
    assert np.abs(errors).mean() <= 0.125


def test_ethos_u65_of_the_imx93_is_slower_than_its_compiler_says():
    """Silicon disagrees with the compiler's estimate; two networks are too few to fit more than that."""
    hardware = load_accelerator("ethos-u65-256").vela
    system, clock_hz = load_system("Ethos_U65_High_End", "Dedicated_Sram")
    rows = rows_of("ethos-u65-256")
    for network, milliseconds in zip(rows.network, rows.latency_ms, strict=True):
        columns = stacked([network])
        result = estimate_vela(hardware, system, **{name: columns[name] for name in SHAPE})
        assert 1.5 < milliseconds / 1e3 / (result.op_cycles.sum() / clock_hz) < 3.5


ENERGY = [
    ("gap8-cluster", {"group": lambda g: g != "dory"}, 21, 0.06),
    ("max78002", {"clock_mhz": lambda c: c >= 100, "note": lambda n: n.str.contains("1.0 V")}, 7, 0.10),
    ("silabs-mvp", {"note": lambda n: n.str.contains("v4")}, 3, 0.02),
    ("syntiant-ndp120", {"note": lambda n: n == "v1.0"}, 3, 0.06),
    ("gap9-ne16", {}, 3, 0.15),
]


@pytest.mark.parametrize(("name", "conditions", "count", "error"), ENERGY, ids=[row[0] for row in ENERGY])
def test_energy_as_shipped(name, conditions, count, error):
    rows = rows_of(name, **conditions)
    spec, columns, _ = prepared(name, rows)
    cost = network_cost(machine_of(spec).vary(clock_hz=rows.clock_mhz.to_numpy() * 1e6), **columns)
    energy = np.diagonal(cost.energy_j)  # each row at its own clock
    assert len(rows) == count
    assert np.abs(energy / (rows.energy_uj * 1e-6) - 1).mean() <= error


def test_a_fit_recovers_the_figures_that_made_the_data():
    spec = load_accelerator("gap8-cluster")
    columns = stacked(["mobilenet-v1-0.5-128", "mobilenet-v1-1.0-128", "mlperf-tiny-ic", "mlperf-tiny-kws"])
    truth = {"convolution__utilization": 0.4, "setup_cycles": 8000.0}
    seconds = predicted(machine_of(spec).vary(**truth), columns)
    start = {"convolution__utilization": 0.2, "setup_cycles": 2000.0}
    found = fit(lambda m: predicted(m, columns), machine_of(spec), start, seconds, np.ones(4, dtype=bool))
    assert found == pytest.approx(truth, rel=1e-3)
