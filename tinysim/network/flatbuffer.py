"""Bounds-checked reading of FlatBuffers: damaged files end in one clear error, never in a wild read or allocation.

The reader of the `flatbuffers` package follows any offset; this one checks each against the file and keeps a budget
of decoded bytes, so that a small file whose offsets alias each other cannot cost much time or memory.
Source: FlatBuffers internals, https://flatbuffers.dev/internals/
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinysim.errors import NetworkError

__all__ = ["FlatFile", "FlatTable"]

_BUDGET_PER_BYTE = 256


class FlatFile:
    """The bytes of a file and a label for messages."""

    def __init__(self, data: bytes, label: str) -> None:
        self.data = data
        self.label = label
        self._budget = _BUDGET_PER_BYTE * len(data) + 65536

    def root(self) -> FlatTable:
        """The root table."""
        return FlatTable(self, self.offset(0))

    def scalar(self, form: str, at: int) -> Any:
        """The number of struct format `form` at byte `at`."""
        self.check(at, struct.calcsize(form))
        return struct.unpack_from("<" + form, self.data, at)[0]

    def offset(self, at: int) -> int:
        """Follow the unsigned offset at byte `at`."""
        step = int(self.scalar("I", at))
        self.check(at + step, 4)
        return at + step

    def check(self, at: int, n_bytes: int) -> None:
        """Raise unless `n_bytes` bytes from byte `at` lie in the file and in the budget."""
        if at < 0 or n_bytes < 0 or at + n_bytes > len(self.data):
            raise NetworkError(
                f"{self.label}: truncated or damaged: {n_bytes} bytes at offset {at} lie outside the {len(self.data)} "
                "bytes of the file"
            )
        self._budget -= n_bytes
        if self._budget < 0:
            raise NetworkError(f"{self.label}: damaged: its offsets point to the same bytes over and over")


class FlatTable:
    """A table at byte `at` of a file: fields by slot number."""

    __slots__ = ("_at", "_file", "_n_slots", "_vtable")

    def __init__(self, file: FlatFile, at: int) -> None:
        self._file = file
        self._at = at
        self._vtable = at - int(file.scalar("i", at))
        size = int(file.scalar("H", self._vtable))
        file.check(self._vtable, size)
        self._n_slots = max(0, (size - 4) // 2)

    def _field(self, slot: int) -> int:
        """Byte of the field, 0 if it is absent."""
        if slot >= self._n_slots:
            return 0
        relative = int(self._file.scalar("H", self._vtable + 4 + 2 * slot))
        return self._at + relative if relative else 0

    def number(self, slot: int, form: str, default: Any = 0) -> Any:
        """A scalar field (struct format), `default` if absent."""
        at = self._field(slot)
        return self._file.scalar(form, at) if at else default

    def table(self, slot: int) -> FlatTable | None:
        """A table field, None if absent."""
        at = self._field(slot)
        return FlatTable(self._file, self._file.offset(at)) if at else None

    def array(self, slot: int, dtype: str) -> NDArray[Any] | None:
        """A vector of scalars as a read-only view of the file, None if absent."""
        at = self._field(slot)
        if not at:
            return None
        start = self._file.offset(at)
        length = int(self._file.scalar("I", start))
        item = np.dtype(dtype).itemsize
        self._file.check(start + 4, length * item)
        return np.frombuffer(self._file.data, dtype=dtype, count=length, offset=start + 4)

    def tables(self, slot: int) -> list[FlatTable]:
        """A vector of tables; empty if absent."""
        at = self._field(slot)
        if not at:
            return []
        start = self._file.offset(at)
        length = int(self._file.scalar("I", start))
        self._file.check(start + 4, 4 * length)
        return [FlatTable(self._file, self._file.offset(start + 4 + 4 * i)) for i in range(length)]

    def text(self, slot: int) -> str:
        """A string, empty if absent; bytes that are no UTF-8 are replaced."""
        raw = self.array(slot, "u1")
        return "" if raw is None else raw.tobytes().decode("utf-8", "replace")
