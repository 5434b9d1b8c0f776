"""Imports only go down: the floors of docs/design.md, held against every import statement."""

import ast
from pathlib import Path

import pytest

import tinysim

ROOT = Path(tinysim.__file__).parent

FLOORS = [
    {"quantities", "errors", "figures"},
    {"network", "device", "supply"},
    {"cost"},
    {"deploy"},
    {"estimate", "simulate"},
    {"scenario", "calibrate", "explore"},
    {"report"},
    {"cli"},
]
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
MODULES = sorted(ROOT.rglob("*.py"))


def imported_rooms(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.add(node.module or "")
    return {name.split(".")[1] for name in names if name.startswith("tinysim.")}


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_down(path: Path) -> None:
    room = path.relative_to(ROOT).parts[0].removesuffix(".py")
    if room in {"__init__", "__main__"}:
        return  # the lazy public surface knows every home
    for other in imported_rooms(path) - {room}:
        rule = "errors, quantities and figures may use each other" if FLOOR[room] == 0 else "imports only go down"
        assert FLOOR[other] < FLOOR[room] or FLOOR[room] == FLOOR[other] == 0, f"{room} imports {other}: {rule}"


def test_every_room_has_a_floor() -> None:
    rooms = {p.relative_to(ROOT).parts[0].removesuffix(".py") for p in MODULES} - {"__init__", "__main__"}
    assert rooms <= set(FLOOR)


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_modules_stay_small(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400
