"""A round of federated learning: packets by hand, sums, scopes."""

import json

import pytest

import tinysim as ts
from tinysim.errors import InputError, SpecError
from tinysim.scenario.federated import federated_round

STEPS = {
    scope: ts.estimate_training("kws", "nucleo-l4r5zi", scope=scope, batch=8) for scope in ("full", "last", "bias")
}


def test_packets_by_hand() -> None:
    """The last layer of kws: 12 x 64 weights and 12 biases, 3120 B: 12 packets of 247 B and one of 156 B."""
    found = federated_round(STEPS["last"], samples=64)
    assert STEPS["last"].update_bytes == 3120 == found.sent_bytes
    assert (found.steps, found.packets) == (8, 13)
    data = 8e-6 * (12 * (10 + 251) + (10 + 160))
    empty, gaps = 13 * 80e-6, 26 * 150e-6
    assert found.radio_s == pytest.approx(2 * (data + empty + gaps))
    assert found.radio_j == pytest.approx(3.0 * (6.40e-3 * (data + empty) + 6.26e-3 * (data + empty + 2 * gaps)))
    assert found.energy_j == found.compute_j + found.radio_j
    assert found.compute_s == pytest.approx(8 * STEPS["last"].latency_s)
    assert json.loads(json.dumps(found.to_dict()))["latency_s"] == pytest.approx(found.compute_s + found.radio_s)


def test_less_trained_is_less_sent_and_compression_counts() -> None:
    full, last, bias = (federated_round(STEPS[scope], samples=10).radio_j for scope in ("full", "last", "bias"))
    assert bias < last < full
    quarter = federated_round(STEPS["full"], samples=10, compression=0.25)
    assert quarter.radio_j == pytest.approx(full / 4, rel=0.02)
    assert quarter.steps == 2
    assert federated_round(STEPS["full"], samples=10, epochs=3).steps == 6
    louder = federated_round(STEPS["full"], samples=10, power="8dBm")
    assert louder.radio_j > full


def test_errors() -> None:
    with pytest.raises(InputError, match="samples and epochs must be 1 or more, got 0 and 1"):
        federated_round(STEPS["bias"], samples=0)
    with pytest.raises(InputError, match=r"compression from 0 to 1, got 3\.0 and 2"):
        federated_round(STEPS["bias"], samples=1, compression=2)
    with pytest.raises(SpecError, match="speaks lora"):
        federated_round(STEPS["bias"], samples=1, radio="lora-rylr998")
    with pytest.raises(SpecError, match="no figure for '3dBm'"):
        federated_round(STEPS["bias"], samples=1, power="3dBm")
