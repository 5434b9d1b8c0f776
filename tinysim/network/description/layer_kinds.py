"""The kinds of layers of the layer form: builder methods, their parameters and the JSON Schema that follows."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from tinysim.errors import NetworkError, nearest
from tinysim.network.builder import Builder
from tinysim.network.quantization import FORMATS

__all__ = ["LAYERS", "Layer", "is_int", "layer_schema"]


class Layer:
    """A kind of layer: the method that builds it and the parameters that it takes."""

    def __init__(self, method: Callable[..., int]) -> None:
        self.method = method
        self.doc = inspect.getdoc(method) or ""
        parameters = [p for p in inspect.signature(method).parameters.values() if p.name not in {"self", "b"}]
        self.values = [p.name for p in parameters if p.name in {"x", "y", "values"}]
        self.parameters = {p.name: p for p in parameters if p.name not in self.values and p.kind != p.VAR_KEYWORD}
        self.open = any(p.kind == p.VAR_KEYWORD for p in parameters)

    def build(self, b: Builder, sources: list[int], given: Mapping[str, Any]) -> int:
        """Add the layer to a builder."""
        if self.values != ["values"] and len(sources) != len(self.values):
            raise NetworkError(f"takes {len(self.values)} inputs and has {len(sources)}")
        values: list[Any] = [sources] if self.values == ["values"] else list(sources)
        for name in given:
            if name not in self.parameters and not (self.open and isinstance(given[name], (bool, int, float))):
                raise NetworkError(f"unknown parameter {name!r}; {nearest(name, self.parameters)}")
        keywords = {name: value for name, value in given.items() if name not in self.parameters}
        for name, parameter in self.parameters.items():
            if name not in given:
                if parameter.default is parameter.empty and parameter.kind != parameter.VAR_POSITIONAL:
                    raise NetworkError(f"parameter {name!r} is missing")
                continue
            value = _checked(name, str(parameter.annotation), parameter.kind, given[name])
            if parameter.kind == parameter.VAR_POSITIONAL:
                values += value
            else:
                keywords[name] = value
        return self.method(b, *values, **keywords)


#: annotation -> (accepted, JSON schema)
_INT = {"type": "integer"}
_TYPES: dict[str, tuple[str, dict[str, Any]]] = {
    "int": ("a whole number", _INT),
    "bool": ("true or false", {"type": "boolean"}),
    "str": ("a word", {"type": "string"}),
    "Pair": (
        "a whole number or two",
        {"anyOf": [_INT, {"type": "array", "items": _INT, "minItems": 2, "maxItems": 2}]},
    ),
    "Padding": (
        "same, valid or [top, bottom, left, right]",
        {"anyOf": [{"enum": ["same", "valid"]}, {"type": "array", "items": _INT, "minItems": 4, "maxItems": 4}]},
    ),
    "Sequence[int]": ("a list of whole numbers", {"type": "array", "items": _INT}),
}


def _type_of(annotation: str, kind: Any) -> str:
    return "Sequence[int]" if kind == inspect.Parameter.VAR_POSITIONAL else annotation.removesuffix(" | None")


def is_int(value: Any) -> bool:
    """Whether the value is a whole number of a sensible size, and no boolean."""
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**31


def _checked(name: str, annotation: str, kind: Any, value: Any) -> Any:
    wanted = _type_of(annotation, kind)
    listed = isinstance(value, (list, tuple)) and len(value) <= 8 and all(map(is_int, value))
    fits = {
        "int": is_int(value),
        "bool": isinstance(value, bool),
        "str": isinstance(value, str),
        "Pair": is_int(value) or (listed and len(value) == 2),
        "Padding": value in ("same", "valid") or (listed and len(value) == 4),
        "Sequence[int]": listed,
    }[wanted]
    if not fits:
        raise NetworkError(f"parameter {name!r} is {value!r}; accepted: {_TYPES[wanted][0]}")
    return tuple(value) if listed else value


_REDUCTIONS = ("mean", "sum", "reduce_max", "reduce_min", "reduce_prod")
_BINARY = ("add", "sub", "mul", "div", "maximum", "minimum", "squared_difference", "pow")
_UNARY = (
    "relu", "relu6", "leaky_relu", "elu", "hard_swish", "logistic", "tanh", "gelu", "exp", "log", "sqrt", "rsqrt",
    "square", "abs", "neg", "floor", "ceil", "round", "sin", "cos",
)  # fmt: skip


def _of_kind(method: Callable[..., int], kind: str) -> Callable[..., int]:
    """`method(b, kind, x, ...)` as `f(b, x, ...)` with the same signature."""

    def build(b: Builder, *values: Any, **keywords: Any) -> int:
        return method(b, kind, *values, **keywords)

    signature = inspect.signature(method)
    kept = [p for p in signature.parameters.values() if p.name != "kind"]
    build.__signature__ = signature.replace(parameters=kept)  # type: ignore[attr-defined]
    build.__doc__ = method.__doc__
    return build


#: name -> method
_METHODS: dict[str, Callable[..., int]] = {
    "conv2d": Builder.conv,
    "depthwise_conv2d": Builder.dw,
    "transpose_conv": Builder.transpose_conv,
    "max_pool2d": Builder.max_pool,
    "avg_pool2d": Builder.avg_pool,
    "fully_connected": Builder.fc,
    "batch_matmul": Builder.matmul,
    "lstm": _of_kind(Builder.recurrent, "lstm"),
    "gru": _of_kind(Builder.recurrent, "gru"),
    "rnn": _of_kind(Builder.recurrent, "rnn"),
    "resize": Builder.resize,
    "scale_shift": Builder.scale_shift,
    "softmax": Builder.softmax,
    "global_pool": Builder.global_pool,
    "reshape": Builder.reshape,
    "flatten": Builder.flatten,
    "transpose": Builder.transpose,
    "pad": Builder.pad,
    "concatenation": Builder.concat,
    "slice": Builder.slice,
    **{kind: _of_kind(Builder.binary, kind) for kind in _BINARY},
    **{kind: _of_kind(Builder.unary, kind) for kind in _UNARY},
    **{kind: _of_kind(Builder.reduce, kind) for kind in _REDUCTIONS},
    **{kind: _of_kind(Builder.cast, kind) for kind in ("quantize", "dequantize", "cast")},
}
#: name -> layer
LAYERS: dict[str, Layer] = {name: Layer(method) for name, method in _METHODS.items()}


def layer_schema() -> dict[str, Any]:
    """JSON Schema of the layer form, for editors."""
    kinds: dict[str, Any] = {}
    for kind, layer in LAYERS.items():
        properties = {
            name: {"anyOf": [_TYPES[_type_of(str(p.annotation), p.kind)][1], {"type": "string", "pattern": r"^\$"}]}
            for name, p in layer.parameters.items()
        }
        parameters = {"type": ["object", "null"], "properties": properties, "additionalProperties": layer.open}
        kinds[kind] = parameters | {"description": layer.doc.split("\n")[0]}
    reference = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
    layers = {"type": "array", "items": {"$ref": "#/$defs/layer"}}
    repeat = {"anyOf": [_INT, {"type": "string"}]}
    options = [
        {"type": "string", "enum": list(LAYERS)},
        *(
            {
                "type": "object",
                "properties": {kind: schema, "name": {"type": "string"}, "from": reference},
                "required": [kind],
                "additionalProperties": False,
            }
            for kind, schema in kinds.items()
        ),
        _object({"repeat": repeat, "layers": layers}, ["repeat", "layers"]),
        _object({"block": {"type": "string"}, "with": {"type": "object"}}, ["block"]),
    ]
    block = _object({"parameters": {"type": "array", "items": {"type": "string"}}, "layers": layers}, ["layers"])
    shape = {"type": "array", "items": {"type": "integer", "minimum": 1}}
    top = {
        "tinysim": {"const": "network"},
        "version": {"const": 1},
        "name": {"type": "string"},
        "source": {"type": "string"},
        "dtype": {"enum": list(FORMATS)},
        "inputs": {"type": "object", "additionalProperties": shape},
        "blocks": {"type": "object", "additionalProperties": block},
        "layers": layers,
        "outputs": {"type": "array", "items": {"type": "string"}},
    }
    return _object(top, ["tinysim", "version", "name", "inputs", "layers"]) | {"$defs": {"layer": {"anyOf": options}}}


def _object(properties: Mapping[str, Any], required: list[str]) -> dict[str, Any]:
    return {"type": "object", "properties": dict(properties), "required": required, "additionalProperties": False}
