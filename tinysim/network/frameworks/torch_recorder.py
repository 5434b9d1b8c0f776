"""What a PyTorch module does with its inputs: one run on zeros, every ATen operator written down.

Needs torch at import. `torch.export` and `make_fx` tell the same, after importing torch's compiler for seconds; a
dispatch mode is what those use underneath and comes with `import torch`. In inference mode operators arrive as the
module called them (`linear`, `lstm`), not taken apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

__all__ = ["Call", "Recording", "record"]


@dataclass(frozen=True, slots=True)
class Call:
    """One ATen operator that read something that depends on the inputs."""

    operator: Any
    args: Sequence[Any]
    kwargs: dict[str, Any]
    result: Any


@dataclass(slots=True)
class Recording:
    """Inputs, calls in their order, and what the module returned; tensors are told apart by `id`."""

    inputs: tuple[torch.Tensor, ...]
    calls: list[Call] = field(default_factory=list)
    output: Any = None


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Runs each operator and keeps it, if its result depends on the inputs."""

    def __init__(self, recording: Recording) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.recording = recording
        self.dependent = {id(x) for x in recording.inputs}

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Torch >= 2.9 would import its compiler, for seconds, to keep it from compiling this."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        given = _tensors((args, kwargs))
        if not any(id(x) in self.dependent for x in given):
            return result
        made = _tensors(result)
        if not made:
            raise NotImplementedError(f"{func} makes its control flow depend on data")
        self.dependent.update(map(id, made))
        self.recording.calls.append(Call(func, args, kwargs, result))
        return result


def record(module: torch.nn.Module, shapes: Sequence[tuple[int, ...]]) -> Recording:
    """Run a module in evaluation mode on zeros of the given shapes; its buffers stay as they were.

    Raises whatever the module raises, and NotImplementedError if its control flow depends on data.
    """
    recording = Recording(tuple(torch.zeros(shape) for shape in shapes))
    buffers = {name: value.clone() for name, value in module.named_buffers()}
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # whole encoder layers as one operator
    try:
        with torch.inference_mode(), _Recorder(recording):
            recording.output = torch.func.functional_call(module, buffers, recording.inputs)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    return recording


def _tensors(found: Any) -> list[torch.Tensor]:
    """All tensors in nested lists, tuples and dictionaries."""
    if isinstance(found, torch.Tensor):
        return [found]
    if isinstance(found, dict):
        found = list(found.values())
    if isinstance(found, (list, tuple)):
        return [x for item in found for x in _tensors(item)]
    return []
