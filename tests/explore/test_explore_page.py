"""The code of docs/explore.md and the examples of searches run as they stand."""

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_the_page_s_code_runs() -> None:
    text = (ROOT / "docs" / "explore.md").read_text(encoding="utf-8")
    names: dict[str, object] = {}
    for code in re.findall(r"```python\n(.*?)```", text, flags=re.S):
        exec(compile(code, "docs/explore.md", "exec"), names)
    found = names["found"]
    assert found.answer.figure <= 1 / 30  # type: ignore[attr-defined]


def test_the_search_for_a_board_ends_in_a_network_that_fits(capsys: pytest.CaptureFixture[str]) -> None:
    names = runpy.run_path(str(ROOT / "examples" / "nas_vww.py"))
    assert names["estimate"].fits
    assert names["estimate"].latency_s <= 0.5
    assert "chosen" in capsys.readouterr().out


def test_the_search_by_gradient_keeps_its_budget(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch", reason="needs the extra 'torch'")
    names = runpy.run_path(str(ROOT / "examples" / "nas_gradient.py"))
    convolutions = names["estimate"].to_frame()["latency_s"][:3].sum()
    assert convolutions <= 1.1 * names["LATENCY_S"]
    assert names["accuracy"] > 0.8
    assert "channels" in capsys.readouterr().out
