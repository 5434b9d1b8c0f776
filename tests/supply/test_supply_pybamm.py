"""PyBaMM as another back end: our circuit against its Thevenin model, our KiBaM against its electrochemistry."""

import builtins

import numpy as np
import pytest

from tinysim.errors import InputError
from tinysim.supply.batteries import KiBaM
from tinysim.supply.cell import LoadProfile
from tinysim.supply.presets import load_battery
from tinysim.supply.pybamm_backend import discharge

HOUR = 3600.0
STEADY = LoadProfile((0.86,), (5 * HOUR,))
PULSES = LoadProfile((0.86, 0.0), (300.0, 300.0), periodic=True)


def installed():
    return pytest.importorskip("pybamm", reason="needs tinysim[pybamm]")


@pytest.mark.parametrize("load", [STEADY, PULSES], ids=["steady", "pulses"])
def test_a_circuit_lasts_as_long_as_in_pybamm(load):
    installed()
    cell = load_battery("pl-383562").cell("circuit")
    theirs = discharge(cell, load, horizon_s=3 * HOUR)
    ours = cell.lifetime(load)
    assert theirs.empty
    assert ours.cause == "voltage"
    assert ours.time_s == pytest.approx(theirs.time_s, rel=2e-4)


def test_a_resistance_that_rises_with_the_charge_used_is_the_same_in_pybamm():
    installed()
    cell = load_battery("cr2032").cell("circuit", cutoff_v=2.6)
    load = LoadProfile((15e-3,), (20 * HOUR,))
    assert cell.lifetime(load).time_s == pytest.approx(discharge(cell, load, horizon_s=20 * HOUR).time_s, rel=2e-4)


def test_terminal_voltages_agree():
    installed()
    cell = load_battery("pl-383562").cell("circuit")
    theirs = discharge(cell, STEADY, horizon_s=3 * HOUR)
    ours = [cell.voltage_v(cell.advance(cell.full_state(), 0.86, t), 0.86) for t in theirs.times_s]
    np.testing.assert_allclose(ours, theirs.voltages_v, atol=5e-3)


def test_kibam_fitted_to_three_rates_predicts_the_single_particle_model_at_others():
    """LG M50 cell (Chen 2020): fitted at 2 C, 1 C and C/5, scored at C/2 and on pulses of 2 C."""
    installed()
    full = 5.0  # rated ampere-hours
    runs = [discharge("Chen2020", LoadProfile((full * c,), (9 * HOUR,)), horizon_s=9 * HOUR) for c in (2.0, 1.0, 0.2)]
    cell = KiBaM.fit([r.charge_c for r in runs], [r.time_s for r in runs])
    for load in (
        LoadProfile((full / 2,), (9 * HOUR,)),
        LoadProfile((2 * full, 0.0), (60.0, 60.0), periodic=True),
    ):
        theirs = discharge("Chen2020", load, horizon_s=9 * HOUR)
        assert cell.lifetime(load).time_s == pytest.approx(theirs.time_s, rel=0.01)


def test_a_parameter_set_scales_to_a_small_cell():
    installed()
    own = discharge("Chen2020", LoadProfile((5.0,), (2 * HOUR,)), horizon_s=2 * HOUR)
    small = discharge("Chen2020", LoadProfile((0.05,), (2 * HOUR,)), horizon_s=2 * HOUR, capacity_c=0.05 * HOUR)
    assert small.time_s == pytest.approx(own.time_s, rel=1e-6)
    assert small.charge_c == pytest.approx(own.charge_c / 100, rel=1e-6)


def test_a_horizon_ends_the_run():
    installed()
    run = discharge(load_battery("pl-383562").cell("circuit"), PULSES, horizon_s=1000.0)
    assert not run.empty
    assert run.time_s == pytest.approx(1000.0)
    assert run.charge_c == pytest.approx(0.86 * 600.0)


def test_bad_input_is_one_line():
    installed()
    with pytest.raises(InputError, match="PyBaMM has no parameter set 'Chen2021'; did you mean Chen2020"):
        discharge("Chen2021", STEADY, horizon_s=1.0)
    with pytest.raises(InputError, match="horizon_s"):
        discharge("Chen2020", STEADY, horizon_s=0.0)


def test_without_pybamm_it_says_what_to_install(monkeypatch):
    real = builtins.__import__

    def refuse(name, *rest, **named):
        if name == "pybamm":
            raise ImportError
        return real(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(InputError, match=r"pip install 'tinysim\[pybamm\]'"):
        discharge("Chen2020", STEADY, horizon_s=1.0)
