"""What a sweep asks: networks times devices times parameters of the device, checked before any work starts."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field, ValidationError, model_validator

from tinysim.device.library import read_yaml
from tinysim.errors import SpecError, TinysimError, nearest
from tinysim.explore.designs import PARAMETERS, model_of
from tinysim.explore.space import SearchSpace
from tinysim.explore.spaces import SPACES
from tinysim.figures import Spec
from tinysim.network.load import load_network
from tinysim.network.table import Ints
from tinysim.quantities import parse_quantity

__all__ = ["MAX_POINTS", "Networks", "Range", "SweepSpec", "read_sweep"]

#: more points than this are a mistake
MAX_POINTS = 10**12
#: combinations of parameters that are all tried before the work starts
_FEW = 1000
#: networks of a sample that are drawn together, so that a point does not depend on the chunks
_DRAWN = 1 << 16


class Range(Spec):
    """Evenly spaced values of a parameter, both ends included."""

    start: float | str
    """First value, with a unit if it is text."""
    stop: float | str
    """Last value."""
    count: int = Field(ge=1, le=1_000_000)
    """Number of values."""
    scale: Literal["linear", "log"] = "linear"
    """Spacing."""


class Networks(Spec):
    """The networks: names and files, or a search space."""

    names: tuple[str, ...] = ()
    """Names of the zoo or paths."""
    space: str | None = None
    """Name of a search space."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Arguments of the space."""
    sample: int | None = Field(default=None, ge=1)
    """Vectors drawn at random; all of the space if absent."""
    seed: int = 0
    """Seed of the sample."""

    @model_validator(mode="after")
    def _one(self) -> Networks:
        if bool(self.names) == (self.space is not None):
            raise ValueError("give either names or a space")
        if self.space is None and (self.options or self.sample is not None):
            raise ValueError("options and sample belong to a space")
        if self.space is not None and self.space not in SPACES:
            raise ValueError(f"unknown space {self.space!r}; {nearest(self.space, SPACES)}")
        return self

    @cached_property
    def search_space(self) -> SearchSpace | None:
        """The space, built."""
        return None if self.space is None else SPACES[self.space](**self.options)

    @property
    def count(self) -> int:
        """Number of networks."""
        space = self.search_space
        return len(self.names) if space is None else (self.sample or space.size)

    def vectors(self, start: int, stop: int) -> Ints:
        """Vectors of networks number `start` to `stop` of a space."""
        space = self.search_space
        assert space is not None
        if self.sample is None:
            return space.vectors(start, stop)
        drawn = [
            np.random.default_rng([self.seed, block]).integers(0, space.n_choices, size=(_DRAWN, len(space.genes)))
            for block in range(start // _DRAWN, -(-stop // _DRAWN))
        ]
        first = start // _DRAWN * _DRAWN
        return np.concatenate(drawn)[start - first : stop - first]


class SweepSpec(Spec):
    """A sweep. A point is a network on a device at one value of each parameter."""

    networks: Networks
    """What runs."""
    devices: tuple[str, ...] = Field(min_length=1)
    """Boards by name or file, or accelerators that stand alone."""
    runtime: str | None = None
    """Runtime; each device's first one if absent."""
    parameters: dict[str, tuple[float | str, ...] | Range] = Field(default_factory=dict)
    """Values of device parameters, see `PARAMETERS`; the device's own where absent."""
    chunk_points: int = Field(default=500_000, ge=1, le=20_000_000)
    """Points per file; memory grows with it."""

    @model_validator(mode="after")
    def _checked(self) -> SweepSpec:
        for name in self.parameters:
            if name not in PARAMETERS:
                raise ValueError(f"unknown parameter {name!r}; {nearest(name, PARAMETERS)}")
        counts = [v.count if isinstance(v, Range) else len(v) for v in self.parameters.values()]
        n_points = self.networks.count * len(self.devices) * math.prod(counts)
        if n_points > MAX_POINTS:
            raise ValueError(f"{n_points:,} points are more than {MAX_POINTS:,}; narrow a range or give `sample`")
        self.values  # noqa: B018 - every value is read once, so that a wrong one shows here
        return self

    @cached_property
    def values(self) -> dict[str, tuple[float, ...]]:
        """Values of each parameter in SI."""
        return {name: _values(name, given) for name, given in self.parameters.items()}

    @property
    def n_settings(self) -> int:
        """Devices times parameter values."""
        return len(self.devices) * math.prod(len(v) for v in self.values.values())

    @property
    def n_points(self) -> int:
        """Points of the sweep."""
        return self.networks.count * self.n_settings

    @property
    def networks_per_chunk(self) -> int:
        """Networks whose points, at all settings, share a file."""
        return max(1, self.chunk_points // self.n_settings)

    @property
    def n_chunks(self) -> int:
        """Files of the sweep."""
        return -(-self.networks.count // self.networks_per_chunk)

    def setting(self, number: int) -> tuple[str, dict[str, float]]:
        """Device and parameters of a setting; the last parameter runs fastest."""
        chosen: dict[str, float] = {}
        for name, values in reversed(self.values.items()):
            number, position = divmod(number, len(values))
            chosen[name] = values[position]
        return self.devices[number], dict(reversed(chosen.items()))

    @property
    def digest(self) -> str:
        """Fingerprint of the specification."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()

    def _corners(self) -> Iterator[dict[str, float]]:
        """Every combination of parameters if they are few, else each value beside the first ones of the others."""
        n_combinations = self.n_settings // len(self.devices)
        if n_combinations <= _FEW:
            yield from (self.setting(number)[1] for number in range(n_combinations))
            return
        first = {name: values[0] for name, values in self.values.items()}
        for name, values in self.values.items():
            yield from (first | {name: value} for value in values)

    def check(self) -> None:
        """Resolve every device with every parameter, read every network, make every block of a space.

        Raises:
            TinysimError: what `load_network` and `resolve_target` raise.
            SpecError: options that make no networks.
        """
        space = self.networks.search_space
        if space is not None:
            try:
                space.encode(space.vectors(0, 1))
            except (TinysimError, TypeError, ValueError, ArithmeticError) as error:
                raise SpecError(f"networks.options: {error}") from error
        for device in self.devices:
            for parameters in self._corners():
                model_of(device, self.runtime, parameters)
        for name in self.networks.names:
            load_network(name)


def _values(name: str, given: tuple[float | str, ...] | Range) -> tuple[float, ...]:
    unit = PARAMETERS[name]
    if isinstance(given, Range):
        start, stop = (parse_quantity(v, unit, where=name) for v in (given.start, given.stop))
        if stop < start or (given.count > 1 and stop == start):
            raise ValueError(f"{name}: the range from {given.start} to {given.stop} is empty")
        if given.scale == "log" and start <= 0:
            raise ValueError(f"{name}: a logarithmic range starts above 0")
        space = np.geomspace if given.scale == "log" else np.linspace
        values = tuple(space(start, stop, given.count).tolist())
    else:
        values = tuple(parse_quantity(v, unit, where=name) for v in given)
    if not values:
        raise ValueError(f"{name}: no values")
    least = 0.0 if unit in {"cycle", "1"} or name.endswith("cache_bytes") else 1.0
    if min(values) < least:
        raise ValueError(f"{name}: {min(values):g} is below {least:g}")
    return values


def read_sweep(source: str | Path | dict[str, Any] | SweepSpec) -> SweepSpec:
    """A specification from a YAML file or a mapping.

    Raises:
        SpecError: the first fault, with its field.
    """
    if isinstance(source, SweepSpec):
        return source
    data = source if isinstance(source, dict) else read_yaml(Path(source))
    where = "sweep" if isinstance(source, dict) else Path(source).name
    try:
        return SweepSpec.model_validate_json(yaml_to_json(data))
    except ValidationError as error:
        # a field that is not there explains one that is missing; of a range's two forms, the mapping says more
        first = min(error.errors(), key=lambda e: (e["type"] != "extra_forbidden", "tuple[" in str(e["loc"])))
        place = ".".join(str(part) for part in first["loc"] if part != "Range")
        accepted = (
            f"; {nearest(str(first['loc'][-1]), SweepSpec.model_fields)}" if first["type"] == "extra_forbidden" else ""
        )
        message = first["msg"].removeprefix("Value error, ")
        raise SpecError(f"{where}: {place + ': ' if place else ''}{message}{accepted}") from error
    except (TypeError, ArithmeticError) as error:  # from the space that the options make
        raise SpecError(f"{where}: networks.options: {error}") from error


def yaml_to_json(data: dict[str, Any]) -> str:
    """Plain data as JSON, as a worker on another machine reads it."""
    import json

    return json.dumps(data, default=str)
