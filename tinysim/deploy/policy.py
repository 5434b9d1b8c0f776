"""The arena policy of a target: how its runtime lays out activations, as the memory planner takes it."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from tinysim.deploy.memory import MemoryPolicy
from tinysim.deploy.target import Target
from tinysim.errors import SpecError, nearest

__all__ = ["ARENA_STYLES", "arena_policy"]

_ALL_IN_PLACE = frozenset({"view", "elementwise", "depthwise", "pool"})
_BY_ROWS = frozenset({"view", "elementwise", "pool", "pad", "rows", "conv-pool"})
_X_CUBE_AI = MemoryPolicy(planner="optimum", kernels="x-cube-ai", persistent="none")

#: arena style of a runtime (its `planner`) -> the policy that stands for it
ARENA_STYLES = {
    "tflm-greedy": MemoryPolicy(),
    # microTVM's USMP places by size, the earlier of equal ones first; its CMSIS-NN of 2022 unpacks depthwise kernels
    "tvm-aot": MemoryPolicy(planner="greedy-by-size", kernels="cmsis-nn-2021", persistent="none"),
    "tinyengine": MemoryPolicy(
        kernels="none", persistent="tinyengine", alignment=1, in_place=frozenset({"depthwise", "view"})
    ),
    # compilers that search for the least peak; kernels keep their scratch on the stack
    "optimal": MemoryPolicy(planner="optimum", kernels="none", persistent="none"),
    "optimal-in-place": MemoryPolicy(planner="optimum", kernels="none", persistent="none", in_place=_ALL_IN_PLACE),
    "x-cube-ai-7": replace(_X_CUBE_AI, in_place=_BY_ROWS | {"conv-pool-float"}),
    "x-cube-ai-8": replace(_X_CUBE_AI, in_place=_BY_ROWS | {"rows-stride-1"}),
    "x-cube-ai-9": replace(
        _X_CUBE_AI, persistent="x-cube-ai", in_place=_BY_ROWS | {"rows-stride-1", "conv-pool-float"}
    ),
    "st-edge-ai": replace(_X_CUBE_AI, persistent="x-cube-ai", in_place=_BY_ROWS | {"rows-stride-1"}),
    # generators of plain C: buffers by size in one block, views cost nothing
    "sequential": MemoryPolicy(
        planner="greedy-by-size", kernels="none", persistent="none", in_place=frozenset({"view"})
    ),
}
#: kernel library -> the rules of its scratch memory, for styles that keep it in the arena
_CMSIS_NN = ("cmsis-nn", "cmsis-nn-5", "cmsis-nn-armclang", "nnom")
_SCRATCH_RULES = dict.fromkeys((*_CMSIS_NN, "mvp"), "cmsis-nn") | {"tflm-reference": "tflm-reference"}


def arena_policy(target: Target) -> MemoryPolicy:
    """Arena policy of a runtime on a core.

    The style follows from the runtime's `planner`. Libraries without published scratch rules (ESP-NN, Andes NN) are
    planned with those of TFLM's reference kernels, which ask for none in convolutions: a lower bound.

    Raises:
        SpecError: the runtime names an unknown style.
    """
    runtime = target.runtime
    if runtime.planner not in ARENA_STYLES:
        raise SpecError(f"runtime {runtime.name}: planner {runtime.planner!r} {nearest(runtime.planner, ARENA_STYLES)}")
    return _policy(runtime.planner, runtime.library, target.core.name, runtime.persistent_arena)


@lru_cache
def _policy(style: str, library: str, core: str, persistent: bool) -> MemoryPolicy:
    policy = replace(ARENA_STYLES[style], core=core)
    if policy.kernels == "cmsis-nn":
        policy = replace(policy, kernels=_SCRATCH_RULES.get(library, "tflm-reference"))
    elif library not in _CMSIS_NN:
        policy = replace(policy, kernels="none")
    return policy if persistent or policy.persistent != "tflm" else replace(policy, persistent="none")
