"""What runs: operators, tensors, graph, layer table, zoo, readers."""

from tinysim.network.graph import Network, Op, Quantization, Tensor
from tinysim.network.kinds import FAMILY, KIND_CODE, KINDS, Kind
from tinysim.network.table import COLUMNS, LayerTable

__all__ = ["COLUMNS", "FAMILY", "KINDS", "KIND_CODE", "Kind", "LayerTable", "Network", "Op", "Quantization", "Tensor"]
