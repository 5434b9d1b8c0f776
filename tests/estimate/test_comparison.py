"""`compare` accounts for every second and joule of a difference."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import tinysim as ts
from tinysim.cost.attribution import divisia
from tinysim.estimate.comparison import CAUSES

BOARDS = ["nucleo-l4r5zi", "nrf5340-dk", "stm32n6570-dk", "nucleo-h7a3zi-q", "esp32-s3-devkit", "raspberry-pi-pico"]
NETWORKS = ["kws", "ic", "vww", "ad", "sww"]

factors = hnp.arrays(np.float64, (3, 4), elements=st.floats(0, 1e6).map(lambda x: 0.0 if x < 1e-3 else x))


@given(before=factors, after=factors)
def test_factors_account_for_the_product(before: np.ndarray, after: np.ndarray) -> None:
    difference = after.prod(axis=0) - before.prod(axis=0)
    scale = np.maximum(after.prod(axis=0), before.prod(axis=0))
    assert np.abs(divisia(before, after).sum(axis=0) - difference) == pytest.approx(0, abs=1e-12 * scale.max(initial=1))


@given(before=factors, after=factors)
def test_factors_that_stay_explain_nothing_and_order_turns_the_sign(before: np.ndarray, after: np.ndarray) -> None:
    after[1] = before[1]
    there, back = divisia(before, after), divisia(after, before)
    scale = 1e-9 * max(np.abs(there).max(initial=0.0), 1.0)
    assert np.abs(there[1]).max() <= scale
    assert np.abs(there + back).max() <= scale


def test_one_factor_takes_all() -> None:
    assert divisia(np.array([[2.0], [3.0]]), np.array([[5.0], [3.0]]))[:, 0] == pytest.approx([9.0, 0.0])
    assert divisia(np.array([[0.0], [3.0]]), np.array([[5.0], [4.0]]))[:, 0] == pytest.approx([20.0, 0.0])


side = st.tuples(st.sampled_from(NETWORKS), st.sampled_from(BOARDS), st.integers(0, 20), st.sampled_from([1.0, 0.5]))


def make(chosen: tuple[str, str, int, float]) -> ts.Estimate:
    network, board, number, slower = chosen
    runtimes = [name for name in ts.list_runtimes(board) if not name.startswith("tinymaix")]
    clock = ts.load_device(board).clock.si * slower
    return ts.estimate(network, board, runtimes[number % len(runtimes)], clock_hz=clock)


@settings(max_examples=25, deadline=None)
@given(a=side, b=side)
def test_every_difference_is_accounted_for(a: tuple[str, str, int, float], b: tuple[str, str, int, float]) -> None:
    first, second = make(a), make(b)
    result = ts.compare(first, second)
    near = {"abs": 1e-9 * max(first.latency_s, second.latency_s)}
    assert result.difference_s == second.latency_s - first.latency_s
    assert sum(result.causes_s.values()) == pytest.approx(result.difference_s, **near)
    assert sum(row.difference_s for row in result.layers) == pytest.approx(result.difference_s, **near)
    for row in result.layers:
        assert sum(row.causes_s.values()) == pytest.approx(row.difference_s, **near)
        assert set(row.causes_s) == set(CAUSES)
    for e, name in ((first, "index_a"), (second, "index_b")):
        seen = [getattr(row, name) for row in result.layers if getattr(row, name) is not None]
        assert seen == list(range(len(e.layers)))
    if result.difference_j is not None:
        assert first.energy_j is not None
        assert second.energy_j is not None
        near = {"abs": 1e-9 * max(first.energy_j, second.energy_j)}
        assert sum(row.difference_j for row in result.layers) == pytest.approx(result.difference_j, **near)
        assert sum(result.causes_j.values()) == pytest.approx(result.difference_j, **near)


def test_another_clock_is_clock_and_wait_states() -> None:
    result = ts.compare(
        ts.estimate("kws", "nucleo-l4r5zi", "tflm-cmsis-nn"),
        ts.estimate("kws", "nucleo-l4r5zi", "tflm-cmsis-nn", clock_hz=40e6),
    )
    assert {cause for cause, seconds in result.causes_s.items() if seconds} == {"clock", "weight_stall", "fetch_stall"}
    assert result.causes_s["clock"] > 0 > result.causes_s["weight_stall"]
    assert result.b_label == "40 MHz"


def test_removed_channels_are_work_and_a_compiler_level_is_kernels() -> None:
    old, new = (ts.estimate("vww", "nucleo-l4r5zi", name) for name in ("x-cube-ai-7.3", "x-cube-ai-9.0"))
    assert ts.compare(old, new).causes_s["work"] < -0.2 * old.latency_s
    fast, small = (ts.estimate("kws", "nucleo-l4r5zi", "tflm-cmsis-nn", build=build) for build in ("", "-Os"))
    causes = ts.compare(fast, small).causes_s
    assert causes["kernels"] == max(causes.values())
    assert causes["work"] == causes["clock"] == causes["layers"] == 0


def test_an_accelerator_is_a_cause() -> None:
    result = ts.compare(ts.estimate("ic", "nucleo-l4r5zi"), ts.estimate("ic", "stm32n6570-dk"))
    assert result.causes_s["engine"] == min(result.causes_s.values())
    assert result.causes_s["kernels"] == 0


def test_other_layers_are_named() -> None:
    result = ts.compare(ts.estimate("kws", "nucleo-l4r5zi"), ts.estimate("vww", "nucleo-l4r5zi"))
    only = [row for row in result.layers[:-1] if row.name_a is None]
    assert len(only) == len(result.b.layers) - len([r for r in result.layers if r.name_a and r.name_b])
    assert result.causes_s["layers"] == pytest.approx(sum(row.difference_s for row in only))


def test_says_itself_in_every_form() -> None:
    a, b = ts.estimate("kws", "nucleo-l4r5zi"), ts.estimate("kws", "nrf5340-dk")
    result = ts.compare(a, b)
    assert "nrf5340-dk" in repr(result)
    frame = result.to_frame()
    document = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert [row["difference_s"] for row in document["layers"]] == frame["difference_s"].tolist()
    assert "same time" in ts.compare(a, a).explain()
    from matplotlib.figure import Figure

    labels = [text.get_text() for text in result.plot(Figure().add_subplot()).get_yticklabels()]
    assert labels[0] == result.a_label
    assert labels[-1] == result.b_label
