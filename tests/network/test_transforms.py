"""Transforms: valid networks in, valid networks out; what each promises about MACs, bytes and sparsity."""

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from hypothesis import given, settings
from hypothesis import strategies as st
from nets import networks

from tinysim.errors import NetworkError
from tinysim.estimate.engine import estimate
from tinysim.network.builder import Builder
from tinysim.network.check import check_network
from tinysim.network.counts import CONVENTIONS, count_operations
from tinysim.network.graph import Network
from tinysim.network.load import load_network
from tinysim.network.tflite_reader import read_tflite
from tinysim.network.tflite_writer import tflite_bytes
from tinysim.network.transforms import (
    cluster,
    codebook_bytes,
    eliminate_dead_channels,
    fuse,
    fuse_pads,
    prune_channels,
    prune_n_m,
    prune_unstructured,
    quantize,
    scale_depth,
    scale_resolution,
    scale_width,
    split_pads,
)

NETS = networks()
FLOATS = networks(dtypes=("float32",))


def with_values(name: str) -> Network:
    return read_tflite(tflite_bytes(load_network(name)))


# ---------------------------------------------------------------- number formats


@settings(max_examples=30, deadline=None)
@given(FLOATS)
def test_int8_and_back(network: Network) -> None:
    whole = quantize(network, "int8")
    assert whole.macs == network.macs
    assert whole.weight_bytes <= network.weight_bytes
    assert quantize(whole, "float32").table() == network.table()
    assert quantize(whole, "int8") == whole


@pytest.mark.parametrize("name", ["kws", "ic", "mobilenet-v3-small-224", "lstm-32", "tiny-transformer"])
@pytest.mark.parametrize("number", ["int8", "int16x8"])
def test_quantizing_the_float_network_gives_the_zoo_s(name: str, number: str) -> None:
    wanted = load_network(f"{name}@{number}")
    assert quantize(load_network(f"{name}@float32"), number).table() == wanted.table()


def test_bytes_scale_with_bits() -> None:
    network = load_network("kws@float32")
    floats = network.table().weight_bytes.sum()
    for bits in (2, 4, 8, 16):
        assert quantize(network, weight_bits=bits).table().weight_bytes.sum() == pytest.approx(floats * bits / 32)
    mixed = quantize(network, weight_bits={"conv2d_2": 4}, activation_bits={"conv2d_2": 4})
    assert mixed.table().weight_bits[2] == 4
    assert mixed.table().weight_bits[4] == 8
    assert mixed.table().activation_bits[3] == 4
    with pytest.raises(NetworkError, match="no layer 'conv'; did you mean conv2d_"):
        quantize(network, weight_bits={"conv": 4})
    with pytest.raises(NetworkError, match="3 bits; accepted: 2, 4, 8, 16, 32"):
        quantize(network, weight_bits=3)
    with pytest.raises(NetworkError, match="number format 'int9' is not known"):
        quantize(network, "int9")


def test_quantized_floats_keep_zeros_and_run() -> None:
    network = quantize(prune_unstructured(with_values("kws@float32"), 0.5))
    table = network.table()
    assert (table.weight_sparsity[table.is_family("conv")] >= 0.5).all()
    interpreter = Interpreter(model_content=tflite_bytes(network))
    interpreter.allocate_tensors()
    interpreter.invoke()


# ---------------------------------------------------------------- pruning, clustering


@settings(max_examples=30, deadline=None)
@given(NETS, st.floats(0, 0.9), st.integers(1, 4))
def test_removing_channels_never_adds_work(network: Network, fraction: float, multiple: int) -> None:
    pruned = prune_channels(network, fraction, multiple=multiple)
    check_network(pruned)
    assert pruned.macs <= network.macs
    assert pruned.weight_bytes <= network.weight_bytes
    assert [pruned.tensors[t].shape for t in pruned.outputs] == [network.tensors[t].shape for t in network.outputs]
    assert prune_channels(network, 0.0).table() == network.table()


@settings(max_examples=30, deadline=None)
@given(NETS, st.floats(0, 1), st.integers(1, 4), st.integers(0, 4))
def test_sparsity_is_a_property_and_no_speed(network: Network, sparsity: float, n: int, more: int) -> None:
    for pruned in (prune_unstructured(network, sparsity), prune_n_m(network, n, n + more)):
        assert pruned.macs == network.macs
        assert pruned.weight_bytes == network.weight_bytes
        assert (pruned.table().weight_sparsity >= network.table().weight_sparsity).all()


def test_pruned_values() -> None:
    network = with_values("edgemark-cnn-3")
    half = prune_unstructured(network, 0.5)
    table = half.table()
    assert table.weight_sparsity[table.is_family("conv")] == pytest.approx(0.5, abs=0.02)
    two_four = prune_n_m(network, 2, 4)
    weights = two_four.tensors[two_four.ops[2].inputs[1]].data
    assert weights is not None
    assert (np.count_nonzero(weights.reshape(-1, 4), axis=1) <= 2).all()
    only = prune_unstructured(network, 0.9, layers=["conv2d_1"])
    assert (only.table().weight_sparsity > 0.5).tolist() == [op.name == "conv2d_1" for op in only.ops]
    with pytest.raises(NetworkError, match=r"sparsity 1\.5; accepted"):
        prune_unstructured(network, 1.5)
    with pytest.raises(NetworkError, match="3:2 sparsity; accepted"):
        prune_n_m(network, 3, 2)
    with pytest.raises(NetworkError, match="1 clusters; accepted"):
        cluster(network, 1)
    with pytest.raises(NetworkError, match="no layer 'nothing'"):
        prune_unstructured(network, 0.5, layers=["nothing"])


def test_structured_pruning_follows_adds_and_depthwise() -> None:
    network = load_network("ic")
    pruned = prune_channels(network, 0.5)
    assert pruned.table().out_c.tolist()[:4] == [8, 8, 8, 8]
    assert pruned.macs < 0.3 * network.macs
    one = prune_channels(network, 0.5, layers=["conv2d_1"])
    assert one.table().out_c.tolist()[:4] == [16, 8, 16, 16]
    interpreter = Interpreter(model_content=tflite_bytes(pruned))
    interpreter.allocate_tensors()
    interpreter.invoke()


def test_clustering_shares_values() -> None:
    network = with_values("edgemark-cnn-3")
    shared = cluster(network, 16)
    for op in shared.ops:
        if op.kind == "conv2d":
            assert len(np.unique(shared.tensors[op.inputs[1]].data)) <= 16
    assert shared.metadata["clusters"] == 16
    assert shared.macs == network.macs
    assert codebook_bytes(shared, 16) < 0.6 * shared.table().weight_bytes.sum()


def test_zeros_gain_no_speed_and_the_estimate_says_so() -> None:
    network = load_network("ic")
    dense, pruned = (
        estimate(net, "nucleo-l4r5zi", "tflm-cmsis-nn") for net in (network, prune_unstructured(network, 0.9))
    )
    assert pruned.cycles == dense.cycles
    assert "90% of the weights are zero; the kernels of tflm-cmsis-nn are dense" in pruned.explain()
    assert "zero" not in dense.explain()


@settings(max_examples=30, deadline=None)
@given(FLOATS, st.floats(0, 0.8))
def test_transforms_compose(network: Network, fraction: float) -> None:
    one = quantize(prune_channels(network, fraction))
    two = prune_channels(quantize(network), fraction)
    assert one.table() == two.table()
    assert eliminate_dead_channels(one).macs <= one.macs


# ---------------------------------------------------------------- scaling


@pytest.mark.parametrize(
    ("given_", "side", "wanted"),
    [
        ("mobilenet-v1-0.25-224", 96, "mobilenet-v1-0.25-96"),
        ("squeezenet-1.1-224", 128, "squeezenet-1.1-128"),
        ("st-efficientnet-lc-v1-224-c5", 128, "st-efficientnet-lc-v1-128-c5"),
        ("ssd-mobilenet-v2-fpnlite-0.35-256", 192, "ssd-mobilenet-v2-fpnlite-0.35-192"),
    ],
)
def test_resolution_gives_the_zoo_s_network(given_: str, side: int, wanted: str) -> None:
    assert scale_resolution(load_network(given_), side).table() == load_network(wanted).table()


def test_width_gives_the_zoo_s_network() -> None:
    half = scale_width(load_network("mobilenet-v1-1.0-224"), 0.5)
    assert half.table() == load_network("mobilenet-v1-0.5-224").table()


def test_depth_repeats_blocks() -> None:
    base = load_network("resnet-20-32")
    assert scale_depth(base, 1.0).table() == base.table()
    shallow, deep = scale_depth(base, 0.5), scale_depth(base, 2.0)
    assert shallow.macs < base.macs < deep.macs
    assert deep.tensors[deep.outputs[0]].shape == base.tensors[base.outputs[0]].shape
    plain = load_network("vww")
    assert scale_depth(plain, 2.0).macs - plain.macs == 5 * (41472 + 589824)


@settings(max_examples=30, deadline=None)
@given(NETS)
def test_scaling_by_one_changes_nothing(network: Network) -> None:
    table = network.table()
    assert scale_width(network, 1.0).table() == table
    assert scale_depth(network, 1.0).table() == table
    if len(network.tensors[network.inputs[0]].shape) == 4:
        _, height, width, _ = network.tensors[network.inputs[0]].shape
        assert scale_resolution(network, height, width).table() == table


def test_scaling_refuses() -> None:
    network = load_network("kws")
    with pytest.raises(NetworkError, match="width factor 0"):
        scale_width(network, 0)
    with pytest.raises(NetworkError, match="depth factor -1"):
        scale_depth(network, -1)
    with pytest.raises(NetworkError, match="no image input"):
        scale_resolution(load_network("ad"), 9)


# ---------------------------------------------------------------- fusion


def test_pads_fuse_and_split() -> None:
    network = load_network("st-mobilenet-v1-0.25-96-c5")
    fused = fuse_pads(network)
    assert "pad" not in fused.table().kind_names
    assert fused.macs == network.macs
    explicit = Builder("explicit")
    odd = explicit.build(explicit.conv(explicit.input(1, 8, 8, 3), 4, 3, padding=(1, 2, 0, 1)))
    split = split_pads(odd)
    assert split.table().kind_names == ["pad", "conv2d"]
    assert fuse_pads(split).table() == odd.table()
    with pytest.raises(NetworkError, match="neither SAME nor VALID"):
        tflite_bytes(odd)
    assert read_tflite(tflite_bytes(split)).macs == odd.macs


@settings(max_examples=30, deadline=None)
@given(NETS)
def test_fusion_keeps_work_and_shapes(network: Network) -> None:
    fused = fuse(network)
    check_network(fused)
    assert fused.macs == network.macs
    assert len(fused.ops) <= len(network.ops)
    assert fuse(fused) == fused


# ---------------------------------------------------------------- counting


def test_conventions_differ_and_are_named() -> None:
    table = load_network("lstm-32").table()
    sums = {name: load_network("lstm-32").operations(name) for name in CONVENTIONS}
    assert sums["conv-fc-macs"] == 32 * 12
    assert sums["all-macs"] == load_network("lstm-32").macs
    assert sums["flops"] > 2 * sums["all-macs"]
    with pytest.raises(NetworkError, match="count 'flop' is not known; did you mean flops"):
        count_operations(table, "flop")
