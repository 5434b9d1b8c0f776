"""Descriptions against silicon: errors of figures fitted without the network, family or layer that they predict."""

import numpy as np
import pandas as pd
import pytest
from fitting import fit, left_out_errors, predicted
from networks import DATA, stacked, with_stored_weights
from scipy.optimize import nnls

from tinysim.cost.accelerator.ethos.estimate import estimate_vela
from tinysim.cost.accelerator.ethos.systems import load_system
from tinysim.cost.accelerator.layer_cost import layer_cost, network_cost
from tinysim.cost.accelerator.machine import machine_of
from tinysim.cost.accelerator.spec import load_accelerator
from tinysim.cost.accelerator.work import supported, work_of

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
    # Where activations lie follows from the arena that the tool reports.
    columns["live_bytes"] = inside.internal_ram_kib.to_numpy()[columns["network"]] * 1024
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
    ("syntiant-ndp120", {"note": lambda n: n == "v1.0"}, ["setup_cycles"], 3, 0.035),
    ("gap9-ne16", {}, ["setup_cycles"], 3, 0.075),
    ("coral-edge-tpu", {}, ["host_link__bytes_per_cycle", "systolic__utilization"], 15, 0.15),
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


def dory():
    """Layers of MobileNetV1 under DORY: columns of the network, which rows were timed, their time and energy."""
    measured = rows_of("gap8-cluster", group=lambda g: g == "dory").set_index("network")
    columns = stacked(["mobilenet-v1-1.0-128"])
    kept = np.isin(columns["kind"], ["conv2d", "depthwise_conv2d", "mean", "fully_connected"])
    columns = {name: column[kept] for name, column in columns.items()}
    names = ["Conv1", *(f"{kind}Conv{i + (kind == 'Pw')}" for i in range(1, 14) for kind in ("Dw", "Pw")), "Pool", "FC"]
    rows = [i for i, name in enumerate(names) if f"dory:{name}" in measured.index]
    rows += [names.index("DwConv7"), names.index("PwConv8")]
    measured = measured.rename({"dory:DwConv7-11(each)": "dory:DwConv7", "dory:PwConv8-12(each)": "dory:PwConv8"})
    measured = measured.loc[[f"dory:{names[i]}" for i in rows]]
    return columns, rows, measured.latency_ms.to_numpy() / 1e3, measured.energy_uj.to_numpy() / 1e6


def test_gap8_layers_left_out():
    columns, rows, seconds, _ = dory()
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


def test_gap8_energy_of_layers_left_out():
    """Two powers, while the cores compute and while they wait, tell the energy of every layer."""
    columns, rows, _, joules = dory()
    machine = machine_of(load_accelerator("gap8-cluster-dory"))
    ways = ({"active_power_w": 1.0, "busy_power_w": 0.0}, {"active_power_w": 0.0, "busy_power_w": 1.0})
    parts = np.stack([layer_cost(machine.vary(**way), **columns).energy_j[rows] for way in ways], axis=1)
    found = np.empty(len(rows))
    for i in range(len(rows)):
        others = np.arange(len(rows)) != i
        found[i] = parts[i] @ nnls(parts[others] / joules[others, None], np.ones(len(rows) - 1))[0]
    assert np.abs(found / joules - 1).mean() <= 0.135
    assert np.abs(layer_cost(machine, **columns).energy_j[rows] / joules - 1).mean() <= 0.125


#: Encoded weights of the published models, as the compiler prints them.
ENCODED = {"mlperf-tiny-ic": 74_576, "mlperf-tiny-ad": 184_656}


def test_ethos_u65_of_the_imx93_without_the_network():
    """Silicon disagrees with the compiler's estimate by one factor, the same for three networks of 57 us to 2 ms."""
    spec = load_accelerator("imx93-ethos-u65")
    system, clock_hz = load_system("Ethos_U65_High_End", spec.memory_mode)
    rows, ratios = rows_of("ethos-u65-256"), []
    for network, milliseconds in zip(rows.network, rows.latency_ms, strict=True):
        columns = stacked([network])
        plain = work_of(**columns).weight_bytes
        encoded = plain * ENCODED.get(network, plain.sum()) / plain.sum()
        result = estimate_vela(spec.vela, system, weight_bytes=encoded, **{name: columns[name] for name in SHAPE})
        ratios.append(milliseconds / 1e3 / (result.op_cycles.sum() / clock_hz))
    logs = np.log(ratios)
    left_out = [np.exp(np.delete(logs, i).mean() - logs[i]) - 1 for i in range(3)]
    assert len(rows) == 3
    assert np.abs(left_out).mean() <= 0.105
    assert np.exp(logs.mean()) == pytest.approx(spec.silicon_ratio.si, rel=0.005)


ENERGY = [
    # accelerator, rows, whether its energy follows the multiply-accumulates, count, mean absolute error left out
    ("gap8-cluster", {"group": lambda g: g != "dory"}, True, 21, 0.06),
    ("max78002", {"clock_mhz": lambda c: c >= 100, "note": lambda n: n.str.contains("1.0 V")}, True, 7, 0.09),
    ("silabs-mvp", {"note": lambda n: n.str.contains("v4")}, True, 3, 0.07),
    ("gap9-ne16", {}, True, 3, 0.02),
    ("syntiant-ndp120", {"note": lambda n: n == "v1.0"}, False, 3, 0.17),
]


def energy_parts(name, rows):
    """Energy of each row at its own clock: as shipped, and per watt of active power and joule of a MAC."""
    spec, columns, _ = prepared(name, rows)
    machine = machine_of(spec).vary(clock_hz=rows.clock_mhz.to_numpy() * 1e6)

    def energy(**numbers):
        return np.diagonal(network_cost(machine.vary(**numbers), **columns).energy_j)

    names = ("active_power_w", "mac_energy_j", "cycle_energy_j")
    nothing = energy(**dict.fromkeys(names, 0.0))
    numbers = names if machine.cycle_energy_j > 0 else names[:2]
    parts = [energy(**dict.fromkeys(names, 0.0) | {name: 1.0}) - nothing for name in numbers]
    return energy(), nothing, np.stack(parts, axis=1)


@pytest.mark.parametrize(("name", "conditions", "macs", "count", "error"), ENERGY, ids=[row[0] for row in ENERGY])
def test_energy_of_networks_left_out(name, conditions, macs, count, error):
    rows = rows_of(name, **conditions)
    measured = rows.energy_uj.to_numpy() * 1e-6
    shipped, rest, parts = energy_parts(name, rows)
    parts = parts if macs else parts[:, :1]
    found = np.empty(len(rows))
    for network in set(rows.network):
        out = (rows.network == network).to_numpy()
        priced = nnls(parts[~out] / measured[~out, None], 1 - rest[~out] / measured[~out])[0]
        found[out] = parts[out] @ priced + rest[out]
    assert len(rows) == count
    assert np.abs(found / measured - 1).mean() <= error
    assert np.abs(shipped / measured - 1).mean() <= max(error, 0.095)


def test_max78002_energy_at_every_clock_and_supply():
    """7.5 to 200 MHz, 1.0 and 1.1 V: work and cycles cost energy, time a little power, all by the supply squared."""
    rows = rows_of("max78002")
    spec, columns, _ = prepared("max78002", rows)
    supply = np.where(rows.note.str.contains("1.1 V"), 1.1, 1.0)
    slow = rows.clock_mhz.to_numpy() < 100
    machine = machine_of(spec).vary(clock_hz=rows.clock_mhz.to_numpy() * 1e6)
    piped, plain = (
        np.diagonal(network_cost(m, **columns).energy_j) for m in (machine, machine.vary(position_cycles=0.0))
    )
    errors = np.where(slow, plain, piped) * supply**2 / (rows.energy_uj.to_numpy() * 1e-6) - 1
    assert len(rows) == 15
    assert np.abs(errors).mean() <= 0.05


def test_a_fit_recovers_the_figures_that_made_the_data():
    spec = load_accelerator("gap8-cluster")
    columns = stacked(["mobilenet-v1-0.5-128", "mobilenet-v1-1.0-128", "mlperf-tiny-ic", "mlperf-tiny-kws"])
    truth = {"convolution__utilization": 0.4, "setup_cycles": 8000.0}
    seconds = predicted(machine_of(spec).vary(**truth), columns)
    start = {"convolution__utilization": 0.2, "setup_cycles": 2000.0}
    found = fit(lambda m: predicted(m, columns), machine_of(spec), start, seconds, np.ones(4, dtype=bool))
    assert found == pytest.approx(truth, rel=1e-3)
