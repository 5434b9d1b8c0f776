"""PyTorch modules: their ATen operators become tinysim's; the module is left as it was.

Needs the extra `torch`. Nothing is unpickled. The quick way runs the module's `forward` once on zeros and writes down
what it does (`torch_recorder`); where that fails, `torch.export` is asked, and its exported programs are read too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tinysim.errors import NetworkError, UnsupportedOperator
from tinysim.network.builder import Builder
from tinysim.network.frameworks.channels_first import ChannelsFirst, Value
from tinysim.network.frameworks.torch_operators import OPERATORS
from tinysim.network.graph import Network
from tinysim.network.transforms.fusion import fuse
from tinysim.network.transforms.views import signal_inputs

if TYPE_CHECKING:
    import torch

    from tinysim.network.frameworks.torch_recorder import Recording

__all__ = ["from_torch"]

Shape = Sequence[int]


def from_torch(model: Any, input_shape: Shape | Sequence[Shape] = (), *, name: str = "") -> Network:
    """The network of a PyTorch module in evaluation mode, or of a `torch.export.ExportedProgram`, in float32.

    `input_shape` is the shape of a module's input, batch and channels first, or a list of shapes if there are several;
    a program has its own.

    Raises:
        NetworkError: torch is missing, the module does not run on that shape, or its control flow depends on data.
        UnsupportedOperator: an operator that nothing prices; the message names it and its index.
    """
    try:
        import torch
    except ImportError as error:
        raise NetworkError("reading PyTorch modules needs the extra 'torch': pip install tinysim[torch]") from error
    label = name or type(model).__name__
    if isinstance(model, torch.nn.Module):
        shapes = [input_shape] if all(isinstance(n, int) for n in input_shape) else list(input_shape)
        network = _of_module(model, [tuple(shape) for shape in shapes], label)  # type: ignore[arg-type]
    elif isinstance(model, torch.export.ExportedProgram):
        network = _Import(label).program(model)
    else:
        raise NetworkError(f"expected a torch.nn.Module, found {type(model).__name__}; pickles are not read")
    return signal_inputs(fuse(network))


def _of_module(module: torch.nn.Module, shapes: list[tuple[int, ...]], label: str) -> Network:
    """The module as recorded or, where that fails, as exported."""
    import warnings

    import torch

    from tinysim.network.frameworks.torch_recorder import record

    modes = {m: m.training for m in module.modules()}
    try:
        module.eval()
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            try:
                recording = record(module, shapes)
            except Exception as error:  # torch raises what it likes
                first = " ".join(str(error).split())[:200]
            else:
                return _Import(label).recording(recording)
            try:
                program = torch.export.export(module, tuple(torch.zeros(shape) for shape in shapes))
            except Exception as error:  # the quick way's reason is the plainer one
                raise NetworkError(f"{label}: cannot be traced on input shape {shapes}: {first}") from error
            return _Import(label).program(program)
    finally:
        for part, training in modes.items():
            part.training = training


def _placed(program: Any) -> list[Any]:
    """What the placeholders of an exported program hold: tensors, and shapes of inputs."""
    signature = program.graph_signature
    weights = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
    constants = signature.inputs_to_lifted_tensor_constants
    placed: list[Any] = []
    for node in program.graph_module.graph.nodes:
        if node.op != "placeholder":
            continue
        if node.name in constants:
            placed.append(program.constants[constants[node.name]])
        elif node.name in weights:
            name = weights[node.name]
            placed.append(program.state_dict[name] if name in program.state_dict else program.constants[name])
        else:
            placed.append(tuple(int(n) for n in node.meta["val"].shape))
    return placed


class _Held:
    """What the tensors of a run hold, through views and changes in place."""

    def __init__(self, label: str) -> None:
        self.label = label
        self.values: dict[Any, Any] = {}
        self.sharing: dict[Any, set[Any]] = {}
        self.stale: set[Any] = set()

    def get(self, key: Any, default: Any) -> Any:
        """What `key` holds; `default` for what no operator made."""
        if key in self.stale:
            raise NetworkError(f"{self.label}: reads a tensor after a view of it was changed in place: change a copy")
        return self.values.get(key, default)

    def keep(self, target: Any, source: Any, made: Sequence[Any], values: Sequence[Any]) -> None:
        """`target`, called with `source` first, made tensors that hold these values."""
        self.values.update(zip(made, values, strict=False))
        if getattr(target, "is_view", False) or "getitem" in str(target):
            family = self.sharing.setdefault(source, {source})
            family.update(made)
            self.sharing.update(dict.fromkeys(made, family))
        elif hasattr(target, "_schema") and target._schema.is_mutable:
            self.values[source] = values[0]
            self.stale |= self.sharing.get(source, set()) - {source, *made}


class _Import:
    """A graph being converted."""

    def __init__(self, label: str) -> None:
        self.b = Builder(label, dtype="float32", source="PyTorch")
        self.to = ChannelsFirst(self.b)
        self.label = label

    def recording(self, recording: Recording) -> Network:
        """Convert call by call; what no call made is a constant."""
        held = _Held(self.label)
        held.values = {id(x): self.to.input(tuple(x.shape)) for x in recording.inputs}

        def value(tensor: Any) -> Any:
            return held.get(id(tensor), tensor)

        for index, call in enumerate(recording.calls):
            made = self._call(call.operator, _mapped(call.args, value), _mapped(call.kwargs, value), index)
            held.keep(call.operator, id(call.args[0]), [id(x) for x in _leaves(call.result)], _leaves(made))
        return self._finish(_mapped(recording.output, value))

    def program(self, program: Any) -> Network:
        """Convert node by node; what depends on constants alone is computed."""
        traced = program.graph_module
        held = _Held(self.label)
        holders = iter(_placed(program))
        index = 0

        def value(node: Any) -> Any:
            return held.get(node, node) if hasattr(node, "op") else node

        for node in traced.graph.nodes:
            if node.op == "placeholder":
                given = next(holders)
                held.values[node] = self.to.input(given) if isinstance(given, tuple) else given.detach()
            elif node.op == "get_attr":
                held.values[node] = getattr(traced, node.target).detach()
            elif node.op == "output":
                return self._finish(_mapped(node.args[0], value))
            else:
                made = self._call(node.target, _mapped(node.args, value), _mapped(dict(node.kwargs), value), index)
                held.keep(node.target, node.args[0] if node.args else None, [node], [made])
                index += 1
        raise NetworkError(f"{self.label}: the traced graph has no output")

    def _finish(self, output: Any) -> Network:
        outputs = [x for x in _leaves(output) if isinstance(x, Value)]
        if not outputs:
            raise NetworkError(f"{self.label}: returns no tensor that depends on its input")
        return self.b.build(*(self.to.plain(v) for v in outputs))

    def _call(self, target: Any, args: Any, kwargs: Any, index: int) -> Any:
        kind = str(target).removeprefix("aten.").partition(".")[0]
        if not any(isinstance(x, Value) for x in _leaves((args, kwargs))):
            return target(*args, **kwargs)
        operator: Callable[..., Any] | None = OPERATORS.get(kind)
        where = f"{self.label}: operator {index} ({target})"
        if operator is None:
            if "getitem" in str(target):
                return args[0][args[1]]
            raise UnsupportedOperator(
                f"{where} is not supported: replace it in the module, or describe the network as YAML"
            )
        try:
            return operator(self.to, *args, **_kept(kwargs))
        except NetworkError as error:
            raise type(error)(f"{where}: {error}") from error
        except (TypeError, ValueError, AttributeError, IndexError, StopIteration) as error:
            raise NetworkError(f"{where}: its arguments are not supported: {error}") from error


#: Keyword arguments that change neither shape nor cost.
_NEUTRAL = frozenset({"dtype", "memory_format", "pin_memory", "device", "layout"})


def _kept(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in kwargs.items() if key not in _NEUTRAL}


def _mapped(found: Any, value: Callable[[Any], Any]) -> Any:
    """`value` of every leaf of nested lists, tuples and dictionaries."""
    if isinstance(found, dict):
        return {key: _mapped(item, value) for key, item in found.items()}
    if isinstance(found, (list, tuple)):
        items = [_mapped(item, value) for item in found]
        return tuple(items) if isinstance(found, tuple) else items
    return value(found)


def _leaves(found: Any) -> list[Any]:
    """All leaves of nested lists, tuples and dictionaries; a `Value` is one."""
    if isinstance(found, dict):
        found = list(found.values())
    if isinstance(found, (list, tuple)) and not isinstance(found, Value):
        return [leaf for item in found for leaf in _leaves(item)]
    return [found]
