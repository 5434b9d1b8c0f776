"""PyTorch modules: traced on fake tensors to ATen operators, which become tinysim's; the module is left as it was.

Needs the extra `torch`. Tracing runs the module's `forward` on tensors without data; nothing is unpickled. The quick
way is `make_fx`; where it fails, `torch.export` is asked, and its exported programs are read too.
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

if TYPE_CHECKING:
    import torch

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
    if isinstance(model, torch.export.ExportedProgram):
        graph, values = _of_program(model)
    elif isinstance(model, torch.nn.Module):
        shapes = [input_shape] if all(isinstance(n, int) for n in input_shape) else list(input_shape)
        graph, values = _trace(model, [tuple(shape) for shape in shapes], label)  # type: ignore[arg-type]
    else:
        raise NetworkError(f"expected a torch.nn.Module, found {type(model).__name__}; pickles are not read")
    return fuse(_Import(label).network(graph, values))


def _trace(module: torch.nn.Module, shapes: list[tuple[int, ...]], label: str) -> tuple[Any, list[Any]]:
    """ATen graph of the module, and what its placeholders hold: parameters and buffers, then shapes."""
    import warnings

    import torch

    modes = {m: m.training for m in module.modules()}
    inputs = tuple(torch.zeros(shape) for shape in shapes)
    try:
        module.eval()
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            try:
                return _by_fx(module, inputs)
            except Exception as error:  # torch raises what it likes
                first = " ".join(str(error).split())[:200]
            try:
                return _of_program(torch.export.export(module, inputs))
            except Exception as error:  # the quick way's reason is the plainer one
                raise NetworkError(f"{label}: cannot be traced on input shape {shapes}: {first}") from error
    finally:
        for part, training in modes.items():
            part.training = training


def _by_fx(module: torch.nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, list[Any]]:
    import torch
    from torch.fx.experimental.proxy_tensor import make_fx

    state: dict[str, Any] = {**dict(module.named_parameters()), **dict(module.named_buffers())}

    def forward(values: list[Any], *given: Any) -> Any:
        return torch.func.functional_call(module, dict(zip(state, values, strict=True)), given)

    trace = make_fx(forward, tracing_mode="fake", pre_dispatch=True, _allow_non_fake_inputs=True)
    shapes = [tuple(x.shape) for x in inputs]
    return trace(list(state.values()), *inputs), [*state.values(), *shapes]


def _of_program(program: Any) -> tuple[Any, list[Any]]:
    """Graph of an exported program, and what its placeholders hold."""
    signature = program.graph_signature
    weights = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
    constants = signature.inputs_to_lifted_tensor_constants
    held: list[Any] = []
    for node in program.graph_module.graph.nodes:
        if node.op != "placeholder":
            continue
        if node.name in constants:
            held.append(program.constants[constants[node.name]])
        elif node.name in weights:
            name = weights[node.name]
            held.append(program.state_dict[name] if name in program.state_dict else program.constants[name])
        else:
            held.append(tuple(int(n) for n in node.meta["val"].shape))
    return program.graph_module, held


class _Import:
    """A graph being converted."""

    def __init__(self, label: str) -> None:
        self.b = Builder(label, dtype="float32", source="PyTorch")
        self.to = ChannelsFirst(self.b)
        self.label = label

    def network(self, traced: Any, held: list[Any]) -> Network:
        """Convert node by node; what depends on constants alone is computed."""
        env: dict[Any, Any] = {}
        holders = iter(held)
        index = 0
        for node in traced.graph.nodes:
            if node.op == "placeholder":
                given = next(holders)
                env[node] = self.to.input(given) if isinstance(given, tuple) else given.detach()
            elif node.op == "get_attr":
                env[node] = getattr(traced, node.target).detach()
            elif node.op == "output":
                outputs = _values(_map(node.args[0], env))
                if not outputs:
                    raise NetworkError(f"{self.label}: returns no tensor that depends on its input")
                return self.b.build(*(self.to.plain(v) for v in outputs))
            else:
                env[node] = self._call(node, _map(node.args, env), _map(dict(node.kwargs), env), index)
                index += 1
        raise NetworkError(f"{self.label}: the traced graph has no output")

    def _call(self, node: Any, args: Sequence[Any], kwargs: Mapping[str, Any], index: int) -> Any:
        kind = str(node.target).removeprefix("aten.").partition(".")[0]
        if not _values((args, dict(kwargs))):
            return node.target(*args, **kwargs)
        operator: Callable[..., Any] | None = OPERATORS.get(kind)
        where = f"{self.label}: operator {index} ({node.target})"
        if operator is None:
            if "getitem" in str(node.target):
                return args[0][args[1]]
            raise UnsupportedOperator(
                f"{where} is not supported: replace it in the module, or describe the network as YAML"
            )
        try:
            return operator(self.to, *args, **_kept(kwargs))
        except NetworkError as error:
            raise type(error)(f"{where}: {error}") from error
        except TypeError as error:
            raise NetworkError(f"{where}: its arguments {tuple(kwargs)} are not supported: {error}") from error


#: Keyword arguments that change neither shape nor cost.
_NEUTRAL = frozenset({"dtype", "memory_format", "pin_memory", "device", "layout"})


def _kept(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in kwargs.items() if key not in _NEUTRAL}


def _map(found: Any, env: Mapping[Any, Any]) -> Any:
    """Nodes replaced by what they hold, in nested lists and tuples."""
    if isinstance(found, (list, tuple)):
        return (
            type(found)(_map(item, env) for item in found)
            if type(found) in {list, tuple}
            else [_map(i, env) for i in found]
        )
    if isinstance(found, dict):
        return {key: _map(item, env) for key, item in found.items()}
    return env.get(found, found) if found.__hash__ is not None else found


def _values(found: Any) -> list[Value]:
    """All network values in nested lists, tuples and dictionaries."""
    if isinstance(found, Value):
        return [found]
    if isinstance(found, dict):
        found = list(found.values())
    if isinstance(found, (list, tuple)):
        return [value for item in found for value in _values(item)]
    return []
