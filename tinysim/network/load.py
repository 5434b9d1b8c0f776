"""`load_network`: a network from a file or by name."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

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


def _onnx(path: Path, allow_unknown: bool) -> Network:
    from tinysim.network.frameworks.onnx_reader import read_onnx

    return read_onnx(path)


def _keras(path: Path, allow_unknown: bool) -> Network:
    from tinysim.network.frameworks.keras_reader import read_keras

    return read_keras(path)


def _pickle(path: Path, allow_unknown: bool) -> Network:
    raise NetworkError(
        f"{path.name}: pickles run code when they are read, so tinysim doesn't: build the module and give it to "
        "tinysim.load_network(module, input_shape=...)"
    )


_READERS: dict[str, Reader] = {
    ".tflite": _tflite, ".yaml": _yaml, ".yml": _yaml, ".onnx": _onnx, ".keras": _keras, ".json": _keras,
    ".pt": _pickle, ".pth": _pickle, ".pkl": _pickle, ".pickle": _pickle,
}  # fmt: skip


def load_network(
    source: Any, *, input_shape: Sequence[int] | Sequence[Sequence[int]] | None = None, allow_unknown: bool = False
) -> Network:
    """Read a model file, build a network of the zoo by name, or convert a model of PyTorch or Keras.

    What looks like a path (a separator, a known suffix, or an existing file) is read as one; `list_networks` lists the
    names of the zoo. A PyTorch module needs `input_shape`, channels first; an exported program has it. With
    `allow_unknown`, operators of a TFLite file that nothing prices count as data movement.

    Raises:
        UnknownNetwork: neither a file nor a name of the zoo; offers the nearest names.
        NetworkError: the file cannot be read.
    """
    if not isinstance(source, (str, os.PathLike)):
        return _from_memory(source, input_shape)
    given = os.fspath(source)
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


def _from_memory(model: Any, input_shape: Any) -> Network:
    if hasattr(model, "to_json"):
        from tinysim.network.frameworks.keras_reader import from_keras

        return from_keras(model)
    from tinysim.network.frameworks.torch_reader import from_torch

    if hasattr(model, "modules") and input_shape is None:
        raise NetworkError(f"{type(model).__name__}: a PyTorch module needs input_shape, such as (1, 3, 96, 96)")
    return from_torch(model, input_shape or ())


def list_networks() -> list[str]:
    """Names of the zoo, sorted."""
    return network_names()
