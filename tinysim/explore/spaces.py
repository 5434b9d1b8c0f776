"""Search spaces: MobileNetV2-like, once-for-all (MCUNet) like, DS-CNN-like, mixed precision, structured sparsity.

Each function returns a `SearchSpace`; read them as examples of writing one's own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from tinysim.explore.layers import conv, depthwise, head, inverted_residual
from tinysim.explore.space import Gene, Row, SearchSpace, Slot

__all__ = ["SPACES", "ds_cnn", "mixed_precision", "mobilenet_v2", "once_for_all", "pruned"]

#: filters, blocks and stride of MobileNetV2's stages (arXiv:1801.04381, table 2)
_STAGES_V2 = ((16, 1, 1), (24, 2, 2), (32, 3, 2), (64, 4, 2), (96, 3, 1), (160, 3, 2), (320, 1, 1))
#: filters and stride of the stages of the MCUNet super-network (arXiv:2007.10319), each of 2 to 4 blocks
_STAGES_OFA = ((16, 2), (24, 2), (40, 2), (48, 1), (96, 2))


def _divisible(value: float, divisor: int = 8) -> int:
    """Nearest multiple of `divisor`, never below 90 % of `value`, as MobileNetV2 rounds widths."""
    rounded = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * value else rounded


def _halved(size: int, times: int) -> int:
    for _ in range(times):
        size = -(-size // 2)
    return size


def mobilenet_v2(
    *,
    resolutions: Sequence[int] = (64, 80, 96, 112, 128, 144, 160),
    widths: Sequence[float] = (0.2, 0.25, 0.35, 0.5, 0.75),
    expansions: Sequence[int] = (3, 4, 6),
    kernels: Sequence[int] = (3, 5),
    channels: int = 3,
    classes: int = 2,
    last: int = 1280,
) -> SearchSpace:
    """MobileNetV2 with a choice of resolution, width, and expansion and kernel of each of its 17 blocks.

    With expansions (6,) (and 1 in the first stage) and kernels (3,) the networks are MobileNetV2's own.
    """
    genes = [Gene("resolution", tuple(resolutions)), Gene("width", tuple(widths))]
    slots = [Slot(("resolution", "width"), lambda r, a: [conv(r, r, channels, _divisible(32 * a), 3, 2)])]
    before, halvings, number = 32, 1, 0
    for stage, (filters, repeats, first_stride) in enumerate(_STAGES_V2):
        for repeat in range(repeats):
            stride = first_stride if repeat == 0 else 1
            decides = ["resolution", "width"]
            if stage:
                genes.append(Gene(f"expansion_{number}", tuple(expansions)))
                decides.append(f"expansion_{number}")
            genes.append(Gene(f"kernel_{number}", tuple(kernels)))
            decides.append(f"kernel_{number}")
            slots.append(Slot(tuple(decides), partial(_v2_block, before, filters, stride, halvings)))
            before, halvings, number = filters, halvings + (stride == 2), number + 1
    slots.append(Slot(("resolution", "width"), partial(_v2_head, before, halvings, last, classes)))
    return SearchSpace("mobilenet-v2", tuple(genes), tuple(slots))


def _v2_block(before: int, filters: int, stride: int, halvings: int, r: int, a: float, *choices: int) -> list[Row]:
    expansion, kernel = choices if len(choices) == 2 else (1, choices[0])
    size = _halved(r, halvings)
    in_c, out_c = _divisible(before * a), _divisible(filters * a)
    return inverted_residual(size, size, in_c, out_c, expansion=expansion, kernel=kernel, stride=stride)


def _v2_head(before: int, halvings: int, last: int, classes: int, r: int, a: float) -> list[Row]:
    size = _halved(r, halvings)
    return [conv(size, size, _divisible(before * a), last), *head(size, size, last, classes)]


def once_for_all(
    *,
    resolutions: Sequence[int] = (48, 64, 80, 96, 112, 128, 144, 160, 176),
    widths: Sequence[float] = (0.3, 0.4, 0.5, 0.7, 1.0),
    depths: Sequence[int] = (2, 3, 4),
    expansions: Sequence[int] = (3, 4, 6),
    kernels: Sequence[int] = (3, 5, 7),
    channels: int = 3,
    classes: int = 2,
) -> SearchSpace:
    """A once-for-all space as MCUNet searches it: depth per stage, kernel and expansion per block."""
    genes = [Gene("resolution", tuple(resolutions)), Gene("width", tuple(widths))]

    def stem(r: int, a: float) -> list[Row]:
        size, c = _halved(r, 1), _divisible(16 * a)
        return [
            conv(r, r, channels, c, 3, 2),
            *inverted_residual(size, size, c, _divisible(8 * a), expansion=1),
        ]

    slots = [Slot(("resolution", "width"), stem)]
    before, halvings = 8, 1
    for stage, (filters, first_stride) in enumerate(_STAGES_OFA):
        genes.append(Gene(f"depth_{stage}", tuple(depths)))
        for block in range(max(depths)):
            names = (f"expansion_{stage}_{block}", f"kernel_{stage}_{block}")
            genes += [Gene(names[0], tuple(expansions)), Gene(names[1], tuple(kernels))]
            stride = first_stride if block == 0 else 1
            make = partial(_ofa_block, block, before if block == 0 else filters, filters, stride, halvings)
            slots.append(Slot((f"depth_{stage}", "resolution", "width", *names), make))
            halvings += stride == 2
        before = filters
    slots.append(Slot(("resolution", "width"), partial(_ofa_head, before, halvings, classes)))
    return SearchSpace("once-for-all", tuple(genes), tuple(slots))


def _ofa_block(
    block: int, before: int, filters: int, stride: int, halvings: int, depth: int, r: int, a: float, e: int, k: int
) -> list[Row]:
    return [] if block >= depth else _v2_block(before, filters, stride, halvings, r, a, e, k)


def _ofa_head(before: int, halvings: int, classes: int, r: int, a: float) -> list[Row]:
    size = _halved(r, halvings)
    return head(size, size, _divisible(before * a), classes)


def ds_cnn(
    *,
    frames: Sequence[int] = (25, 49, 98),
    features: Sequence[int] = (10, 20, 40),
    widths: Sequence[int] = (16, 24, 32, 48, 64, 96, 128, 172, 276),
    depths: Sequence[int] = (2, 3, 4, 5, 6),
    kernels: Sequence[int] = (3, 5),
    classes: int = 12,
) -> SearchSpace:
    """DS-CNN for keywords (arXiv:1711.07128): spectrogram size, width, number and kernels of separable blocks."""
    genes = [Gene("frames", tuple(frames)), Gene("features", tuple(features)), Gene("width", tuple(widths))]
    genes.append(Gene("depth", tuple(depths)))
    shape = ("frames", "features", "width")
    slots = [Slot(shape, lambda t, f, c: [conv(t, f, 1, c, (10, 4), (2, 2))])]

    def block(number: int, t: int, f: int, c: int, depth: int, kernel: int) -> list[Row]:
        if number >= depth:
            return []
        h, w = _halved(t, 1), _halved(f, 1)
        return [depthwise(h, w, c, kernel), conv(h, w, c, c)]

    for number in range(max(depths)):
        genes.append(Gene(f"kernel_{number}", tuple(kernels)))
        slots.append(Slot((*shape, "depth", f"kernel_{number}"), partial(block, number)))
    slots.append(Slot(shape, lambda t, f, c: head(_halved(t, 1), _halved(f, 1), c, classes)))
    return SearchSpace("ds-cnn", tuple(genes), tuple(slots))


def mixed_precision(
    layers: Sequence[Row], *, bits: Sequence[int] = (8, 4, 2), name: str = "mixed-precision"
) -> SearchSpace:
    """A given network (rows with `skip`) with a choice of weight bits for each convolution and dense layer."""
    genes: list[Gene] = []
    slots: list[Slot] = []
    for position, row in enumerate(layers):
        if row["kind"] in {"conv2d", "depthwise_conv2d", "fully_connected"}:
            genes.append(Gene(f"bits_{position}", tuple(bits)))
            slots.append(Slot((f"bits_{position}",), partial(lambda row, b: [row | {"weight_bits": b}], row)))
        else:
            slots.append(Slot((), partial(lambda row: [row], row)))
    return SearchSpace(name, tuple(genes), tuple(slots))


def pruned(
    *,
    size: int = 96,
    channels: int = 3,
    classes: int = 2,
    widths: Sequence[int] = (8, 16, 32, 32, 64, 64, 128, 128, 128, 256),
    strides: Sequence[int] = (2, 1, 2, 1, 2, 1, 2, 1, 1, 2),
    kept: Sequence[float] = (0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1.0),
) -> SearchSpace:
    """Structured sparsity: a depthwise-separable network whose layers keep a fraction of their channels each."""
    genes = [Gene(f"kept_{i}", tuple(kept)) for i in range(len(widths))]

    def block(number: int, *fractions: float) -> list[Row]:
        out_c = max(1, round(widths[number] * fractions[-1]))
        h = _halved(size, sum(s == 2 for s in strides[:number]))
        if number == 0:
            return [conv(h, h, channels, out_c, 3, strides[0])]
        in_c = max(1, round(widths[number - 1] * fractions[0]))
        separable = depthwise(h, h, in_c, 3, strides[number])
        return [separable, conv(separable["out_h"], separable["out_w"], in_c, out_c)]

    slots = [Slot(("kept_0",), partial(block, 0))]
    slots += [Slot((f"kept_{i - 1}", f"kept_{i}"), partial(block, i)) for i in range(1, len(widths))]
    end = _halved(size, sum(s == 2 for s in strides))
    final = f"kept_{len(widths) - 1}"
    slots.append(Slot((final,), lambda f: head(end, end, max(1, round(widths[-1] * f)), classes)))
    return SearchSpace("pruned", tuple(genes), tuple(slots))


#: spaces that a sweep can name
SPACES: dict[str, Callable[..., SearchSpace]] = {
    "ds-cnn": ds_cnn,
    "mobilenet-v2": mobilenet_v2,
    "once-for-all": once_for_all,
    "pruned": pruned,
}
