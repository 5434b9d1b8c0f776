"""The public surface: exact, documented, and quick to import."""

import subprocess
import sys

import pytest

import tinysim as ts


def test_all_is_sorted_and_resolves() -> None:
    names = [name for name in ts.__all__ if not name.startswith("__")]
    assert names == sorted(names)
    for name in names:
        assert getattr(ts, name).__doc__, f"ts.{name} has no docstring"


def test_unknown_attribute_is_an_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'estimat'"):
        _ = ts.estimat


def test_a_folder_does_not_hide_the_function_of_its_name() -> None:
    import tinysim.estimate.engine

    assert ts.estimate is tinysim.estimate
    assert callable(ts.estimate)


def test_import_brings_no_heavy_package() -> None:
    code = "import sys, tinysim; print(*{'numpy', 'pandas', 'scipy', 'pint', 'simpy', 'matplotlib'} & set(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert loaded == []
