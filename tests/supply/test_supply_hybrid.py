"""A capacitor with a cell behind it: closed forms, one ledger of both stores, who carries the load; presets."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinysim.errors import InputError, MissingFigure, SpecError
from tinysim.supply.capacitors import Capacitor
from tinysim.supply.feed import Feed
from tinysim.supply.hybrid import BackupCell, run_hybrid
from tinysim.supply.presets import list_capacitors, load_capacitor
from tinysim.supply.stepping import Demand, hysteresis, run

CELL = BackupCell(
    capacity_j=2.0,
    start_j=1.0,
    assist_v=2.2,
    assist_until_v=2.8,
    charge_w=1e-3,
    charge_v=4.0,
    charge_until_v=3.5,
    charge_efficiency=0.8,
    discharge_efficiency=0.9,
)
PART = Capacitor(1e-3, rated_v=4.5)


def node():
    return hysteresis(on_draw=5e-3, off_draw=1e-6, on_v=3.0, off_v=1.8)


def test_without_a_harvest_the_cell_gives_all_it_has():
    result = run_hybrid(PART, Feed.sampled([0.0], 1000.0), node(), CELL, start_v=3.0)
    swing = 0.5e-3 * (3.0**2 - 1.8**2)
    on = result.supply.durations_s("on", complete=False).sum()
    assert on == pytest.approx((0.9 * 1.0 + swing) / 5e-3, rel=1e-9)
    assert result.energy_j[-1] == 0.0
    assert result.given_j == pytest.approx(0.9)
    assert result.supply.ledger.used_j == pytest.approx(0.9 + swing, rel=1e-9)
    assert result.supply.ledger.stored_j == pytest.approx(-1.0 - 0.5e-3 * (9.0 - result.supply.voltage_v[-1] ** 2))


def test_a_full_capacitor_charges_the_cell_and_a_full_cell_is_left_alone():
    idle = hysteresis(on_draw=0.0, off_draw=0.0, on_v=3.0, off_v=1.8)
    cell = replace(CELL, start_j=0.0)
    result = run_hybrid(PART, Feed.sampled([2e-3], 3000.0), idle, cell)
    # at rest above 4 V the charger takes its 1 mW until 2 J / 0.8 are through
    assert result.charged_j == pytest.approx(2.0 / 0.8, rel=1e-6)
    assert result.energy_j[-1] == pytest.approx(2.0, rel=1e-6)
    begin = 0.5e-3 * 16.0 / 2e-3
    full = result.time_s[np.argmax(result.energy_j >= 2.0 * (1.0 - 1e-6))]
    assert full == pytest.approx(begin + 2.5e3, rel=1e-6)
    assert result.supply.ledger.clipped_j > 0.0


@given(
    watts=st.lists(st.one_of(st.just(0.0), st.floats(1e-6, 2e-2)), min_size=1, max_size=60),
    start=st.integers(0, 45).map(lambda n: n / 10.0),
    share=st.floats(0.0, 1.0),
    leak=st.sampled_from([math.inf, 1e5]),
    ohm=st.sampled_from([0.0, 5.0]),
    loss=st.sampled_from([0.0, 1e-5]),
    charge=st.sampled_from([0.0, 1e-3]),
)
@settings(max_examples=60, deadline=None)
def test_one_ledger_holds_both_stores(watts, start, share, leak, ohm, loss, charge):
    cell = replace(CELL, start_j=2.0 * share, self_discharge_per_s=loss, charge_w=charge)
    part = replace(PART, leakage_ohm=leak, esr_ohm=ohm)
    feed = Feed.sampled(watts, 7.0)
    result = run_hybrid(part, feed, node(), cell, start_v=start, swing_v=(1.8, 3.0))
    book = result.supply.ledger
    begin = cell.start_j + part.energy_j(start)
    assert abs(book.residual_j) <= 1e-9 * (book.harvested_j + begin + 1e-20)
    assert book.harvested_j == pytest.approx(np.sum(watts) * 7.0)
    assert min(book.used_j, book.leakage_j) >= 0.0
    assert book.converter_loss_j >= -1e-12
    assert result.energy_j.min() >= 0.0
    assert result.energy_j.max() <= cell.capacity_j * (1.0 + 1e-9)
    assert result.supply.used_j.sum() == pytest.approx(book.used_j, rel=1e-9, abs=1e-15)
    assert result.supply.end_s[-1] == pytest.approx(feed.edges_s[-1])
    if not charge:
        assert np.all(np.diff(result.energy_j) <= 1e-12)


@given(watts=st.lists(st.floats(0.0, 2e-2), min_size=1, max_size=40))
@settings(max_examples=20, deadline=None)
def test_an_empty_primary_cell_changes_nothing(watts):
    cell = BackupCell(capacity_j=1.0, start_j=0.0, assist_v=2.2, assist_until_v=2.8)
    feed = Feed.sampled(watts, 5.0)
    alone = run(PART, feed, node(), start_v=1.0)
    backed = run_hybrid(PART, feed, node(), cell, start_v=1.0).supply
    assert backed.labels == alone.labels
    assert backed.end_s == pytest.approx(alone.end_s)
    assert backed.ledger.used_j == pytest.approx(alone.ledger.used_j)


def test_a_demand_for_a_time_gets_that_time_from_both():
    def work():
        outcomes.append((yield Demand("work", 10e-3, low_v=1.8, duration_s=20.0)))

    outcomes = []
    run_hybrid(PART, Feed.sampled([0.0], 100.0), work(), CELL, start_v=3.0)
    assert outcomes[0].reason == "time"
    assert outcomes[0].time_s == pytest.approx(20.0)


@pytest.mark.parametrize("name", list_capacitors())
def test_a_capacitor_preset_makes_a_store_or_names_what_it_lacks(name):
    spec = load_capacitor(name)
    try:
        part = spec.capacitor()
    except MissingFigure as error:
        assert name in str(error)  # noqa: PT017
        part = spec.capacitor(leakage_ohm=1e6)
    pair = spec.capacitor(leakage_ohm=part.leakage_ohm / 2, parallel=2)
    assert pair.capacitance_f == 2 * part.capacitance_f
    assert pair.esr_ohm == part.esr_ohm / 2
    assert part.rated_v == spec.rated.si


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"start_j": 3.0}, "start_j 3 <= capacity_j 2"),
        ({"assist_v": 2.9}, r"assist_v 2.9 must be below assist_until_v 2.8"),
        ({"charge_until_v": 4.1}, r"charge_until_v 4.1 < charge_v 4"),
        ({"charge_efficiency": 0.0}, "efficiencies"),
        ({"self_discharge_per_s": 1.0}, "self-discharge"),
    ],
)
def test_bad_cells_are_named(change, words):
    with pytest.raises(InputError, match=words):
        replace(CELL, **change)


def test_unknown_capacitors_are_named():
    with pytest.raises(SpecError, match="unknown entry 'edlc' of capacitors"):
        load_capacitor("edlc")
