"""Answers to inverse questions, for a terminal."""

from __future__ import annotations

from tinysim.explore.designs import PARAMETERS
from tinysim.explore.inverse import DesignAnswer
from tinysim.report.text import console, make_table, si, size

__all__ = ["print_answer"]

#: least elasticity that gets a row
_LEAST = 5e-5


def print_answer(found: DesignAnswer) -> None:
    """Print the answer, its bracket, and the sensitivities there."""
    out, answer = console(), found.answer
    unit = {"latency_s": "s", "energy_j": "J"}[found.figure]
    what = {"latency_s": "latency", "energy_j": "energy"}[found.figure]
    kind = "most" if found.vary[0].endswith(("wait_cycles", "exposure")) else "least"
    out.print(
        f"[bold]{found.network}[/] on [bold]{found.device}[/]: {what} at most {si(found.goal, unit)}", highlight=False
    )
    for name in found.vary:
        out.print(f"  {kind} {name}: [bold]{_amount(name, answer.value)}[/]", highlight=False)
    bracket = (
        "the end of the range"
        if answer.beyond == answer.value
        else f"{_amount(found.vary[0], answer.beyond)} is not enough"
    )
    out.print(
        f"  {what} there {si(answer.figure, unit)}; {bracket} ({answer.evaluations} evaluations)", highlight=False
    )
    set_too = {name: value for name, value in found.parameters.items() if name not in found.vary}
    for name, value in set_too.items():
        out.print(f"  with {name} = {_amount(name, value)}", highlight=False)
    out.print()
    table = make_table("", {"parameter": "left", "value there": "right", f"{what} per 1 % more of it": "right"})
    silent = []
    for row in found.sensitivities:
        if abs(row.elasticity) < _LEAST:
            silent.append(row.parameter)
        else:
            change = f"{row.elasticity:+.3g} %" if row.value else f"{row.elasticity:+.3g} % for 0.01 of it"
            table.add_row(row.parameter, _amount(row.parameter, row.value), change)
    out.print(table)
    if silent:
        out.print(f"no effect, or less than 0.005 %: {', '.join(silent)}", highlight=False)


def _amount(name: str, value: float) -> str:
    unit = PARAMETERS[name]
    if unit == "byte":
        return size(round(value)) if value >= 1024 else f"{value:g} B"
    if unit in {"1", "cycle"}:
        return f"{value:.5g}" + (" cycles" if unit == "cycle" else "")
    return si(value, unit.replace("byte", "B"), 6)
