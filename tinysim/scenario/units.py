"""Types of fields: text with a unit in a file becomes an SI float here."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from tinysim.quantities import parse_quantity

__all__ = [
    "Amperes",
    "Bytes",
    "Coulombs",
    "Farads",
    "Hertz",
    "Joules",
    "Kelvin",
    "Ohms",
    "PerSecond",
    "Seconds",
    "Share",
    "Volts",
    "Watts",
    "quantity",
]


def quantity(unit: str) -> BeforeValidator:
    """Validator that reads text with a unit, such as "2.1 uA", or a plain number in SI."""

    def read(given: Any) -> Any:
        return parse_quantity(given, unit) if isinstance(given, (str, int, float)) else given

    return BeforeValidator(read)


Seconds = Annotated[float, quantity("s"), Field(gt=0, allow_inf_nan=False)]
Amperes = Annotated[float, quantity("A"), Field(ge=0, allow_inf_nan=False)]
Volts = Annotated[float, quantity("V"), Field(gt=0, allow_inf_nan=False)]
Hertz = Annotated[float, quantity("Hz"), Field(gt=0, allow_inf_nan=False)]
Ohms = Annotated[float, quantity("ohm"), Field(ge=0, allow_inf_nan=False)]
Watts = Annotated[float, quantity("W"), Field(ge=0, allow_inf_nan=False)]
Kelvin = Annotated[float, quantity("kelvin"), Field(gt=0, allow_inf_nan=False)]
Joules = Annotated[float, quantity("J"), Field(ge=0, allow_inf_nan=False)]
Coulombs = Annotated[float, quantity("C"), Field(ge=0, allow_inf_nan=False)]
Farads = Annotated[float, quantity("F"), Field(gt=0, allow_inf_nan=False)]
Bytes = Annotated[int, BeforeValidator(lambda v: int(parse_quantity(v, "byte"))), Field(ge=0)]
Share = Annotated[float, quantity("1"), Field(ge=0, le=1, allow_inf_nan=False)]
PerSecond = Annotated[float, quantity("1/s"), Field(gt=0, allow_inf_nan=False)]
