"""Read scenario files; errors name file, line and field."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from tinysim.device.library import read_yaml
from tinysim.errors import SpecError, nearest
from tinysim.figures import Spec

__all__ = ["Origin", "read_spec"]

S = TypeVar("S", bound=Spec)


@dataclass(frozen=True)
class Origin:
    """Where the fields of a specification stand in its file."""

    file: str
    lines: dict[tuple[str, ...], int]

    def place(self, field: Sequence[str | int]) -> str:
        """File, line and path of a field; the line is that of the nearest field above it that has one."""
        parts = tuple(str(part) for part in field)
        shown = ".".join(parts)
        for n in range(len(parts), 0, -1):
            if parts[:n] in self.lines:
                return f"{self.file} line {self.lines[parts[:n]]}, {shown}"
        return f"{self.file}, {shown}" if shown else self.file

    def annotate(self, message: str) -> str:
        """A message that begins with a field, "a.b.0: ...", with file and line in front."""
        field = message.split(":", 1)[0]
        known = "." in field and (field.split(".")[0],) in self.lines
        return f"{self.place(field.split('.'))}{message[len(field) :]}" if known else f"{self.file}: {message}"


def _lines(node: yaml.Node | None, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], int]:
    found: dict[tuple[str, ...], int] = {}
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            here = (*path, str(key.value))
            found[here] = key.start_mark.line + 1
            found |= _lines(value, here)
    elif isinstance(node, yaml.SequenceNode):
        for position, value in enumerate(node.value):
            here = (*path, str(position))
            found[here] = value.start_mark.line + 1
            found |= _lines(value, here)
    return found


def read_spec(model: type[S], path: str | Path) -> tuple[S, Origin]:
    """Read a specification and remember the line of each field.

    Raises:
        SpecError: the file cannot be read, or a field is wrong; the message names line and field.
    """
    file = Path(path)
    data = read_yaml(file)
    origin = Origin(file.name, _lines(yaml.compose(file.read_text(encoding="utf-8"), yaml.SafeLoader)))
    try:
        return model.model_validate(data), origin
    except ValidationError as error:
        first = error.errors()[0]
        # pydantic adds the tag of a union to the path; the file does not have it
        field: list[str | int] = []
        for part in first["loc"]:
            if tuple(map(str, [*field, part])) in origin.lines or not _is_tag(part):
                field.append(part)
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        message = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            message = f"unknown field; {nearest(str(first['loc'][-1]), _fields(model, first['loc'][:-1]))}"
        raise SpecError(f"{origin.place(field)}: {message}{more}") from error


def _fields(model: type[Spec], path: Sequence[str | int]) -> list[str]:
    """Names that a mapping at a path of a validation error may have, from the model's JSON schema."""
    whole = model.model_json_schema()
    here = _followed(whole, whole)
    for part in path:
        by_tag = here.get("discriminator", {}).get("mapping", {})
        inside = here.get("items", {}) if isinstance(part, int) else here.get("properties", {}).get(part)
        here = _followed(whole, {"$ref": by_tag[part]} if part in by_tag else inside or here["additionalProperties"])
    return list(here.get("properties", ()))


def _followed(whole: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    """A node of a JSON schema behind its references; of several types, the one that is not null."""
    while "$ref" in node or "anyOf" in node:
        if "anyOf" in node:
            node = next(option for option in node["anyOf"] if option.get("type") != "null")
        else:
            node = whole["$defs"][node["$ref"].rsplit("/", 1)[-1]]
    return node


def _is_tag(part: str | int) -> bool:
    return part in {"run", "sense", "features", "infer", "send"}
