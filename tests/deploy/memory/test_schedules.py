"""Patches, streaming, channel groups and the search over them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from memory_nets import Builder, ds_cnn, mcunet_vww1, mobilenet_v1

from tinysim.deploy.memory import (
    PLANNERS,
    MemoryPolicy,
    channel_buffers,
    channel_segments,
    cheapest_schedule,
    lifetimes,
    live_bytes,
    memory_schedules,
    patch_buffers,
    patch_work,
    patchable_splits,
    plan_arena,
    plan_buffers,
    streaming_buffers,
    tinyengine_patch_buffers,
)
from tinysim.deploy.memory.greedy import tflm_greedy
from tinysim.deploy.memory.regions import needed_regions, split_tensor, tiles
from tinysim.errors import DoesNotFit, InputError

BARE = MemoryPolicy(kernels="none", persistent="none", alignment=1)
TINYENGINE = MemoryPolicy(
    kernels="none", persistent="tinyengine", alignment=1, in_place=frozenset({"depthwise", "view"})
)


@st.composite
def window_networks(draw):
    """A chain of convolutions over an image, with a residual sum where shapes allow it."""
    b = Builder((1, draw(st.integers(9, 24)), draw(st.integers(9, 24)), 2))
    for _ in range(draw(st.integers(1, 4))):
        before = b.here
        kernel, stride = draw(st.sampled_from([(1, 1), (3, 1), (3, 2), (5, 1), (2, 2), (5, 2)]))
        b.conv(2, kernel, stride, depthwise=draw(st.booleans()), padding=draw(st.sampled_from(["same", "valid"])))
        if b.tensors[b.here].shape == b.tensors[before].shape:
            b.add("add", b.tensors[b.here].shape, (b.here, before))
        if min(b.tensors[b.here].shape[1:3]) < 6:
            break
    split = len(b.ops)
    b.flatten()
    return b.done(), split


def run(network, split, image):
    """Values of all tensors before the split if every window takes the maximum of what it sees."""
    values = {0: image}
    table = network.table()
    for i, op in enumerate(network.ops[:split]):
        if op.kind == "add":
            values[op.outputs[0]] = values[op.inputs[0]] + values[op.inputs[1]]
            continue
        _, height, width, _ = network.tensors[op.outputs[0]].shape
        pads = [(int(table.pad_top[i]), 99), (int(table.pad_left[i]), 99)]
        padded = np.pad(values[op.inputs[0]], pads, constant_values=-1e9)
        out = np.full((height, width), -1e9)
        for dy in range(int(table.kernel_h[i])):
            for dx in range(int(table.kernel_w[i])):
                rows = slice(dy, dy + height * int(table.stride_h[i]), int(table.stride_h[i]))
                columns = slice(dx, dx + width * int(table.stride_w[i]), int(table.stride_w[i]))
                out = np.maximum(out, padded[rows, columns])
        values[op.outputs[0]] = out
    return values


@given(case=window_networks(), rows=st.integers(1, 3), columns=st.integers(1, 3))
@settings(max_examples=50, deadline=None)
def test_patches_tile_the_layer_exactly(case, rows, columns):
    """Each tile, computed from its needed regions alone, equals the same part of the whole; tiles cover it once."""
    network, split = case
    _, height, width, _ = network.tensors[split_tensor(network, split)].shape
    rows, columns = min(rows, height), min(columns, width)
    grid = tiles(height, width, rows, columns)
    cover = np.zeros((height, width), dtype=int)
    regions = needed_regions(network, split, grid)
    image = np.random.default_rng(0).random(network.tensors[0].shape[1:3])
    whole = run(network, split, image)[split_tensor(network, split)]
    for i in range(rows * columns):
        part = np.s_[grid.top[i] : grid.bottom[i], grid.left[i] : grid.right[i]]
        cover[part] += 1
        seen = np.full_like(image, np.nan)
        need = np.s_[regions[0].top[i] : regions[0].bottom[i], regions[0].left[i] : regions[0].right[i]]
        seen[need] = image[need]
        np.testing.assert_array_equal(run(network, split, seen)[split_tensor(network, split)][part], whole[part])
    assert (cover == 1).all()


@given(case=window_networks(), rows=st.integers(1, 3), columns=st.integers(1, 3))
@settings(max_examples=40, deadline=None)
def test_patches_repeat_work_and_never_skip_any(case, rows, columns):
    network, split = case
    _, height, width, _ = network.tensors[split_tensor(network, split)].shape
    work = patch_work(network, split, min(rows, height), min(columns, width))
    one = patch_work(network, split, 1, 1)
    assert work.macs.sum() >= one.macs.sum()
    assert one.macs.sum() <= network.macs  # a valid convolution may leave the image's last rows unread
    assert work.macs[split - 1] == network.table().macs[split - 1]


@given(case=window_networks())
@settings(max_examples=30, deadline=None)
def test_partial_schedules_keep_less_of_every_tensor(case):
    network, split = case
    plain = lifetimes(network, alignment=1)
    _, height, _, _ = network.tensors[split_tensor(network, split)].shape
    handed_on = plain.tensor == split_tensor(network, split)
    for buffers in (
        patch_buffers(network, patch_work(network, split, min(2, height), 1), split, alignment=1),
        streaming_buffers(network, split, alignment=1),
    ):
        assert (buffers.size <= plain.size).all()
        assert buffers.size[handed_on] == plain.size[handed_on]


@pytest.mark.parametrize(("split", "peak_bytes"), [(5, 59568), (3, 92800)])
def test_tinyengine_patches(split, peak_bytes):
    """mcunet-vww1 in 2 x 2 patches: the input_output buffer that TinyEngine's scheduler (47bb283) finds."""
    buffers = tinyengine_patch_buffers(mcunet_vww1(), split, 2)
    assert (tflm_greedy(buffers) + buffers.size).max() == peak_bytes


def test_own_patches_need_less_than_the_scheduler():
    network = mcunet_vww1()
    work = patch_work(network, 5, 2, 2)
    plan = plan_buffers(network, patch_buffers(network, work, 5, alignment=1), TINYENGINE)
    assert plan.lower_bound_bytes == 32000
    assert plan.head_bytes < 59568
    assert work.overhead == pytest.approx(0.0139, abs=1e-4)


def test_streaming_keeps_kernel_rows():
    """Stem of 80 x 80 x 3: three image rows; the first depthwise sees three rows of 40 x 16."""
    network = mcunet_vww1()
    buffers = streaming_buffers(network, 2, alignment=1)
    assert buffers.size[0] == 3 * 80 * 3
    assert buffers.size[1] == 3 * 40 * 16


def test_channel_groups():
    network = mcunet_vww1()
    assert (3, 5) in channel_segments(network)
    buffers = channel_buffers(network, 3, 5, 8, alignment=1)
    row = {t: i for i, t in enumerate(buffers.tensor.tolist())}
    expanded, out = network.ops[3].outputs[0], network.ops[5].outputs[0]
    assert buffers.size[row[expanded]] == 40 * 40 * 6
    assert buffers.size[-1] == 4 * buffers.size[row[out]]
    assert buffers.root[-1] == row[out]
    for plan in PLANNERS.values():
        assert plan(buffers).head_bytes >= live_bytes(buffers).max()


def test_cheapest_schedule_takes_the_cheapest_that_fits():
    network = mcunet_vww1()
    plain = plan_arena(network, TINYENGINE).peak_bytes
    assert cheapest_schedule(network, plain, TINYENGINE).kind == "layers"
    smaller = cheapest_schedule(network, plain - 1, TINYENGINE)
    assert smaller.peak_bytes < plain
    assert smaller.overhead == 0
    known = [s for s in memory_schedules(network, TINYENGINE) if s.peak_bytes <= 60000 and s.kind == "patches"]
    cheapest = cheapest_schedule(network, 60000, TINYENGINE, cost=lambda s: s.overhead if s.kind == "patches" else 9)
    assert cheapest.overhead == min(s.overhead for s in known)


def test_does_not_fit_names_need_have_and_ways_out():
    with pytest.raises(DoesNotFit, match=r"needs 100,708 B, 1,000 B are there; smallest found: .* by .*; .* by "):
        cheapest_schedule(mobilenet_v1(), 1000)


def test_splits_are_explained():
    network = mobilenet_v1()
    assert patchable_splits(network)[:3] == [1, 2, 3]
    with pytest.raises(InputError, match="hands on one tensor"):
        split_tensor(network, 0)
    with pytest.raises(InputError, match=r"operator 28 \(reshape\) does not work on windows"):
        split_tensor(network, 29)
    with pytest.raises(InputError, match="tiles of a 25 x 5 image"):
        patch_work(ds_cnn(), 1, 2, 6)


def test_reordering_is_among_the_schedules():
    """Two branches, the wide one second in the file: the other order is tried and costs nothing."""
    b = Builder((1, 8, 8, 4))
    b.add("relu", (1, 8, 8, 40))
    wide = b.add("relu", (1, 8, 8, 2))
    b.here = 0
    b.add("relu", (1, 8, 8, 30))
    narrow = b.add("relu", (1, 8, 8, 20))
    b.add("concatenation", (1, 8, 8, 22), (narrow, wide))
    b.ops[:4] = b.ops[2:4] + b.ops[:2]
    network = b.done()
    found = {s.kind: s for s in memory_schedules(network, BARE)}
    assert found["reordered"].peak_bytes < found["layers"].peak_bytes
    assert cheapest_schedule(network, found["layers"].peak_bytes - 1, BARE).kind == "reordered"
