"""The page about networks: its Python runs in order, its YAML is the network it says."""

import re
from pathlib import Path
from typing import Any

from tinysim.network.description import network_from_yaml
from tinysim.network.load import load_network

PAGE = (Path(__file__).parents[2] / "docs" / "networks.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_python_runs() -> None:
    scope: dict[str, Any] = {}
    for code in blocks("python"):
        exec(compile(code, "docs/networks.md", "exec"), scope)
    assert scope["small"].macs > 0


def test_yaml_is_keyword_spotting() -> None:
    assert network_from_yaml(blocks("yaml")[0]).table() == load_network("kws").table()


def test_commands_exist() -> None:
    from tinysim.cli.networks import command

    named = set(re.findall(r"tinysim networks (\w+)", PAGE))
    assert named == set(command.commands)
