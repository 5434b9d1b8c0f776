import pytest
from pydantic import ValidationError

from tinysim.errors import MissingFigure
from tinysim.figures import Figure, Hertz, Spec


class Clocked(Spec):
    clock: Hertz
    """clock"""


def test_converts_to_si_once() -> None:
    spec = Clocked.model_validate({"clock": {"value": 120, "unit": "MHz", "kind": "datasheet", "source": "x"}})
    assert spec.clock.si == 120e6
    assert Clocked.model_validate(spec.model_dump()).clock.si == 120e6


@pytest.mark.parametrize(
    ("figure", "message"),
    [
        ({"value": 1, "unit": "MHz", "kind": "datasheet"}, "needs a source"),
        ({"value": None, "unit": "MHz", "kind": "datasheet", "source": "x"}, "needs a value"),
        ({"value": 1, "unit": "MHz", "kind": "unknown"}, "has value null"),
        ({"value": 1, "unit": "mA", "kind": "datasheet", "source": "x"}, "does not fit"),
        ({"value": 1, "unit": "MHz", "kind": "guess", "source": "x"}, "Input should be"),
        ({"value": 1, "unit": "MHz", "kind": "datasheet", "source": "x", "page": 3}, "Extra inputs"),
    ],
)
def test_refuses(figure: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Clocked.model_validate({"clock": figure})


def test_unknown_is_a_value_that_withholds() -> None:
    figure = Figure(value=None, kind="unknown", where="stop_a")
    assert not figure.known
    with pytest.raises(MissingFigure, match="stop_a"):
        _ = figure.si
