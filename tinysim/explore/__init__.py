"""A cost model for search, search spaces, sweeps, Pareto fronts, inverse questions."""
