"""`best_clock` and the interval of energy."""

import math

import pytest

from tinysim.deploy.target import resolve_target
from tinysim.errors import InfeasibleError, InputError, MissingFigure, SpecError
from tinysim.estimate.clock import at_clock
from tinysim.estimate.engine import estimate
from tinysim.estimate.interval import conformal_factor


@pytest.fixture(scope="module")
def kws():
    return estimate("kws", "nucleo-l4r5zi", "x-cube-ai-7.3")


def test_a_target_at_another_clock_is_the_resolved_one(kws):
    own = at_clock(kws.deployment.target, 40e6)
    resolved = resolve_target("nucleo-l4r5zi", "x-cube-ai-7.3", clock_hz=40e6)
    assert (own.clock_hz, own.prices, own.weights, own.code) == (
        resolved.clock_hz,
        resolved.prices,
        resolved.weights,
        resolved.code,
    )


def test_candidates_are_the_steps_of_the_wait_states(kws):
    choice = kws.best_clock()
    assert [point.clock_hz for point in choice.points] == [20e6, 40e6, 60e6, 80e6, 100e6, 120e6]
    assert [point.wait_cycles for point in choice.points] == [0, 1, 2, 3, 4, 5]
    latencies = [point.latency_s for point in choice.points]
    assert latencies == sorted(latencies, reverse=True)
    assert choice.points[-1].inference_j == pytest.approx(kws.energy_j, rel=1e-12)


def test_parts_add_up_and_the_best_is_the_least(kws):
    choice = kws.best_clock(period_s=2.0)
    for point in choice.points:
        assert point.energy_j == pytest.approx(point.inference_j + point.wake_j + point.sleep_j, rel=1e-12)
        assert point.sleep_j > 0
        assert point.wake_j > 0
    assert choice.best.energy_j == min(point.energy_j for point in choice.points)
    assert choice.sleep == "stop2"
    assert choice.to_frame().energy_j.tolist() == [point.energy_j for point in choice.points]


def test_wait_states_make_slow_and_low_cheaper_than_racing(kws):
    """Every step of the clock pays another wait state for nearly the same energy a cycle."""
    assert kws.best_clock().strategy == "slow and low"


def test_a_large_base_current_makes_racing_cheaper():
    """The ESP32-S3 draws 20 mA at 40 MHz and 72 mA at 240 MHz: the longer it runs, the more it pays for being on."""
    choice = estimate("kws", "esp32-s3-devkit").best_clock(period_s=1.0)
    assert choice.strategy == "race to idle"
    assert choice.clock_hz == 240e6
    assert choice.sleep == "light-sleep", "deep sleep keeps 16 KiB, less than the arena"
    slowest = choice.points[0]
    assert slowest.clock_hz == 40e6
    assert slowest.energy_j > choice.best.energy_j


def test_a_shallow_sleep_costs_more(kws):
    shallow, deep = kws.best_clock(period_s=1.0, sleep="sleep"), kws.best_clock(period_s=1.0, sleep="stop2")
    assert shallow.best.energy_j > deep.best.energy_j


def test_a_deadline_excludes_slow_clocks(kws):
    choice = kws.best_clock(period_s=1.0, deadline_s=0.15)
    assert choice.best.latency_s <= 0.15
    assert [point.meets_deadline for point in choice.points] == [point.latency_s < 0.15 for point in choice.points]
    with pytest.raises(InfeasibleError, match=r"no clock meets 0\.001 s"):
        kws.best_clock(deadline_s=1e-3)


def test_questions_without_an_answer_say_why(kws):
    with pytest.raises(InputError, match=r"period_s -1\.0 is no positive number"):
        kws.best_clock(period_s=-1.0)
    with pytest.raises(SpecError, match="no sleep state 'coma'"):
        kws.best_clock(period_s=1.0, sleep="coma")
    with pytest.raises(MissingFigure, match=r"power\.run of samd21 is unknown"):
        estimate("kws", "samd21").best_clock()


def test_energy_interval_holds_the_uncertainty_of_latency_and_of_power(kws):
    interval = kws.interval(0.9)
    energy = math.log(interval.energy_j[1] / kws.energy_j)
    latency = math.log(interval.latency_s[1] / kws.latency_s)
    assert energy > latency
    assert interval.energy_j[0] < kws.energy_j < interval.energy_j[1]
    assert math.log(kws.energy_j / interval.energy_j[0]) == pytest.approx(energy)
    power = math.sqrt(energy**2 - latency**2)
    assert 0.01 < power < 0.25
    assert conformal_factor([power], 0.5) > 1
    assert "power of nucleo-l4r5zi" in interval.basis


def test_components_add_up_over_layers_and_network(kws):
    frame, parts = kws.to_frame(), kws.energy_by_component
    once_j = kws.inference_overhead_cycles / kws.clock_hz * kws.deployment.target.prices.power_w
    assert frame.energy_j.sum() + once_j == pytest.approx(kws.energy_j, rel=1e-12)
    assert sum(parts.values()) == pytest.approx(kws.energy_j, rel=1e-12)
    assert set(parts) >= {"core", "sram", "flash", "static", "accelerator"}
