"""Finding and reading descriptions: names, files, and what is refused with which words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tinysim.device.library import (
    list_devices,
    list_runtimes,
    load_core,
    load_device,
    load_runtime,
    read_yaml,
    spec_folder,
)
from tinysim.errors import MissingFigure, SpecError, UnknownDevice, UnknownRuntime

Edit = Callable[[dict[str, Any]], None]


@pytest.fixture
def board() -> dict[str, Any]:
    """The data of a shipped board, to spoil."""
    return read_yaml(spec_folder() / "boards" / "nucleo-l4r5zi.yaml")


def _load(folder: Path, data: dict[str, Any]) -> None:
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump(data), encoding="utf-8")
    load_device(path)


def test_folder_of_a_checkout_is_beside_the_package() -> None:
    assert (spec_folder() / "boards" / "nucleo-l4r5zi.yaml").is_file()


def test_name_path_and_device_give_the_same_board() -> None:
    by_name = load_device("nucleo-l4r5zi")
    by_path = load_device(spec_folder() / "boards" / "nucleo-l4r5zi.yaml")
    assert by_name == by_path == load_device(by_name) == load_device("NUCLEO-L4R5ZI")


def test_lists() -> None:
    assert list_devices() == sorted(list_devices())
    assert list_runtimes("nucleo-l4r5zi")[0] == "tflm-cmsis-nn"
    assert set(list_runtimes("nucleo-l4r5zi")) < set(list_runtimes())


def test_unknown_names_offer_the_nearest() -> None:
    with pytest.raises(UnknownDevice, match="nucleo-l4r5zi"):
        load_device("nucleo-l4r5z")
    with pytest.raises(UnknownRuntime, match="tflm-cmsis-nn"):
        load_runtime("tflm-cmsisnn")
    with pytest.raises(SpecError, match="cortex-m4"):
        load_core("cortex-m41")
    with pytest.raises(UnknownDevice, match="does not exist"):
        load_device("no/such/board.yaml")


def _unknown_field(d: dict[str, Any]) -> None:
    d["colour"] = "white"


def _no_source(d: dict[str, Any]) -> None:
    del d["clock"]["source"]


def _wrong_unit(d: dict[str, Any]) -> None:
    d["memories"][0]["size"]["unit"] = "MHz"


def _value_of_unknown(d: dict[str, Any]) -> None:
    d["clock"] = {"value": 120, "unit": "MHz", "kind": "unknown"}


def _no_value(d: dict[str, Any]) -> None:
    d["clock"]["value"] = None


def _no_memory_for_code(d: dict[str, Any]) -> None:
    for memory in d["memories"]:
        memory["holds"] = ["activations", "weights"]


def _two_of_a_name(d: dict[str, Any]) -> None:
    d["memories"][1]["name"] = d["memories"][0]["name"]


def _unknown_core(d: dict[str, Any]) -> None:
    d["core"] = "cortex-m5"


def _fpu_on_m0(d: dict[str, Any]) -> None:
    d["core"] = "cortex-m0plus"


def _no_runtime(d: dict[str, Any]) -> None:
    d["runtimes"] = []


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (_unknown_field, "colour"),
        (_no_source, "clock: .*source"),
        (_wrong_unit, r"memories\.0\.size: .*MHz"),
        (_value_of_unknown, "clock: .*unknown"),
        (_no_value, "clock: .*value"),
        (_no_memory_for_code, "none holds code"),
        (_two_of_a_name, "memories: two have one name"),
        (_unknown_core, "unknown core 'cortex-m5'"),
        (_fpu_on_m0, "fpu: cortex-m0plus"),
        (_no_runtime, "runtimes: at least one"),
    ],
    ids=lambda case: case.__name__.lstrip("_") if callable(case) else "",
)
def test_a_spoilt_board_is_refused_and_the_field_named(
    edit: Edit, words: str, board: dict[str, Any], tmp_path: Path
) -> None:
    edit(board)
    with pytest.raises(SpecError, match=words) as refusal:
        _load(tmp_path, board)
    assert "\n" not in str(refusal.value)
    assert "mine.yaml" in str(refusal.value) or edit is _unknown_core


@pytest.mark.parametrize("text", ["a: [1", "- 1\n- 2\n", "", "just words", "a: \x00"], ids=repr)
def test_text_that_is_no_mapping_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SpecError, match=r"bad\.yaml") as refusal:
        load_device(path)
    assert "\n" not in str(refusal.value)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_bytes(b"\xff\xfe\x00name: x")
    with pytest.raises(SpecError, match=r"bad\.yaml"):
        load_device(path)


def test_an_unknown_figure_withholds_what_needs_it(board: dict[str, Any], tmp_path: Path) -> None:
    board["clock"] = {"value": None, "unit": "MHz", "kind": "unknown", "where": "clock of my-board"}
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(board), encoding="utf-8")
    device = load_device(path)
    with pytest.raises(MissingFigure, match="clock of my-board"):
        _ = device.clock.si


def test_a_memory_is_found_by_name_or_use() -> None:
    device = load_device("nucleo-h7a3zi-q")
    assert device.memory("dtcm").kind == "tcm"
    assert device.memory_for("code") is device.memory("flash")
    assert device.memory_for("activations") is device.memory("axi-sram")
    with pytest.raises(KeyError):
        device.memory("sdram")
