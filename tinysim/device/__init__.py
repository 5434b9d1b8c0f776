"""What a network runs on: boards, cores, memories, runtimes."""

from tinysim.device.library import (
    list_devices,
    list_runtimes,
    load_core,
    load_device,
    load_runtime,
    sources,
    spec_folder,
)
from tinysim.device.spec import Core, Device, Memory, Power, Runtime

__all__ = [
    "Core",
    "Device",
    "Memory",
    "Power",
    "Runtime",
    "list_devices",
    "list_runtimes",
    "load_core",
    "load_device",
    "load_runtime",
    "sources",
    "spec_folder",
]
