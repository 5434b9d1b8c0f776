"""What running networks draw beyond the data sheet: fitted effects of board, stack and their pairs.

    ln power = ln reference + mean + board + family + stack + (stack, board) + ln(1 - g + g * instructions / cycles)

The reference is the board's own running current (data sheet or measured). `g` is the part of a core's power that
follows executed instructions rather than the clock: a core that waits for flash draws less. The shipped effects are
`device_specs/calibration/power.csv`; `tinysim.calibrate.energy` makes them.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache

from tinysim.device.effects import Key, levels_of
from tinysim.device.library import spec_folder
from tinysim.device.spec import Device, OperatingPoint, Runtime
from tinysim.errors import SpecError

__all__ = [
    "POWER_EFFECTS",
    "PowerEffect",
    "PowerResidual",
    "instruction_share",
    "power_factor",
    "power_keys",
    "reference_points",
    "sheet_points",
    "shipped_power_effects",
    "shipped_power_residuals",
]

#: Part of the power that follows instructions where no board of that kind was measured: the prior of the fit.
PRIOR_SHARE = 0.1


@dataclass(frozen=True)
class PowerEffect:
    """A kind of effect on power: whose it is and how far it may move it (ln, one standard deviation)."""

    name: str
    of: tuple[str, ...]
    sigma: float


#: Inference over data-sheet current has its own mean: data sheets run reduced code without data traffic.
POWER_EFFECTS = (
    PowerEffect("mean", (), 1.0),
    PowerEffect("board", ("board",), 0.2),
    PowerEffect("family", ("family",), 0.1),
    PowerEffect("stack", ("stack",), 0.1),
    PowerEffect("stack on board", ("stack", "board"), 0.1),
)


def sheet_points(board: Device) -> tuple[OperatingPoint, ...]:
    """Known running currents of anything but inference: data sheet, CoreMark, while(1)."""
    run = board.power.run if board.power is not None else ()
    return tuple(p for p in run if p.current.known and not p.running.startswith("inference"))


def reference_points(board: Device, *, calibrated: bool) -> tuple[tuple[OperatingPoint, ...], bool]:
    """The running currents that a board's power starts from, and whether they are not of inference.

    A board whose rows were fitted starts from its data sheet, as in the fit; others from measured inference if there is
    any. Nothing known: an empty tuple.
    """
    run = board.power.run if board.power is not None else ()
    inference = tuple(p for p in run if p.current.known and p.running == "inference")
    sheet = sheet_points(board)
    if inference and not (calibrated and sheet):
        return inference, False
    return sheet, bool(sheet)


def power_keys(runtime: Runtime, board: Device, *, sheet: bool) -> Iterable[tuple[Key, float]]:
    """(key, prior standard deviation) of every effect on a runtime's power on a board.

    sheet: whether the reference is a data-sheet current, to which the mean belongs.
    """
    levels = levels_of(runtime, board)
    for effect in POWER_EFFECTS:
        if effect.name == "mean" and not sheet:
            continue
        yield (effect.name, " | ".join(levels[name] for name in effect.of), "power"), effect.sigma


def power_factor(runtime: Runtime, board: Device, effects: Mapping[Key, float], *, sheet: bool) -> float:
    """Power while running a network, one instruction a cycle, over the reference; effects that are not there are 0."""
    return math.exp(sum(effects.get(key, 0.0) for key, _ in power_keys(runtime, board, sheet=sheet)))


def instruction_share(board: Device, effects: Mapping[Key, float]) -> float:
    """Part of the power that follows instructions, 0 to 1: the board's, or that of all boards."""
    common = effects.get(("mean", "", "instructions"), math.log(PRIOR_SHARE))
    return math.exp(effects.get(("board", board.name, "instructions"), common))


@cache
def shipped_power_effects() -> Mapping[Key, float]:
    """The effects on power that ship with tinysim.

    Raises:
        SpecError: the table is damaged.
    """
    return {(row["effect"], row["level"], row["feature"]): float(row["ln"]) for row in _rows("power.csv")}


@dataclass(frozen=True)
class PowerResidual:
    """A measured row predicted without its like."""

    split: str
    """what was left out: ``network`` or ``board``"""
    board: str
    stack: str
    network: str
    ln_power: float
    """ln(measured / predicted) at the measured latency"""


@cache
def shipped_power_residuals() -> tuple[PowerResidual, ...]:
    """Out-of-fold residuals from which energy intervals are made.

    Raises:
        SpecError: the table is damaged.
    """
    return tuple(
        PowerResidual(row["split"], row["board"], row["stack"], row["network"], float(row["ln_power"]))
        for row in _rows("power_residuals.csv")
    )


#: Columns of the shipped tables; the last is a number.
_COLUMNS = {
    "power.csv": ("effect", "level", "feature", "ln"),
    "power_residuals.csv": ("split", "board", "stack", "network", "ln_power"),
}


def _rows(name: str) -> list[dict[str, str]]:
    """Rows of a shipped table; lines that begin with # are comments.

    Raises:
        SpecError: the table is missing, or a row has other columns or no number.
    """
    path = spec_folder() / "calibration" / name
    try:
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    except OSError as error:
        raise SpecError(f"{path}: {error.strerror or error}") from error
    rows = list(csv.DictReader(lines))
    for number, row in enumerate(rows, start=2):
        try:
            complete = math.isfinite(float(row[_COLUMNS[name][-1]])) and tuple(row) == _COLUMNS[name]
        except (KeyError, TypeError, ValueError):
            complete = False
        if not complete:
            raise SpecError(f"{name}: row {number}: expected {', '.join(_COLUMNS[name])}; got {row}")
    return rows
