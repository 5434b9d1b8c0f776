"""The zoo against the public facts of each network."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tinysim.errors import NetworkError, UnknownNetwork
from tinysim.network.builder import Builder
from tinysim.network.load import list_networks, load_network
from tinysim.network.tflite_reader import read_tflite
from tinysim.network.tflite_writer import tflite_bytes
from tinysim.network.zoo import describe
from tinysim.network.zoo.unrolled import unrolled

DATA = Path(__file__).parent / "data"
TINY = pd.read_csv(DATA / "mlperf_tiny_layers.csv")
TOTALS = pd.read_csv(DATA / "mlperf_tiny_totals.csv")
COUNTS = pd.read_csv(DATA / "edgemark_counts.csv")
EDGEMARK = pd.read_csv(DATA / "edgemark_layers.csv")


@pytest.mark.parametrize("name", TINY.zoo_name.unique())
def test_mlperf_tiny_row_for_row(name: str) -> None:
    wanted = TINY[TINY.zoo_name == name].drop(columns=["zoo_name", "source"]).reset_index(drop=True)
    found = load_network(name).table().to_frame()[wanted.columns]
    pd.testing.assert_frame_equal(found, wanted, check_dtype=False)


@pytest.mark.parametrize("row", TOTALS.to_dict("records"), ids=lambda r: r["zoo_name"])
def test_mlperf_tiny_totals(row: dict[str, float]) -> None:
    network = load_network(str(row["zoo_name"]))
    table = network.table()
    macs = {
        kind: int(table.macs[table.is_kind(kind)].sum()) for kind in ("conv2d", "depthwise_conv2d", "fully_connected")
    }
    assert list(macs.values()) == [row["conv_macs"], row["dw_macs"], row["fc_macs"]]
    assert (len(network.ops), network.params, network.macs) == (row["n_ops"], row["params"], row["macs"])
    shapes = sum(t.n_bytes for t in network.tensors if t.is_constant and t.data is not None)
    assert network.weight_bytes - shapes == row["weight_bytes"]


@pytest.mark.parametrize("model", EDGEMARK.model.unique())
def test_edgemark_layers(model: str) -> None:
    rows = EDGEMARK[EDGEMARK.model == model]
    network = load_network(f"edgemark-{model.lower().replace('_', '-')}")
    table = network.table()
    layers = table[~table.is_kind("reshape", "softmax")]
    assert network.params == rows.params_incl_bias.sum()
    np.testing.assert_array_equal(layers.macs, rows.macs)
    np.testing.assert_array_equal(layers.out_h * layers.out_w * layers.out_c, rows.out_h * rows.out_w * rows.out_c)


@pytest.mark.parametrize("name", list_networks())
def test_every_network_builds_and_has_a_source(name: str) -> None:
    network = load_network(name)
    assert network.name == name
    assert network.source
    assert network.macs > 0
    assert network.params > 0


def test_aliases_and_formats() -> None:
    assert load_network("kws").name == "mlperf-tiny-kws"
    assert load_network("KWS@float32").table().weight_bits.max() == 32
    wide = load_network("kws@int16x8").table()
    assert (wide.activation_bits[0], wide.weight_bits[0]) == (16, 8)
    with pytest.raises(UnknownNetwork, match="did you mean int8"):
        load_network("kws@int7")
    aliases = [alias for entry in describe() for alias in entry.aliases]
    assert len(aliases) == len(set(aliases))
    assert not set(aliases) & set(list_networks())


ST = pd.read_csv(DATA / "st_layers.csv", keep_default_na=False)
MACS = pd.read_csv(DATA / "zoo_macs.csv", dtype={"mmacs": str})


def listing(name: str) -> list[tuple[str, ...]]:
    """Kind, kernel, stride, padding, activation, output shape and MACs of the operators that compute or move data."""
    network = load_network(name)
    table = network.table()
    rows = []
    for i, op in enumerate(network.ops):
        if op.kind == "reshape":
            continue
        windowed = op.kind in {"conv2d", "depthwise_conv2d", "max_pool2d", "avg_pool2d"}
        kernel = f"{table.kernel_h[i]}x{table.kernel_w[i]}" if windowed else ""
        stride = f"{table.stride_h[i]}x{table.stride_w[i]}" if windowed else ""
        fused = op.attrs["activation"] if op.kind in {"conv2d", "depthwise_conv2d", "add"} else ""
        shape = "x".join(map(str, network.tensors[op.outputs[0]].shape[1:])).removeprefix("1x1x")
        padding = op.attrs["padding"] if windowed else ""
        rows.append((op.kind, kernel, stride, padding, fused, shape, str(table.macs[i])))
    return rows


@pytest.mark.parametrize("name", ST.zoo_name.unique())
def test_st_model_zoo_operator_for_operator(name: str) -> None:
    columns = ["kind", "kernel", "stride", "padding", "activation", "out_shape", "macs"]
    wanted = [tuple(map(str, row)) for row in ST.loc[ST.zoo_name == name, columns].itertuples(index=False)]
    # Detection heads of different scales may run in another order.
    assert sorted(listing(name)) == sorted(wanted) if "ssd" in name else listing(name) == wanted


@pytest.mark.parametrize("row", MACS.to_dict("records"), ids=lambda r: r["zoo_name"])
def test_macs_to_the_digits_published(row: dict[str, str]) -> None:
    digits = len(row["mmacs"].partition(".")[2])
    unit = 10.0**-digits if digits else 10.0
    assert load_network(row["zoo_name"]).macs / 1e6 == pytest.approx(float(row["mmacs"]), abs=0.501 * unit)


PUBLIC = pd.read_csv(DATA / "public_counts.csv")


@pytest.mark.parametrize("row", PUBLIC.to_dict("records"), ids=lambda r: r["zoo_name"])
def test_public_parameter_counts(row: dict[str, float]) -> None:
    """Public counts have two parameters of a batch norm where the folded network has one bias."""
    network = load_network(str(row["zoo_name"]))
    table = network.table()
    channels = int(table.out_c[table.is_kind("conv2d", "depthwise_conv2d")].sum())
    assert network.params + row["norm_params_per_channel"] * channels == row["params"]
    if row["mmacs"] == row["mmacs"]:
        assert network.macs / 1e6 == pytest.approx(row["mmacs"], rel=1e-3)


@pytest.mark.parametrize(
    ("name", "mmacs", "mparams"),
    [
        ("mcunet-in0", 6.4, 0.75),
        ("mcunet-in1", 12.8, 0.64),
        ("mcunet-in2", 67.3, 0.73),
        ("mcunet-in3", 81.8, 0.74),
        ("mcunet-in4", 125.9, 1.73),
        ("mcunet-vww0", 6.0, 0.37),
        ("mcunet-vww1", 11.6, 0.43),
        ("mcunet-vww2", 55.8, 0.64),
        ("proxyless-mobile-w0.3-176", 38.3, 0.75),
    ],
)
def test_published_sizes(name: str, mmacs: float, mparams: float) -> None:
    """The table of github.com/mit-han-lab/mcunet, to the digits it has; two parameters per norm."""
    network = load_network(name)
    table = network.table()
    channels = int(table.out_c[table.is_kind("conv2d", "depthwise_conv2d")].sum())
    assert round(network.macs / 1e6, 1) == mmacs
    assert round((network.params + channels) / 1e6, 2) == mparams


def test_mobilenet_v3_small_as_torchvision() -> None:
    """2,542,856 parameters and 56.5 M MACs; squeeze-excite layers, on single pixels, have no norms."""
    network = load_network("mobilenet-v3-small-224")
    table = network.table()
    normed = table.is_kind("conv2d", "depthwise_conv2d") & (table.out_h > 1)
    assert network.params + table.out_c[normed].sum() == 2_542_856
    assert network.macs / 1e6 == pytest.approx(56.5, abs=0.06)


@pytest.mark.parametrize(("name", "mmacs", "kparams"), [("etinynet-1.0-224", 117, 976), ("etinynet-0.75-224", 75, 680)])
def test_etinynet_counts_norms(name: str, mmacs: int, kparams: int) -> None:
    """The paper counts four parameters per channel of a norm, and a MAC per element; two digits of 680 are given."""
    network = load_network(name)
    table = network.table()
    convolutions = table.is_kind("conv2d", "depthwise_conv2d")
    assert round((network.macs + table.out_elements[convolutions].sum()) / 1e6) == mmacs
    assert (network.params + 3 * table.out_c[convolutions].sum()) / 1e3 == pytest.approx(kparams, rel=2e-3)


@pytest.mark.parametrize("row", COUNTS.to_dict("records"), ids=lambda r: r["zoo_name"])
def test_edgemark_counts_by_its_convention(row: dict[str, float]) -> None:
    """EdgeMark's "MACs" are half of what TensorFlow's profiler counts: the convention called flops."""
    network = load_network(str(row["zoo_name"]))
    assert network.operations("flops") // 2 == row["macs"]
    assert network.params == row["params"] or row["params"] != row["params"]


@pytest.mark.parametrize(
    ("name", "mparams", "digits"),
    [
        ("tiny-yolo-v2-224", 11.03, 2),
        ("st-yolo-x-d0.33-w0.25-192", 0.889, 3),
        ("st-yolo-x-d0.5-w0.4-256", 2.45, 2),
        ("st-hand-posture", 0.002752, 6),
    ],
)
def test_parameters_of_st_s_networks(name: str, mparams: float, digits: int) -> None:
    """As published in the model zoo's tables of sizes."""
    assert round(load_network(name).params / 1e6, digits) == mparams


@pytest.mark.parametrize(
    ("name", "macs", "params"),
    [("xinet-a1.0-g4-l5-224", 171_657_216, 746_808 - 976), ("xinet-a0.5-g4-l5-128", 16_528_384, 252_528 - 488)],
)
def test_xinet_as_its_public_module(name: str, macs: int, params: int) -> None:
    """micromind's XiNet with a classifier on top, counted by PyTorch; its norms have a scale besides the bias."""
    network = load_network(name)
    assert (network.macs, network.params) == (macs, params)


@pytest.mark.parametrize(("cell", "operators"), [("rnn", 4), ("lstm", 14), ("gru", 15)])
@pytest.mark.parametrize("number", ["float32", "int8"])
def test_unrolled_layers_do_the_same_work(cell: str, operators: int, number: str) -> None:
    """All products but those with the zeros of the first step; a step more is some operators more; LiteRT runs it."""
    interpreter = pytest.importorskip("ai_edge_litert.interpreter", reason="needs ai-edge-litert")
    nets = []
    for steps in (3, 4):
        b = Builder(cell, dtype=number)
        nets.append(b.build(unrolled(b, cell, b.input(1, steps, 6), 5)))
    whole = Builder(cell, dtype=number)
    fused = whole.build(whole.recurrent(cell, whole.input(1, 3, 6), 5))
    gates = {"rnn": 1, "lstm": 4, "gru": 3}[cell]
    assert nets[0].macs == fused.macs - gates * 5 * 5
    assert len(nets[1].ops) - len(nets[0].ops) == operators
    assert nets[0].tensors[nets[0].outputs[0]].shape == (1, 3, 5)
    runner = interpreter.Interpreter(model_content=tflite_bytes(nets[0]))
    runner.allocate_tensors()
    runner.invoke()
    assert read_tflite(tflite_bytes(nets[0])).table() == nets[0].table()


def test_the_first_axis_may_be_time() -> None:
    """A reshape that moves time to the front copies its elements once."""
    b = Builder("time")
    table = b.build(b.reshape(b.reshape(b.input(1, 7, 5), 7, 1, 5), 1, 35)).table()
    assert table.out_elements.tolist() == table.in_elements.tolist() == [35, 35]


def test_parametric_names_refuse_what_is_impossible() -> None:
    with pytest.raises(UnknownNetwork, match="6 n \\+ 2"):
        load_network("resnet-9-32")
    with pytest.raises(UnknownNetwork, match="accepted: 0 to 4"):
        load_network("efficientnet-lite7")
    with pytest.raises(NetworkError, match=r"does not fit|every axis"):
        load_network("squeezenet-1.1-4")
    assert load_network("mobilenet-v2-0.5-160-c10").tensors[0].shape == (1, 160, 160, 3)
