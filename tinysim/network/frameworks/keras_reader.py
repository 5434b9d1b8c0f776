"""Keras models, versions 2 and 3, through their configuration: `.keras` files, JSON, or a model in memory.

Neither Keras nor TensorFlow is needed: a `.keras` file is an archive with a JSON description. Nothing is executed;
layers with code inside (Lambda, own classes) are refused.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tinysim.errors import NetworkError, UnsupportedOperator, nearest
from tinysim.network.builder import Builder
from tinysim.network.frameworks.keras_layers import LAYERS
from tinysim.network.graph import Network
from tinysim.network.transforms.fusion import fuse

__all__ = ["from_keras", "read_keras"]

_MOST_BYTES = 2**26


def read_keras(path: str | Path) -> Network:
    """Read a `.keras` archive or the JSON of `model.to_json()`; see `from_keras`."""
    target = Path(path)
    try:
        if zipfile.is_zipfile(target):
            with zipfile.ZipFile(target) as archive:
                if archive.getinfo("config.json").file_size > _MOST_BYTES:
                    raise NetworkError(f"{target.name}: its config.json is larger than 64 MiB")
                text = archive.read("config.json").decode("utf-8")
        else:
            if target.stat().st_size > _MOST_BYTES:
                raise NetworkError(f"{target.name}: larger than 64 MiB")
            text = target.read_text(encoding="utf-8")
        config = json.loads(text)
    except OSError as error:
        raise NetworkError(f"{target}: cannot be read: {error.strerror}") from error
    except NetworkError:
        raise
    except (zipfile.BadZipFile, LookupError, ValueError, RecursionError, RuntimeError) as error:
        raise NetworkError(f"{target.name}: neither a .keras file nor the JSON of a Keras model") from error
    return from_keras(config, name=target.stem)


def from_keras(model: Any, *, name: str = "") -> Network:
    """The network of a Keras model, or of the dictionary of its configuration, in float32 with batch size 1.

    Batch norms and activations are folded as TFLite's converter folds them. Weights have shapes and no values.

    Raises:
        NetworkError: no Keras model, or an unknown shape.
        UnsupportedOperator: a layer that nothing prices; the message names it.
    """
    config = model
    if not isinstance(model, Mapping):
        if not hasattr(model, "to_json"):
            raise NetworkError(f"expected a Keras model or its configuration, found {type(model).__name__}")
        config = json.loads(model.to_json())
    label = name or "keras"
    try:
        inner = config["config"]
        label = name or str(inner.get("name", "keras"))
        b = Builder(label, dtype="float32", source="Keras")
        outputs = _Model(b, label).run(config, [])
        return fuse(b.build(*outputs))
    except NetworkError as error:
        text = str(error)
        raise type(error)(text if text.startswith(label) else f"{label}: {text}") from error
    except (TypeError, ValueError, LookupError, AttributeError, RecursionError) as error:
        raise NetworkError(f"{label}: no valid Keras configuration: {type(error).__name__} {error}") from error


class _Model:
    """A model's layers being built; models may hold models."""

    def __init__(self, b: Builder, label: str) -> None:
        self.b = b
        self.label = label

    def run(self, model: Mapping[str, Any], inputs: list[int]) -> list[int]:
        """Outputs of a Sequential or Functional model on `inputs`; without any, it makes its own."""
        config = model["config"]
        if model["class_name"] == "Sequential":
            return self._sequential(config, inputs)
        if model["class_name"] in {"Functional", "Model"}:
            return self._functional(config, inputs)
        raise UnsupportedOperator(f"a model of class {model['class_name']!r}; accepted: Sequential, Functional")

    def _sequential(self, config: Mapping[str, Any], inputs: list[int]) -> list[int]:
        values = inputs
        for layer in config["layers"]:
            if layer["class_name"] == "InputLayer":
                values = values or [self._input(layer["config"])]
                continue
            if not values:
                shape = layer["config"].get("batch_input_shape") or config.get("build_input_shape")
                values = [self._input({"batch_shape": shape, "name": "input"})]
            values = self._layer(layer, values, {})
        return values

    def _functional(self, config: Mapping[str, Any], inputs: list[int]) -> list[int]:
        made: dict[tuple[str, int], list[int]] = {}
        given = iter(inputs)
        for layer in config["layers"]:
            name = layer.get("name") or layer["config"]["name"]
            if layer["class_name"] == "InputLayer":
                made[name, 0] = [next(given) if inputs else self._input(layer["config"])]
                continue
            for node, call in enumerate(layer["inbound_nodes"]):
                sources, options = _sources(call)
                values = [self._made(made, name, source) for source in sources]
                made[name, node] = self._layer(layer, values, options)
        outputs = config["output_layers"]
        listed = outputs if isinstance(outputs[0], list) else [outputs]
        return [self._made(made, "outputs", tuple(output)) for output in listed]

    def _made(self, made: Mapping[tuple[str, int], list[int]], name: str, source: Sequence[Any]) -> int:
        layer, node, position = source[:3]
        if (layer, node) not in made:
            raise NetworkError(f"layer {name!r} reads {layer!r} before it is made: the graph has a cycle or a gap")
        value: int = made[layer, node][position]
        return value

    def _input(self, config: Mapping[str, Any]) -> int:
        shape = config.get("batch_shape") or config.get("batch_input_shape") or config.get("shape")
        if not shape:
            raise NetworkError("its input has no shape: build the model or give it an Input")
        sizes = [1 if axis == 0 and size is None else size for axis, size in enumerate(shape)]
        if any(not isinstance(size, int) or size < 1 for size in sizes):
            axis = next(i for i, size in enumerate(sizes) if not isinstance(size, int) or size < 1)
            raise NetworkError(f"input {config.get('name')!r} has an unknown size in axis {axis}: fix the input shape")
        return self.b.input(*sizes, name=str(config.get("name", "")))

    def _layer(self, layer: Mapping[str, Any], values: list[int], options: Mapping[str, Any]) -> list[int]:
        kind, config = layer["class_name"], layer["config"]
        if kind in {"Sequential", "Functional", "Model"}:
            return self.run(layer, values)
        name = str(config.get("name", kind))
        if kind not in LAYERS:
            raise UnsupportedOperator(f"layer {name!r} ({kind}) is not supported; {nearest(kind, LAYERS)}")
        if config.get("data_format") == "channels_first":
            raise NetworkError(f"layer {name!r} ({kind}) has channels first; accepted: channels last")
        try:
            made = LAYERS[kind](self.b, values, {**config, **{k: v for k, v in options.items() if v is not None}})
        except NetworkError as error:
            raise type(error)(f"layer {name!r} ({kind}): {error}") from error
        return made if isinstance(made, list) else [made]


def _sources(call: Any) -> tuple[list[tuple[str, int, int]], dict[str, Any]]:
    """What an inbound node reads, in the forms of Keras 2 and 3, and its other arguments."""
    found: list[tuple[str, int, int]] = []

    def walk(item: Any) -> None:
        if isinstance(item, dict) and item.get("class_name") == "__keras_tensor__":
            layer, node, position = item["config"]["keras_history"]
            found.append((layer, node, position))
        elif isinstance(item, dict):
            for inner in item.values():
                walk(inner)
        elif isinstance(item, list):
            if len(item) in (3, 4) and isinstance(item[0], str) and all(isinstance(n, int) for n in item[1:3]):
                found.append((item[0], item[1], item[2]))
            else:
                for inner in item:
                    walk(inner)

    walk(call["args"] if isinstance(call, dict) else call)
    options = dict(call.get("kwargs", {})) if isinstance(call, dict) else {}
    for value in options.values():
        walk(value)
    plain = {k: v for k, v in options.items() if isinstance(v, (bool, int, float, str))}
    return found, plain
