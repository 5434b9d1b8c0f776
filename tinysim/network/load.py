"""`load_network`: a network from a file or by name."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from tinysim.errors import NetworkError, UnknownNetwork
from tinysim.network.graph import Network
from tinysim.network.tflite_reader import read_tflite
from tinysim.network.zoo import build_network, network_names

__all__ = ["list_networks", "load_network"]

Reader = Callable[[Path, bool], Network]


def _tflite(path: Path, allow_unknown: bool) -> Network:
    return read_tflite(path, allow_unknown=allow_unknown)


def _yaml(path: Path, allow_unknown: bool) -> Network:
    from tinysim.network.description import read_yaml

    return read_yaml(path)


_READERS: dict[str, Reader] = {".tflite": _tflite, ".yaml": _yaml, ".yml": _yaml}


def load_network(path_or_zoo_name: str | os.PathLike[str], *, allow_unknown: bool = False) -> Network:
    """Read a model file, or build a network of the zoo by name.

    What looks like a path (a separator, a known suffix, or an existing file) is read as one; `list_networks` lists the
    names of the zoo. With `allow_unknown`, operators that nothing prices count as data movement.

    Raises:
        UnknownNetwork: neither a file nor a name of the zoo; offers the nearest names.
        NetworkError: the file cannot be read.
    """
    given = os.fspath(path_or_zoo_name)
    path = Path(given)
    suffix = path.suffix.lower()
    if suffix in _READERS:
        if not path.is_file():
            raise UnknownNetwork(f"{given}: there is no such file")
        return _READERS[suffix](path, allow_unknown)
    if path.is_file():
        if path.read_bytes()[4:8] == b"TFL3":
            return _tflite(path, allow_unknown)
        raise NetworkError(f"{given}: unknown kind of file; accepted suffixes: {', '.join(_READERS)}")
    if os.sep in given:
        raise UnknownNetwork(f"{given}: there is no such file")
    return build_network(given)


def list_networks() -> list[str]:
    """Names of the zoo, sorted."""
    return network_names()
