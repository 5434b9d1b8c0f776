"""Encoded weights: bounds, and what the compiler printed for the models whose weights are at hand."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tinysim.cost.accelerator.weights import encoded_bytes, entropy_bits, golomb_rice_bits, rice_coded_bytes

DATA = Path(__file__).parent / "data"
WEIGHTS = arrays(np.int8, st.integers(1, 400), elements=st.integers(-128, 127))


@given(st.lists(st.integers(0, 50), min_size=1, max_size=64))
def test_a_code_is_no_shorter_than_the_entropy(counts):
    values = np.repeat(np.arange(len(counts)), counts)
    assert golomb_rice_bits(counts) >= entropy_bits(values) - 1e-9


@given(WEIGHTS)
def test_coded_weights_are_whole_lines_and_hardly_longer_than_plain(weights):
    size = rice_coded_bytes(weights)
    assert size % 16 == 0
    assert 0 < size <= weights.size * 9 / 8 + 16
    assert encoded_bytes(weights, "zero_map") <= weights.size


@given(WEIGHTS, st.integers(1, 2000))
def test_zeros_at_the_end_cost_little(weights, zeros):
    longer = np.concatenate([weights, np.zeros(zeros, dtype=np.int8)])
    assert rice_coded_bytes(longer) <= rice_coded_bytes(weights) * 1.2 + 16 + zeros / 4 + 16


def test_against_the_compiler():
    """Whole channels: within 1 %; whole networks, whose bricks are padded: 3 to 13 % short; zeros count for little."""
    totals = pd.read_csv(DATA / "vela_totals.csv").groupby("model").total_npu_encoded_weights.first()
    coded = pd.read_csv(DATA / "vela_networks.csv").groupby("model").rice_bytes.sum()
    plain = pd.read_csv(DATA / "vela_totals.csv").groupby("model").total_original_weights.first()
    ratio = (coded / totals)[coded > 0]
    assert len(ratio) >= 30
    filled = [name for name in ratio.index if name.startswith(("fc_", "conv")) and plain[name] >= 16384]
    assert len(filled) >= 8
    assert (ratio[filled] - 1).abs().max() <= 0.015
    networks = ["ad01_int8", "kws_ref_model", "pretrainedResnet_quant", "str_ww_ref_model", "vww_96_int8"]
    assert ratio[networks].between(0.87, 1.0).all()
    assert plain["vww_96_int8"] / coded["vww_96_int8"] == pytest.approx(4.39, rel=0.15)
