"""Pure functions from network to network."""

from tinysim.network.transforms.dead_channels import eliminate_dead_channels
from tinysim.network.transforms.fusion import fuse, fuse_activations, fuse_pads, split_pads
from tinysim.network.transforms.prune import (
    cluster,
    codebook_bytes,
    prune_channels,
    prune_n_m,
    prune_unstructured,
)
from tinysim.network.transforms.quantize import quantize
from tinysim.network.transforms.scale import scale_depth, scale_resolution, scale_width

__all__ = [
    "cluster",
    "codebook_bytes",
    "eliminate_dead_channels",
    "fuse",
    "fuse_activations",
    "fuse_pads",
    "prune_channels",
    "prune_n_m",
    "prune_unstructured",
    "quantize",
    "scale_depth",
    "scale_resolution",
    "scale_width",
    "split_pads",
]
