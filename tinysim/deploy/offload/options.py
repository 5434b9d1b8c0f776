"""What a caller may say about the accelerator."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from tinysim.errors import InputError

__all__ = ["OffloadOptions"]


@dataclass(frozen=True)
class OffloadOptions:
    """Options of `deploy` and `estimate` that concern the board's accelerator; None: as the description says."""

    offload: str | None = None
    """what goes there: `optimal` (the cheapest partition), `greedy` (all that it supports) or `none`"""
    accelerator_model: str | None = None
    """`measured` (the description's figures) or, for an Ethos-U, `vela` (the compiler's estimate)"""
    accelerator_system: str | None = None
    """system configuration of the compiler, for an Ethos-U"""
    memory_mode: str | None = None
    """memory mode of the compiler, for an Ethos-U"""
    stored_weight_bytes: float | None = None
    """all weights as the accelerator's tools store them, compressed or padded [byte]"""
    accelerator_weight_bits: int | None = None
    """width to which its tools quantize the weights [bit]"""
    activation_sparsity: float = 0.0
    """share of zeros among activations, for engines that skip them [1]"""

    def __post_init__(self) -> None:
        if self.stored_weight_bytes is not None and not 0 < self.stored_weight_bytes < float("inf"):
            raise InputError(f"stored_weight_bytes must be above 0, got {self.stored_weight_bytes!r}")
        if self.accelerator_weight_bits is not None and not 1 <= self.accelerator_weight_bits <= 32:
            raise InputError(f"accelerator_weight_bits must be from 1 to 32, got {self.accelerator_weight_bits!r}")
        if not 0 <= self.activation_sparsity <= 1:
            raise InputError(f"activation_sparsity must be from 0 to 1, got {self.activation_sparsity!r}")

    @property
    def asked(self) -> dict[str, Any]:
        """The options that were given, by name."""
        return {f.name: value for f in fields(self) if (value := getattr(self, f.name)) != f.default}

    @classmethod
    def taken_from(cls, options: dict[str, Any]) -> OffloadOptions:
        """The options of this class, removed from `options`."""
        return cls(**{f.name: options.pop(f.name) for f in fields(cls) if f.name in options})
