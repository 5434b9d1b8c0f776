"""The arena policy of a target: planner, kernel library and pointer size, as the memory planner takes them."""

from __future__ import annotations

from tinysim.deploy.memory import MemoryPolicy
from tinysim.deploy.target import Target

__all__ = ["arena_policy"]


#: The planner of a runtime -> the algorithm that stands for it. microTVM's USMP places by size, greedily, as TFLM does.
_ALGORITHM = {"tvm-aot": "tflm-greedy", "optimal": "tflm-greedy", "sequential": "tflm-greedy"}


def arena_policy(target: Target) -> MemoryPolicy:
    """Arena policy of a runtime on a core."""
    runtime = target.runtime
    return MemoryPolicy(
        planner=_ALGORITHM.get(runtime.planner, runtime.planner),
        kernels=runtime.library,
        core=target.core.name,
        persistent="tflm" if runtime.persistent_arena else "none",
    )
