"""Search a space with pymoo or Optuna: objectives and limits from the cost model, accuracy from you.

tinysim predicts no accuracy: give a measured, trained or proxied figure of merit as `extra`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinysim.errors import InputError, nearest
from tinysim.explore.cost_model import COLUMNS, CostModel
from tinysim.explore.designs import AcceleratorModel
from tinysim.explore.space import SearchSpace
from tinysim.network.table import Ints

__all__ = ["Question", "battery_days"]

Floats = NDArray[np.float64]
_DAYS = "battery_days"
#: vectors (n, n_genes) -> a value each, smaller is better
Extra = Callable[[Ints], Floats]


def battery_days(energy_j: Floats, *, capacity_j: float, period_s: float, sleep_w: float) -> Floats:
    """Days that a store lasts at one inference per period.

    D = capacity / (energy / period + sleep power) / 86400

    energy_j, capacity_j [J], period_s [s], sleep_w [W]. Valid: an ideal store; see `tinysim battery` for real ones.

    >>> round(battery_days(np.array([1e-3]), capacity_j=2340.0, period_s=1.0, sleep_w=1e-6).item(), 2)
    27.06
    """
    days: Floats = capacity_j / (np.asarray(energy_j) / period_s + sleep_w) / 86400
    return days


class Question:
    """What is wanted of a network: objectives to minimise, limits to keep.

    Args:
        space, model: what is searched, and on what it runs.
        objectives: columns of the cost model or names in `extra`, smaller is better.
        limits: name -> largest value (the same names).
        at_least: name -> least value, e.g. {"battery_days": 365}.
        extra: further figures of merit by name, functions of the vectors.
        battery: arguments of `battery_days` (capacity_j, period_s, sleep_w), which is a figure of merit then.

    Raises:
        InputError: an objective or limit that is neither a column nor in `extra`.
    """

    def __init__(
        self,
        space: SearchSpace,
        model: CostModel | AcceleratorModel,
        objectives: Sequence[str],
        *,
        limits: Mapping[str, float] | None = None,
        at_least: Mapping[str, float] | None = None,
        extra: Mapping[str, Extra] | None = None,
        battery: Mapping[str, float] | None = None,
    ) -> None:
        self.space, self.model, self.battery = space, model, battery
        self.objectives, self.extra = tuple(objectives), dict(extra or {})
        self.limits, self.at_least = dict(limits or {}), dict(at_least or {})
        known = (*COLUMNS, *self.extra, *(() if battery is None else (_DAYS,)))
        for name in (*self.objectives, *self.limits, *self.at_least):
            if name not in known:
                raise InputError(f"search: {name!r} is no figure of merit; {nearest(name, known)}")
        if not self.objectives:
            raise InputError("search: at least one objective is needed")

    def figures(self, vectors: Ints) -> dict[str, Floats]:
        """Every figure that an objective or a limit names, shape (n,) each."""
        asked = [*self.objectives, *self.limits, *self.at_least]
        priced = [*asked, "energy_j"] if _DAYS in asked and self.battery is not None else asked
        names = [name for name in COLUMNS if name in priced]
        columns = self.model.columns(self.space.encode(vectors), names) if names else {}
        if priced is not asked and self.battery is not None:
            columns[_DAYS] = battery_days(columns["energy_j"], **self.battery)
        made = {name: self.extra[name](vectors) for name in dict.fromkeys(asked) if name in self.extra}
        return {name: np.asarray(values, dtype=np.float64) for name, values in (columns | made).items()}

    def evaluate(self, vectors: Ints) -> tuple[Floats, Floats]:
        """Objectives, shape (n, n_objectives), and by which part of it each limit is missed, shape (n, n_limits).

        `limits` come first, then `at_least`.
        """
        found = self.figures(vectors)
        f = np.stack([found[name] for name in self.objectives], axis=1)
        excess = [(found[name] - limit) / (abs(limit) or 1.0) for name, limit in self.limits.items()]
        excess += [(limit - found[name]) / (abs(limit) or 1.0) for name, limit in self.at_least.items()]
        return f, np.stack(excess, axis=1) if excess else np.zeros((len(f), 0))

    def pymoo_problem(self) -> Any:
        """A vectorised `pymoo.core.problem.Problem` over whole numbers: a generation is one call of the cost model."""
        from pymoo.core.problem import Problem

        question = self

        class SpaceProblem(Problem):  # type: ignore[misc]
            def __init__(self) -> None:
                super().__init__(
                    n_var=len(question.space.genes),
                    n_obj=len(question.objectives),
                    n_ieq_constr=len(question.limits) + len(question.at_least),
                    xl=0,
                    xu=question.space.n_choices - 1,
                    vtype=int,
                )

            def _evaluate(self, x: Any, out: dict[str, Any], *args: Any, **kwargs: Any) -> None:
                out["F"], out["G"] = question.evaluate(np.rint(np.asarray(x, dtype=float)).astype(np.int64))

        return SpaceProblem()

    def minimise(self, *, population: int = 200, generations: int = 20, seed: int = 0) -> tuple[Ints, Floats]:
        """Non-dominated vectors within the limits, shape (n, n_genes), and their objectives, by NSGA-II.

        Deb et al. 2002, doi:10.1109/4235.996017, as pymoo has it, with integer crossover and mutation. Empty if no
        network met the limits.
        """
        from pymoo.algorithms.moo.nsga2 import NSGA2
        from pymoo.operators.crossover.sbx import SBX
        from pymoo.operators.mutation.pm import PM
        from pymoo.operators.repair.rounding import RoundingRepair
        from pymoo.operators.sampling.rnd import IntegerRandomSampling
        from pymoo.optimize import minimize

        algorithm = NSGA2(
            pop_size=population,
            sampling=IntegerRandomSampling(),
            crossover=SBX(prob=0.9, eta=3.0, vtype=float, repair=RoundingRepair()),
            mutation=PM(eta=3.0, vtype=float, repair=RoundingRepair()),
            eliminate_duplicates=True,
        )
        found = minimize(self.pymoo_problem(), algorithm, ("n_gen", generations), seed=seed, verbose=False)
        if found.X is None:
            return np.empty((0, len(self.space.genes)), dtype=np.int64), np.empty((0, len(self.objectives)))
        vectors = np.unique(np.atleast_2d(found.X).astype(np.int64), axis=0)
        return vectors, self.evaluate(vectors)[0]

    def optuna_objective(self) -> Callable[[Any], tuple[float, ...]]:
        """An objective of an Optuna study (`directions` all "minimize").

        Excesses over limits become the trial's constraints (Optuna 5), which samplers and `best_trials` heed.
        """

        def objective(trial: Any) -> tuple[float, ...]:
            vector = [trial.suggest_int(g.name, 0, len(g.choices) - 1) for g in self.space.genes]
            f, excess = self.evaluate(np.array([vector]))
            for name, value in zip((*self.limits, *self.at_least), excess[0].tolist(), strict=True):
                trial.set_constraint(name, value)
            return tuple(f[0].tolist())

        return objective
