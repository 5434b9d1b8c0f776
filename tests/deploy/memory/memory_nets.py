"""Networks of the tests, made from shapes: the tensors a TFLite file of them would hold."""

import math
import re

import numpy as np

from tinysim.network import Network, Op, Quantization, Tensor


class Builder:
    """Appends operators to a chain; `here` is the tensor at its end."""

    def __init__(self, shape, dtype="int8"):
        self.tensors = [Tensor("input", shape, dtype)]
        self.ops = []
        self.here = 0
        self.dtype = dtype

    def constant(self, shape, dtype="int8", scales=1):
        quantization = Quantization((1.0,) * scales, (0,) * scales)
        self.tensors.append(Tensor("constant", shape, dtype, is_constant=True, quantization=quantization))
        return len(self.tensors) - 1

    def add(self, kind, shape, inputs=None, **attrs):
        self.tensors.append(Tensor(f"{kind} {len(self.ops)}", shape, self.dtype))
        out = len(self.tensors) - 1
        self.ops.append(Op(kind, tuple(inputs if inputs is not None else (self.here,)), (out,), attrs))
        self.here = out
        return out

    def conv(self, channels, kernel=1, stride=1, *, depthwise=False, padding="same"):
        _, h, w, c = self.tensors[self.here].shape
        kh, kw = (kernel, kernel) if isinstance(kernel, int) else kernel
        attrs = {"stride_h": stride, "stride_w": stride}
        if padding == "same":
            oh, ow = -(-h // stride), -(-w // stride)
            down, right = max(0, (oh - 1) * stride + kh - h), max(0, (ow - 1) * stride + kw - w)
            attrs |= {"pad_top": down // 2, "pad_bottom": down - down // 2}
            attrs |= {"pad_left": right // 2, "pad_right": right - right // 2}
        else:
            oh, ow = (h - kh) // stride + 1, (w - kw) // stride + 1
        if depthwise:
            channels = c
        weights = self.constant((1, kh, kw, c) if depthwise else (channels, kh, kw, c), scales=channels)
        bias = self.constant((channels,), "int32")
        kind = "depthwise_conv2d" if depthwise else "conv2d"
        return self.add(kind, (1, oh, ow, channels), (self.here, weights, bias), **attrs)

    def pool(self, kind, kernel, stride=None):
        _, h, w, c = self.tensors[self.here].shape
        kh, kw = kernel
        sh, sw = (stride, stride) if stride else kernel
        shape = (1, -(-h // sh), -(-w // sw), c)
        return self.add(kind, shape, kernel_h=kh, kernel_w=kw, stride_h=sh, stride_w=sw)

    def flatten(self):
        shape = (1, math.prod(self.tensors[self.here].shape))
        return self.add("reshape", shape, (self.here, self.constant((2,), "int32")))

    def fc(self, units, *, scales=1):
        depth = self.tensors[self.here].shape[-1]
        weights, bias = self.constant((units, depth), scales=scales), self.constant((units,), "int32")
        return self.add("fully_connected", (1, units), (self.here, weights, bias))

    def done(self, name="net"):
        return Network(name, tuple(self.tensors), tuple(self.ops), (0,), (self.here,))


def ds_cnn():
    """MLPerf Tiny keyword spotting."""
    b = Builder((1, 49, 10, 1))
    b.conv(64, (10, 4), 2)
    for _ in range(4):
        b.conv(64, 3, depthwise=True)
        b.conv(64)
    b.pool("avg_pool2d", (25, 5))
    b.flatten()
    b.fc(12)
    b.add("softmax", (1, 12))
    return b.done("kws")


def autoencoder():
    """MLPerf Tiny anomaly detection."""
    b = Builder((1, 640))
    for units in (128, 128, 128, 128, 8, 128, 128, 128, 128, 640):
        b.fc(units)
    return b.done("ad")


def mobilenet_v1(width=8, side=96):
    """MLPerf Tiny visual wake words: MobileNetV1 0.25 at 96 x 96."""
    b = Builder((1, side, side, 3))
    b.conv(width, 3, 2)
    plan = [(2, 1), (4, 2), (4, 1), (8, 2), (8, 1), (16, 2), *[(16, 1)] * 5, (32, 2), (32, 1)]
    for factor, stride in plan:
        b.conv(0, 3, stride, depthwise=True)
        b.conv(width * factor)
    _, h, w, _ = b.tensors[b.here].shape
    b.pool("avg_pool2d", (h, w))
    b.flatten()
    b.fc(2)
    b.add("softmax", (1, 2))
    return b.done("vww")


def single_layer(name):
    """The one-layer models of the arena table, by their names (`conv3x3_s1_h16_i32_o64`, `fc_i128_o12`, ...)."""
    if name == "mlperf_ad01_int8":
        return autoencoder()
    if name == "mlperf_kws_int8":
        return ds_cnn()
    kind, *rest = name.split("_")
    v = {part[0]: int(part[1:]) for part in rest}
    digits = re.search(r"(\d+)x(\d+)$", kind)
    kernel = (int(digits[1]), int(digits[2])) if digits else (1, 1)
    b = Builder((1, v.get("h", 1), v.get("w", v.get("h", 1)), v.get("i", v.get("c", 1))))
    if kind.startswith("tconv"):
        shape = (1, 2 * v["h"], 2 * v["h"], v["o"])
        weights = b.constant((v["o"], *kernel, v["i"]), scales=v["o"])
        inputs = (b.constant((4,), "int32"), weights, 0, b.constant((v["o"],), "int32"))
        b.add("transpose_conv", shape, inputs, stride_h=2, stride_w=2)
    elif kind.startswith("conv"):
        if kernel == (10, 4):
            b.tensors[0] = Tensor("input", (1, 49, 10, 1), "int8")
        b.conv(v["o"], kernel, v.get("s", 1))
    elif kind.startswith("dw"):
        b.conv(0, kernel, v["s"], depthwise=True)
    elif kind == "fc":
        b = Builder((1, v["i"]))
        b.fc(v["o"], scales=v["o"])
    elif kind.startswith(("avgpool", "maxpool")):
        b.pool(kind[:3] + "_pool2d", kernel, v.get("s", kernel[0]))
    elif kind == "gap":
        b.add("mean", (1, v["c"]), (0, b.constant((2,), "int32")))
    elif kind == "softmax":
        b = Builder((1, v["c"]))
        b.add("softmax", (1, v["c"]))
    else:
        first = b.conv(v["c"])
        b.add(
            {"hardswish": "hard_swish"}.get(kind, kind), b.tensors[first].shape, (0, first) if kind == "add" else None
        )
    return b.done(name)


def random_network(seed, n_ops=12):
    """A random graph of additions and convolutions over tensors of random sizes."""
    rng = np.random.default_rng(seed)
    tensors = [Tensor("t0", (1, int(rng.integers(1, 4000))), "int8")]
    ops = []
    for i in range(n_ops):
        n_inputs = int(rng.integers(1, min(3, len(tensors)) + 1))
        inputs = tuple(int(t) for t in rng.choice(len(tensors), n_inputs, replace=False))
        tensors.append(Tensor(f"t{i + 1}", (1, int(rng.integers(1, 4000))), "int8"))
        ops.append(Op("concatenation", inputs, (len(tensors) - 1,)))
    return Network(f"random {seed}", tuple(tensors), tuple(ops), (0,), (len(tensors) - 1,))


def inverted_residuals(side, blocks, *, stem=16, first=8, first_kernel=3, head=None, units=2):
    """Mobile inverted residual network: 3x3 stem of stride 2, one block without expansion, blocks, pool, classifier.

    blocks: (expanded channels, kernel, stride, channels); a block of stride 1 with unchanged channels adds its input.
    """
    b = Builder((1, side, side, 3))
    b.conv(stem, 3, 2)
    b.conv(0, first_kernel, depthwise=True)
    b.conv(first)
    for expanded, kernel, stride, channels in blocks:
        before = b.here
        b.conv(expanded)
        b.conv(0, kernel, stride, depthwise=True)
        after = b.conv(channels)
        if stride == 1 and b.tensors[before].shape == b.tensors[after].shape:
            b.add("add", b.tensors[after].shape, (after, before))
    if head:
        b.conv(head)
    _, h, w, _ = b.tensors[b.here].shape
    b.pool("avg_pool2d", (h, w))
    b.conv(units)
    return b.done("mobile")


#: mcunet-vww1 (80 x 80): 11.6 M MACs, 0.43 M parameters; blocks from the code that TinyEngine generates for it
MCUNET_VWW1 = (
    *[(48, 3, 2, 16), (48, 3, 1, 16), (48, 3, 1, 16), (48, 7, 2, 24), (144, 3, 1, 24), (120, 5, 1, 24)],
    *[(144, 7, 2, 40), (240, 7, 1, 40), (240, 3, 1, 48), (192, 3, 1, 48), (240, 5, 2, 96), (480, 3, 1, 96)],
    *[(384, 3, 1, 96), (288, 7, 1, 160)],
)


def mcunet_vww1():
    return inverted_residuals(80, MCUNET_VWW1)


def scaled(channels, width):
    """Channels times width, rounded to 8, never below 90 % (the rule of MobileNetV2 and ProxylessNAS)."""
    rounded = max(8, int(channels * width + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels * width else rounded


def mobilenet_v2(side, width):
    """MobileNetV2 (arXiv 1801.04381, table 2)."""
    blocks, c = [], scaled(16, width)
    for t, channels, n, s in (
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    ):
        for i in range(n):
            blocks.append((t * c, 3, s if i == 0 else 1, scaled(channels, width)))
            c = scaled(channels, width)
    return inverted_residuals(side, blocks, stem=scaled(32, width), first=scaled(16, width), head=1280, units=1000)


def proxyless(side, width):
    """ProxylessNAS mobile (arXiv 1812.00332, figure 4): (expansion, kernel, channels, stride)."""
    plan = [(3, 5, 32, 2), (3, 3, 32, 1), (3, 7, 40, 2), (3, 3, 40, 1), (3, 5, 40, 1), (3, 5, 40, 1)]
    plan += [(6, 7, 80, 2), (3, 5, 80, 1), (3, 5, 80, 1), (3, 5, 80, 1), (6, 5, 96, 1), *[(3, 5, 96, 1)] * 3]
    plan += [(6, 7, 192, 2), (6, 7, 192, 1), (3, 7, 192, 1), (3, 7, 192, 1), (6, 7, 320, 1)]
    blocks, c = [], scaled(16, width)
    for t, kernel, channels, stride in plan:
        blocks.append((t * c, kernel, stride, scaled(channels, width)))
        c = scaled(channels, width)
    return inverted_residuals(side, blocks, stem=scaled(32, width), first=scaled(16, width), head=1280, units=1000)
