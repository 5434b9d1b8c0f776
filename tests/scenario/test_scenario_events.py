"""Arrivals, air times, feature counts, parts."""

import math

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tinysim.cost.timing import CoreTiming
from tinysim.device.library import load_core, sources, spec_folder
from tinysim.errors import InputError, MissingFigure, SpecError
from tinysim.scenario.events import Pattern, Trace
from tinysim.scenario.features import feature_cycles, fft_counts, mfcc_counts
from tinysim.scenario.parts import Nvm, Radio, Sensor, VectorEngine, list_parts, load_part
from tinysim.scenario.radio import ble_advertising_s, ble_data_s, lora_airtime_s, uart_s


@given(period=st.floats(1e-3, 1e5), cut=st.floats(0.0, 1.0), count=st.integers(1, 300))
def test_periodic_windows_join_without_gap_or_overlap(period: float, cut: float, count: int) -> None:
    pattern = Pattern.periodic(period)
    end = period * count * 0.999
    whole = pattern.between(0.0, end)
    parts = np.concatenate((pattern.between(0.0, cut * end), pattern.between(cut * end, end)))
    assert np.array_equal(whole, parts)
    assert whole.size == count
    assert whole[0] == 0.0


def test_a_period_does_not_creep() -> None:
    times = Pattern.periodic(0.1).between(3.15e7, 3.15e7 + 1.0)
    assert times.size == 10
    assert np.allclose(np.diff(times), 0.1, rtol=1e-7)


def test_poisson_has_the_mean_and_the_scatter_of_poisson() -> None:
    pattern = Pattern((10.0,), (0.1,), random=True)
    counts = [pattern.between(0.0, 1000.0, np.random.default_rng(seed)).size for seed in range(400)]
    assert np.mean(counts) == pytest.approx(100.0, abs=3 * 10 / 20)
    assert np.var(counts) == pytest.approx(100.0, rel=0.3)


def test_events_keep_to_the_hours_that_have_any() -> None:
    rates = [0.0] * 24
    rates[8], rates[20] = 60.0, 30.0
    day = Pattern((3600.0,) * 24, tuple(r / 3600.0 for r in rates), random=True)
    times = day.between(0.0, 50 * 86400.0, np.random.default_rng(1))
    hours = (times // 3600).astype(int) % 24
    assert set(hours.tolist()) == {8, 20}
    assert times.size == pytest.approx(50 * 90, rel=0.06)
    assert day.rate_hz == pytest.approx(90 / 86400.0)


def test_even_events_of_a_daily_pattern_start_where_the_rate_does() -> None:
    day = Pattern((3600.0,) * 24, tuple(4 / 3600.0 if h == 6 else 0.0 for h in range(24)))
    assert day.between(0.0, 2 * 86400.0).tolist() == [
        d * 86400.0 + 6 * 3600.0 + q * 900.0 for d in range(2) for q in range(4)
    ]


def test_traces_repeat() -> None:
    trace = Trace((0.0, 7.0), 10.0)
    assert trace.between(5.0, 31.0).tolist() == [7.0, 10.0, 17.0, 20.0, 27.0, 30.0]
    assert trace.scaled(2.0).between(0.0, 10.0).tolist() == [0.0, 3.5, 5.0, 8.5]


@pytest.mark.parametrize("times", [(), (3.0, 1.0), (10.0,), (-1.0,)])
def test_a_trace_must_fit_its_period(times: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match="Trace"):
        Trace(times, 10.0)


def test_lora_air_time_is_semtechs() -> None:
    # the sheet that implements AN1200.13: SF9, 125 kHz, 13 bytes, 4/5, 8 preamble symbols: 164.864 ms
    assert float(lora_airtime_s(13, spreading_factor=9)) == pytest.approx(0.164864, rel=1e-12)
    # SF12 needs low data rate optimisation: 1.155072 s for the same packet
    assert float(lora_airtime_s(13, spreading_factor=12)) == pytest.approx(1.155072, rel=1e-12)
    sizes = np.arange(1, 200)
    air = lora_airtime_s(sizes, spreading_factor=7)
    assert np.all(np.diff(air) >= 0.0)


def test_ble_air_times() -> None:
    assert ble_advertising_s(0) == pytest.approx(128e-6)
    assert ble_data_s(27) == pytest.approx(296e-6)
    assert uart_s(1152, baud_hz=115200) == pytest.approx(0.1)
    with pytest.raises(InputError, match="0 to 31"):
        ble_advertising_s(32)
    with pytest.raises(InputError, match="6 to 12"):
        lora_airtime_s(10, spreading_factor=13)


def test_feature_cycles_scale_as_n_log_n_and_add_up() -> None:
    m4 = CoreTiming(**{name: figure.si for name, figure in load_core("cortex-m4").timing.items()})
    cycles = {n: feature_cycles(fft_counts(n), m4) for n in (128, 256, 512, 1024)}
    for n in (128, 256, 512):
        assert cycles[2 * n] / cycles[n] == pytest.approx(2 * math.log2(2 * n) / math.log2(n), rel=1e-9)
    frame = mfcc_counts(samples=480, points=512, mels=40, coefficients=10)
    assert feature_cycles(frame, m4) > cycles[512]
    with pytest.raises(InputError, match="power of two"):
        fft_counts(500)
    with pytest.raises(InputError, match="fit"):
        mfcc_counts(samples=600, points=512, mels=40, coefficients=10)


@pytest.mark.parametrize("name", list_parts())
def test_every_part_loads_and_its_sources_exist(name: str) -> None:
    data = yaml.safe_load((spec_folder() / "peripherals" / f"{name}.yaml").read_text(encoding="utf-8"))
    kinds = {"radio": Radio, "sensor": Sensor, "nvm": Nvm, "vector-engine": VectorEngine}
    part = load_part(name, kinds[data["kind"]])
    assert part.name == name
    known = sources()

    def cited(value: object) -> list[str]:
        if isinstance(value, dict):
            return [value["source"]] if "source" in value else [s for v in value.values() for s in cited(v)]
        return []

    keys = cited(data)
    assert keys
    assert set(keys) <= set(known)


def test_parts_say_what_they_lack() -> None:
    with pytest.raises(SpecError, match="did you mean bmi270"):
        load_part("bmi27", Sensor)
    with pytest.raises(SpecError, match="is a Sensor"):
        load_part("bmi270", Radio)
    with pytest.raises(SpecError, match="accepted: 8dBm, 0dBm"):
        load_part("ble-nrf52840", Radio).tx_a("3dBm")
    with pytest.raises(SpecError, match="needs a mode"):
        load_part("bmi270", Sensor).mode_a(None)
    with pytest.raises(MissingFigure, match="sleep current"):
        load_part("sph0644", Sensor).sleep_a()


def test_checkpoint_energy_of_capsimu() -> None:
    energy, _ = load_part("flash-stm32l152", Nvm).write(128)
    assert energy == pytest.approx(128 * 101.475e-9, rel=1e-12)
    assert load_part("fram-msp430-dma", Nvm).write(0) == (0.0, 0.0)
