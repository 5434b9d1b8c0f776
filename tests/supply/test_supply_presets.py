"""Batteries of the library: every model follows from sourced figures, and what has none says so."""

import pytest

from tinysim.errors import MissingFigure
from tinysim.supply.batteries import IdealCell, RakhmatovVrudhula
from tinysim.supply.cell import LoadProfile
from tinysim.supply.presets import list_batteries, load_battery

MODELS = ("ideal", "peukert", "kibam", "rakhmatov", "circuit")


@pytest.mark.parametrize("name", list_batteries())
def test_a_preset_makes_a_cell_or_names_the_figure_that_it_lacks(name):
    battery = load_battery(name)
    assert type(battery.cell()) is IdealCell
    for model in MODELS:
        try:
            cell = battery.cell(model)
        except MissingFigure as error:
            assert str(error).startswith(f"battery {name}: no sourced figure for ")  # noqa: PT017
        else:
            assert cell.time_to_empty(cell.full_state(), battery.capacity.si / 36e3) > 0.0


@pytest.mark.parametrize("name", [n for n in list_batteries() if load_battery(n).rates])
def test_a_kibam_delivers_what_was_measured_at_three_currents(name):
    battery = load_battery(name)
    cell = battery.cell("kibam")
    for point in battery.rates:
        seconds = cell.time_to_empty(cell.full_state(), point.current.si)
        assert seconds * point.current.si == pytest.approx(point.capacity.si, rel=1e-9)


def test_wells_of_the_lipo_are_those_of_its_source():
    """Kim and Qiao 2011: the wells of the full PL-383562 hold 2863.3 and 232.66 C."""
    cell = load_battery("pl-383562").cell("kibam")
    assert cell.capacity_c * cell.available_share == pytest.approx(2863.3, rel=1e-4)
    assert cell.capacity_c * (1 - cell.available_share) == pytest.approx(232.66, rel=1e-3)


def test_the_itsy_lasts_as_its_source_says():
    cell = load_battery("itsy-li-ion").cell("rakhmatov")
    assert isinstance(cell, RakhmatovVrudhula)
    for milliamperes, seconds in ((320, 6146), (128, 16052), (32, 65580)):
        assert cell.time_to_empty(cell.full_state(), milliamperes * 1e-3) == pytest.approx(seconds, rel=3e-4)


def test_a_smaller_cell_of_the_same_build_has_smaller_wells():
    full, half = (load_battery("aa-alkaline").cell("kibam", capacity_c=c) for c in (None, 1500 * 3.6))
    assert half.capacity_c == pytest.approx(full.capacity_c / 2)
    assert (half.available_share, half.rate_per_s) == (full.available_share, full.rate_per_s)


def test_a_coin_cell_that_stiffens_gives_less_to_higher_peaks():
    """TI SWRA349: 30 mA peaks cost 9 % against 15 mA, mean of six vendors; this is one, its resistance over seconds."""
    cell = load_battery("cr2032").cell("circuit")
    assert cell.resistance_at_ohm(cell.full_state()) == pytest.approx(20.0)
    got = []
    for peak in (5e-3, 15e-3, 30e-3):
        load = LoadProfile((peak, 2e-6), (1e-3, 0.5), periodic=True)
        life = cell.lifetime(load)
        got.append(life.time_s * load.mean_current_a / cell.capacity_c)
    assert got[0] == pytest.approx(1.0, abs=0.03)
    assert 0.7 * got[1] < got[2] < 0.97 * got[1]
    assert life.cause == "voltage"
    assert cell.voltage_v(life.state, 30e-3) == pytest.approx(cell.cutoff_v, abs=1e-3)
