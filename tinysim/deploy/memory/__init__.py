"""Memory: lifetimes, planners, the arena of each runtime."""

from tinysim.deploy.memory.buffers import Buffers, lifetimes, live_bytes
from tinysim.deploy.memory.greedy import greedy_plan
from tinysim.deploy.memory.plan import PLANNERS, ArenaPlan, MemoryPolicy, plan_arena
from tinysim.deploy.memory.scratch import cmsis_nn_scratch_bytes, scratch_bytes
from tinysim.deploy.memory.tail import tflm_tail

__all__ = [
    "PLANNERS",
    "ArenaPlan",
    "Buffers",
    "MemoryPolicy",
    "cmsis_nn_scratch_bytes",
    "greedy_plan",
    "lifetimes",
    "live_bytes",
    "plan_arena",
    "scratch_bytes",
    "tflm_tail",
]
