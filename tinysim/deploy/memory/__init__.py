"""Memory: lifetimes, planners, the arena of each runtime."""

from tinysim.deploy.memory.buffers import Buffers, lifetimes, live_bytes
from tinysim.deploy.memory.greedy import greedy_plan
from tinysim.deploy.memory.in_place import IN_PLACE_RULES, tie_in_place
from tinysim.deploy.memory.optimum import Packing, cp_sat_plan, optimum_plan
from tinysim.deploy.memory.plan import PLANNERS, ArenaPlan, MemoryPolicy, plan_arena
from tinysim.deploy.memory.reorder import Order, least_peak_order, reordered
from tinysim.deploy.memory.scratch import cmsis_nn_scratch_bytes, scratch_bytes
from tinysim.deploy.memory.tail import tflm_tail

__all__ = [
    "IN_PLACE_RULES",
    "PLANNERS",
    "ArenaPlan",
    "Buffers",
    "MemoryPolicy",
    "Order",
    "Packing",
    "cmsis_nn_scratch_bytes",
    "cp_sat_plan",
    "greedy_plan",
    "least_peak_order",
    "lifetimes",
    "live_bytes",
    "optimum_plan",
    "plan_arena",
    "reordered",
    "scratch_bytes",
    "tflm_tail",
    "tie_in_place",
]
