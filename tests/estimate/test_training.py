"""Training steps: what the passes must add up to, what each scope may cost, and memory worked by hand."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinysim as ts
from tinysim.cost.training import input_gradient, weight_gradient
from tinysim.deploy.training import reach_of, training_peak_bytes
from tinysim.errors import InputError
from tinysim.estimate.training import estimate_training

BOARD = "nucleo-l4r5zi"
NETWORKS = ["kws", "ic", "vww", "ad"]


@pytest.mark.parametrize("name", NETWORKS)
def test_a_full_step_takes_the_macs_of_three_passes_but_for_the_first_layer(name: str) -> None:
    network = ts.load_network(name)
    table = network.table()
    step = estimate_training(network, BOARD)
    first = int(table.macs[np.flatnonzero(table.macs)[0]])
    assert step.macs == 3 * network.macs - first
    assert step.trained == network.params
    assert step.cycles == sum(step.cycles_by_phase.values())
    assert step.energy_j is not None
    frame = step.to_frame()
    assert frame.filter(like="_cycles").to_numpy().sum() == step.cycles
    assert json.loads(json.dumps(step.to_dict(), allow_nan=False))["cycles"] == step.cycles


@pytest.mark.parametrize("name", NETWORKS)
def test_scopes_are_ordered(name: str) -> None:
    full, last, bias = (estimate_training(name, BOARD, scope=scope) for scope in ("full", "last", "bias"))
    assert last.cycles < full.cycles
    assert bias.cycles < full.cycles
    for part in (last, bias):
        assert part.trained < full.trained
        assert part.memory.peak_bytes < full.memory.peak_bytes
        assert part.update_bytes == 4 * part.trained
    assert bias.cycles_by_phase["weight_gradient"] < full.cycles_by_phase["weight_gradient"]
    layers = int((ts.load_network(name).table().weights > 0).sum())
    assert estimate_training(name, BOARD, scope="last", last=layers).cycles == full.cycles


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 8), st.integers(1, 6), st.sampled_from(["sgd", "momentum", "adam"]))
def test_more_is_never_cheaper(batch: int, last: int, optimizer: str) -> None:
    def step(**more: int) -> object:
        return estimate_training(
            "kws", BOARD, scope="last", optimizer=optimizer, **({"batch": batch, "last": last} | more)
        )

    here = step()
    for more in (step(batch=batch + 1), step(last=last + 1)):
        assert more.cycles > here.cycles
        assert more.memory.peak_bytes >= here.memory.peak_bytes
    one = step(batch=1)
    assert here.cycles_by_phase["forward"] == batch * one.cycles_by_phase["forward"]
    assert here.cycles_by_phase["update"] == one.cycles_by_phase["update"]
    state = {"sgd": 0, "momentum": 1, "adam": 2}[optimizer]
    assert here.memory.optimizer_bytes == state * here.memory.parameters_bytes


@pytest.mark.parametrize("name", [*NETWORKS, "mobilenet-v2-0.35-96-c2"])
def test_gradients_have_the_macs_of_the_forward_pass(name: str) -> None:
    table = ts.load_network(name).table()
    rows = table[table.weights > 0]
    assert np.array_equal(input_gradient(rows).macs, rows.macs)
    assert np.array_equal(weight_gradient(rows).macs, rows.macs)


def test_memory_of_a_chain_by_hand() -> None:
    """ad: ten fully connected layers 640, 128 x 4, 8, 128 x 4, 640; all but the last with a ReLU."""
    network = ts.load_network("ad")
    n = len(network.ops)
    everything, nothing = np.ones(n, dtype=bool), np.zeros(n, dtype=bool)
    full = training_peak_bytes(network, reach_of(network, everything, everything), bits=32)
    widths = [640, 128, 128, 128, 128, 8, 128, 128, 128, 128, 640]
    masks = sum(widths[1:-1]) / 8
    # First backward step: all inputs, the gradients of the last output (in its place) and input, and the masks.
    assert full == sum(widths[:-1]) * 4 + (640 + 128) * 4 + masks
    assert training_peak_bytes(network, reach_of(network, nothing, nothing), bits=32) == (640 + 128) * 4
    bias = training_peak_bytes(network, reach_of(network, nothing, everything), bits=32)
    assert bias < full


def test_published_ratio_of_bias_only_training() -> None:
    """TinyTL (NeurIPS 2020, fig. 1) saves activations, not parameters: several times less for MobileNetV2."""
    full, bias = (estimate_training("mobilenet-v2-1.0-224", BOARD, scope=scope).memory for scope in ("full", "bias"))
    assert full.activations_bytes > 4 * bias.activations_bytes


def test_an_engine_for_matrices_helps_and_its_energy_is_unknown() -> None:
    core = estimate_training("ic", "gap9-evk", bits=16)
    engine = estimate_training("ic", "gap9-evk", bits=16, accelerator="redmule")
    assert engine.cycles < core.cycles / 3
    assert engine.macs == core.macs
    assert core.energy_j is not None
    assert engine.energy_j is None


def test_errors_say_what_is_possible() -> None:
    with pytest.raises(InputError, match="scope 'biases'; did you mean bias"):
        estimate_training("kws", BOARD, scope="biases")
    with pytest.raises(InputError, match="optimizer 'sgdm'; did you mean sgd"):
        estimate_training("kws", BOARD, optimizer="sgdm")
    with pytest.raises(InputError, match="bits 4: 8, 16 or 32"):
        estimate_training("kws", BOARD, bits=4)
    with pytest.raises(InputError, match="batch and last must be 1 or more"):
        estimate_training("kws", BOARD, batch=0)
