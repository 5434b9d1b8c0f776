"""Networks as YAML: an exact graph form that machines write, and a layer form that people write."""

from tinysim.network.description.document import json_schema, network_from_yaml, network_to_yaml, read_yaml, write_yaml

__all__ = ["json_schema", "network_from_yaml", "network_to_yaml", "read_yaml", "write_yaml"]
