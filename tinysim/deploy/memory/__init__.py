"""Memory: lifetimes, planners, the arena of each runtime."""

from tinysim.deploy.memory.batch import batch_live_peaks
from tinysim.deploy.memory.buffers import Buffers, lifetimes, live_bytes
from tinysim.deploy.memory.channels import channel_buffers, channel_segments
from tinysim.deploy.memory.fit import MemorySchedule, cheapest_schedule, memory_schedules
from tinysim.deploy.memory.flash import (
    WEIGHT_STORAGE,
    flatbuffer_bytes,
    flatbuffer_size,
    op_parameters,
    parameter_bytes,
    weight_flash_bytes,
)
from tinysim.deploy.memory.greedy import greedy_plan
from tinysim.deploy.memory.in_place import IN_PLACE_RULES, tie_in_place
from tinysim.deploy.memory.optimum import Packing, cp_sat_plan, optimum_plan
from tinysim.deploy.memory.patches import PatchWork, patch_buffers, patch_work, streaming_buffers
from tinysim.deploy.memory.plan import PLANNERS, ArenaPlan, MemoryPolicy, plan_arena, plan_buffers
from tinysim.deploy.memory.pools import fill_pools
from tinysim.deploy.memory.regions import patchable_splits
from tinysim.deploy.memory.reorder import Order, least_peak_order, reordered
from tinysim.deploy.memory.scratch import cmsis_nn_scratch_bytes, scratch_bytes
from tinysim.deploy.memory.tail import persistent_bytes, prepared_bytes, tflm_tail
from tinysim.deploy.memory.tinyengine import tinyengine_patch_buffers, tinyengine_static_bytes

__all__ = [
    "IN_PLACE_RULES",
    "PLANNERS",
    "WEIGHT_STORAGE",
    "ArenaPlan",
    "Buffers",
    "MemoryPolicy",
    "MemorySchedule",
    "Order",
    "Packing",
    "PatchWork",
    "batch_live_peaks",
    "channel_buffers",
    "channel_segments",
    "cheapest_schedule",
    "cmsis_nn_scratch_bytes",
    "cp_sat_plan",
    "fill_pools",
    "flatbuffer_bytes",
    "flatbuffer_size",
    "greedy_plan",
    "least_peak_order",
    "lifetimes",
    "live_bytes",
    "memory_schedules",
    "op_parameters",
    "optimum_plan",
    "parameter_bytes",
    "patch_buffers",
    "patch_work",
    "patchable_splits",
    "persistent_bytes",
    "plan_arena",
    "plan_buffers",
    "prepared_bytes",
    "reordered",
    "scratch_bytes",
    "streaming_buffers",
    "tflm_tail",
    "tie_in_place",
    "tinyengine_patch_buffers",
    "tinyengine_static_bytes",
    "weight_flash_bytes",
]
