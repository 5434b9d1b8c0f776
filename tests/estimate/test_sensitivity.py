"""One per cent of a figure: what `sensitivity` says is what an estimate with that figure says."""

from dataclasses import replace

import pytest

import tinysim as ts
from tinysim.deploy.target import resolve_target
from tinysim.errors import InputError


@pytest.fixture(scope="module")
def kws() -> ts.Estimate:
    return ts.estimate("kws", "nucleo-l4r5zi", "tflm-cmsis-nn")


def row(effects, part: str, figure: str):
    return next(r for r in effects.rows if (r.part, r.figure) == (part, figure))


def test_a_slower_clock_is_the_estimate_at_that_clock(kws: ts.Estimate) -> None:
    for step in (-0.01, -0.5):
        effect = row(kws.sensitivity(step), "cortex-m4", "clock")
        slower = ts.estimate("kws", "nucleo-l4r5zi", "tflm-cmsis-nn", clock_hz=120e6 * (1 + step))
        assert effect.latency_change == pytest.approx(slower.latency_s / kws.latency_s - 1, rel=1e-9)
        assert effect.energy_change == pytest.approx(slower.energy_j / kws.energy_j - 1, rel=1e-9)


def test_a_clock_that_crosses_a_wait_state_says_so() -> None:
    at_step = ts.estimate("kws", "nucleo-l4r5zi", "tflm-cmsis-nn", clock_hz=80e6)
    effect = row(at_step.sensitivity(), "cortex-m4", "clock")
    assert effect.note == "flash waits 3 -> 4 cycles"
    assert effect.latency_change > 0


def test_a_wait_state_is_the_estimate_of_a_board_with_it(kws: ts.Estimate) -> None:
    board = ts.load_device("nucleo-l4r5zi")
    flash = board.memory("flash")
    boost = flash.wait_states[0]
    doubled = boost.model_copy(update={"wait_cycles": tuple(2 * n for n in boost.wait_cycles)})
    slow = flash.model_copy(update={"wait_states": (doubled, *flash.wait_states[1:])})
    other = board.model_copy(update={"memories": (slow, *board.memories[1:])})
    expected = ts.estimate("kws", other, "tflm-cmsis-nn").latency_s / kws.latency_s - 1
    assert row(kws.sensitivity(1.0), "flash", "wait states").latency_change == pytest.approx(expected, rel=1e-12)


def test_one_per_cent_is_the_share_of_the_cycles(kws: ts.Estimate) -> None:
    frame = kws.sensitivity().to_frame().set_index("figure")["latency_change"]
    stalls = kws.cycles_by_cause["weight_stall"] + kws.cycles_by_cause["fetch_stall"]
    assert frame["wait states"] == pytest.approx(0.01 * stalls / kws.cycles, rel=0.01)
    kernels = frame[frame.index.str.startswith("kernels' cycles")]
    assert kernels.sum() == pytest.approx(0.01 * kws.cycles_by_cause["compute"] / kws.cycles, rel=0.01)


def test_data_cache_helps_where_it_can_hold_the_weights() -> None:
    board = ts.load_device("esp32-s3-devkit")
    frame = ts.estimate("kws", board, "tflm-reference").sensitivity(1.0).to_frame()
    cache = frame[frame["figure"] == "data cache size"]["latency_change"]
    assert (cache <= 0).all()
    assert len(cache)


def test_sram_size_says_how_full_it_is(kws: ts.Estimate) -> None:
    effect = row(kws.sensitivity(), "sram", "size")
    assert effect.value == 640 * 1024
    assert effect.note == "the arena takes 3% of it"


def test_an_accelerator_has_figures_too() -> None:
    estimate = ts.estimate("ic", "stm32n6570-dk")
    effects = estimate.sensitivity(-0.5)
    halved = row(effects, "stm32n6-neural-art external-flash", "bus width (bytes per clock)")
    assert halved.latency_change > 0.05
    assert row(effects, "stm32n6-neural-art", "clock").latency_change > 0.1


def test_unknown_energy_stays_unknown(kws: ts.Estimate) -> None:
    target = replace(resolve_target("nucleo-l4r5zi", "tflm-cmsis-nn"), prices=None)
    effects = ts.estimate("kws", target).sensitivity()
    assert all(r.energy_change is None for r in effects.rows)
    assert [r.latency_change for r in effects.rows if r.latency_change] == [
        r.latency_change for r in kws.sensitivity().rows if r.latency_change
    ]


def test_says_itself_and_draws(kws: ts.Estimate) -> None:
    effects = kws.sensitivity()
    assert "cortex-m4 clock -0.99%" in repr(effects)
    assert len(effects.to_frame()) == len(effects.to_dict()["figures"]) == len(effects.rows)
    from matplotlib.figure import Figure

    axes = effects.plot(Figure().add_subplot())
    assert axes.get_yticklabels()[0].get_text() == "cortex-m4: clock"


@pytest.mark.parametrize("step", [0.0, -1.0, -2.0, float("nan"), float("inf")])
def test_a_step_must_change_and_keep_the_figure_positive(kws: ts.Estimate, step: float) -> None:
    with pytest.raises(InputError, match="step"):
        kws.sensitivity(step)
