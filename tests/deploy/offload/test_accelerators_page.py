"""The code on the page about accelerators runs, and its table names boards and runtimes that exist."""

import re
from pathlib import Path

import tinysim as ts

PAGE = (Path(ts.__file__).parents[1] / "docs" / "accelerators.md").read_text(encoding="utf-8")


def test_code_runs() -> None:
    scope: dict[str, object] = {}
    for code in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(compile(code, "docs/accelerators.md", "exec"), scope)
    assert isinstance(scope["est"], ts.Estimate)
    assert isinstance(scope["step"], ts.TrainingEstimate)


def test_table_names_what_exists() -> None:
    rows = [line.split("|")[1:4] for line in PAGE.splitlines() if line.startswith("| `")]
    assert len(rows) == 10
    for row in rows:
        boards, runtimes, accelerators = (re.findall(r"`([^`]+)`", cell) for cell in row)
        for board in boards:
            device = ts.load_device(board)
            assert device.accelerator in accelerators
            assert runtimes[0] in device.runtimes
