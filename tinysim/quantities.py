"""Units at the edges: text such as "120 MHz" or "640 KiB" becomes an SI float here and nowhere else.

Inside tinysim every number is SI (seconds, joules, hertz, amperes, volts, bytes) and its name ends with the unit.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from tinysim.errors import QuantityError

__all__ = ["parse_quantity", "si_factor", "to_si"]

#: Dimensionless units of counting; they convert among themselves only by name.
_COUNTS = {"1", "", "cycle", "cycles", "count", "mac", "macs", "fraction", "ratio"}


@lru_cache(maxsize=1)
def _registry() -> Any:
    import pint  # slow to import; only text with units needs it

    return pint.UnitRegistry()


@lru_cache(maxsize=1024)
def si_factor(unit: str, expected: str) -> float:
    """Factor that takes a number in `unit` to the SI unit `expected`.

    Raises:
        QuantityError: an unknown unit, or one of another dimension.

    >>> si_factor("MHz", "Hz")
    1000000.0
    >>> si_factor("KiB", "byte")
    1024.0
    """
    unit = unit.replace("µ", "u").replace("μ", "u")
    if unit == expected or (unit in _COUNTS and expected in _COUNTS):
        return 1.0
    if unit in _COUNTS or expected in _COUNTS:
        if unit == "%" and expected in {"1", "", "fraction", "ratio"}:
            return 0.01
        raise QuantityError(f"unit {unit!r} does not fit: expected {expected or 'a plain number'}")
    registry = _registry()
    try:
        return float(registry.Quantity(1.0, unit).to(expected).magnitude)
    except Exception as error:  # pint has its own tree of errors; a user gets one sentence
        raise QuantityError(f"unit {unit!r} does not fit: expected one like {expected!r}") from error


def to_si(value: float, unit: str, expected: str) -> float:
    """Convert `value` in `unit` to the SI unit `expected`; temperatures are affine.

    >>> to_si(25.0, "degC", "kelvin")
    298.15
    """
    if unit in {"degC", "°C"} and expected == "kelvin":
        return value + 273.15
    return value * si_factor(unit, expected)


def parse_quantity(given: str | int | float, expected: str, *, where: str = "") -> float:
    """Read a quantity such as ``"120 MHz"``, ``"2.1 uA"`` or a plain number already in SI.

    `expected` is the SI unit of the result ("Hz", "byte", "A", "s", "J", "W", "F", "V", "ohm", "m**2", "1").

    Raises:
        QuantityError: no number, no unit that is known, or one of another dimension.

    >>> parse_quantity("640 KiB", "byte")
    655360.0
    """
    place = f"{where}: " if where else ""
    if isinstance(given, bool):
        raise QuantityError(f"{place}{given!r} is no quantity; expected a number with a unit like {expected!r}")
    if isinstance(given, (int, float)):
        return float(given)
    text = given.strip()
    split = len(text)
    for i in range(len(text), 0, -1):
        try:
            number = float(text[:i])
        except ValueError:
            continue
        split = i
        break
    else:
        raise QuantityError(f"{place}{given!r} is no quantity; expected a number with a unit like {expected!r}")
    unit = text[split:].strip()
    if not unit:
        return number
    try:
        return to_si(number, unit, expected)
    except QuantityError as error:
        raise QuantityError(f"{place}{given!r}: {error}") from error
