import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinysim.errors import QuantityError
from tinysim.quantities import parse_quantity, si_factor, to_si


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("120 MHz", "Hz", 120e6),
        ("640 KiB", "byte", 655360),
        ("2 MB", "byte", 2e6),
        ("2.1 uA", "A", 2.1e-6),
        ("2.1 µA", "A", 2.1e-6),
        ("6.8mF", "F", 6.8e-3),
        ("225 mAh", "C", 810.0),
        ("1e3", "s", 1000.0),
        (5, "s", 5.0),
        ("50 %", "1", 0.5),
        ("3 d", "s", 259200.0),
    ],
)
def test_reads_quantities(text: str | int, unit: str, value: float) -> None:
    assert math.isclose(parse_quantity(text, unit), value, rel_tol=1e-12)


@pytest.mark.parametrize("text", ["", "fast", "12 MHz", "12 furlongs_per", True])
def test_refuses_what_is_no_duration(text: str | bool) -> None:
    with pytest.raises(QuantityError, match=r"period: .*expected"):
        parse_quantity(text, "s", where="period")


def test_temperature_is_affine() -> None:
    assert to_si(25.0, "degC", "kelvin") == pytest.approx(298.15)


def test_counts_do_not_mix_with_units() -> None:
    with pytest.raises(QuantityError, match="does not fit"):
        si_factor("MHz", "cycle")


@given(st.floats(1e-9, 1e9), st.sampled_from(["ns", "us", "ms", "s", "min", "h"]))
def test_text_and_number_agree(value: float, unit: str) -> None:
    assert parse_quantity(f"{value!r} {unit}", "s") == pytest.approx(value * si_factor(unit, "s"))
