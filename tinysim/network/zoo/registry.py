"""Names of the zoo: fixed ones, and families such as `mobilenet-v2-0.35-96` whose names carry parameters."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from tinysim.errors import UnknownNetwork, nearest
from tinysim.network.builder import Builder
from tinysim.network.graph import Network
from tinysim.network.quantization import FORMATS

__all__ = ["ZooEntry", "build_network", "describe", "network", "network_names"]

#: A program for a builder; it returns the output value, or several.
Program = Callable[..., int | tuple[int, ...]]
P = TypeVar("P", bound=Program)

_TYPES: dict[str, tuple[str, Callable[[str], Any]]] = {"int": (r"\d+", int), "float": (r"\d+(?:\.\d+)?", float)}


@dataclass(frozen=True)
class ZooEntry:
    """A network or a family: the pattern of its names, the names to list, its program and its source."""

    template: str
    names: tuple[str, ...]
    aliases: tuple[str, ...]
    program: Program
    source: str
    pattern: re.Pattern[str]
    types: dict[str, Callable[[str], Any]]
    live: str | None = None
    """the same network without the all-zero channels of its published weights, where they have some"""
    rice_bits: float | None = None
    """bits of a published weight in Golomb-Rice codes, where the weights were at hand"""


_ENTRIES: list[ZooEntry] = []


def network(
    template: str,
    *,
    source: str,
    aliases: tuple[str, ...] = (),
    names: tuple[str, ...] = (),
    live: str | None = None,
    rice_bits: float | None = None,
) -> Callable[[P], P]:
    """Put a program into the zoo under a name or a template.

    In a template, `{alpha:float}` and `{size:int}` are parameters, given to the program by keyword, and `[...]` is
    optional. `names` are the members of a family that lists show.
    """
    types: dict[str, Callable[[str], Any]] = {}
    pattern = ""
    for piece in re.split(r"(\{\w+:\w+\}|[\[\]])", template):
        if piece in "[]" and piece:
            pattern += "(?:" if piece == "[" else ")?"
        elif piece.startswith("{"):
            key, kind = piece[1:-1].split(":")
            types[key] = _TYPES[kind][1]
            pattern += f"(?P<{key}>{_TYPES[kind][0]})"
        else:
            pattern += re.escape(piece)

    def register(program: P) -> P:
        listed = names if types else (template,)
        _ENTRIES.append(
            ZooEntry(template, listed, aliases, program, source, re.compile(pattern), types, live, rice_bits)
        )
        return program

    return register


def _find(name: str) -> tuple[ZooEntry, str, dict[str, Any]]:
    """Entry, canonical name and parameters."""
    for entry in _ENTRIES:
        wanted = entry.names[entry.aliases.index(name)] if name in entry.aliases else name
        match = entry.pattern.fullmatch(wanted)
        if match:
            given = {key: entry.types[key](text) for key, text in match.groupdict().items() if text is not None}
            return entry, wanted, given
    every = [n for e in _ENTRIES for n in (*e.names, *e.aliases)]
    raise UnknownNetwork(f"{name!r} is not a network of the zoo; {nearest(name, every)}")


def build_network(name: str) -> Network:
    """Build a network of the zoo, int8 unless the name ends in `@float32`, `@int16x8`, ...

    Raises:
        UnknownNetwork: no such name or number format; offers the nearest.
        NetworkError: parameters that give no valid network.

    >>> build_network("kws").macs, build_network("mlperf-tiny-kws@float32").weight_bytes
    (2656768, 90424)
    """
    base, _, dtype = name.strip().lower().replace("_", "-").partition("@")
    if dtype and dtype not in FORMATS:
        raise UnknownNetwork(f"{name!r}: number format {dtype!r} is not known; {nearest(dtype, FORMATS)}")
    entry, canonical, parameters = _find(base)
    label = f"{canonical}@{dtype}" if dtype and dtype != "int8" else canonical
    builder = Builder(label, dtype=dtype or "int8", source=entry.source)
    outputs = entry.program(builder, **parameters)
    built = builder.build(*(outputs if isinstance(outputs, tuple) else (outputs,)))
    known: dict[str, Any] = {}
    if entry.live is not None:
        known["live"] = f"{entry.live}@{dtype}" if dtype else entry.live
    if entry.rice_bits is not None and dtype in ("", "int8"):
        known["rice_bits"] = entry.rice_bits
    return replace(built, metadata={**built.metadata, **known}) if known else built


def network_names() -> list[str]:
    """Names of the zoo, sorted; families by their usual members."""
    return sorted(name for entry in _ENTRIES for name in entry.names)


def describe() -> list[ZooEntry]:
    """All entries, in the order of their modules."""
    return list(_ENTRIES)
