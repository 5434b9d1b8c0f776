"""TFLite files: read as the interpreter reads them; damaged ones end in one clear error."""

import struct
import tracemalloc
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from hypothesis import given, settings
from hypothesis import strategies as st

from tinysim.errors import NetworkError, TinysimError, UnknownNetwork, UnsupportedOperator
from tinysim.network.builder import Builder
from tinysim.network.graph import Network, Op, Tensor
from tinysim.network.load import list_networks, load_network
from tinysim.network.tflite_reader import _Reader, read_tflite
from tinysim.network.tflite_writer import tflite_bytes

MODELS = Path(__file__).parents[2] / "examples" / "models"
SHIPPED = sorted(MODELS.glob("*.tflite"))


def small(dtype: str = "int8") -> Network:
    b = Builder("small", dtype=dtype)
    x = b.conv(b.input(1, 8, 8, 3), 4, 3, stride=2, activation="relu")
    y = b.dw(x, 3, activation="relu6")
    x = b.add(x, y)
    return b.build(b.softmax(b.fc(b.flatten(b.avg_pool(x, 4)), 5)))


def loose(tensors: list[Tensor], ops: list[Op], inputs: tuple[int, ...], outputs: tuple[int, ...]) -> bytes:
    """A file that need not be a valid network."""
    net = SimpleNamespace(name="loose", tensors=tuple(tensors), ops=tuple(ops), inputs=inputs, outputs=outputs)
    return tflite_bytes(net)  # type: ignore[arg-type]


X, Y, Z = (Tensor(name, (1, 8), "float32") for name in "xyz")


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.stem)
def test_agrees_with_the_interpreter_and_runs_there(path: Path) -> None:
    network = load_network(path)
    interpreter = Interpreter(model_path=str(path))
    interpreter.allocate_tensors()
    details = {d["index"]: d for d in interpreter.get_tensor_details()}
    for index, tensor in enumerate(network.tensors):
        found = details[index]
        assert tuple(found["shape"]) == tensor.shape
        assert np.dtype(found["dtype"]).name == tensor.dtype
        scales = tensor.quantization.scale if tensor.quantization else ()
        seen = found["quantization_parameters"]["scales"]  # the interpreter repeats a single scale of FC weights
        assert bool(scales) == bool(seen.size)
        np.testing.assert_allclose(seen, np.resize(scales, seen.shape), rtol=1e-6)
    ops = interpreter._get_ops_details()[: len(network.ops)]
    assert [tuple(op["inputs"]) for op in ops] == [op.inputs for op in network.ops]
    weighty = {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"}
    weights = {t for op in ops if op["op_name"] in weighty for t in op["inputs"][1:]}
    assert sum(int(np.prod(details[t]["shape"])) for t in weights) == network.params
    (given_,) = interpreter.get_input_details()
    interpreter.set_tensor(given_["index"], np.ones(given_["shape"], given_["dtype"]))
    interpreter.invoke()
    assert np.isfinite(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]).astype(float)).all()


def test_shipped_models_are_small_and_made_by_the_script() -> None:
    assert len(SHIPPED) == 6
    assert sum(path.stat().st_size for path in SHIPPED) < 1.2e6
    name = "mlperf-tiny-kws"
    assert (MODELS / "kws_dscnn_int8.tflite").read_bytes() == tflite_bytes(load_network(name))


def test_constants_are_views_and_sparsity_is_counted() -> None:
    network = small()
    network = replace(
        network,
        tensors=tuple(replace(t, sparsity=0.5) if len(t.shape) == 4 and t.is_constant else t for t in network.tensors),
    )
    back = read_tflite(tflite_bytes(network))
    weights = back.tensors[back.ops[0].inputs[1]]
    assert weights.data is not None
    assert weights.data.base is not None
    assert not weights.data.flags.writeable
    assert weights.sparsity == pytest.approx(0.5)
    assert back.tensors[back.ops[4].inputs[1]].sparsity == 0.0


def test_reads_int4_weights() -> None:
    b = Builder("w4")
    net = b.build(b.fc(b.input(1, 5), 3))
    weights = net.ops[0].inputs[1]
    values = np.arange(-7, 8, dtype=np.int8).reshape(3, 5)
    tensors = list(net.tensors)
    tensors[weights] = replace(tensors[weights], dtype="int4", data=values)
    back = read_tflite(tflite_bytes(replace(net, tensors=tuple(tensors))))
    assert back.tensors[weights].n_bytes == 8
    np.testing.assert_array_equal(back.tensors[weights].data, values)
    assert back.table().weight_bits.tolist() == [4]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the file is empty"),
        (b"abc", "not a TFLite file"),
        (bytes(range(256)) * 4, "not a TFLite file"),
        (tflite_bytes(small())[:700], "truncated or damaged"),
        (loose([X, Y], [Op("relu", (1,), (1,))], (0,), (1,)), "cycle or a gap"),
        (loose([X, Y, Z], [Op("add", (0, 2), (1,)), Op("relu", (1,), (2,))], (0,), (1,)), "cycle or a gap"),
        (loose([X, Y], [Op("relu", (0,), (0,))], (0,), (0,)), "has a value already"),
        (loose([X, Y], [Op("relu", (0,), (1,))], (0,), (7,)), "tensor 7 does not exist"),
        (loose([X, Y], [Op("relu", (0,), (9,))], (0,), (1,)), r"operator 0 \(RELU\): tensor 9 does not exist"),
        (loose([X, Y], [Op("fully_connected", (0, 1), (1,))], (0,), (1,)), "cycle or a gap"),
        (loose([X, Y, Z], [Op("mul", (0, 2), (1,))], (0,), (1,)), r"reads tensor 2 \('z'\), whose buffer has 0 bytes"),
        (loose([X, replace(Y, shape=(1, 0))], [Op("relu", (0,), (1,))], (0,), (1,)), "tensor 1 .* has 0 bytes"),
        (loose([X, replace(Y, shape=(1, -1))], [Op("relu", (0,), (1,))], (0,), (1,)), "unknown size in axis 1"),
        (loose([X, replace(Y, shape=(1, 9))], [Op("relu", (0,), (1,))], (0,), (1,)), "do not give output"),
        (loose([X, replace(Y, shape=(2**20, 2**20))], [Op("relu", (0,), (1,))], (0,), (1,)), "larger than 2 GiB"),
        (loose([X, replace(Y, shape=(1,) * 9)], [Op("relu", (0,), (1,))], (0,), (1,)), "more than 8 axes"),
        (loose([X], [], (0,), (0,)), "has no operators"),
        (loose([X, Y], [Op("conv2d", (0, -1), (1,), {"stride_h": 1, "stride_w": 1})], (0,), (1,)), "needs 2 inputs"),
        (loose([X, Y], [Op("max_pool2d", (0,), (1,))], (0,), (1,)), "stride_h is 0"),
        (loose([X, Y], [Op("while", (0,), (1,))], (0,), (1,)), r"operator 0 \(WHILE\) is control flow"),
        (loose([X, Y], [Op("topk_v2", (0,), (1,))], (0,), (1,)), r"operator 0 \(TOPK_V2\) is not supported: .*allow"),
    ],
)  # fmt: skip
def test_refuses_with_one_line(data: bytes, message: str) -> None:
    with pytest.raises(NetworkError, match=message) as caught:
        read_tflite(data)
    assert "\n" not in str(caught.value)


def test_unknown_operators_can_be_allowed_but_not_control_flow() -> None:
    network = read_tflite(loose([X, Y], [Op("topk_v2", (0,), (1,))], (0,), (1,)), allow_unknown=True)
    assert network.ops[0].kind == "custom_unknown"
    assert network.ops[0].attrs["operator"] == "TOPK_V2"
    assert network.table().out_bytes.tolist() == [32.0]
    with pytest.raises(UnsupportedOperator, match="unrolled"):
        read_tflite(loose([X, Y], [Op("while", (0,), (1,))], (0,), (1,)), allow_unknown=True)


def test_unknown_batch_counts_as_one() -> None:
    def shape(stored: list[int], signature: list[int]) -> tuple[int, ...]:
        vectors = {0: np.array(stored, "<i4"), 7: np.array(signature, "<i4")}
        table = SimpleNamespace(array=lambda slot, _: vectors[slot])
        return _Reader(b"", "file", False)._shape("tensor 0", table)  # type: ignore[arg-type]

    assert shape([1, 49, 10], [-1, 49, 10]) == (1, 49, 10)
    for stored, signature, axis in (([1, 1, 10], [-1, -1, 10], 1), ([1, 2], [1, -1], 1), ([-1, 2], [-1, 2], 0)):
        with pytest.raises(NetworkError, match=f"unknown size in axis {axis} .* fixed input shape"):
            shape(stored, signature)


def test_a_length_of_2_gib_costs_no_memory() -> None:
    raw = bytearray(tflite_bytes(small()))
    largest = max(range(8, len(raw) - 4, 4), key=lambda at: struct.unpack_from("<I", raw, at)[0] == 108)
    struct.pack_into("<I", raw, largest, 2**31 - 1)
    tracemalloc.start()
    with pytest.raises(NetworkError, match=r"2147483647 bytes at offset .* lie outside"):
        read_tflite(bytes(raw))
    assert tracemalloc.get_traced_memory()[1] < 1e6
    tracemalloc.stop()


BASES = [tflite_bytes(small()), tflite_bytes(small("float32")), tflite_bytes(load_network("sww"))[:40000]]
PATCH = st.tuples(
    st.integers(0, 2**31),
    st.one_of(
        st.binary(min_size=1, max_size=4), st.sampled_from([b"\xff\xff\xff\x7f", b"\xff\xff\xff\xff", b"\0" * 4])
    ),
)


@settings(max_examples=250, deadline=None)
@given(st.sampled_from(BASES), st.lists(PATCH, min_size=1, max_size=6), st.integers(0, 2**31), st.booleans())
def test_only_clear_errors_come_out(base: bytes, patches: list[tuple[int, bytes]], cut: int, allow: bool) -> None:
    raw = bytearray(base)
    for at, patch in patches:
        start = at % (len(raw) - 4)
        raw[start : start + len(patch)] = patch
    data = bytes(raw[: cut % len(raw)] if cut % 5 == 0 else raw)
    try:
        network = read_tflite(data, allow_unknown=allow)
    except TinysimError as error:
        assert "\n" not in str(error)  # noqa: PT017
    else:
        assert network.macs >= 0
        assert network.params >= 0


@given(st.binary(max_size=200))
def test_random_bytes(data: bytes) -> None:
    with pytest.raises(NetworkError):
        read_tflite(data[:4] + b"TFL3" + data[4:])


def test_load_network_names_what_is_near(tmp_path: Path) -> None:
    with pytest.raises(UnknownNetwork, match="did you mean kws"):
        load_network("kwz")
    with pytest.raises(UnknownNetwork, match="no such file"):
        load_network(tmp_path / "gone.tflite")
    other = tmp_path / "model.bin"
    other.write_bytes(b"nothing known")
    with pytest.raises(NetworkError, match="unknown kind of file"):
        load_network(other)
    other.write_bytes(tflite_bytes(small()))
    assert load_network(other).macs == small().macs
    with pytest.raises(NetworkError, match="cannot be read"):
        read_tflite(tmp_path)
    assert "mlperf-tiny-kws" in list_networks()
