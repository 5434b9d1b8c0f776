"""A figure of a specification: a number with unit, kind and source. One without a source cannot be made.

`kind` says how much to trust it: `datasheet`, `manual`, `measured`, `paper`, `derived` (computed from other
figures, `where` says how), `fitted` (calibrated; `where` names the rows), `assumed` (a choice, not a fact) or
`unknown` (value null: every result that needs it is withheld and the gap named).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from tinysim.errors import MissingFigure, QuantityError
from tinysim.quantities import to_si

__all__ = [
    "Amperes",
    "Bytes",
    "BytesPerSecond",
    "Coulombs",
    "Cycles",
    "Farads",
    "Figure",
    "FigureKind",
    "Hertz",
    "Joules",
    "Number",
    "Ohms",
    "Seconds",
    "Spec",
    "Volts",
    "Watts",
    "in_unit",
]

FigureKind = Literal["datasheet", "manual", "measured", "paper", "derived", "fitted", "assumed", "unknown"]


class Spec(BaseModel):
    """Base of all specifications: frozen, strict, no extra fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Figure(Spec):
    """A sourced number. `si` is its value in the SI unit of the field that holds it."""

    value: float | None
    """The number in `unit`; null if unknown."""
    unit: str = "1"
    """Unit of `value`, as pint reads it ("MHz", "KiB", "uA", "cycle", "1")."""
    kind: FigureKind
    """How the figure came to be."""
    source: str | None = None
    """Key into the sources files of device_specs."""
    where: str | None = None
    """Page, table, figure or row in the source; for `derived`, the formula."""
    tol_rel: float | None = Field(default=None, ge=0)
    """Relative uncertainty, where the source states one."""
    factor: float = Field(default=1.0, exclude=True, repr=False)
    """Factor from `unit` to SI, set by the field that holds the figure."""

    @model_validator(mode="after")
    def _sourced(self) -> Figure:
        if self.kind == "unknown":
            if self.value is not None:
                raise ValueError("a figure of kind 'unknown' has value null")
        elif self.value is None:
            raise ValueError(f"a figure of kind {self.kind!r} needs a value; write kind: unknown if there is none")
        elif self.source is None:
            raise ValueError("a figure needs a source (a key of the sources files in device_specs)")
        return self

    @property
    def known(self) -> bool:
        """Whether there is a value."""
        return self.value is not None

    @property
    def si(self) -> float:
        """The value in SI.

        Raises:
            MissingFigure: the figure is unknown.
        """
        if self.value is None:
            raise MissingFigure(f"a figure is unknown ({self.where or 'no reason given'})")
        return self.value * self.factor


def in_unit(expected: str) -> AfterValidator:
    """Validator of a figure whose unit must convert to the SI unit `expected`.

    >>> from pydantic import TypeAdapter
    >>> clock = TypeAdapter(Annotated[Figure, in_unit("Hz")]).validate_python(
    ...     {"value": 120, "unit": "MHz", "kind": "datasheet", "source": "x"})
    >>> clock.si
    120000000.0
    """

    def check(figure: Figure) -> Figure:
        if figure.value is None:
            return figure
        try:
            factor = to_si(1.0, figure.unit, expected)
        except QuantityError as error:
            raise ValueError(str(error)) from error
        return figure.model_copy(update={"factor": factor})

    return AfterValidator(check)


# Types of fields: a Figure whose unit has the dimension of the name.
Number = Annotated[Figure, in_unit("1")]
Cycles = Annotated[Figure, in_unit("cycle")]
Hertz = Annotated[Figure, in_unit("Hz")]
Bytes = Annotated[Figure, in_unit("byte")]
BytesPerSecond = Annotated[Figure, in_unit("byte/s")]
Seconds = Annotated[Figure, in_unit("s")]
Volts = Annotated[Figure, in_unit("V")]
Amperes = Annotated[Figure, in_unit("A")]
Watts = Annotated[Figure, in_unit("W")]
Joules = Annotated[Figure, in_unit("J")]
Coulombs = Annotated[Figure, in_unit("C")]
Farads = Annotated[Figure, in_unit("F")]
Ohms = Annotated[Figure, in_unit("ohm")]
