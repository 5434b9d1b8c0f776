"""Peaks of many networks at once, and what constants take in flash."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from memory_nets import autoencoder, ds_cnn, mobilenet_v1

from tinysim.deploy.memory import (
    Buffers,
    batch_live_peaks,
    flatbuffer_bytes,
    live_bytes,
    parameter_bytes,
    plan_arena,
    weight_flash_bytes,
)
from tinysim.errors import SpecError


@given(seed=st.integers(0, 1000), n=st.integers(1, 20), networks=st.integers(0, 9))
@settings(max_examples=50, deadline=None)
def test_a_batch_equals_one_by_one(seed, n, networks):
    rng = np.random.default_rng(seed)
    first = rng.integers(0, 9, n)
    last = first + rng.integers(0, 5, n)
    sizes = rng.integers(1, 9, (networks, n)) * 16
    each = [Buffers.of(row, first, last) for row in sizes]
    np.testing.assert_array_equal(batch_live_peaks(sizes, first, last), [live_bytes(b).max() for b in each])


def test_a_batch_beyond_one_chunk():
    b = plan_arena(mobilenet_v1()).buffers
    sizes = np.tile(b.size, (1300, 1))
    assert set(batch_live_peaks(sizes, b.first, b.last)) == {55296}


@pytest.mark.parametrize(
    ("network", "weights_bytes"),
    [(autoencoder(), 270880), (ds_cnn(), 24368)],
    ids=["ad", "kws"],
)
def test_parameters(network, weights_bytes):
    """int8 weights and int32 biases: the weights that X-CUBE-AI 7.1 reports for these networks, in bytes."""
    assert parameter_bytes(network) == weights_bytes
    assert weight_flash_bytes(network, "parameters") == weights_bytes


def test_tinyengine_flash():
    """Flash that TinyEngine (47bb283) counts for the anomaly detection network."""
    assert weight_flash_bytes(autoencoder(), "parameters-and-scales") == 277568


def test_flatbuffer_estimate():
    """ad01_int8.tflite has 276,976 B; the names of its tensors are longer than here."""
    assert flatbuffer_bytes(autoencoder()) == pytest.approx(276976, rel=0.01)
    assert weight_flash_bytes(autoencoder()) == flatbuffer_bytes(autoencoder())


def test_unknown_storage_is_refused():
    with pytest.raises(SpecError, match="did you mean tflite"):
        weight_flash_bytes(ds_cnn(), "tflitee")
