"""The error tree. Every error that a user can cause is one of these, with a message of one line.

    TinysimError
    ├── InputError               something given to tinysim is wrong
    │   ├── NetworkError         a model file, module or table cannot be read
    │   │   ├── UnsupportedOperator
    │   │   └── UnknownNetwork
    │   ├── SpecError            a device, battery, harvester or scenario description is wrong
    │   │   ├── UnknownDevice
    │   │   ├── UnknownRuntime
    │   │   └── MissingFigure    a figure that this question needs is unknown
    │   ├── QuantityError        a quantity with a unit cannot be read
    │   └── TraceError           a trace or a measurement table is wrong
    └── InfeasibleError          the question is well put and the answer is no
        └── DoesNotFit           a network does not fit a memory

A message says what was given, where (file, layer, field), and what is accepted.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "DoesNotFit",
    "InfeasibleError",
    "InputError",
    "MissingFigure",
    "NetworkError",
    "QuantityError",
    "SpecError",
    "TinysimError",
    "TraceError",
    "UnknownDevice",
    "UnknownNetwork",
    "UnknownRuntime",
    "UnsupportedOperator",
    "nearest",
]


class TinysimError(Exception):
    """Base of all errors that tinysim raises on purpose."""


class InputError(TinysimError, ValueError):
    """Something given to tinysim is wrong."""


class NetworkError(InputError):
    """A model file, module or layer table cannot be read."""


class UnsupportedOperator(NetworkError):
    """An operator that nothing prices."""


class UnknownNetwork(NetworkError):
    """Neither a file nor a name of the zoo."""


class SpecError(InputError):
    """A device, battery, harvester or scenario description is wrong."""


class UnknownDevice(SpecError):
    """Neither a file nor a name of the device library."""


class UnknownRuntime(SpecError):
    """A runtime that does not exist or that the device lacks."""


class MissingFigure(SpecError):
    """A figure that the question needs is unknown in the specification."""


class QuantityError(InputError):
    """A quantity with a unit cannot be read."""


class TraceError(InputError):
    """A trace or a table of measurements is wrong."""


class InfeasibleError(TinysimError):
    """The question is well put and has no solution."""


class DoesNotFit(InfeasibleError):
    """A network does not fit a memory of the device."""


def nearest(name: str, accepted: Iterable[str], *, count: int = 3) -> str:
    """Return a phrase that offers the accepted names nearest to `name`.

    >>> nearest("nucleo-l4r5", ["nucleo-l4r5zi", "nrf5340-dk"])
    'did you mean nucleo-l4r5zi?'
    >>> nearest("zzz", ["b", "a"])
    'accepted: a, b'
    """
    names = sorted(accepted)
    close = difflib.get_close_matches(name.lower(), names, n=count, cutoff=0.5)
    if close:
        return f"did you mean {' or '.join(close)}?"
    if not names:
        return "none is known"
    shown = ", ".join(names[:12])
    return f"accepted: {shown}" + (f" and {len(names) - 12} more" if len(names) > 12 else "")
