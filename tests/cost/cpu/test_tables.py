"""The shipped tables: made by the script, complete, and named after loops that exist."""

import numpy as np
import pytest
from counted_runs import instructions, kernels_of, layer_table, predict
from regenerate_tables import TABLE_RUNS, fitted_tables

from tinysim.cost.cpu.fit import read_expectations
from tinysim.cost.cpu.kernel import PATHS, SELECTIONS, Rows
from tinysim.cost.cpu.per_trip import read_table


@pytest.mark.parametrize("table", list(TABLE_RUNS))
def test_tables_are_what_the_script_makes(table):
    """Loops that always run together share their cost in any way, so the counts of the runs are what must agree."""
    library, runs, _ = TABLE_RUNS[table]
    ran = {(kernel, core, opt): rows for kernel, core, opt, rows in kernels_of(runs(), library)}
    shipped = read_table(table)
    for (kernel, core, opt), (loops, matrix) in fitted_tables(table).items():
        names, values = shipped[kernel.name, core, opt]
        assert names == tuple(loops)
        if (kernel, core, opt) not in ran:
            np.testing.assert_allclose(values, matrix, rtol=0.02, atol=0.05)
            continue
        rows = ran[kernel, core, opt]
        made, there = (predict(kernel, core, rows, counts) for counts in (matrix, values))
        assert (np.abs(made - there).max(axis=1) < 0.02 * instructions(made) + 0.5).all()


@pytest.mark.parametrize("table", list(TABLE_RUNS))
def test_expectations_name_loops_of_their_kernel(table):
    for kernel in {name for name, _, _ in read_table(table)}:
        loops = {loop for key, (names, _) in read_table(table).items() if key[0] == kernel for loop in names}
        for expectation in read_expectations(table, kernel):
            assert expectation.loop in loops
            assert not expectation.like or expectation.like in loops


def test_every_kernel_has_its_loops_in_a_table():
    _, runs, _ = TABLE_RUNS["cmsis_nn"]
    one_row = Rows(layer_table(runs()[:1]), slice(None))
    for (_, kind), selection in SELECTIONS.items():
        for kernel, _ in selection(one_row, "dsp"):
            tables = {
                core: loops for (name, core, _), (loops, _) in read_table(kernel.library).items() if name == kernel.name
            }
            assert tables, (kind, kernel.name)
            for core, loops in tables.items():
                assert set(loops) <= set(kernel.trips(one_row, PATHS[core])), (kind, core)
