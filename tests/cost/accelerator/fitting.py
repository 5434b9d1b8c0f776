"""Fit a few figures of a description on measured rows, and the error on groups that were held out."""

import numpy as np
from scipy.optimize import least_squares

from tinysim.cost.accelerator.layer_cost import network_cost
from tinysim.cost.accelerator.machine import machine_of


def predicted(machine, columns):
    return network_cost(machine, **columns).latency_s


def fit(price, machine, start, measured_s, rows):
    """Values of the named numbers (see `Machine.vary`) that fit the rows best, in logarithms; utilisations end at 1."""
    names = list(start)
    top = np.array([0.0 if name.endswith("utilization") else np.inf for name in names])

    def miss(logs):
        varied = machine.vary(**dict(zip(names, np.exp(logs), strict=True)))
        return np.log(price(varied)[rows] / measured_s[rows])

    first = np.minimum(np.log(list(start.values())), top - 1e-3)
    found = least_squares(miss, first, bounds=(-np.inf, top), loss="soft_l1", f_scale=0.1, max_nfev=60)
    return dict(zip(names, np.exp(found.x), strict=True))


def left_out_errors(spec, start, columns, measured_s, groups, *, price=None):
    """Relative errors of each row, predicted by figures fitted without its group."""
    machine, errors = machine_of(spec), np.empty(len(measured_s))
    price = price or (lambda m: predicted(m, columns))
    for group in sorted(set(groups)):
        rows = groups == group
        values = fit(price, machine, start, measured_s, ~rows)
        errors[rows] = price(machine.vary(**values))[rows] / measured_s[rows] - 1
    return errors
