"""The same network from PyTorch, ONNX, Keras, YAML and TFLite is the same table; malformed input is one clear error."""

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

os.environ.setdefault("KERAS_BACKEND", "torch")
torch = pytest.importorskip("torch", reason="needs the extra 'torch'")
onnx = pytest.importorskip("onnx", reason="needs the extra 'onnx'")
pytest.importorskip("keras", reason="needs the package keras")

from onnx import TensorProto, helper  # noqa: E402
from same_nets import MODULES, ONNX, REFERENCES, Onnx, in_qdq, keras_models, onnx_signal  # noqa: E402

from tinysim.errors import NetworkError, TinysimError, UnsupportedOperator  # noqa: E402
from tinysim.network.description import network_from_yaml, network_to_yaml  # noqa: E402
from tinysim.network.frameworks.keras_reader import from_keras, read_keras  # noqa: E402
from tinysim.network.frameworks.onnx_reader import read_onnx  # noqa: E402
from tinysim.network.frameworks.torch_reader import from_torch  # noqa: E402
from tinysim.network.graph import Network  # noqa: E402
from tinysim.network.load import load_network  # noqa: E402
from tinysim.network.table import LayerTable  # noqa: E402
from tinysim.network.tflite_reader import read_tflite  # noqa: E402
from tinysim.network.tflite_writer import tflite_bytes  # noqa: E402
from tinysim.network.transforms import quantize  # noqa: E402

NAMES = list(REFERENCES)


def same(made: Network, wanted: Network) -> None:
    found, reference = made.table(), wanted.table()
    pairs = ((t.to_frame().drop(columns="weight_sparsity")) for t in (found, reference))
    a, b = pairs
    assert a.to_dict("list") == b.to_dict("list")
    assert made.params == wanted.params
    assert isinstance(found, LayerTable)


@pytest.mark.parametrize("name", NAMES)
def test_pytorch(name: str) -> None:
    make, shape = MODULES[name]
    module = make()
    module.train()
    before = {k: v.clone() for k, v in module.state_dict().items()}
    same(from_torch(module, shape), REFERENCES[name]())
    assert module.training
    assert all(part.training for part in module.modules())
    assert not any(part._forward_hooks for part in module.modules())
    assert all(torch.equal(v, before[k]) for k, v in module.state_dict().items())


@pytest.mark.parametrize("name", NAMES)
def test_onnx(name: str, tmp_path: Path) -> None:
    path = tmp_path / f"{name}.onnx"
    path.write_bytes(ONNX[name]().SerializeToString())
    same(load_network(path), REFERENCES[name]())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.filterwarnings("ignore")
def test_keras(name: str, tmp_path: Path) -> None:
    model = keras_models()[name]()
    same(from_keras(model), REFERENCES[name]())
    model.save(tmp_path / f"{name}.keras")
    same(load_network(tmp_path / f"{name}.keras"), REFERENCES[name]())
    (tmp_path / "model.json").write_text(model.to_json())
    same(load_network(tmp_path / "model.json"), REFERENCES[name]())


@pytest.mark.parametrize("name", NAMES)
def test_yaml_and_tflite(name: str) -> None:
    network = REFERENCES[name]()
    same(network_from_yaml(network_to_yaml(network)), network)
    if name != "gru":  # TFLite has no such operator
        same(read_tflite(tflite_bytes(network)), network)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.filterwarnings("ignore")
def test_exported_programs(name: str) -> None:
    make, shape = MODULES[name]
    program = torch.export.export(make().eval(), (torch.zeros(shape),))
    same(load_network(program), REFERENCES[name]())


@pytest.mark.filterwarnings("ignore")
def test_export_is_asked_where_the_quick_way_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("not this way")

    monkeypatch.setattr("tinysim.network.frameworks.torch_recorder.record", fails)
    for name in ("resnet8", "gru"):
        make, shape = MODULES[name]
        module = make()
        same(from_torch(module, shape), REFERENCES[name]())
        assert all(part.training for part in module.modules())
    with pytest.raises(NetworkError, match=r"Branching: cannot be traced .* not this way"):
        from_torch(Branching(), (1, 8))


def test_values_and_sparsity_come_along() -> None:
    layer = torch.nn.Conv2d(2, 4, 3)
    with torch.no_grad():
        layer.weight[:2] = 0
    network = from_torch(torch.nn.Sequential(layer, torch.nn.ReLU()), (1, 2, 8, 8))
    weights = network.tensors[network.ops[0].inputs[1]]
    assert weights.sparsity == 0.5
    np.testing.assert_allclose(weights.data, layer.weight.detach().numpy().transpose(0, 2, 3, 1))


def test_folded_batch_norm_has_the_right_values() -> None:
    module = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 1, bias=False), torch.nn.BatchNorm2d(2)).eval()
    with torch.no_grad():
        module[1].running_mean[:] = torch.tensor([1.0, 2.0])
        module[1].running_var[:] = torch.tensor([4.0, 9.0])
        module[1].weight[:] = torch.tensor([3.0, 5.0])
        module[1].bias[:] = torch.tensor([0.5, 0.25])
    network = from_torch(module, (1, 1, 3, 3))
    x = torch.ones(1, 1, 3, 3)
    weights, bias = (network.tensors[t].data for t in network.ops[0].inputs[1:])
    assert weights is not None
    assert bias is not None
    np.testing.assert_allclose(weights[:, 0, 0, 0] + bias, module(x)[0, :, 0, 0].detach().numpy(), rtol=1e-5)


class Streaming(torch.nn.Module):
    """Keeps the end of one call for the next."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv1d(4, 8, 3)
        self.register_buffer("kept", torch.ones(1, 4, 2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        whole = torch.cat([self.kept, x], 2)
        self.kept.copy_(whole[:, :, -2:])
        return torch.relu(self.conv(whole)).mean(2)


class PackedAttention(torch.nn.Module):
    """A class token, a position, and attention on one projection, as vision transformers write it."""

    def __init__(self) -> None:
        super().__init__()
        self.token, self.place = (torch.nn.Parameter(torch.zeros(1, n, 16)) for n in (1, 9))
        self.qkv, self.out = torch.nn.Linear(16, 48), torch.nn.Linear(16, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.place
        q, k, v = self.qkv(x).reshape(1, 9, 3, 2, 8).permute(2, 0, 3, 1, 4).unbind(0)
        y = torch.nn.functional.scaled_dot_product_attention(q, k, v)
        return self.out(y.transpose(1, 2).reshape(1, 9, 16)[:, 0])


class ChangesAView(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x * 2
        x[:, 1:].relu_()
        return x


def test_streaming_modules_keep_their_state() -> None:
    module = Streaming()
    network = from_torch(module, (1, 4, 6))
    assert module.kept.sum() == 8
    assert not module.kept.is_inference()
    assert network.table().kind_names == ["concatenation", "transpose", "reshape", "conv2d", "reshape", "mean"]
    assert network.macs == 6 * 3 * 4 * 8


def test_attention_on_one_projection() -> None:
    network = from_torch(PackedAttention(), (1, 8, 16))
    assert network.macs == 9 * 16 * 48 + 2 * 2 * 9 * 9 * 8 + 16 * 3
    assert network.params == 17 * 48 + 17 * 3
    assert "add" in network.table().kind_names


@pytest.mark.filterwarnings("ignore")
def test_encoder_layers_are_read_operator_by_operator() -> None:
    layer = torch.nn.TransformerEncoderLayer(16, 2, 32, batch_first=True, norm_first=True, activation="gelu")
    network = from_torch(layer, (1, 9, 16))
    kinds = network.table().kind_names
    assert network.macs == 9 * 16 * (4 * 16 + 2 * 32) + 2 * 2 * 9 * 9 * 8
    assert [kinds.count(k) for k in ("fully_connected", "batch_matmul", "layer_norm", "gelu", "add")] == [4, 2, 2, 1, 2]
    assert torch.backends.mha.get_fastpath_enabled()


def test_changes_in_place() -> None:
    class Fine(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = x + 1
            torch.relu_(y)
            y = y.flatten(1)
            torch.sigmoid_(y)
            return y

    kinds = ["add", "reshape", "logistic"]
    assert from_torch(Fine(), (1, 2, 3)).table().kind_names == kinds
    program = torch.export.export(Fine(), (torch.zeros(1, 2, 3),))
    assert from_torch(program).table().kind_names == kinds
    for model, shape in ((ChangesAView(), (1, 4)), (torch.export.export(ChangesAView(), (torch.zeros(1, 4),)), ())):
        with pytest.raises(NetworkError, match="after a view of it was changed in place"):
            from_torch(model, shape)


def test_reading_a_module_imports_no_compiler() -> None:
    """`torch._dynamo` and sympy take seconds."""
    code = """
import sys, torch, tinysim
had = set(sys.modules)
module = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.BatchNorm2d(8), torch.nn.ReLU6(), torch.nn.Flatten(2))
net = tinysim.load_network(module, input_shape=(1, 3, 8, 8))
assert net.table().kind_names == ["conv2d", "reshape", "transpose"], net.table().kind_names
new = [name for name in set(sys.modules) - had if not name.startswith("tinysim")]
assert not any(name.partition(".")[0] in {"torch", "sympy"} for name in new), new
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


class Extremes(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.fft.fft(x).abs()


class Branching(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x if x.sum() > 0 else -x


@pytest.mark.parametrize(
    ("module", "shape", "message"),
    [
        (Extremes(), (1, 8), r"operator 0 \(aten.fft_fft.default\) is not supported"),
        (Branching(), (1, 8), "cannot be traced"),
        (torch.nn.Linear(4, 2), (1, 5), "cannot be traced on input shape"),
        (torch.nn.Conv2d(1, 1, 3, padding_mode="reflect", padding=1), (1, 1, 8, 8), "padding with reflect"),
        ("model.pt", (1, 8), "expected a torch.nn.Module, found str"),
    ],
)
def test_pytorch_refuses_with_one_line(module: Any, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(NetworkError, match=message) as caught:
        from_torch(module, shape)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", ["pt", "pth", "pkl"])
def test_pickles_are_not_read(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"model.{suffix}"
    path.write_bytes(b"\x80\x04cposix\nsystem\n")
    with pytest.raises(NetworkError, match="pickles run code"):
        load_network(path)


# ---------------------------------------------------------------- ONNX


def quantized(operator_form: bool) -> onnx.ModelProto:
    """A convolution and a dense layer on integers, as QDQ or as QOperator nodes."""
    g = Onnx((1, 3, 8, 8))
    scale, zero = g.constant(np.float32(0.1)), g.constant(np.int8(0))
    w, f = (g.constant(np.ones(shape, np.int8)) for shape in ((4, 3, 3, 3), (64, 5)))
    bias = g.constant(np.zeros(4, np.int32))
    x = g.op("QuantizeLinear", "x", scale, zero)
    if operator_form:
        x = g.op("QLinearConv", x, scale, zero, w, scale, zero, scale, zero, bias, strides=[2, 2], pads=[0, 0, 1, 1])
        x = g.op("Flatten", x)
        x = g.op("QLinearMatMul", x, scale, zero, f, scale, zero, scale, zero)
    else:
        x = g.op("DequantizeLinear", x, scale, zero)
        weights, b = g.op("DequantizeLinear", w, scale, zero), g.op("DequantizeLinear", bias, scale)
        x = g.op("Conv", x, weights, b, strides=[2, 2], pads=[0, 0, 1, 1])
        x = g.op("DequantizeLinear", g.op("QuantizeLinear", x, scale, zero), scale, zero)
        x = g.op("Flatten", x)
        x = g.op("DequantizeLinear", g.op("QuantizeLinear", x, scale, zero), scale, zero)
        x = g.op("MatMul", x, g.op("DequantizeLinear", f, scale, zero))
        x = g.op("QuantizeLinear", x, scale, zero)
    return g.model(g.op("DequantizeLinear", x, scale, zero))


@pytest.mark.parametrize("operator_form", [False, True])
def test_onnx_int8_in_both_forms(operator_form: bool) -> None:
    network = read_onnx(quantized(operator_form).SerializeToString())
    table = network.table()
    assert table.kind_names == ["quantize", "conv2d", "reshape", "fully_connected", "dequantize"]
    assert table.weight_bits[[1, 3]].tolist() == [8, 8]
    assert table.activation_bits.tolist() == [32, 8, 8, 8, 8]
    assert table.pad_bottom[1] == 1


@pytest.mark.parametrize(
    ("name", "model"), [("attention", ONNX["attention"]), ("signal", lambda: onnx_signal(norm=False))]
)
def test_quantized_attention_and_signals_are_the_quantized_network(name: str, model: Callable[[], Any]) -> None:
    network = read_onnx(in_qdq(model()).SerializeToString())
    kinds = network.table().kind_names
    assert (kinds[0], kinds[-1]) == ("quantize", "dequantize")
    moved = 2 if name == "signal" else 1  # a signal's channels move last
    inner, wanted = network.table()[moved:-1], quantize(REFERENCES[name](), "int8").table()
    assert inner.kind_names == wanted.kind_names
    for column in ("macs", "weight_bits", "activation_bits", "out_elements", "has_bias", "kernel_h"):
        np.testing.assert_array_equal(getattr(inner, column), getattr(wanted, column))


def test_a_float_island_keeps_its_conversions() -> None:
    g = Onnx((1, 4))
    scale, zero = g.constant(np.float32(0.1)), g.constant(np.int8(0))
    x = g.op("DequantizeLinear", g.op("QuantizeLinear", "x", scale, zero), scale, zero)
    x = g.op("MatMul", x, g.weights(4, 4))
    x = g.op("QuantizeLinear", g.op("Relu", g.op("MatMul", x, g.weights(4, 2))), scale, zero)
    network = read_onnx(g.model(g.op("DequantizeLinear", x, scale, zero)).SerializeToString())
    kinds = network.table().kind_names
    assert kinds == ["quantize", "dequantize", "fully_connected", "fully_connected", "quantize", "dequantize"]
    assert network.table().weight_bits.max() == 32


def test_shape_arithmetic_is_folded() -> None:
    g = Onnx((1, 3, 8, 8))
    batch = g.op("Gather", g.op("Shape", "x"), g.constant(np.array(0)), axis=0)
    batch = g.op("Unsqueeze", batch, g.constant(np.array([0])))
    shape = g.op("Concat", batch, g.constant(np.array([-1])), axis=0)
    network = read_onnx(g.model(g.op("Reshape", "x", shape)).SerializeToString())
    assert network.tensors[network.outputs[0]].shape == (1, 192)


def spelled_gelu(g: Onnx, x: str, form: str) -> str:
    one, half = g.constant(np.float32(1)), g.constant(np.float32(0.5))
    if form == "times":
        inner = g.op("Mul", g.constant(np.float32(0.5**0.5)), x)
    else:
        inner = g.op("Div", x, g.constant(np.float32(2**0.5)))
    plus = g.op("Add", g.op("Erf", inner), one)
    if form == "half first":
        return g.op("Mul", g.op("Mul", x, half), plus)
    if form == "half inside":
        return g.op("Mul", g.op("Mul", plus, half), x)
    return g.op("Mul", g.op("Mul", x, plus), half)


@pytest.mark.parametrize("form", ["half last", "times", "half first", "half inside"])
def test_gelu_spelled_with_erf(form: str) -> None:
    g = Onnx((1, 9, 16))
    x = spelled_gelu(g, g.op("MatMul", "x", g.weights(16, 32)), form)
    network = read_onnx(g.model(g.op("MatMul", x, g.weights(32, 16))).SerializeToString())
    assert network.table().kind_names == ["fully_connected", "gelu", "fully_connected"]


def test_what_else_reads_a_part_of_gelu_keeps_it() -> None:
    g = Onnx((1, 4))
    inner = g.op("Div", "x", g.constant(np.float32(2**0.5)))
    plus = g.op("Add", g.op("Erf", inner), g.constant(np.float32(1)))
    y = g.op("Mul", g.op("Mul", "x", plus), g.constant(np.float32(0.5)))
    network = read_onnx(g.model(g.op("Add", y, inner)).SerializeToString())
    assert network.table().kind_names == ["div", "gelu", "add"]
    other = Onnx((1, 4))
    with pytest.raises(UnsupportedOperator, match=r"operator 0 \(Erf\)"):
        read_onnx(other.model(other.op("Erf", "x")).SerializeToString())


def broken(change: str) -> bytes:
    g = Onnx(("n", 3, "side" if change == "dynamic" else 8, 8))
    if change == "unknown":
        return g.model(g.op("NonMaxSuppression", "x", g.weights(1))).SerializeToString()
    if change == "cycle":
        g.nodes.append(helper.make_node("Add", ["x", "later"], ["first"]))
        g.nodes.append(helper.make_node("Relu", ["first"], ["later"]))
        return g.model("later").SerializeToString()
    if change == "channels":
        return g.model(g.op("Conv", "x", g.weights(4, 5, 3, 3))).SerializeToString()
    if change == "huge":
        size = g.constant(np.array([2**40]))
        return g.model(g.op("Add", "x", g.op("ConstantOfShape", size))).SerializeToString()
    if change == "external":
        model = g.model(g.op("Conv", "x", g.weights(4, 3, 3, 3)))
        tensor = model.graph.initializer[0]
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="../../etc/passwd")
        return model.SerializeToString()
    return g.model(g.op("Relu", "x")).SerializeToString()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no valid ONNX file"),
        (b"\x00\x01garbage" * 50, "no valid ONNX file"),
        (broken("dynamic"), "unknown size in axis 2 .*input_shapes"),
        (broken("unknown"), r"operator 0 \(NonMaxSuppression\): not supported"),
        (broken("cycle"), "reads 'later' before anything writes it"),
        (broken("channels"), r"operator 0 \(Conv\): weights"),
        (broken("huge"), "more than 16 M elements"),
        (broken("external"), "lie in another file"),
    ],
)
def test_onnx_refuses_with_one_line(data: bytes, message: str) -> None:
    with pytest.raises(NetworkError, match=message) as caught:
        read_onnx(data)
    assert "\n" not in str(caught.value)


def test_onnx_input_shapes_fill_unknown_sizes() -> None:
    assert read_onnx(broken("dynamic"), input_shapes={"x": (1, 3, 4, 8)}).macs == 0
    with pytest.raises(NetworkError, match="no input 'y'"):
        read_onnx(broken("none"), input_shapes={"y": (1,)})


@settings(max_examples=100, deadline=None)
@example([(477, 10)])  # a line break in the name of an operator
@example([(94, 128)])  # a name that is no UTF-8
@given(st.lists(st.tuples(st.integers(0, 2**20), st.integers(0, 255)), min_size=1, max_size=5))
def test_onnx_only_clear_errors_come_out(patches: list[tuple[int, int]]) -> None:
    raw = bytearray(ONNX["attention"]().SerializeToString())
    for at, byte in patches:
        raw[at % len(raw)] = byte
    try:
        read_onnx(bytes(raw))
    except TinysimError as error:
        assert "\n" not in str(error)  # noqa: PT017


# ---------------------------------------------------------------- Keras


def sequential(*layers: dict[str, Any]) -> dict[str, Any]:
    first = {"class_name": "InputLayer", "config": {"batch_shape": [None, 8, 8, 3], "name": "in"}}
    return {"class_name": "Sequential", "config": {"name": "net", "layers": [first, *layers]}}


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "no valid Keras configuration"),
        (sequential({"class_name": "Lambda", "config": {"name": "f", "function": "x"}}), r"layer 'f' \(Lambda\)"),
        (sequential({"class_name": "Dense", "config": {"name": "d"}}), "no valid Keras configuration: KeyError"),
        (
            sequential({"class_name": "Activation", "config": {"name": "a", "activation": "mish"}}),
            r"layer 'a' \(Activation\): activation 'mish'; accepted",
        ),
        ({"class_name": "Mine", "config": {"name": "m"}}, "a model of class 'Mine'"),
        (
            sequential() | {"config": {"layers": [{"class_name": "InputLayer", "config": {"shape": [None, None]}}]}},
            "unknown size in axis 1",
        ),
    ],
)  # fmt: skip
def test_keras_refuses_with_one_line(config: dict[str, Any], message: str) -> None:
    with pytest.raises(NetworkError, match=message) as caught:
        from_keras(config)
    assert "\n" not in str(caught.value)


def test_keras_files_that_are_none(tmp_path: Path) -> None:
    for content in (b"", b"PK\x03\x04broken", b"[" * 100000, b"\xff\xfe"):
        path = tmp_path / "model.keras"
        path.write_bytes(content)
        with pytest.raises(NetworkError, match=r"neither a \.keras file|no valid Keras"):
            read_keras(path)
    with zipfile.ZipFile(tmp_path / "empty.keras", "w") as archive:
        archive.writestr("other.json", json.dumps({}))
    with pytest.raises(NetworkError, match=r"neither a \.keras file"):
        read_keras(tmp_path / "empty.keras")


def test_keras_2_configuration() -> None:
    layers = [
        {"class_name": "InputLayer", "name": "x", "config": {"batch_input_shape": [None, 8, 8, 3]}},
        {
            "class_name": "Conv2D", "name": "c", "inbound_nodes": [[["x", 0, 0, {}]]],
            "config": {"filters": 3, "kernel_size": [3, 3], "strides": [1, 1], "padding": "same", "activation": "relu"},
        },
        {"class_name": "Add", "name": "a", "config": {}, "inbound_nodes": [[["x", 0, 0, {}], ["c", 0, 0, {}]]]},
    ]  # fmt: skip
    config = {"name": "old", "layers": layers, "input_layers": [["x", 0, 0]], "output_layers": [["a", 0, 0]]}
    network = from_keras({"class_name": "Functional", "config": config})
    assert network.table().kind_names == ["conv2d", "add"]
    assert network.ops[0].attrs["activation"] == "relu"


def test_unsupported_is_its_own_error() -> None:
    with pytest.raises(UnsupportedOperator):
        from_torch(Extremes(), (1, 8))


def test_load_network_takes_modules_and_models() -> None:
    module = torch.nn.Linear(4, 2)
    assert load_network(module, input_shape=(1, 4)).macs == 8
    with pytest.raises(NetworkError, match="needs input_shape"):
        load_network(module)
    with pytest.raises(NetworkError, match=r"expected a torch\.nn\.Module, found int"):
        load_network(3)
