"""Offload: which operators run on the board's accelerator, and what they cost there, in cycles of the core's clock."""
