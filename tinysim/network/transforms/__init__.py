"""Pure functions from network to network."""

from tinysim.network.transforms.dead_channels import eliminate_dead_channels

__all__ = ["eliminate_dead_channels"]
