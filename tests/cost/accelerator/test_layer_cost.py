"""Cost of layers on described accelerators: bounds, monotony, configurations at once, energy that adds up, speed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import stacked

from tinysim.cost.accelerator.layer_cost import layer_cost, network_cost, tiled_traffic
from tinysim.cost.accelerator.machine import machine_of
from tinysim.cost.accelerator.spec import list_accelerators, load_accelerator
from tinysim.cost.accelerator.work import columns_of, per_network, supported, work_of
from tinysim.errors import UnsupportedOperator
from tinysim.network.table import LayerTable
from tinysim.network.zoo import build_network

SYSTOLIC = machine_of(load_accelerator("systolic-16x16-ws"))
VWW = stacked(["mlperf-tiny-vww"])
LAYER = st.fixed_dictionaries(
    {
        "in_h": st.integers(1, 64),
        "in_c": st.integers(1, 256),
        "out_c": st.integers(1, 256),
        "kernel_h": st.sampled_from([1, 3, 5, 7]),
    }
)


def conv(layer):
    side, kernel = layer["in_h"], layer["kernel_h"]
    return {**layer, "kind": ["conv2d"], "in_w": side, "out_h": side, "out_w": side, "kernel_w": kernel}


@given(LAYER)
def test_cycles_at_least_the_peak_and_bytes_at_least_the_tensors(layer):
    cost, work = layer_cost(SYSTOLIC, **conv(layer)), work_of(**conv(layer))
    assert cost.compute_cycles[0] * 256 >= work.macs[0]
    assert cost.op_cycles[0] >= cost.compute_cycles[0]
    compulsory = work.weight_bytes + work.in_bytes + work.out_bytes
    assert cost.memory_bytes["dram"][0] >= compulsory[0]


BETTER = [
    {"unroll_out_c": st.integers(1, 64)},
    {"unroll_in_c": st.integers(1, 64)},
    {"unroll_rows": st.integers(1, 16)},
    {"array__utilization": st.floats(0.05, 1)},
    {"buffer__size_bytes": st.integers(256, 1 << 20)},
    {"dram__bytes_per_cycle": st.floats(0.1, 64)},
    {"clock_hz": st.floats(1e6, 1e9)},
]


@settings(max_examples=60)
@given(LAYER, st.data(), st.sampled_from(BETTER))
def test_more_hardware_is_never_slower(layer, data, better):
    ((name, numbers),) = better.items()
    low, high = sorted(data.draw(st.tuples(numbers, numbers)))
    small, large = (network_cost(SYSTOLIC.vary(**{name: value}), **conv(layer)).latency_s[0] for value in (low, high))
    assert large <= small * (1 + 1e-12)


@settings(max_examples=30, deadline=None)
@given(LAYER, st.sampled_from(["ports", "banks"]), st.integers(1, 4), st.sampled_from([0, 1]))
def test_more_ports_are_never_slower(layer, field, more, memory):
    spec = SYSTOLIC.spec
    wider = spec.memories[memory].model_copy(update={field: getattr(spec.memories[memory], field) + more})
    memories = tuple(wider if i == memory else m for i, m in enumerate(spec.memories))
    fast = network_cost(machine_of(spec.model_copy(update={"memories": memories})), **conv(layer))
    assert fast.latency_s[0] <= network_cost(SYSTOLIC, **conv(layer)).latency_s[0] * (1 + 1e-12)


@settings(max_examples=60, deadline=None)
@given(LAYER, st.sampled_from(list_accelerators()), st.integers(1, 3))
def test_no_description_beats_its_peak_or_moves_less_than_the_tensors(layer, name, stride):
    spec, columns = load_accelerator(name), conv(layer)
    out = -(-layer["in_h"] // stride)
    columns |= {"out_h": out, "out_w": out, "stride_h": stride, "stride_w": stride}
    columns |= {
        "weight_bits": max(spec.engines[0].weight_bits),
        "activation_bits": max(spec.engines[0].activation_bits),
    }
    cost, work = layer_cost(spec, **columns), work_of(**columns)
    if cost.engine[0] < 0:
        return
    assert cost.op_cycles[0] * spec.engines[cost.engine[0]].macs_per_cycle >= work.macs[0] * (1 - 1e-9)
    assert cost.weight_read_bytes[0] >= work.weight_bytes[0] * min(1.0, float(machine_of(spec).weight_ratio))
    assert cost.input_read_bytes[0] >= work.in_bytes[0]
    assert cost.output_write_bytes[0] == work.out_bytes[0]
    assert sum(moved[0] for moved in cost.memory_bytes.values()) >= work.in_bytes[0] + work.out_bytes[0]


@given(st.floats(1, 1e6), st.floats(1, 1e6), st.floats(64, 1e6))
def test_tiles_that_fit_are_fetched_once(weights, inputs, buffer):
    for keep, fits in (("weights", 2 * weights <= buffer), ("inputs", 2 * inputs <= buffer)):
        fetched, read = tiled_traffic(weights, inputs, weight_buffer=buffer, input_buffer=buffer, keep=keep)
        assert fetched >= weights
        assert read >= inputs
        if fits:
            assert (fetched, read) == (weights, inputs)


def test_configurations_at_once_equal_one_at_a_time():
    rng = np.random.default_rng(1)
    numbers = {
        "unroll_out_c": rng.integers(1, 64, 12),
        "unroll_in_c": rng.integers(1, 64, 12),
        "dram__bytes_per_cycle": rng.uniform(0.5, 16, 12),
        "buffer__size_bytes": rng.uniform(1e3, 1e5, 12),
        "clock_hz": rng.uniform(1e8, 1e9, 12),
        "array__utilization": rng.uniform(0.3, 1, 12),
    }
    columns = stacked(["mlperf-tiny-ic", "mlperf-tiny-kws"])
    together = network_cost(SYSTOLIC.vary(**numbers), chunk=5, **columns)
    assert together.latency_s.shape == (12, 2)
    for i in range(12):
        alone = network_cost(SYSTOLIC.vary(**{name: float(value[i]) for name, value in numbers.items()}), **columns)
        np.testing.assert_allclose(together.latency_s[i], alone.latency_s, rtol=1e-12)
        np.testing.assert_allclose(together.cycles[i], alone.cycles, rtol=1e-12)


def test_a_network_costs_the_same_alone_and_in_a_batch():
    names = ["mlperf-tiny-kws", "mlperf-tiny-vww", "mlperf-tiny-ad"]
    batch = network_cost(SYSTOLIC, **stacked(names))
    alone = [network_cost(SYSTOLIC, **stacked([name])).latency_s[0] for name in names]
    np.testing.assert_array_equal(batch.latency_s, alone)


def test_energy_levels_add_up_and_an_unknown_level_withholds_the_total():
    known = machine_of(load_accelerator("gap8-cluster"))
    cost = layer_cost(known, **stacked(["mobilenet-v1-0.5-128"]))
    total = np.sum(np.broadcast_arrays(*cost.level_energy_j.values()), axis=0)
    np.testing.assert_allclose(cost.energy_j[np.isfinite(total)], total[np.isfinite(total)], rtol=1e-12)
    assert np.nansum(cost.energy_j) > 0
    assert np.isnan(layer_cost(SYSTOLIC, **VWW).energy_j).all()
    filled = SYSTOLIC.vary(mac_energy_j=1e-12, buffer__read_energy_j=1e-12, buffer__write_energy_j=1e-12)
    priced = layer_cost(filled.vary(active_power_w=0.0), **VWW)
    dram = priced.memory_bytes["dram"] * 64e-12
    np.testing.assert_allclose(priced.level_energy_j["dram"], dram, rtol=1e-9)
    assert np.isfinite(priced.energy_j).all()


def test_a_layer_that_nothing_takes_has_no_cost():
    spec = load_accelerator("max78002")
    columns = {"kind": ["conv2d", "svdf"], "in_c": 8, "out_c": 8, "weight_bits": 8}
    mask, why = supported(spec, **columns)
    assert (mask.tolist(), why[1]) == ([True, False], "operator not in the accelerator's list")
    cost = layer_cost(spec, **columns)
    assert cost.engine.tolist() == [0, -1]
    assert np.isnan(cost.op_cycles).tolist() == [False, True]


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"kernel_h": 11, "kernel_w": 1}, "kernel above 9"),
        ({"kernel_h": 5, "kernel_w": 5}, "kernel area above 9"),
        ({"in_c": 4096}, "channels above 2048"),
        ({"weight_bits": 16}, "weights of 1/2/4/8 bit only"),
        ({"activation_bits": 16}, "activations of 8 bit only"),
    ],
)
def test_limits_name_their_reason(columns, reason):
    mask, why = supported(load_accelerator("max78002"), kind=["conv2d"], **({"in_c": 8, "out_c": 8} | columns))
    assert (mask[0], why[0]) == (np.False_, reason)


def test_fused_and_renaming_operators_are_free():
    cost = layer_cost(
        load_accelerator("stm32n6-neural-art"), kind=["relu", "reshape", "pad"], in_h=64, in_c=64, out_c=64
    )
    assert cost.op_cycles.tolist() == [0.0, 0.0, 0.0]


def test_bit_serial_arrays_take_a_pass_per_weight_bit():
    layer = {"kind": ["conv2d"], "in_h": 12, "in_w": 12, "in_c": 16, "out_h": 12, "out_w": 12, "out_c": 32}
    layer |= {"kernel_h": 3, "kernel_w": 3}
    spec = load_accelerator("gap9-ne16")
    two, four, eight = (layer_cost(spec, weight_bits=bits, **layer).compute_cycles[0] for bits in (2, 4, 8))
    # 16 blocks of 3 x 3 outputs and 32 channels: a channel per cycle and bit, 45 cycles to load and 42 to store.
    assert (eight, four) == (16 * (32 * 8 + 45 + 42), 16 * (32 * 4 + 45 + 42))
    assert eight - four == 2 * (four - two)


def test_weights_that_do_not_fit_stream_from_the_next_memory():
    spec = load_accelerator("coral-edge-tpu")
    inside = layer_cost(spec, kind=["conv2d"], in_c=2048, out_c=2048)
    outside = layer_cost(spec, kind=["conv2d"], in_c=4096, out_c=4096)
    assert inside.memory_bytes["host-link"][0] == 0
    assert outside.memory_bytes["host-link"][0] == 4096 * 4096
    assert outside.bound[0] == "host-link"


@pytest.mark.parametrize("name", list_accelerators())
def test_every_description_prices_what_it_supports(name):
    spec = load_accelerator(name)
    columns = stacked(["mlperf-tiny-ic"], weight_bits=max(spec.engines[0].weight_bits))
    columns["activation_bits"] = np.full(len(columns["kind"]), max(spec.engines[0].activation_bits))
    cost = layer_cost(spec, **columns)
    taken = cost.engine >= 0
    assert taken.any()
    assert np.isfinite(cost.op_cycles[taken]).all()
    peak = np.array([engine.macs_per_cycle for engine in spec.engines])[cost.engine[taken]]
    assert (cost.op_cycles[taken] * peak >= work_of(**columns).without(spec.fused).macs[taken] * (1 - 1e-9)).all()


def test_work_counts_what_the_layer_table_counts():
    for name in ("mlperf-tiny-vww", "mlperf-tiny-ic", "mlperf-tiny-kws", "mlperf-tiny-ad"):
        table = build_network(name).table()
        work, counted = work_of(**columns_of(table)), table.macs > 0
        np.testing.assert_array_equal(work.macs[counted], table.macs[counted])
        np.testing.assert_array_equal(work.weight_bytes, table.weight_bytes)


def test_recurrent_layers_count_their_gates():
    table = LayerTable.from_columns(
        {"kind": ["unidirectional_sequence_lstm", "gru"], "in_h": 5, "in_c": 8, "out_c": 16}
    )
    np.testing.assert_array_equal(work_of(**columns_of(table)).macs, table.macs)


def test_unknown_kinds_are_refused():
    with pytest.raises(UnsupportedOperator, match="conv3d"):
        work_of(kind=["conv3d"], in_c=1, out_c=1)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=20))
def test_sums_per_network_keep_the_total(network):
    values = np.arange(2.0 * len(network)).reshape(2, -1)
    sums = per_network(values, np.array(network))
    np.testing.assert_allclose(sums.sum(axis=-1), values.sum(axis=-1))
