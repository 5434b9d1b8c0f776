"""Read and write networks as YAML; nothing in a file is executed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from tinysim.errors import NetworkError
from tinysim.network.description.graph_form import GraphForm, graph_form, network_of_graph_form
from tinysim.network.description.layer_form import network_of_layer_form
from tinysim.network.description.layer_kinds import layer_schema
from tinysim.network.graph import Network

__all__ = ["json_schema", "network_from_yaml", "network_to_yaml", "read_yaml", "write_yaml"]

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_Base: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
#: Levels of nesting of a file.
_DEEPEST = 200


class _Dumper(_Base):  # type: ignore[misc]
    """Lists of tensors and operators one to a line, no aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def network_to_yaml(network: Network) -> str:
    """The network in the exact graph form; `network_from_yaml` gives it back without loss but for weights' values."""
    document = graph_form(network)
    lists = {key: document.pop(key) for key in ("tensors", "ops")}
    text = str(yaml.dump(document, Dumper=_Dumper, sort_keys=False, default_flow_style=None, allow_unicode=True))
    for key, items in lists.items():
        lines = [
            yaml.dump(item, Dumper=_Dumper, sort_keys=False, default_flow_style=True, width=2**20, allow_unicode=True)
            for item in items
        ]
        text += f"{key}:\n" + "".join(f"- {line}" for line in lines) if lines else f"{key}: []\n"
    return text


def network_from_yaml(text: str, *, label: str = "network") -> Network:
    """The network that a YAML text describes, in graph form or layer form.

    Raises:
        NetworkError: no valid YAML, or no valid network; names the place and what is accepted.
    """
    try:
        _limit_depth(text, label)
        document = yaml.load(text, Loader=_Loader)
    except NetworkError:
        raise
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1}: " if mark else ""
        reason = getattr(error, "problem", None) or error
        raise NetworkError(f"{label}: {place}no valid YAML: {' '.join(str(reason).split())}") from error
    if not isinstance(document, dict) or document.get("tinysim") != "network":
        raise NetworkError(f"{label}: not a tinysim network (expected 'tinysim: network' at the top)")
    if document.get("version") != 1:
        raise NetworkError(f"{label}: version {document.get('version')!r}; accepted: 1")
    try:
        if "layers" in document:
            return network_of_layer_form(document)
        return network_of_graph_form(GraphForm.model_validate(document))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise NetworkError(f"{label}: {place}: {first['msg']}") from error
    except NetworkError as error:
        raise type(error)(f"{label}: {error}") from error
    except ValueError as error:
        raise NetworkError(f"{label}: {error}") from error


def _limit_depth(text: str, label: str) -> None:
    """Refuse deep nesting, which would overflow the stack of the C parser."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > _DEEPEST:
                raise NetworkError(f"{label}: nested deeper than {_DEEPEST} levels")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def read_yaml(path: str | Path) -> Network:
    """Read a network from a YAML file; see `network_from_yaml`."""
    target = Path(path)
    try:
        text = target.read_text(encoding="utf-8")
    except OSError as error:
        raise NetworkError(f"{target}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise NetworkError(f"{target.name}: not a text file in UTF-8") from error
    return network_from_yaml(text, label=target.name)


def write_yaml(network: Network, path: str | Path) -> Path:
    """Write the network in graph form and return the path."""
    target = Path(path)
    target.write_text(network_to_yaml(network), encoding="utf-8")
    return target


def json_schema() -> dict[str, Any]:
    """JSON Schema of both forms, for editors: save it and name it in `# yaml-language-server: $schema=...`."""
    graph, layers = GraphForm.model_json_schema(), layer_schema()
    definitions = graph.pop("$defs", {}) | layers.pop("$defs", {})
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "tinysim network",
        "anyOf": [layers, graph],
        "$defs": definitions,
    }
