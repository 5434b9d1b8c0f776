"""Find and load the shipped descriptions, or a user's own file."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from tinysim.device.spec import Core, Device, Runtime
from tinysim.errors import SpecError, UnknownDevice, UnknownRuntime, nearest
from tinysim.figures import Spec

__all__ = [
    "is_shipped",
    "list_devices",
    "list_runtimes",
    "load_core",
    "load_device",
    "load_runtime",
    "read_yaml",
    "sources",
    "spec_folder",
    "validated",
]

S = TypeVar("S", bound=Spec)


@cache
def spec_folder() -> Path:
    """The folder of shipped descriptions, in an installed wheel or in a checkout.

    Raises:
        SpecError: neither is there.
    """
    package = Path(str(files("tinysim")))
    for folder in (package / "_device_specs", package.parent / "device_specs"):
        if folder.is_dir():
            return folder
    raise SpecError(f"device_specs not found beside {package}: the installation is incomplete")


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping with the safe loader.

    Raises:
        SpecError: the file is missing, is no YAML or holds no mapping.
    """
    try:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        data = yaml.load(path.read_text(encoding="utf-8"), Loader=loader)
    except OSError as error:
        raise SpecError(f"{path}: {error.strerror or error}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        problem = " ".join(str(error).split())
        raise SpecError(f"{path}: no YAML: {problem}") from error
    if not isinstance(data, dict):
        raise SpecError(f"{path}: expected a mapping of fields, got {type(data).__name__}")
    return data


def validated(model: type[S], data: dict[str, Any], where: str) -> S:
    """Build a specification from plain data.

    Raises:
        SpecError: the first fault, with the path of its field.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "file"
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        raise SpecError(f"{where}: {place}: {first['msg']}{more}") from error


@cache
def sources() -> dict[str, dict[str, Any]]:
    """All sources by key, from every ``sources*.yaml``."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(spec_folder().glob("sources*.yaml")):
        found |= read_yaml(path)
    return found


def _names(folder: str) -> list[str]:
    return sorted(path.stem for path in (spec_folder() / folder).glob("*.yaml"))


@cache
def load_core(name: str) -> Core:
    """A core by name.

    Raises:
        SpecError: no such core.
    """
    path = spec_folder() / "cores" / f"{name}.yaml"
    if not path.is_file():
        raise SpecError(f"unknown core {name!r}; {nearest(name, _names('cores'))}")
    return validated(Core, read_yaml(path), path.name)


@cache
def load_runtime(name: str) -> Runtime:
    """A runtime by name.

    Raises:
        UnknownRuntime: no such runtime.
    """
    path = spec_folder() / "runtimes" / f"{name}.yaml"
    if not path.is_file():
        raise UnknownRuntime(f"unknown runtime {name!r}; {nearest(name, _names('runtimes'))}")
    return validated(Runtime, read_yaml(path), path.name)


def list_devices() -> list[str]:
    """Names of the shipped boards."""
    return _names("boards")


def list_runtimes(device: str | Device | None = None) -> list[str]:
    """Names of the runtimes, of one device or all."""
    if device is None:
        return _names("runtimes")
    return list(load_device(device).runtimes)


def load_device(device: str | Path | Device) -> Device:
    """A board by name, or from a YAML file.

    Raises:
        UnknownDevice: neither a name of the library nor a file; the message offers the nearest names.
        SpecError: the file is wrong; the message names the field.
    """
    if isinstance(device, Device):
        return device
    text = str(device)
    if text.endswith((".yaml", ".yml")):
        path = Path(text)
        if not path.is_file():
            raise UnknownDevice(f"device file {text!r} does not exist")
        return _load_board(path)
    path = spec_folder() / "boards" / f"{text.lower()}.yaml"
    if "/" in text or not path.is_file():
        raise UnknownDevice(f"unknown device {text!r}; {nearest(text, list_devices())}")
    return _shipped(path)


def is_shipped(device: Device) -> bool:
    """Whether this is the library's own object of that name (so results for it may be kept)."""
    return device.name in _shipped_names() and _shipped(spec_folder() / "boards" / f"{device.name}.yaml") is device


@cache
def _shipped_names() -> frozenset[str]:
    return frozenset(list_devices())


@cache
def _shipped(path: Path) -> Device:
    return _load_board(path)


def _load_board(path: Path) -> Device:
    data = read_yaml(path)
    core = data.get("core")
    if isinstance(core, str):
        data["core"] = load_core(core)
    accelerator = data.get("accelerator")
    if isinstance(accelerator, str) and accelerator.endswith((".yaml", ".yml")):
        data["accelerator"] = str(path.parent / accelerator)
    return validated(Device, data, path.name)
