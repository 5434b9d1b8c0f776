"""Dead channels: the reference visual-wake-words weights lose half their MACs, and functions stay the same."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ai_edge_litert.interpreter import Interpreter

from tinysim.deploy.deployment import runtime_network
from tinysim.device.library import load_runtime
from tinysim.network.builder import Builder
from tinysim.network.graph import Network
from tinysim.network.load import load_network
from tinysim.network.tflite_reader import read_tflite
from tinysim.network.tflite_writer import tflite_bytes
from tinysim.network.transforms import eliminate_dead_channels

LIVE = pd.read_csv(Path(__file__).parent / "data" / "vww_live.csv")


def kill(network: Network, dead: dict[int, int]) -> Network:
    """A copy whose operator `i` has its last `dead[i]` filters all zero, with biases below zero."""
    network = read_tflite(tflite_bytes(network))
    tensors = list(network.tensors)
    for index, n in dead.items():
        op = network.ops[index]
        weights = tensors[op.inputs[1]]
        assert weights.data is not None
        data = weights.data.copy()
        data[len(data) - n :] = 0
        tensors[op.inputs[1]] = replace(weights, data=data)
        bias = tensors[op.inputs[2]]
        assert bias.data is not None
        values = np.where(np.arange(len(data)) < len(data) - n, bias.data, -abs(bias.data))
        tensors[op.inputs[2]] = replace(bias, data=values.astype(bias.data.dtype))
    return replace(network, tensors=tuple(tensors))


def run(network: Network, seed: int = 0) -> np.ndarray:
    interpreter = Interpreter(model_content=tflite_bytes(network))
    interpreter.allocate_tensors()
    details = interpreter.get_input_details()[0]
    values = np.random.default_rng(seed).integers(-128, 128, details["shape"]).astype(details["dtype"])
    interpreter.set_tensor(details["index"], values)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"]).astype(float)


def test_visual_wake_words_as_measured() -> None:
    dead = {
        int(r.idx): int(r.out_ch - r.out_ch_live)
        for r in LIVE.itertuples()
        if r.op == "CONV_2D" and r.out_ch_live < r.out_ch
    }
    network = eliminate_dead_channels(kill(load_network("vww"), dead))
    table = network.table()
    convs = table[table.is_kind("conv2d", "depthwise_conv2d")]
    pairs = LIVE.iloc[: len(convs)]
    assert convs.macs.sum() == pytest.approx(LIVE.live_macs.sum(), rel=2e-3)
    # The facts count a depthwise channel dead also where its consumer ignores it; the first 21 layers have none.
    np.testing.assert_array_equal(convs.macs[:21], pairs.live_macs[:21])
    assert network.macs == pytest.approx(3.74e6, rel=2e-3)


def test_functions_stay_the_same() -> None:
    b = Builder("residual")
    x = b.conv(b.input(1, 8, 8, 3), 12, 3, activation="relu")
    y = b.conv(b.dw(x, 3, activation="relu"), 12, 1)
    x = b.add(x, y, activation="relu")
    x = b.concat([b.conv(x, 6, 1, activation="relu6"), b.max_pool(x, 3, stride=1, padding="same")])
    x = b.conv(b.avg_pool(x, 2), 10, 1, activation="relu")
    network = b.build(b.fc(b.flatten(x), 4))
    before = kill(network, {0: 5, 2: 4, 4: 2, 8: 3})
    after = eliminate_dead_channels(before)
    assert after.macs < before.macs
    assert after.weight_bytes < before.weight_bytes
    for seed in range(5):
        np.testing.assert_allclose(run(after, seed), run(before, seed), atol=1)


def test_a_live_network_stays_as_it_is() -> None:
    network = load_network("ic")
    assert eliminate_dead_channels(network).table() == network.table()
    shipped = read_tflite(tflite_bytes(network))
    assert eliminate_dead_channels(shipped).table() == shipped.table()


def test_a_layer_that_is_dead_altogether_keeps_one_channel() -> None:
    b = Builder("dead")
    x = b.conv(b.input(1, 4, 4, 2), 8, 3, activation="relu")
    network = kill(b.build(b.conv(x, 3, 1)), {0: 8})
    after = eliminate_dead_channels(network)
    assert after.table().out_c.tolist() == [1, 3]
    np.testing.assert_allclose(run(after), run(network), atol=1)


def test_runtimes_that_remove_dead_channels_do_so() -> None:
    b = Builder("half")
    x = b.conv(b.input(1, 8, 8, 3), 16, 3, activation="relu")
    network = kill(b.build(b.conv(x, 4, 1)), {0: 8})
    assert network.live.macs == network.macs // 2
    assert network.live is network.live
    assert runtime_network(network, load_runtime("x-cube-ai-9.0")) is network.live
    assert runtime_network(network, load_runtime("x-cube-ai-7.3")) is network
    weightless = load_network("ic")
    assert weightless.live is weightless
