"""Eight networks written for PyTorch and for ONNX by hand; the builder has them too."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from tinysim.network.builder import Builder
from tinysim.network.graph import Network
from tinysim.network.load import load_network
from tinysim.network.zoo.tiny import attention

# ---------------------------------------------------------------- the builder's


def attention_block(dtype: str = "float32") -> Network:
    b = Builder("attention", dtype=dtype)
    x = b.input(1, 9, 16)
    return b.build(b.add(x, attention(b, x, 2)))


def recurrent(kind: str) -> Network:
    b = Builder(kind, dtype="float32")
    return b.build(b.fc(b.recurrent(kind, b.input(1, 7, 5), 8), 3))


def signal() -> Network:
    """Convolutions along time, as for accelerometers: an image of width 1."""
    b = Builder("signal", dtype="float32")
    x = b.reshape(b.input(1, 48, 6), 1, 48, 1, 6)
    x = b.max_pool(b.conv(x, 16, (3, 1), activation="relu"), (2, 1))
    x = b.conv(b.dw(x, (5, 1), padding="valid", activation="relu"), 24, activation="relu")
    return b.build(b.softmax(b.fc(b.reduce("mean", b.reshape(x, 1, 20, 24), (1,)), 4)))


REFERENCES: dict[str, Callable[[], Network]] = {
    "mobilenet": lambda: load_network("mobilenet-v1-0.25-96-c5@float32"),
    "resnet8": lambda: load_network("resnet-8-32@float32"),
    "dscnn": lambda: load_network("kws@float32"),
    "lstm": lambda: recurrent("lstm"),
    "gru": lambda: recurrent("gru"),
    "rnn": lambda: recurrent("rnn"),
    "attention": attention_block,
    "signal": signal,
}

# ---------------------------------------------------------------- PyTorch


class Conv(nn.Sequential):
    """Padding as TensorFlow's SAME, convolution, batch norm, activation."""

    def __init__(
        self, i: int, o: int, k: Any, s: int, act: nn.Module | None, pads: tuple[int, ...], groups: int = 1
    ) -> None:
        layers: list[nn.Module] = [nn.ZeroPad2d(pads)] if any(pads) else []
        layers += [nn.Conv2d(i, o, k, s, groups=groups, bias=False), nn.BatchNorm2d(o)]
        super().__init__(*layers, *([act] if act else []))


def mobilenet() -> nn.Module:
    widths = (16, 32, 32, 64, 64, 128, 128, 128, 128, 128, 128, 256, 256)
    layers: list[nn.Module] = [Conv(3, 8, 3, 2, nn.ReLU6(), (0, 1, 0, 1))]
    i = 8
    for n, o in enumerate(widths):
        stride = 2 if n in (1, 3, 5, 11) else 1
        pads = (0, 1, 0, 1) if stride == 2 else (1, 1, 1, 1)
        layers += [Conv(i, i, 3, stride, nn.ReLU6(), pads, groups=i), Conv(i, o, 1, 1, nn.ReLU6(), ())]
        i = o
    return nn.Sequential(
        *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.1), nn.Linear(256, 5), nn.Softmax(-1)
    )


class ResNet8(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        one = (1, 1, 1, 1)
        self.stem = Conv(3, 16, 3, 1, nn.ReLU(), one)
        self.blocks = nn.ModuleList()
        self.shortcuts = nn.ModuleList()
        for i, o, s in ((16, 16, 1), (16, 32, 2), (32, 64, 2)):
            first = Conv(i, o, 3, s, nn.ReLU(), one if s == 1 else (0, 1, 0, 1))
            self.blocks.append(nn.Sequential(first, Conv(o, o, 3, 1, None, one)))
            self.shortcuts.append(nn.Identity() if s == 1 else nn.Conv2d(i, o, 1, s))
        self.out = nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        for block, shortcut in zip(self.blocks, self.shortcuts, strict=True):
            y = block(x)
            x = torch.relu(shortcut(x) + y)
        return torch.softmax(self.out(torch.flatten(nn.functional.avg_pool2d(x, 8), 1)), 1)


def dscnn() -> nn.Module:
    layers: list[nn.Module] = [Conv(1, 64, (10, 4), 2, nn.ReLU(), (1, 1, 4, 5))]
    for _ in range(4):
        layers += [Conv(64, 64, 3, 1, nn.ReLU(), (1, 1, 1, 1), groups=64), Conv(64, 64, 1, 1, nn.ReLU(), ())]
    return nn.Sequential(*layers, nn.AvgPool2d((25, 5)), nn.Flatten(), nn.Linear(64, 12), nn.Softmax(-1))


class Recurrent(nn.Module):
    def __init__(self, kind: type[nn.Module]) -> None:
        super().__init__()
        self.layer, self.out = kind(5, 8, batch_first=True), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.layer(x)[0])


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v, self.out = (nn.Linear(16, 16) for _ in range(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = (f(x).reshape(1, 9, 2, 8).transpose(1, 2) for f in (self.q, self.k, self.v))
        scores = torch.softmax(q @ k.transpose(-2, -1) / 8**0.5, -1)
        return x + self.out((scores @ v).transpose(1, 2).reshape(1, 9, 16))


def signal_module() -> nn.Module:
    return nn.Sequential(
        nn.Conv1d(6, 16, 3, padding=1), nn.BatchNorm1d(16), nn.ReLU(inplace=True), nn.MaxPool1d(2),
        nn.Conv1d(16, 16, 5, groups=16), nn.ReLU(), nn.Conv1d(16, 24, 1), nn.BatchNorm1d(24), nn.ReLU(),
        nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(24, 4), nn.Softmax(-1),
    )  # fmt: skip


MODULES: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "mobilenet": (mobilenet, (1, 3, 96, 96)),
    "resnet8": (ResNet8, (1, 3, 32, 32)),
    "dscnn": (dscnn, (1, 1, 49, 10)),
    "lstm": (lambda: Recurrent(nn.LSTM), (1, 7, 5)),
    "gru": (lambda: Recurrent(nn.GRU), (1, 7, 5)),
    "rnn": (lambda: Recurrent(nn.RNN), (1, 7, 5)),
    "attention": (Attention, (1, 9, 16)),
    "signal": (signal_module, (1, 6, 48)),
}

# ---------------------------------------------------------------- ONNX


class Onnx:
    """A few lines of ONNX builder."""

    def __init__(self, shape: tuple[Any, ...], prefix: str = "v") -> None:
        self.prefix = prefix
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []
        self.shape = shape
        self.rng = np.random.default_rng(0)

    def weights(self, *shape: int) -> str:
        return self.constant(self.rng.standard_normal(shape).astype(np.float32))

    def constant(self, values: Any) -> str:
        name = f"c{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def op(self, kind: str, *inputs: str, outputs: int = 1, **attrs: Any) -> str:
        names = [f"{self.prefix}{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(kind, inputs, names, **attrs))
        return names[0]

    def conv(
        self, x: str, i: int, o: int, k: tuple[int, int], s: int, act: str, pads: list[int], group: int = 1
    ) -> str:
        x = self.op("Conv", x, self.weights(o, i // group, *k), strides=[s, s], pads=pads, group=group, kernel_shape=k)
        one = [self.weights(o) for _ in range(3)] + [self.constant(np.ones(o, np.float32))]
        x = self.op("BatchNormalization", x, *one)
        if act == "Clip":
            return self.op("Clip", x, self.constant(np.float32(0)), self.constant(np.float32(6)))
        return self.op(act, x) if act else x

    def model(self, out: str, opset: int = 17) -> onnx.ModelProto:
        given = helper.make_tensor_value_info("x", TensorProto.FLOAT, self.shape)
        made = helper.make_tensor_value_info(out, TensorProto.FLOAT, None)
        graph = helper.make_graph(self.nodes, "graph", [given], [made], self.initializers)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])


def onnx_mobilenet() -> onnx.ModelProto:
    g = Onnx(("batch", 3, 96, 96))
    x, i = g.conv("x", 3, 8, (3, 3), 2, "Clip", [0, 0, 1, 1]), 8
    for n, o in enumerate((16, 32, 32, 64, 64, 128, 128, 128, 128, 128, 128, 256, 256)):
        stride = 2 if n in (1, 3, 5, 11) else 1
        x = g.conv(x, i, i, (3, 3), stride, "Clip", [0, 0, 1, 1] if stride == 2 else [1] * 4, group=i)
        x, i = g.conv(x, i, o, (1, 1), 1, "Clip", [0] * 4), o
    x = g.op("Flatten", g.op("GlobalAveragePool", x))
    return g.model(g.op("Softmax", g.op("Gemm", x, g.weights(5, 256), g.weights(5), transB=1)))


def onnx_resnet8() -> onnx.ModelProto:
    g = Onnx((1, 3, 32, 32))
    x = g.conv("x", 3, 16, (3, 3), 1, "Relu", [1] * 4)
    for i, o, s in ((16, 16, 1), (16, 32, 2), (32, 64, 2)):
        y = g.conv(x, i, o, (3, 3), s, "Relu", [1] * 4 if s == 1 else [0, 0, 1, 1])
        y = g.conv(y, o, o, (3, 3), 1, "", [1] * 4)
        x = x if s == 1 else g.op("Conv", x, g.weights(o, i, 1, 1), g.weights(o), strides=[s, s])
        x = g.op("Relu", g.op("Add", x, y))
    x = g.op("AveragePool", x, kernel_shape=[8, 8], strides=[8, 8])
    x = g.op("Reshape", x, g.constant(np.array([0, -1])))
    return g.model(g.op("Softmax", g.op("Add", g.op("MatMul", x, g.weights(64, 10)), g.weights(10))), opset=13)


def onnx_dscnn() -> onnx.ModelProto:
    g = Onnx((1, 1, 49, 10))
    x = g.op("Pad", "x", g.constant(np.array([0, 0, 4, 1, 0, 0, 5, 1])))
    x = g.conv(x, 1, 64, (10, 4), 2, "Relu", [0] * 4)
    for _ in range(4):
        x = g.conv(x, 64, 64, (3, 3), 1, "Relu", [1] * 4, group=64)
        x = g.conv(x, 64, 64, (1, 1), 1, "Relu", [0] * 4)
    x = g.op("Flatten", g.op("AveragePool", x, kernel_shape=[25, 5], strides=[25, 5]))
    return g.model(g.op("Softmax", g.op("Gemm", x, g.weights(64, 12), g.weights(12))), opset=22)


def onnx_recurrent(kind: str) -> onnx.ModelProto:
    g = Onnx((1, 7, 5))
    n = {"LSTM": 4, "GRU": 3, "RNN": 1}[kind]
    more = {"linear_before_reset": 1} if kind == "GRU" else {}
    x = g.op("Transpose", "x", perm=[1, 0, 2])
    given = (g.weights(1, n * 8, 5), g.weights(1, n * 8, 8), g.weights(1, n * 16))
    x = g.op(kind, x, *given, hidden_size=8, outputs=3 if kind == "LSTM" else 2, **more)
    x = g.op("Transpose", g.op("Squeeze", x, g.constant(np.array([1]))), perm=[1, 0, 2])
    return g.model(g.op("Add", g.op("MatMul", x, g.weights(8, 3)), g.weights(3)))


def onnx_attention() -> onnx.ModelProto:
    g = Onnx((1, 9, 16))

    def linear(x: str) -> str:
        return g.op("Add", g.op("MatMul", x, g.weights(16, 16)), g.weights(16))

    def head(order: list[int]) -> str:
        return g.op("Transpose", g.op("Reshape", linear("x"), g.constant(np.array([1, 9, 2, 8]))), perm=order)

    q, k, v = (head([0, 2, 1, 3]) for _ in range(3))
    k = g.op("Transpose", k, perm=[0, 1, 3, 2])
    scores = g.op("Div", g.op("MatMul", q, k), g.constant(np.float32(8**0.5)))
    x = g.op("MatMul", g.op("Softmax", scores, axis=-1), v)
    x = g.op("Reshape", g.op("Transpose", x, perm=[0, 2, 1, 3]), g.constant(np.array([1, 9, 16])))
    return g.model(g.op("Add", "x", linear(x)))


def onnx_signal(*, norm: bool = True) -> onnx.ModelProto:
    g = Onnx((1, 6, 48))
    x = g.op("Conv", "x", g.weights(16, 6, 3), g.weights(16), pads=[1, 1], kernel_shape=[3])
    one = [g.weights(16) for _ in range(3)] + [g.constant(np.ones(16, np.float32))]
    x = g.op("Relu", g.op("BatchNormalization", x, *one) if norm else x)
    x = g.op("MaxPool", x, kernel_shape=[2], strides=[2])
    x = g.op("Relu", g.op("Conv", x, g.weights(16, 1, 5), g.weights(16), group=16))
    x = g.op("Relu", g.op("Conv", x, g.weights(24, 16, 1), g.weights(24)))
    x = g.op("Flatten", g.op("GlobalAveragePool", x))
    return g.model(g.op("Softmax", g.op("Gemm", x, g.weights(24, 4), g.weights(4))))


ONNX: dict[str, Callable[[], onnx.ModelProto]] = {
    "mobilenet": onnx_mobilenet,
    "resnet8": onnx_resnet8,
    "dscnn": onnx_dscnn,
    "lstm": lambda: onnx_recurrent("LSTM"),
    "gru": lambda: onnx_recurrent("GRU"),
    "rnn": lambda: onnx_recurrent("RNN"),
    "attention": onnx_attention,
    "signal": onnx_signal,
}


def in_qdq(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same model with QuantizeLinear and DequantizeLinear around every operator, as quantizers write it."""
    given = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    g = Onnx((), "q")
    g.initializers = list(model.graph.initializer)
    scale, zero = (numpy_helper.from_array(np.asarray(v), n) for n, v in (("s", np.float32(0.1)), ("z", np.int8(0))))
    g.initializers += [scale, zero]
    real: dict[str, str] = {}

    def dequantized(name: str) -> str:
        values = given.get(name)
        if name not in real and values is None:
            real[name] = g.op("DequantizeLinear", g.op("QuantizeLinear", name, "s", "z"), "s", "z")
        elif name not in real and values is not None and values.dtype == np.float32 and values.ndim:
            whole = numpy_helper.from_array(
                np.ones(values.shape, np.int32 if values.ndim == 1 else np.int8), f"{name}q"
            )
            g.initializers.append(whole)
            real[name] = g.op("DequantizeLinear", whole.name, "s", *(() if values.ndim == 1 else ("z",)))
        return real.get(name, name)

    for i, node in enumerate(model.graph.node):
        inputs = [dequantized(name) if name else "" for name in node.input]
        attrs = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        g.nodes.append(helper.make_node(node.op_type, inputs, list(node.output), f"n{i}", **attrs))
    g.shape = tuple(d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim)
    return g.model(dequantized(model.graph.output[0].name))


# ---------------------------------------------------------------- Keras (its backend is torch)


def keras_models() -> dict[str, Any]:
    """Keras models of the same networks."""
    import keras
    from keras import layers as kl

    def block(x: Any, layer: Any, act: Any) -> Any:
        x = kl.BatchNormalization()(layer(x))
        return act(x) if act else x

    def mobilenet() -> Any:
        given = keras.Input((96, 96, 3))
        x = block(given, kl.Conv2D(8, 3, strides=2, padding="same", use_bias=False), kl.ReLU(6.0))
        for n, o in enumerate((16, 32, 32, 64, 64, 128, 128, 128, 128, 128, 128, 256, 256)):
            stride = 2 if n in (1, 3, 5, 11) else 1
            if stride == 2:
                x = kl.ZeroPadding2D(((0, 1), (0, 1)))(x)
            pad = "valid" if stride == 2 else "same"
            x = block(x, kl.DepthwiseConv2D(3, strides=stride, padding=pad, use_bias=False), kl.ReLU(6.0))
            x = block(x, kl.Conv2D(o, 1, use_bias=False), kl.ReLU(6.0))
        return keras.Model(given, kl.Dense(5, activation="softmax")(kl.Dropout(0.1)(kl.GlobalAveragePooling2D()(x))))

    def resnet8() -> Any:
        given = keras.Input((32, 32, 3))
        x = block(given, kl.Conv2D(16, 3, padding="same"), kl.Activation("relu"))
        for o, s in ((16, 1), (32, 2), (64, 2)):
            y = block(x, kl.Conv2D(o, 3, strides=s, padding="same"), kl.Activation("relu"))
            y = block(y, kl.Conv2D(o, 3, padding="same"), None)
            x = x if s == 1 else kl.Conv2D(o, 1, strides=s, padding="same")(x)
            x = kl.Activation("relu")(kl.Add()([x, y]))
        return keras.Model(given, kl.Dense(10, activation="softmax")(kl.Flatten()(kl.AveragePooling2D(8)(x))))

    def dscnn() -> Any:
        layers = [
            keras.Input((49, 10, 1)),
            kl.Conv2D(64, (10, 4), strides=2, padding="same"),
            kl.BatchNormalization(),
            kl.ReLU(),
        ]
        for _ in range(4):
            layers += [kl.DepthwiseConv2D(3, padding="same"), kl.BatchNormalization(), kl.ReLU()]
            layers += [kl.Conv2D(64, 1), kl.BatchNormalization(), kl.ReLU()]
        return keras.Sequential([*layers, kl.AveragePooling2D((25, 5)), kl.Flatten(), kl.Dense(12), kl.Softmax()])

    def recurrent(layer: Any) -> Any:
        return keras.Sequential([keras.Input((7, 5)), layer(8, return_sequences=True), kl.Dense(3)])

    def attention() -> Any:
        given = keras.Input((9, 16))
        return keras.Model(given, kl.Add()([given, kl.MultiHeadAttention(2, 8)(given, given)]))

    def signal() -> Any:
        layers = [
            keras.Input((48, 6)), kl.Conv1D(16, 3, padding="same", use_bias=False), kl.BatchNormalization(), kl.ReLU(),
            kl.MaxPooling1D(2), kl.DepthwiseConv1D(5, activation="relu"), kl.Conv1D(24, 1, activation="relu"),
            kl.GlobalAveragePooling1D(), kl.Dense(4, activation="softmax"),
        ]  # fmt: skip
        return keras.Sequential(layers)

    return {
        "mobilenet": mobilenet, "resnet8": resnet8, "dscnn": dscnn, "lstm": lambda: recurrent(kl.LSTM),
        "gru": lambda: recurrent(kl.GRU), "rnn": lambda: recurrent(kl.SimpleRNN), "attention": attention,
        "signal": signal,
    }  # fmt: skip
