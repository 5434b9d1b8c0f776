"""`tinysim estimate` passes what concerns the accelerator on, and says what it does not know."""

import json

from click.testing import CliRunner

from tinysim.cli.main import cli


def run(*words: str) -> tuple[int, str]:
    found = CliRunner().invoke(cli, ["estimate", *words])
    return found.exit_code, found.output


def test_options_reach_the_estimate() -> None:
    plain, narrow, none = (
        json.loads(run("kws", "-d", "gap9-evk", "--json", *more)[1])
        for more in ((), ("--accelerator-weight-bits", "4"), ("--offload", "none"))
    )
    assert narrow["cycles"] < plain["cycles"] < none["cycles"]
    assert none["accelerator"] is None
    mode = json.loads(run("kws", "-d", "corstone-300", "--json", "--memory-mode", "Sram_Only")[1])
    assert mode["accelerator"]["sram_used_bytes"] == 16_000
    stored = run("vww", "-d", "corstone-300", "--stored-weights", "180 KiB")
    assert stored[0] == 0
    assert "of the compiler" in stored[1]


def test_engines_are_named_where_there_are_several() -> None:
    assert "engine" in run("vww", "-d", "max78002evkit", "-r", "max78-cnn")[1].splitlines()[1]
    assert "engine" not in run("kws", "-d", "nucleo-l4r5zi")[1].splitlines()[1]
