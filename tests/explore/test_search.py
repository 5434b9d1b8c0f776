"""Searches keep their limits and find what brute force finds; inverse answers bracket the goal on the real model."""

import numpy as np
import optuna
import pytest

import tinysim as ts
from tinysim.errors import InfeasibleError, InputError
from tinysim.explore.inverse import least_value, sensitivity
from tinysim.explore.pareto import hypervolume, pareto_front
from tinysim.explore.search import Question, battery_days
from tinysim.explore.spaces import ds_cnn

DEVICE, RUNTIME = "nucleo-l4r5zi", "tflm-cmsis-nn"
BATTERY = {"capacity_j": 2340.0, "period_s": 1.0, "sleep_w": 1e-6}


@pytest.fixture(scope="module")
def question() -> Question:
    model = ts.CostModel(DEVICE, RUNTIME)
    space = ds_cnn(frames=(49,), features=(10, 20))

    def negative_log_macs(vectors: np.ndarray) -> np.ndarray:
        macs: np.ndarray = model.columns(space.encode(vectors), ["macs"])["macs"]
        return -np.log(macs)

    return Question(
        space,
        model,
        ["latency_s", "capacity"],
        limits={"sram_peak_bytes": 48 * 1024, "latency_s": 0.2},
        at_least={"battery_days": 2.0},
        extra={"capacity": negative_log_macs},
        battery=BATTERY,
    )


def test_pymoo_comes_near_the_true_front_within_the_limits(question: Question) -> None:
    everything = question.space.vectors(0, question.space.size)
    f, excess = question.evaluate(everything)
    allowed = f[(excess <= 0).all(axis=1)]
    front = allowed[pareto_front(allowed)]
    vectors, found = question.minimise(population=60, generations=15, seed=1)
    energy = question.model.columns(question.space.encode(vectors), ["energy_j"])["energy_j"]
    assert (battery_days(energy, **BATTERY) >= 2.0).all()
    assert (question.evaluate(vectors)[1] <= 0).all()
    assert len(vectors) == len(found) > 5
    reference = allowed.max(axis=0) + 1e-9
    best = hypervolume(front, reference)
    assert 0.97 * best <= hypervolume(found, reference) <= best * (1 + 1e-9)


def test_no_network_within_impossible_limits(question: Question) -> None:
    impossible = Question(question.space, question.model, ["latency_s"], limits={"sram_peak_bytes": 100})
    vectors, found = impossible.minimise(population=10, generations=2)
    assert vectors.shape == (0, len(question.space.genes))
    assert found.shape == (0, 1)


def test_optuna_study(question: Question) -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = optuna.samplers.NSGAIISampler(population_size=10, seed=0)
    study = optuna.create_study(directions=["minimize"] * 2, sampler=sampler)
    study.optimize(question.optuna_objective(), n_trials=30)
    best = study.best_trials
    assert best
    for trial in best:
        vector = np.array([[trial.params[g.name] for g in question.space.genes]])
        assert trial.values == question.evaluate(vector)[0][0].tolist()


def test_unknown_figures() -> None:
    with pytest.raises(InputError, match="'latency' is no figure of merit; did you mean latency_s"):
        Question(ds_cnn(), ts.CostModel(DEVICE, RUNTIME), ["latency"])
    with pytest.raises(InputError, match="at least one objective"):
        Question(ds_cnn(), ts.CostModel(DEVICE, RUNTIME), [])


def test_least_clock_for_a_latency() -> None:
    network = ts.load_network("kws")

    def latency(clock_hz: float) -> float:
        return ts.estimate(network, DEVICE, RUNTIME, clock_hz=clock_hz).latency_s

    answer = least_value(latency, 4e6, 120e6, goal=0.25)
    assert answer.figure == latency(answer.value) <= 0.25 < latency(answer.beyond)
    assert answer.value - answer.beyond <= 1e-4 * answer.value
    with pytest.raises(InfeasibleError, match=r"more than the goal of 0\.01"):
        least_value(latency, 4e6, 120e6, goal=0.01)
    with pytest.raises(InputError, match="is empty"):
        least_value(latency, 2.0, 1.0, goal=1.0)


@pytest.mark.parametrize("goal", [1, 7, 50, 100])
def test_whole_numbers_are_exact(goal: int) -> None:
    answer = least_value(lambda n: 100 - n, 0, 99, goal=goal, whole=True)
    assert answer.value == max(0, 100 - goal)


def test_sensitivities() -> None:
    rows = sensitivity(
        "kws", DEVICE, RUNTIME, parameters={"clock_hz": 60e6, "weights_wait_cycles": 0.0, "weights_exposure": 0.5}
    )
    by_name = {row.parameter: row.elasticity for row in rows}
    assert by_name["clock_hz"] == pytest.approx(-1 / 0.99, rel=0.02)
    assert by_name["weights_wait_cycles"] > 0
    assert by_name["weights_exposure"] == 0  # no wait, so nothing is exposed
    assert [abs(r.elasticity) for r in rows] == sorted((abs(r.elasticity) for r in rows), reverse=True)
    with pytest.raises(InputError, match="is no parameter of a device; did you mean clock_hz"):
        sensitivity("kws", DEVICE, RUNTIME, parameters={"clok_hz": 1.0})
