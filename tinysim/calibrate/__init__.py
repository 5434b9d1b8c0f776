"""Measured rows, fits of the effects, and validation on rows that were left out."""
