"""Single layers as measured rows: their shapes are written in the row's name.

A name is ``layer:`` (timed inside an inference, with the interpreter's share of the operator) or ``kernel:`` (the
library's function alone), a kind, and columns of a layer table: ``kernel:conv2d in=8x8x16 out=8x8x16 kernel=1x1``.
"""

from __future__ import annotations

from functools import lru_cache

from tinysim.errors import InputError, NetworkError
from tinysim.network.table import COLUMNS, LayerTable

__all__ = ["is_layer", "layer_table"]

_PREFIXES = ("layer:", "kernel:")
#: short name -> columns of the layer table that its numbers fill
_GROUPS = {
    "in": ("in_h", "in_w", "in_c"),
    "out": ("out_h", "out_w", "out_c"),
    "kernel": ("kernel_h", "kernel_w"),
    "stride": ("stride_h", "stride_w"),
    "pad": ("pad_top", "pad_bottom", "pad_left", "pad_right"),
    "dilation": ("dilation_h", "dilation_w"),
}


def is_layer(name: str) -> bool:
    """Whether a row's network is a single layer."""
    return name.startswith(_PREFIXES)


@lru_cache(maxsize=1024)
def layer_table(name: str) -> LayerTable:
    """The layer that a name describes, as a table of one row.

    Raises:
        InputError: a group or column that does not exist, or a wrong count of numbers.

    >>> int(layer_table("layer:conv2d in=8x8x16 out=8x8x32 kernel=1x1").macs[0])
    32768
    """
    import pandas as pd

    kind, *words = name.split(":", 1)[1].split()
    values: dict[str, object] = {"kind": kind}
    for word in words:
        key, _, numbers = word.partition("=")
        columns = _GROUPS.get(key, (key,) if key in COLUMNS else ())
        parts = numbers.split("x")
        if len(parts) != len(columns) or not all(part.isdigit() for part in parts):
            raise InputError(
                f"{name!r}: {word!r} is none of {', '.join([*_GROUPS, 'a column of a layer table'])}=AxB.."
            )
        values |= dict(zip(columns, map(int, parts), strict=True))
    try:
        return LayerTable.from_frame(pd.DataFrame([values]))
    except NetworkError as error:
        raise InputError(f"{name!r}: {error}") from error
