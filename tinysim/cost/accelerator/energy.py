"""Energy per level where the chip itself was not measured: SRAM by size and width, DRAM by type, arithmetic by width.

What a description knows stays; `fill_energy` estimates the rest at a technology node.
"""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tinysim.cost.accelerator.machine import Machine
from tinysim.device.library import read_yaml, spec_folder, validated
from tinysim.errors import SpecError, nearest
from tinysim.figures import Figure, Spec, in_unit

__all__ = [
    "SramAccess",
    "dram_energy_j_per_byte",
    "fill_energy",
    "flash_energy_j_per_byte",
    "mac_energy_j",
    "scaled_energy_j",
    "sram_access",
]

Array = npt.NDArray[Any]
Joule = Annotated[Figure, in_unit("J")]

#: Node of the arithmetic energies [nm].
_ARITHMETIC_NODE_NM = 40.0


class SramAccess(NamedTuple):
    """One access of the full width."""

    read_j: Array
    """energy of a read [J]"""
    write_j: Array
    """energy of a write [J]"""
    leakage_w: Array
    """leakage of the bank [W]"""
    access_s: Array
    """access time [s]"""


class _Energies(Spec):
    dram: dict[str, Joule]
    """Per bit moved."""
    embedded_flash: Joule
    """Per bit read."""
    multiplier: Joule
    """32-bit integer multiplication."""
    adder: Joule
    """32-bit integer addition."""


@cache
def _energies() -> _Energies:
    path = spec_folder() / "accelerators" / "technology" / "energies.yaml"
    return validated(_Energies, read_yaml(path), path.name)


@cache
def _sram_grid() -> tuple[tuple[Array, Array, Array], Array]:
    """Logarithms of the axes (node, KiB, bits) and of the values on the full grid [node, size, width, value]."""
    path = spec_folder() / "accelerators" / "technology" / "cacti_sram.csv"
    rows = np.genfromtxt(path, delimiter=",", comments="#", skip_header=3)
    axes = [np.unique(rows[:, column]) for column in range(3)]
    shape = tuple(len(axis) for axis in axes)
    order = np.lexsort(rows[:, 2::-1].T)
    values = np.log(rows[order, 3:7]).reshape(*shape, 4)
    return (np.log(axes[0]), np.log(axes[1]), np.log(axes[2])), values


def sram_access(*, size_bytes: npt.ArrayLike, width_bits: npt.ArrayLike, node_nm: npt.ArrayLike) -> SramAccess:
    """Energy, leakage and time of one access to a single-ported SRAM.

    Power laws between the runs of CACTI: linear in the logarithms of node, size and width.

    size_bytes [byte], width_bits [bit], node_nm [nm].
    Valid: 1 KiB to 2 MiB, 32 to 128 bit, 22 to 90 nm (low-standby-power devices); beyond, the nearest of these.
    Errors: none at the runs; 10 % on average at a run left out between its neighbours (see tests).
    Source: CACTI 7, device_specs/accelerators/technology/cacti_sram.csv.

    >>> access = sram_access(size_bytes=32 * 1024, width_bits=32, node_nm=45)
    >>> round(float(access.read_j) * 1e12, 2)
    11.79
    """
    axes, values = _sram_grid()
    wanted = np.broadcast_arrays(
        np.asarray(node_nm, dtype=float),
        np.asarray(size_bytes, dtype=float) / 1024,
        np.asarray(width_bits, dtype=float),
    )
    corner, share = [], []
    for axis, at in zip(axes, wanted, strict=True):
        inside = np.clip(np.log(at), axis[0], axis[-1])
        low = np.clip(np.searchsorted(axis, inside, side="right") - 1, 0, len(axis) - 2)
        corner.append(low)
        share.append((inside - axis[low]) / (axis[low + 1] - axis[low]))
    logs = np.zeros((*wanted[0].shape, 4))
    for steps in np.ndindex(2, 2, 2):
        weight = np.ones(wanted[0].shape)
        for part, step in zip(share, steps, strict=True):
            weight = weight * (part if step else 1 - part)
        node, size, width = (low + step for low, step in zip(corner, steps, strict=True))
        logs = logs + weight[..., None] * values[node, size, width]
    found = np.exp(logs)
    return SramAccess(found[..., 0] * 1e-9, found[..., 1] * 1e-9, found[..., 2] * 1e-3, found[..., 3] * 1e-9)


def dram_energy_j_per_byte(kind: str) -> float:
    """Energy of a byte to or from a DRAM.

    Raises:
        SpecError: an unknown type; the message offers the nearest.

    >>> round(dram_energy_j_per_byte("LPDDR4") * 1e12, 6)
    64.0
    """
    known = _energies().dram
    if kind not in known:
        raise SpecError(f"unknown DRAM {kind!r}; {nearest(kind, known)}")
    return known[kind].si * 8


def flash_energy_j_per_byte() -> float:
    """Energy of a byte read from embedded flash; only of that order: 0.22 to 2.4 pJ a bit in what is published.

    >>> round(flash_energy_j_per_byte() * 1e12, 2)
    14.64
    """
    return _energies().embedded_flash.si * 8


def scaled_energy_j(
    energy_j: npt.ArrayLike,
    *,
    from_nm: npt.ArrayLike,
    to_nm: npt.ArrayLike,
    from_v: npt.ArrayLike = 1.0,
    to_v: npt.ArrayLike = 1.0,
) -> Array:
    """Switching energy of the same logic at another node and supply.

    E2 = E1 * (L2 / L1) * (V2 / V1)^2

    energy_j [J], from_nm, to_nm [nm], from_v, to_v [V]. Valid: first order, capacitance in proportion to the feature
    size; leakage and wires apart. Source: R. Dennard et al., JSSC 9 (1974) 256, with the supply kept separate.

    >>> float(scaled_energy_j(1.0, from_nm=40, to_nm=20, from_v=1.0, to_v=0.5))
    0.125
    """
    ratio = np.asarray(to_nm, dtype=float) / from_nm
    return np.asarray(np.asarray(energy_j) * ratio * (np.asarray(to_v, dtype=float) / from_v) ** 2)


def mac_energy_j(
    *, weight_bits: npt.ArrayLike, activation_bits: npt.ArrayLike, node_nm: npt.ArrayLike = _ARITHMETIC_NODE_NM
) -> Array:
    """Energy of a multiplication and of adding it to a 32-bit sum.

    E = E_mul32 * b_w * b_a / 32^2 + E_add32, scaled to the node

    weight_bits, activation_bits [bit], node_nm [nm]. Valid: array multipliers, relaxed timing.
    Source: Accelergy Aladdin tables, device_specs/accelerators/technology/energies.yaml.

    >>> round(float(mac_energy_j(weight_bits=8, activation_bits=8)) * 1e12, 3)
    0.754
    """
    table = _energies()
    at_40 = table.multiplier.si * np.asarray(weight_bits) * np.asarray(activation_bits) / 1024 + table.adder.si
    return scaled_energy_j(at_40, from_nm=_ARITHMETIC_NODE_NM, to_nm=node_nm)


def fill_energy(machine: Machine, *, node_nm: float, dram: str = "LPDDR4") -> Machine:
    """The machine with its unknown energies estimated at a node; what its description knows stays.

    Memories up to 2 MiB are SRAM, accessed over at most 128 bit; larger ones are DRAM. An unknown power beside the work
    is taken as the leakage of the SRAMs.

    >>> from tinysim.cost.accelerator.machine import machine_of
    >>> from tinysim.cost.accelerator.spec import load_accelerator
    >>> filled = fill_energy(machine_of(load_accelerator("systolic-16x16-ws")), node_nm=22)
    >>> bool(np.isfinite(filled.mac_energy_j).all() and np.isfinite(filled.read_energy_j).all())
    True
    """
    spec = machine.spec
    widths = np.array([float(np.clip(m.width.si * 8, 32, 128)) for m in spec.memories])
    access = sram_access(size_bytes=machine.size_bytes, width_bits=widths, node_nm=node_nm)
    on_chip = machine.size_bytes <= 2 * 1024 * 1024
    far = dram_energy_j_per_byte(dram)
    bits = np.array([(min(e.weight_bits), min(e.activation_bits)) for e in spec.engines])
    estimates = {
        "mac_energy_j": mac_energy_j(weight_bits=bits[:, 0], activation_bits=bits[:, 1], node_nm=node_nm),
        "read_energy_j": np.where(on_chip, access.read_j / (widths / 8), far),
        "write_energy_j": np.where(on_chip, access.write_j / (widths / 8), far),
        "active_power_w": np.where(on_chip, access.leakage_w, 0.0).sum(axis=-1),
    }
    return machine.filled(estimates)
