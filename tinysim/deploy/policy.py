"""The arena policy of a target: planner, kernel library and pointer size, as the memory planner takes them."""

from __future__ import annotations

from tinysim.deploy.memory import ArenaPolicy
from tinysim.deploy.target import Target

__all__ = ["arena_policy"]


def arena_policy(target: Target) -> ArenaPolicy:
    """Arena policy of a runtime on a core."""
    return ArenaPolicy()
