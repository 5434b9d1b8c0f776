"""Closed-form engine: `Deployment -> Estimate`."""
