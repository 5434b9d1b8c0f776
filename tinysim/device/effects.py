"""Fitted coefficients as effects: what a stack, a core, a board and their pairs add to the counted cycles.

The cycles of an inference are a sum of counted features times coefficients. The logarithm of a coefficient is a sum of
effects, each shrunk towards zero in the fit, so that a pair nobody has measured is predicted from its parts:

    ln coefficient = mean + stack family + stack version + core + (stack family, core) + board + ...

The shipped effects are a table, `device_specs/calibration/effects.csv`; `tinysim.calibrate` makes it.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tinysim.device.library import read_yaml, spec_folder
from tinysim.device.spec import Device, Runtime
from tinysim.errors import SpecError

__all__ = [
    "EFFECTS",
    "FEATURES",
    "INFERENCE_OVERHEAD_CYCLES",
    "NOISE_LN",
    "OP_OVERHEAD_CYCLES",
    "WEIGHTS_IN_RAM",
    "Effect",
    "coefficients",
    "levels_of",
    "shipped_effects",
    "stack_family",
]

WORK = ("conv", "conv_1d", "stem", "mono_stem", "pointwise", "depthwise", "matmul", "per_output", "other")
GEMM = ("conv", "conv_1d", "stem", "mono_stem", "pointwise", "matmul")
DATA_STALLS = ("weights_stall", "activations_stall")
STALLS = ("weights_stall", "code_stall", "activations_stall")
OVERHEADS = ("op_overhead", "inference_overhead")
#: Features of an inference: compute cycles by family, stalls by memory, operators, inferences.
FEATURES = (*WORK, *STALLS, *OVERHEADS)
#: Cycles of one operator's and one inference's overhead at coefficient one.
OP_OVERHEAD_CYCLES, INFERENCE_OVERHEAD_CYCLES = 300.0, 1000.0


#: Standard deviation of a measurement and of what the structure misses of a row [ln]. Two teams on one board and stack
#: agree within 1 % (worst 2.4 %).
NOISE_LN = 0.035


@dataclass(frozen=True)
class Effect:
    """A kind of effect: whose it is, which coefficients it moves, and how far it may (ln, one standard deviation)."""

    name: str
    of: tuple[str, ...]
    """levels that name it: family, stack, precision, build, core, die, board"""
    features: tuple[str, ...]
    sigma: float
    shared: bool = False
    """one value for all its features, or one for each"""


def _work(name: str, of: tuple[str, ...], every: float, gemm: float, kind: float) -> tuple[Effect, ...]:
    """Effects on compute cycles: one for all kernels, one for those built on a matrix product, one by kind."""
    made = (
        Effect(name, of, WORK, every, shared=True),
        Effect(f"{name}, matrix products", of, GEMM, gemm, shared=True),
        Effect(f"{name}, by kind", of, WORK, kind),
    )
    return tuple(effect for effect in made if effect.sigma > 0)


#: The standard deviations were chosen on out-of-fold errors of the shipped suites, within what each can mean: a core's
#: table is good to some per cent, another build of counted kernels differs little, a closed library may differ much.
EFFECTS: tuple[Effect, ...] = (
    *_work("mean", (), 0.0, 0.05, 0.03),
    *_work("family", ("family",), 0.6, 0.15, 0.25),
    *_work("precision", ("precision",), 0.3, 0.15, 0.3),
    *_work("family at precision", ("family", "precision"), 0.4, 0.2, 0.2),
    *_work("stack", ("stack",), 0.25, 0.04, 0.1),
    *_work("build", ("family", "build", "precision"), 0.6, 0.4, 0.07),
    *_work("core", ("core",), 0.15, 0.05, 0.1),
    *_work("core at precision", ("core", "precision"), 0.15, 0.1, 0.4),
    *_work("family on core", ("family", "core", "precision"), 0.08, 0.03, 0.04),
    *_work("stack on core", ("stack", "core"), 0.03, 0.0, 0.02),
    *_work("die", ("die",), 0.03, 0.0, 0.0),
    *_work("board", ("board",), 0.08, 0.0, 0.0),
    Effect("mean stall", (), DATA_STALLS, 0.2),
    Effect("family stall", ("family",), DATA_STALLS, 0.2),
    Effect("stack stall", ("stack",), DATA_STALLS, 0.1),
    Effect("die stall", ("die",), DATA_STALLS, 0.7),
    Effect("board stall", ("board",), DATA_STALLS, 0.1),
    Effect("family on die stall", ("family", "die"), DATA_STALLS, 0.4),
    Effect("die code stall", ("die",), ("code_stall",), 0.8),
    Effect("mean overhead", (), OVERHEADS, 1.0),
    Effect("family overhead", ("family",), OVERHEADS, 0.5),
    Effect("core overhead", ("core",), OVERHEADS, 0.4),
    Effect("overhead at precision", ("family", "precision"), OVERHEADS, 0.15),
    Effect("build overhead", ("family", "build", "precision"), OVERHEADS, 0.4),
)

#: How much narrower an effect on compute is where its kernels, or its core's timing, were counted.
_COUNTED = 0.3
#: Cores of single issue, whose timing tables come near the measurements; on others compilers schedule for the pipeline.
_SINGLE_ISSUE = ("cortex-m0plus", "cortex-m3", "cortex-m4")
#: How much wider where a core runs the plain C build of another core's counts.
_UNCOUNTED_CORE = 3.0

#: ln of a coefficient before any effect. A core sees a tenth of the waits behind taken branches: loops are cached.
BASE = dict.fromkeys(FEATURES, 0.0) | {"code_stall": -2.3}

#: Names of measured builds that copy the weights to RAM (HALE's, by its README). Where weights lie is priced from the
#: memories, so such a build has no effect of its own.
WEIGHTS_IN_RAM = frozenset({"max-performance"})

Key = tuple[str, str, str]
"""effect, level, feature ("*" for a shared one)"""


def stack_family(runtime: Runtime) -> str:
    """The family of a runtime: the one its file states, or its name without the version."""
    return runtime.family or re.sub(r"-[0-9][0-9.]*$", "", runtime.name)


def levels_of(runtime: Runtime, device: Device, *, precision: str = "int8", build: str = "") -> dict[str, str]:
    """The levels of a runtime on a board, by name of level. precision: int8, int16x8 or float32."""
    return {
        "family": stack_family(runtime),
        "stack": runtime.name,
        "kernels": "counted" if runtime.counted else "stand-in",
        "precision": precision,
        "build": " ".join(word for word in build.split() if word not in WEIGHTS_IN_RAM),
        "core": device.core.name,
        "die": device.die or device.soc,
        "board": device.name,
    }


def keys_of(levels: Mapping[str, str]) -> Iterable[tuple[str, Key, float]]:
    """(feature, key, prior standard deviation) of everything that acts on a combination of levels."""
    for effect in EFFECTS:
        if _is_silent(effect, levels):
            continue
        sigma = effect.sigma * (_knowledge(effect, levels) if effect.features[0] in WORK else 1.0)
        level = " | ".join(levels[name] for name in effect.of)
        for feature in effect.features:
            yield feature, (effect.name, level, "*" if effect.shared else feature), sigma


def _is_silent(effect: Effect, levels: Mapping[str, str]) -> bool:
    """Whether an effect has nothing to say: int8 kernels and the usual build are what the other effects are about."""
    if "build" in effect.of:
        return not levels["build"]
    return (
        "precision" in effect.of
        and levels["precision"] == "int8"
        and effect.features[0] in WORK
        and ("family on core" not in effect.name)
    )


def _knowledge(effect: Effect, levels: Mapping[str, str]) -> float:
    """Factor on the width of an effect on compute: narrow where kernels and core were counted, wide where neither."""
    core_counted = levels["core"].startswith("cortex-m")
    if "core" in effect.of and not core_counted:
        return _UNCOUNTED_CORE
    if "core" in effect.of and "family" in effect.of and levels["core"] not in _SINGLE_ISSUE:
        return 1.0
    if "family" in effect.of or "stack" in effect.of:
        return _COUNTED if levels["kernels"] == "counted" and levels["precision"] == "int8" else 1.0
    return _COUNTED if "core" in effect.of else 1.0


def coefficients(levels: Mapping[str, str], effects: Mapping[Key, tuple[float, float]]) -> dict[str, float]:
    """Log of each feature's coefficient for a combination of levels; effects that are not there are zero."""
    total = dict(BASE)
    for feature, key, _ in keys_of(levels):
        total[feature] += effects.get(key, (0.0, 0.0))[0]
    return total


@cache
def shipped_effects() -> Mapping[Key, tuple[float, float]]:
    """The effects that ship with tinysim: key -> (ln, standard deviation).

    Raises:
        SpecError: the table is damaged.
    """
    return read_effects(spec_folder() / "calibration" / "effects.csv")


def read_effects(path: Path) -> dict[Key, tuple[float, float]]:
    """Read effects: a CSV table (effect, level, feature, ln, sd), or a YAML file that `tinysim calibrate` wrote.

    Lines that begin with # are comments.

    Raises:
        SpecError: the file cannot be read or a row is wrong; names the row.
    """
    effects: dict[Key, tuple[float, float]] = {}
    for number, row in _effect_rows(path):
        try:
            effects[str(row["effect"]), str(row["level"]), str(row["feature"])] = float(row["ln"]), float(row["sd"])
        except (KeyError, TypeError, ValueError) as error:
            wanted = "effect, level, feature, ln, sd"
            raise SpecError(f"{path.name}: row {number}: expected {wanted}; got {row}") from error
    return effects


def _effect_rows(path: Path) -> Iterable[tuple[int, Any]]:
    if path.suffix.lower() in (".yaml", ".yml"):
        rows = read_yaml(path).get("effects")
        if not isinstance(rows, list):
            raise SpecError(f"{path}: no calibration: it has no list of effects")
        return enumerate(rows, start=1)
    try:
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"{path}: {getattr(error, 'strerror', None) or error}") from error
    return enumerate((dict(row) for row in csv.DictReader(lines)), start=2)
