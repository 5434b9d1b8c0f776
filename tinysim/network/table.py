"""`LayerTable`: a network, or ten million of them, as NumPy columns.

Every cost formula takes these columns and broadcasts, so one function serves a network of 20 rows, a NAS batch and a
hardware sweep alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tinysim.errors import NetworkError, nearest
from tinysim.network.kinds import FAMILY, KIND_CODE, KINDS

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["COLUMNS", "Ints", "LayerTable"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

#: column -> (default or None if required, meaning). The order is that of the frame.
COLUMNS: dict[str, tuple[float | None, str]] = {
    "kind": (None, "operator kind, snake case of the TFLite operator"),
    "in_h": (1, "input rows; time steps of a recurrent layer; rows of a matmul"),
    "in_w": (1, "input columns"),
    "in_c": (None, "input channels; depth of a matmul or softmax"),
    "out_h": (1, "output rows"),
    "out_w": (1, "output columns"),
    "out_c": (None, "output channels; units of a recurrent layer"),
    "kernel_h": (1, "kernel or window rows"),
    "kernel_w": (1, "kernel or window columns"),
    "stride_h": (1, "vertical stride"),
    "stride_w": (1, "horizontal stride"),
    "pad_top": (0, "zero rows above the input"),
    "pad_bottom": (0, "zero rows below the input"),
    "pad_left": (0, "zero columns left of the input"),
    "pad_right": (0, "zero columns right of the input"),
    "dilation_h": (1, "vertical dilation"),
    "dilation_w": (1, "horizontal dilation"),
    "channel_multiplier": (1, "outputs per input channel of a depthwise convolution"),
    "groups": (1, "groups of a convolution (depthwise has its own kind)"),
    "batch": (1, "images per inference"),
    "n_inputs": (1, "activation inputs (2 for add, n for concatenation)"),
    "in2_elements": (0, "elements of the second activation input, if any"),
    "has_bias": (1, "1 if there is a bias"),
    "weight_bits": (8, "bits of a weight; 32 means float32"),
    "activation_bits": (8, "bits of an activation; 32 means float32"),
    "weight_sparsity": (0.0, "fraction of zero weights, 0 to 1"),
    "network": (0, "index of the network that the row belongs to"),
}
_FLOAT_COLUMNS = frozenset({"weight_sparsity"})
_MINIMUM_ZERO = frozenset(
    {"pad_top", "pad_bottom", "pad_left", "pad_right", "in2_elements", "has_bias", "weight_sparsity", "network"}
)
#: least value of each column
_LEAST = np.array([[float(name not in _MINIMUM_ZERO and name != "kind")] for name in COLUMNS])


@dataclass(frozen=True, eq=False)
class LayerTable:
    """Columns of layers, each an array of shape (n,). `kind` holds codes into `tinysim.network.KINDS`."""

    kind: Ints
    in_h: Ints
    in_w: Ints
    in_c: Ints
    out_h: Ints
    out_w: Ints
    out_c: Ints
    kernel_h: Ints
    kernel_w: Ints
    stride_h: Ints
    stride_w: Ints
    pad_top: Ints
    pad_bottom: Ints
    pad_left: Ints
    pad_right: Ints
    dilation_h: Ints
    dilation_w: Ints
    channel_multiplier: Ints
    groups: Ints
    batch: Ints
    n_inputs: Ints
    in2_elements: Ints
    has_bias: Ints
    weight_bits: Ints
    activation_bits: Ints
    weight_sparsity: Floats
    network: Ints

    # ------------------------------------------------------------------ making

    @classmethod
    def from_columns(cls, columns: Mapping[str, Any]) -> LayerTable:
        """Make a table from arrays or scalars; missing optional columns take their defaults (see `COLUMNS`).

        `kind` is an array of names or of codes.

        Raises:
            NetworkError: an unknown or missing column, unequal lengths, an unknown kind, a negative or fractional size.
        """
        unknown = [name for name in columns if name not in COLUMNS]
        if unknown:
            raise NetworkError(f"layer table: unknown column {unknown[0]!r}; {nearest(unknown[0], COLUMNS)}")
        missing = [name for name, (default, _) in COLUMNS.items() if default is None and name not in columns]
        if missing:
            raise NetworkError(f"layer table: column {missing[0]!r} is missing")
        n = max((np.size(value) for value in columns.values()), default=0)
        made: dict[str, Any] = {}
        for name, (default, _) in COLUMNS.items():
            value = columns.get(name, default)
            made[name] = _kind_codes(value) if name == "kind" else _numbers(name, value)
            if made[name].ndim == 0 or (made[name].shape == (1,) and n != 1):
                made[name] = np.full(n, made[name].reshape(-1)[0])
            if made[name].shape != (n,):
                raise NetworkError(f"layer table: column {name!r} has shape {made[name].shape}, expected ({n},)")
        return cls(**made)

    @classmethod
    def from_rows(cls, matrix: Floats) -> LayerTable:
        """Make a table from numbers in the order of `COLUMNS`, kinds as codes, shape (n_columns, n).

        Raises:
            NetworkError: a negative or fractional size; names the row and the column.
        """
        if (matrix < _LEAST).any() or (matrix[:-2] != np.floor(matrix[:-2])).any() or not np.isfinite(matrix).all():
            return cls.from_columns(dict(zip(COLUMNS, [matrix[0].astype(np.int64), *matrix[1:]], strict=True)))
        whole = matrix.astype(np.int64)
        named = zip(COLUMNS, matrix, whole, strict=True)
        return cls(**{name: reals if name in _FLOAT_COLUMNS else ints for name, reals, ints in named})

    @classmethod
    def from_frame(cls, frame: pd.DataFrame) -> LayerTable:
        """Make a table from a DataFrame with the columns of `COLUMNS` (others are refused; NaN means default).

        Raises:
            NetworkError: see `from_columns`.
        """
        columns: dict[str, Any] = {}
        for name in frame.columns:
            series = frame[name]
            default = COLUMNS.get(str(name), (None, ""))[0]
            columns[str(name)] = (series.fillna(default) if default is not None else series).to_numpy()
        return cls.from_columns(columns)

    @classmethod
    def concat(cls, tables: Iterable[LayerTable]) -> LayerTable:
        """Stack tables; the `network` column numbers the networks of all tables one after the other."""
        listed = list(tables)
        if not listed:
            raise NetworkError("layer table: nothing to concatenate")
        columns = {f.name: np.concatenate([getattr(t, f.name) for t in listed]) for f in fields(cls)}
        offsets = np.cumsum([0] + [t.n_networks for t in listed[:-1]])
        columns["network"] = np.concatenate([t.network + o for t, o in zip(listed, offsets, strict=True)])
        return cls(**columns)

    # ------------------------------------------------------------------ reading

    def __len__(self) -> int:
        return len(self.kind)

    def __repr__(self) -> str:
        return f"LayerTable({len(self)} layers, {self.n_networks} network(s), {int(self.macs.sum()):,} MACs)"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, LayerTable):
            return NotImplemented
        return all(np.array_equal(getattr(self, f.name), getattr(other, f.name)) for f in fields(self))

    __hash__ = None  # type: ignore[assignment]

    def __getitem__(self, rows: Any) -> LayerTable:
        """Rows by slice, index array or mask."""
        if isinstance(rows, (int, np.integer)):
            rows = slice(int(rows), int(rows) + 1 or None)
        return LayerTable(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    @property
    def n_networks(self) -> int:
        """Number of networks in the table (largest index + 1)."""
        return int(self.network.max()) + 1 if len(self) else 0

    def is_kind(self, *names: str) -> NDArray[np.bool_]:
        """Mask of the rows whose kind is one of `names`, shape (n,)."""
        mask: NDArray[np.bool_] = _among(names)[self.kind]
        return mask

    def is_family(self, *families: str) -> NDArray[np.bool_]:
        """Mask of the rows whose kind belongs to one of the families, shape (n,)."""
        return self.is_kind(*_members(families))

    @cached_property
    def kind_names(self) -> list[str]:
        """Kinds as names."""
        return [KINDS[code].name for code in self.kind]

    def to_frame(self) -> pd.DataFrame:
        """All columns as a DataFrame, `kind` by name."""
        import pandas as pd

        return pd.DataFrame(
            {f.name: self.kind_names if f.name == "kind" else getattr(self, f.name) for f in fields(self)}
        )

    def replace(self, **columns: Any) -> LayerTable:
        """A copy with some columns replaced (checked as in `from_columns`)."""
        return LayerTable.from_columns({f.name: getattr(self, f.name) for f in fields(self)} | columns)

    # ------------------------------------------------------------------ counting

    @cached_property
    def in_elements(self) -> Ints:
        """Elements of the first activation input, shape (n,)."""
        return self.batch * self.in_h * self.in_w * self.in_c

    @cached_property
    def out_elements(self) -> Ints:
        """Elements of the output, shape (n,)."""
        return self.batch * self.out_h * self.out_w * self.out_c

    @cached_property
    def patch(self) -> Ints:
        """Weights that one output element sees: the length of its dot product, shape (n,)."""
        window = self.kernel_h * self.kernel_w
        depth = np.where(self.is_kind("depthwise_conv2d"), 1, self.in_c // self.groups)
        length = np.where(self.is_family("conv"), window * depth, np.where(self.is_family("matmul"), self.in_c, 0))
        # LSTM, GRU, RNN: every gate sees the input and the state
        return np.where(self.is_family("recurrent"), self.in_c + self.out_c, length)

    @cached_property
    def gates(self) -> Ints:
        """Gates of a recurrent layer (4 LSTM, 3 GRU, 1 RNN), 1 elsewhere, shape (n,)."""
        lstm = np.where(self.is_kind("unidirectional_sequence_lstm"), 4, 1)
        return np.where(self.is_kind("gru"), 3, lstm)

    @cached_property
    def macs(self) -> Ints:
        """Multiply-accumulates of convolutions, matmuls and recurrent layers, shape (n,); 0 elsewhere.

        Padding taps count (the convention of TFLite, Keras and MLPerf Tiny). For a transposed convolution every input
        element meets every tap. For recurrent layers only the gates' matrix products count.
        """
        conv = self.out_elements * self.patch
        transpose = self.in_elements * self.kernel_h * self.kernel_w * self.out_c
        matmul = self.batch * self.in_h * self.in_w * self.in_c * self.out_c
        recurrent = self.batch * self.in_h * self.gates * self.patch * self.out_c
        svdf = self.batch * self.in_h * self.out_c * (self.in_c + self.kernel_h)
        macs = np.where(self.is_kind("transpose_conv"), transpose, np.where(self.is_family("conv"), conv, 0))
        macs = np.where(self.is_family("matmul"), matmul, macs)
        macs = np.where(self.is_family("recurrent"), recurrent, macs)
        return np.where(self.is_kind("svdf"), svdf, macs)

    @cached_property
    def weights(self) -> Ints:
        """Weight elements without biases, shape (n,); 0 for kinds whose second operand is an activation."""
        conv = np.where(
            self.is_kind("depthwise_conv2d"), self.kernel_h * self.kernel_w * self.out_c, self.patch * self.out_c
        )
        matmul = self.in_c * self.out_c
        recurrent = self.gates * self.patch * self.out_c
        svdf = self.out_c * (self.in_c + self.kernel_h)
        weights = np.where(self.is_family("conv"), conv, 0)
        weights = np.where(self.is_kind("fully_connected"), matmul, weights)
        weights = np.where(self.is_family("recurrent"), recurrent, weights)
        return np.where(self.is_kind("svdf"), svdf, weights)

    @cached_property
    def biases(self) -> Ints:
        """Bias elements, shape (n,)."""
        carriers = self.is_family("conv", "recurrent") | self.is_kind("fully_connected")
        return np.where(carriers, self.has_bias * self.gates * self.out_c, 0)

    @cached_property
    def weight_bytes(self) -> Floats:
        """Bytes of the weights at `weight_bits`, without biases, shape (n,)."""
        return np.ceil(self.weights * self.weight_bits / 8)

    @cached_property
    def in_bytes(self) -> Floats:
        """Bytes of all activation inputs, shape (n,)."""
        return np.ceil((self.in_elements + self.in2_elements) * self.activation_bits / 8)

    @cached_property
    def out_bytes(self) -> Floats:
        """Bytes of the output, shape (n,)."""
        return np.ceil(self.out_elements * self.activation_bits / 8)

    def per_network(self, values: NDArray[Any]) -> NDArray[Any]:
        """Sum `values` (shape (..., n)) over the rows of each network: shape (..., n_networks).

        The sum runs in row order, so a network gives the same bits alone and in a batch.
        """
        array = np.asarray(values)
        if array.ndim == 1:
            return np.bincount(self.network, weights=array, minlength=self.n_networks)
        flat = array.reshape(-1, array.shape[-1])
        summed = np.stack([np.bincount(self.network, weights=row, minlength=self.n_networks) for row in flat])
        return summed.reshape(*array.shape[:-1], self.n_networks)


@cache
def _among(names: tuple[str, ...]) -> NDArray[np.bool_]:
    """Per kind code: whether it is one of `names`."""
    mask = np.zeros(len(KINDS), dtype=bool)
    mask[[KIND_CODE[name] for name in names]] = True
    return mask


@cache
def _members(families: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name, family in FAMILY.items() if family in families)


def _kind_codes(value: Any) -> Ints:
    array = np.asarray(value)
    if array.dtype.kind in "iu":
        if array.size and (array.min() < 0 or array.max() >= len(KINDS)):
            raise NetworkError(f"layer table: kind code outside 0..{len(KINDS) - 1}")
        return array.astype(np.int64)
    names, inverse = np.unique(array.astype(str), return_inverse=True)
    for name in names:
        if name not in KIND_CODE:
            raise NetworkError(f"layer table: unknown kind {str(name)!r}; {nearest(str(name), KIND_CODE)}")
    return np.array([KIND_CODE[str(name)] for name in names], dtype=np.int64)[inverse].reshape(array.shape)


def _numbers(name: str, value: Any) -> NDArray[Any]:
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise NetworkError(f"layer table: column {name!r} holds something that is no number") from error
    least = 0 if name in _MINIMUM_ZERO else 1
    bad = ~np.isfinite(array) | (array < least)
    if name not in _FLOAT_COLUMNS:
        bad |= array != np.floor(array)
    elif name == "weight_sparsity":
        bad |= array > 1
    if bad.any():
        row = int(np.flatnonzero(np.atleast_1d(bad))[0])
        given = float(np.atleast_1d(array)[row])
        wanted = "a fraction 0..1" if name in _FLOAT_COLUMNS else f"a whole number >= {least}"
        raise NetworkError(f"layer table: row {row}, column {name!r}: {given:g} is not {wanted}")
    return array if name in _FLOAT_COLUMNS else array.astype(np.int64)
